"""Audit models of which signals alone are at hand: the same report, and no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.attack.membership import (
    RMIA,
    EntropyThreshold,
    HierarchicalLiRA,
    LiRA,
    LossThreshold,
    ModifiedEntropyThreshold,
    VectorLiRA,
)
from secateur.auditing.choices import (
    CHOSEN_ON_REFERENCES,
    fallback,
    strongest_on,
    with_recommended,
)
from secateur.auditing.consequences import consequence_rows
from secateur.auditing.exposed import exposed_series_of
from secateur.auditing.leak import leak_rows
from secateur.auditing.signal_checks import signal_controls
from secateur.auditing.single import limits_of
from secateur.auditing.statements import THREAT_MODEL_OF_SIGNALS, THREAT_MODEL_OF_SIGNALS_ALONE
from secateur.context import circumstances
from secateur.data import MeanSignal
from secateur.errors import CANNOT_RUN, InputError, Reason
from secateur.measure import histogram_series, roc_series
from secateur.types import AUDIT, Provenance, Report, Scores, digest_arrays

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.types import Measurement, Observations, Series

__all__ = ["audit_signals", "score_signals", "signal_attacks"]


def signal_attacks() -> tuple[MembershipAttack, ...]:
    """Return the attacks on signals that an audit runs unless told otherwise.

    RMIA runs at two temperatures, since which is stronger differs between models
    (docs/results/attacks.md). However many run, the strongest is chosen on references.

    Example:
        >>> len(signal_attacks())
        12
    """
    return (
        HierarchicalLiRA(),
        VectorLiRA(),
        LiRA(),
        LiRA(variance="per record"),
        LiRA(mode="offline"),
        RMIA(),
        RMIA(mode="offline"),
        RMIA(temperature=1.0),
        RMIA(mode="offline", temperature=1.0),
        LossThreshold(),
        EntropyThreshold(),
        ModifiedEntropyThreshold(),
    )


def score_signals(
    observations: Observations, attacks: Sequence[MembershipAttack], *, seed: int = 0
) -> dict[str, Scores | str]:
    """Run attacks on what was seen; by spelling, scores or the reason why an attack did not run.

    Raises:
        InputError: no attack could run; the message is the first reason.
    """
    held = observations.views[observations.primary]
    found: dict[str, Scores | str] = {}
    for attack in attacks:
        missing = [s.key for s in attack.needs if s.key not in held]
        if missing or attack.needs_posteriors:
            found[repr(attack)] = Reason(
                f"{attack!r} needs {', '.join(missing) or 'posteriors'}, which what was saved does "
                f"not give ({', '.join(held)}); {_mend(attack, missing)}",
                "signals",
            )
            continue
        try:
            found[repr(attack)] = attack(observations, seed=seed)
        except CANNOT_RUN as error:
            found[repr(attack)] = Reason.of(error)
    reasons = [s for s in found.values() if isinstance(s, str)]
    if len(reasons) == len(found):
        raise InputError(reasons[0] if reasons else "no attack was named")
    return found


def _mend(attack: MembershipAttack, missing: Sequence[str]) -> str:
    if any(isinstance(s, MeanSignal) for s in attack.needs):
        return "it asks models about perturbed records: run it on a fleet with `secateur audit`"
    return "save logits" + (
        "" if list(missing) != ["log_confidence@4"] else ", or ask for RMIA(temperature=1.0)"
    )


def audit_signals(
    observations: Observations,
    attacks: Sequence[MembershipAttack] | None = None,
    *,
    scores: Mapping[str, Scores | str] | None = None,
    kept: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Score saved signals and put every number into one report.

    Args:
        observations: of targets and, where an attack needs them, references.
        attacks: default `signal_attacks()`, and the one that is recommended for so few references.
        scores: what `score_signals` gave for these attacks, where that was done before.
        kept: by file, from which saved arrays the signals were computed: `logits`,
            `probabilities`, or signals' names; default `margin`.
        seed: of the controls.
        about: further facts: `title`, `command`, `data`.
        notes: what else the numbers rest on, for the report's limits.

    Raises:
        InputError: no attack could run.

    Example:
        >>> from secateur.data import planted_world
        >>> world = planted_world(records=200, targets=2, references=16, shift=1.0, seed=0)
        >>> report = audit_signals(world, [LiRA()])
        >>> sorted(c.id for c in report.controls if c.status == "not run")
        ['adaptive', 'blind-baseline']
    """
    who, subject = observations.membership, observations.primary
    held = {"": ("margin",)} if kept is None else kept
    chosen = with_recommended(signal_attacks(), who) if attacks is None else tuple(attacks)
    scores = score_signals(observations, chosen, seed=seed) if scores is None else scores
    ran = {m: s for m, s in scores.items() if isinstance(s, Scores)}
    able = [a for a in chosen if repr(a) in ran]
    found = strongest_on(observations, able, seed=seed)
    best, why = (found, CHOSEN_ON_REFERENCES) if found else fallback(list(ran), who)
    attack = next(a for a in able if repr(a) == best)
    rows: list[Measurement] = []
    for tried in chosen:
        rows += leak_rows(
            scores[repr(tried)], who, subject=subject, method=repr(tried), threat=tried.threat
        )
    rows += consequence_rows(
        ran[best], observations, attack, subject=subject, threat=attack.threat, seed=seed
    )
    facts, about = _facts(observations, best, seed), dict(about or {})
    arrays = {"labels": observations.labels}
    return Report(
        title=str(about.pop("title", f"Membership audit of {subject}")),
        rows=tuple(rows),
        series=_series(ran[best], observations, best, seed),
        controls=tuple(
            signal_controls(observations, able, ran[best], attack, kept=held, seed=seed)
        ),
        provenance=Provenance(
            key={
                "labels": digest_arrays(arrays),
                "membership": who.digest,
                "attacks": [repr(a) for a in chosen],
                "seed": seed,
            },
            context=circumstances(),
        ),
        facts={
            **facts,
            "limits": [*facts["limits"], *notes],
            "chosen_on": {subject: why},
            "kept": sorted({name for names in held.values() for name in names}),
            **about,
        },
    )


def _series(
    scores: Scores, observations: Observations, method: str, seed: int
) -> tuple[Series, ...]:
    """Return curves, histograms and exposed records of the strongest attack."""
    who, subject = observations.membership, observations.primary
    ids = np.arange(who.inside.shape[1]) if observations.ids is None else observations.ids
    return (
        roc_series(scores, who, subject=subject, method=method),
        histogram_series(scores, who, subject=subject, method=method),
        *exposed_series_of(scores, who, subject=subject, method=method, ids=ids, seed=seed),
    )


def _facts(observations: Observations, best: str, seed: int) -> dict[str, Any]:
    who, subject = observations.membership, observations.primary
    return {
        "data": {
            "name": "saved signals",
            "records": who.inside.shape[1],
            "classes": observations.n_classes,
        },
        "pools": {name: len(indices) for name, indices in who.pools.items()},
        "models": {"targets": len(who.targets), "references": len(who.references)},
        "subjects": {subject: {"pipeline": [], "label": subject, "kind": "given"}},
        "baseline": subject,
        "strongest": {subject: best},
        "threat_model": (
            THREAT_MODEL_OF_SIGNALS if len(who.references) else THREAT_MODEL_OF_SIGNALS_ALONE
        ),
        "limits": limits_of(targets=len(who.targets), references=len(who.references)),
        "members": float(who.inside[who.targets][:, who.pools[AUDIT]].mean()),
        "seed": seed,
    }
