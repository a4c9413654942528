"""Audit saved outputs: files and arrays of models that somebody else trained; no torch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import store
from secateur.auditing.choices import with_recommended
from secateur.auditing.saved_sides import joined
from secateur.auditing.signals import audit_signals, signal_attacks
from secateur.auditing.single import CORRECT, accuracy_rows, few_records_control, gap_rows
from secateur.data.chosen import chosen_rows
from secateur.errors import DataError, InputError, SecateurWarning
from secateur.probe.saved import obtainable, source_of
from secateur.probe.saved_models import observations_of
from secateur.probe.saved_order import taken_on_trust
from secateur.store.signals import OUTPUTS, SIGNAL, made_of
from secateur.types import Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import MembershipAttack
    from secateur.store import SavedSignals
    from secateur.types import Observations, Report, Role

    Parts = Sequence[tuple[SavedSignals, Sequence[int], Role]]

__all__ = [
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
            say it themselves (`inside`).
        non_members: which it was not, by default all others; what is neither is left out.
        attacks: by default those that these references allow.
        seed: of the controls.
        about: further facts.
    """
    if target is None:
        own = joined(_side("members", members), _side("non_members", non_members))
    else:
        own = _read("the target", target, members, non_members)
    parts: list[tuple[SavedSignals, Sequence[int], Role]] = [(own, range(own.shape[0]), "target")]
    if references is not None:
        others = _read("the references", references, None, None)
        parts.append((others, range(others.shape[0]), "reference"))
    chosen = _plain_attacks() if references is None else signal_attacks()
    chosen = chosen if attacks is None else tuple(attacks)
    seen = observed(parts, chosen)
    if attacks is None:
        chosen = with_recommended(chosen, seen.membership)
    title = "Membership audit of saved outputs"
    notes = warned_of_order(parts)
    report = audit_signals(
        seen,
        chosen,
        kept=read_arrays(parts, chosen),
        seed=seed,
        about={"title": title, **(about or {})},
        notes=notes,
    )
    if len(seen.membership.targets) > 1:
        return report
    few = few_records_control(seen.membership)
    rows = (*report.rows, *accuracy_rows(seen), *gap_rows(report))
    return replace(report, rows=rows, controls=(*report.controls, few))


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
        GapAttack,
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
    return _read(what, source, None, None)


def _read(
    what: str, source: str | Path | Mapping[str, Any], members: Any, non_members: Any
) -> SavedSignals:
    if not isinstance(source, Mapping):
        return _of_file(source, members, non_members)
    arrays = {str(k): np.asarray(v) for k, v in source.items()}
    if members is not None:
        arrays = _with_members(arrays, members, non_members)
    found = truly_named(made_of(Path(what), arrays))
    if found.inside is None and what == "the target":
        raise DataError(
            "the target's arrays do not say who is a member; give members=, a mask or indices of "
            "the records that it was trained on"
        )
    return found


def _of_file(source: str | Path, members: Any, non_members: Any) -> SavedSignals:
    found = truly_named(store.read_signals(source))
    if members is None:
        return found
    if found.inside is not None or non_members is not None:
        raise InputError(
            f"{source}: members says who is in where the file does not (an array `inside`), and "
            "all others are non-members; to leave records out, give the arrays, as numpy.load "
            "gives them"
        )
    models, n = found.shape
    return replace(found, inside=np.tile(_mask("members", members, n), (models, 1)))


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


def _with_members(arrays: dict[str, Any], members: Any, non_members: Any) -> dict[str, Any]:
    """Return arrays of the records that are spoken of, with `inside`."""
    if "labels" in arrays:
        n = len(arrays["labels"])
    else:
        n = max((a.shape[-1] for k, a in arrays.items() if k not in OUTPUTS), default=0)
    inside = _mask("members", members, n)
    outside = ~inside if non_members is None else _mask("non_members", non_members, n)
    both = int((inside & outside).sum())
    if both:
        raise DataError(
            f"{both} records are members and non-members at once; remove them from one of the two"
        )
    kept = np.flatnonzero(inside | outside)
    found = {
        name: np.take(a, kept, axis=a.ndim - 2 if name in OUTPUTS else a.ndim - 1)
        for name, a in arrays.items()
    }
    return {**found, "inside": inside[kept]}


def _mask(what: str, value: Any, n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, dtype=np.bool_)
    mask[chosen_rows(what, value, n)] = True
    return mask
