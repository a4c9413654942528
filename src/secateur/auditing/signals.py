"""Audit models of which signals alone are at hand: the same report, and no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
from secateur.auditing.leak import leak_rows
from secateur.auditing.statements import LIMITS, THREAT_MODEL_OF_SIGNALS
from secateur.context import hardware
from secateur.errors import DataError, InputError, NotEnoughReferencesError
from secateur.measure import (
    histogram_series,
    leave_one_out_control,
    null_control,
    planted_control,
    reference_count_control,
    roc_series,
    saturation_control,
    training_size_control,
)
from secateur.types import AUDIT, Control, Provenance, Report, Scores, derive_seed, digest_arrays

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.types import Measurement, Observations, Series

__all__ = ["audit_signals", "score_signals", "signal_attacks"]

LOSSLESS = ("logits", "margin", "correct")


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
            found[repr(attack)] = (
                f"{attack!r} needs {', '.join(missing) or 'posteriors'}, which what was saved does "
                f"not give ({', '.join(held)}); save logits"
                + ("" if missing != ["log_confidence@4"] else ", or ask for RMIA(temperature=1.0)")
            )
            continue
        try:
            found[repr(attack)] = attack(observations, seed=seed)
        except (NotEnoughReferencesError, DataError) as error:
            found[repr(attack)] = str(error)
    reasons = [s for s in found.values() if isinstance(s, str)]
    if len(reasons) == len(found):
        raise InputError(reasons[0] if reasons else "no attack was named")
    return found


def audit_signals(
    observations: Observations,
    attacks: Sequence[MembershipAttack] | None = None,
    *,
    scores: Mapping[str, Scores | str] | None = None,
    kept: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
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
    named = {"subject": subject, "method": best}
    series: tuple[Series, ...] = (
        roc_series(ran[best], who, **named),
        histogram_series(ran[best], who, **named),
    )
    about = dict(about or {})
    arrays = {"labels": observations.labels}
    return Report(
        title=str(about.pop("title", f"Membership audit of {subject}")),
        rows=tuple(rows),
        series=series,
        controls=tuple(_controls(observations, able, ran[best], attack, kept=held, seed=seed)),
        provenance=Provenance(
            key={
                "labels": digest_arrays(arrays),
                "membership": who.digest,
                "attacks": [repr(a) for a in chosen],
                "seed": seed,
            },
            context=hardware(),
        ),
        facts={
            **_facts(observations, best, seed),
            "chosen_on": {subject: why},
            "kept": sorted({name for names in held.values() for name in names}),
            **about,
        },
    )


def _controls(
    observations: Observations,
    attacks: Sequence[MembershipAttack],
    best: Scores,
    strongest: MembershipAttack,
    *,
    kept: Mapping[str, Sequence[str]],
    seed: int,
) -> list[Control]:
    who, subject = observations.membership, observations.primary
    found = [null_control(best, who, subject=subject, seed=derive_seed(seed, "null", subject))]
    for attack in attacks:
        if attack.min_out > 0:
            found.append(
                planted_control(
                    attack,
                    _needed(observations, attack),
                    seed=derive_seed(seed, "planted", repr(attack)),
                )
            )
    found.append(reference_count_control(who))
    if len(who.references):
        found.append(
            leave_one_out_control(
                strongest,
                _needed(observations, strongest),
                subject=subject,
                seed=derive_seed(seed, "leave one out", subject),
            )
        )
    if not len(who.references) or who.inside[who.references].any():
        found.append(training_size_control(who))
    found.append(saturation_control(observations, subject=subject))
    return [*found, _kept_control(kept, subject), *_unknown(subject)]


def _needed(observations: Observations, attack: MembershipAttack) -> Observations:
    """Return the signals alone that an attack reads."""
    subject = observations.primary
    view = observations.views[subject]
    needed = {s.key: view[s.key] for s in attack.needs}
    return replace(observations, views={subject: needed})


def _kept_control(kept: Mapping[str, Sequence[str]], subject: str) -> Control:
    read = [
        f"{', '.join(names)} were read" + (f" of {file}" if file else "")
        for file, names in kept.items()
    ]
    lossy = {n.partition("@")[0] for names in kept.values() for n in names} - set(LOSSLESS)
    return Control(
        id="logits",
        status="raised" if lossy else "passed",
        subject=subject,
        saw="; ".join(read),
        why="a probability next to 1 keeps few of its digits: attacks understate the leak there",
        mend="save logits, or the margin log p_y - log(1 - p_y) computed from them",
    )


def _unknown(subject: str) -> list[Control]:
    """Return the controls that signals alone cannot answer, so that nobody takes them as passed."""
    return [
        Control(
            id="blind-baseline",
            status="not run",
            subject=subject,
            saw="the records themselves are not at hand",
            why="if members and non-members differ in themselves, the audit is confounded",
            mend="draw members and non-members from one pool by coins",
        ),
        Control(
            id="adaptive",
            status="not run",
            subject=subject,
            saw="signals do not say how the references were made",
            why="references of another pipeline than the target's flatter it",
            mend="train, prune and defend references exactly as the target",
        ),
    ]


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
        "threat_model": THREAT_MODEL_OF_SIGNALS,
        "limits": list(LIMITS),
        "members": float(who.inside[who.targets][:, who.pools[AUDIT]].mean()),
        "seed": seed,
    }
