"""Audit saved outputs: files and arrays of models that somebody else trained; no torch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import store
from secateur.attack.membership import GapAttack
from secateur.auditing.choices import with_recommended
from secateur.auditing.saved_sides import joined, sided, taken
from secateur.auditing.signals import audit_signals, score_signals, signal_attacks
from secateur.auditing.single import CORRECT, accuracy_rows, few_records_control, gap_rows
from secateur.errors import InputError, SecateurWarning
from secateur.probe.saved import obtainable, source_of
from secateur.probe.saved_models import observations_of
from secateur.probe.saved_order import taken_on_trust
from secateur.store.signals import OUTPUTS, SIGNAL, made_of
from secateur.types import Scores, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import MembershipAttack
    from secateur.store import SavedSignals
    from secateur.types import Observations, Report, Role

    Parts = Sequence[tuple[SavedSignals, Sequence[int], Role]]

__all__ = [
    "attacks_on",
    "audit_parts",
    "audit_saved",
    "holds_signals",
    "observed",
    "read_arrays",
    "truly_named",
    "warned_of_order",
]


def holds_signals(target: Mapping[Any, Any]) -> bool:
    """Tell whether a mapping holds saved outputs, rather than a network's weights."""
    return any(isinstance(k, str) and (k in OUTPUTS or SIGNAL.fullmatch(k)) for k in target)


def audit_saved(
    target: str | Path | Mapping[str, Any] | None,
    *,
    references: str | Path | Mapping[str, Any] | None = None,
    members: Any = None,
    non_members: Any = None,
    attacks: Sequence[MembershipAttack] | None = None,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
) -> Report:
    """Audit saved logits, probabilities or signals.

    Args:
        target: a file or folder (docs/signals.md), or arrays by the same names; None where members
            and non-members are such files or arrays themselves.
        references: the same, of the attacker's own models.
        members: which records the target was trained on, a mask or indices, where the arrays do not
            say it themselves (`inside`); of a stack of models, all of them were.
        non_members: which it was not, by default all others but the population; what is neither is
            left out, of the references too.
        attacks: by default those that these references allow.
        seed: of the controls.
        about: further facts.

    Raises:
        InputError: members beside an array `inside`; non_members without members.
        DataError: nothing says who is a member; records on both sides, or of other numbers.
        StoreError: a file that cannot be read, or arrays that do not fit each other.
    """
    if target is None:
        own, kept = joined(_side("members", members), _side("non_members", non_members)), None
    else:
        own, kept = sided(_read("the target", target), members, non_members)
    aside = target if isinstance(target, str | Path) else None
    others = None if references is None else _read("the references", references, without=aside)
    title = "Membership audit of saved outputs"
    return audit_parts(
        _parts(own, kept, others), attacks, seed=seed, about={"title": title, **(about or {})}
    )


def audit_parts(
    parts: Parts,
    attacks: Sequence[MembershipAttack] | None = None,
    *,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    scores: Path | None = None,
) -> Report:
    """Audit models of saved outputs; of one alone with its accuracy and what so few records say.

    Args:
        parts: what a file holds, which of its models, their role; targets first.
        attacks: by default `attacks_on(parts)`, and the one recommended for so few references.
        seed: of the controls.
        about: further facts.
        scores: where the scores of every record are written, npz; by default nowhere.

    Raises:
        InputError: no attack could run.
    """
    chosen = attacks_on(parts) if attacks is None else tuple(attacks)
    seen = observed(parts, chosen)
    _warn_of_silent(parts)
    who = seen.membership
    if attacks is None:
        chosen = with_recommended(chosen, who)
    found = score_signals(seen, chosen, seed=seed)
    kept = read_arrays(parts, chosen)
    notes = warned_of_order(parts)
    report = audit_signals(
        seen, chosen, scores=found, kept=kept, seed=seed, about=about, notes=notes
    )
    if len(who.targets) == 1:
        rows = (*report.rows, *accuracy_rows(seen), *gap_rows(report))
        few = few_records_control(who)
        report = replace(report, rows=rows, controls=(*report.controls, few))
    if scores is None:
        return report
    ran = {name: s for name, s in found.items() if isinstance(s, Scores)}
    digest = store.write_score_table(scores, ran, ids=seen.ids, inside=who.inside[who.targets])
    return replace(report, side_files={scores.name: digest})


def attacks_on(parts: Parts) -> tuple[MembershipAttack, ...]:
    """Return the attacks that an audit of these models runs unless told otherwise.

    Without references those that ask the target alone; of one target the gap attack too, from which
    the accuracy gap is read.
    """
    targets = sum(len(models) for _, models, role in parts if role == "target")
    if not any(role == "reference" and len(models) for _, models, role in parts):
        return _plain_attacks()
    right = all(obtainable(list(part.arrays), CORRECT) for part, _, _ in parts)
    return (*signal_attacks(), *([GapAttack()] if right and targets == 1 else []))


def _warn_of_silent(parts: Parts) -> None:
    for part, _, role in parts:
        if role == "reference" and part.inside is None:
            warnings.warn(
                f"{part.path.name} has no array `inside`: its models count as trained on none of "
                "these records; where some were in, say which (docs/signals.md)",
                SecateurWarning,
                stacklevel=2,
            )


def observed(parts: Parts, attacks: Sequence[MembershipAttack]) -> Observations:
    """Compute the signals that attacks and controls read, as far as every file gives them."""
    log_p = Signal(name="log_confidence")
    wanted = dict.fromkeys([log_p, CORRECT, *(s for a in attacks for s in a.needs)])
    held = [list(part.arrays) for part, _, _ in parts]
    possible = [s for s in wanted if all(obtainable(names, s) for names in held)]
    return observations_of(parts, possible, view="given")


def warned_of_order(parts: Parts) -> list[str]:
    """Return, and warn of, what shows nowhere: that files hold their records in one order."""
    found = taken_on_trust(parts)
    for sentence in found:
        warnings.warn(sentence, SecateurWarning, stacklevel=2)
    return found


def read_arrays(parts: Parts, attacks: Sequence[MembershipAttack]) -> dict[str, list[str]]:
    """Return by file the arrays from which the signals that attacks need are computed."""
    wanted = {s for a in attacks for s in a.needs}
    read: dict[str, set[str]] = {}
    for part, _, _ in parts:
        sources = {source_of(list(part.arrays), s) for s in wanted}
        read.setdefault(part.path.name, set()).update(s for s in sources if s is not None)
    return {name: sorted(sources) for name, sources in read.items() if sources}


def _plain_attacks() -> tuple[MembershipAttack, ...]:
    """Return the attacks that read what was saved of the target alone."""
    from secateur.attack.membership import (
        ConfidenceThreshold,
        EntropyThreshold,
        LossThreshold,
        ModifiedEntropyThreshold,
    )

    kinds = (LossThreshold, ConfidenceThreshold, EntropyThreshold, ModifiedEntropyThreshold)
    return (*(kind(class_wise=False) for kind in kinds), GapAttack())


def _side(what: str, source: Any) -> SavedSignals:
    """Return the saved outputs of one side."""
    arrays = isinstance(source, Mapping) and holds_signals(source)
    if not arrays and not isinstance(source, str | Path):
        raise InputError(
            "without a model, members and non_members must be saved outputs: files, or arrays by "
            f"name such as {{'logits': ..., 'labels': ...}}; {what} is {type(source).__name__}; to "
            "audit a model, give it first: audit(model, members=..., non_members=...)"
        )
    return _read(what, source)


def _read(
    what: str, source: str | Path | Mapping[str, Any], without: str | Path | None = None
) -> SavedSignals:
    if not isinstance(source, Mapping | str | Path):
        raise InputError(
            f"{what} of saved outputs must be a file, or arrays by name such as {{'logits': ..., "
            f"'labels': ...}}, got {source!r}"
        )
    if not isinstance(source, Mapping):
        aside = () if without is None else (Path(without),)
        return truly_named(store.read_signals(source, without=aside))
    arrays = {str(k): np.asarray(v) for k, v in source.items()}
    return truly_named(made_of(Path(what), arrays))


def truly_named(saved: SavedSignals) -> SavedSignals:
    """Return saved outputs, those called logits that are probabilities under their name.

    Example:
        >>> saved = made_of(Path("t.npz"), {"logits": np.array([[[2.0, -1.0]]])})
        >>> sorted(truly_named(saved).arrays)
        ['logits']
    """
    outputs = saved.arrays.get("logits", ())
    if not outputs or "probabilities" in saved.arrays or not all(map(_add_up_to_one, outputs)):
        return saved
    warnings.warn(
        f"{saved.path.name}: what is called logits is at least 0 and adds up to 1 for each record, "
        "so it is read as probabilities; save what the network gives before its softmax, or call "
        "them probabilities",
        SecateurWarning,
        stacklevel=2,
    )
    others = {name: a for name, a in saved.arrays.items() if name != "logits"}
    return replace(saved, arrays={**others, "probabilities": outputs})


def _add_up_to_one(z: NDArray[Any]) -> bool:
    if z.dtype.kind != "f" or not z.size or z.shape[-1] < 2 or (z[..., :64, :] < 0).any():
        return False
    return bool((z >= 0).all() and (np.abs(z.sum(axis=-1, dtype=np.float64) - 1) < 2e-3).all())


def _parts(own: SavedSignals, kept: Any, others: SavedSignals | None) -> Parts:
    """Return target and references, both of the records that are spoken of alone.

    Where both have ids the target alone is cut: references are brought to its records by them.
    """
    by_ids = others is not None and own.ids is not None and others.ids is not None
    if kept is not None and (others is None or by_ids or own.shape[1] == others.shape[1]):
        own = taken(own, kept)  # where numbers differ it is refused later
        others = others if others is None or by_ids else taken(others, kept)
    held: list[tuple[SavedSignals, Role]] = [(own, "target")]
    held += [] if others is None else [(others, "reference")]
    return [(saved, range(saved.shape[0]), role) for saved, role in held]
