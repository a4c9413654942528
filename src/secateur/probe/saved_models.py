"""Observations of models that somebody else trained, from their files; numpy alone."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import DataError, InputError, SecateurWarning
from secateur.probe.saved import signals_of
from secateur.probe.saved_order import aligned, arrays_at, said_otherwise
from secateur.types import AUDIT, POPULATION, Membership, Observations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.probe.saved import ModelArrays
    from secateur.store import SavedSignals
    from secateur.types import Role, Signal

__all__ = ["observations_of"]

IN_MEMORY = 2**28  # bytes of one signal; what is larger goes to a temporary file


def observations_of(
    parts: Sequence[tuple[SavedSignals, Sequence[int], Role]],
    wanted: Sequence[Signal],
    *,
    view: str = "given",
) -> Observations:
    """Make observations of saved models; each file's models in the order given.

    Args:
        parts: (what a file holds, which of its models, their role); targets first.
        wanted: signals to compute.
        view: what the models are called.

    Raises:
        DataError: files about different records or in another order, a target whose membership is
            not said, members in the population.
        InputError: a signal that cannot be computed; a target that is one of the references too.
    """
    parts = aligned(parts)
    labels, units, population = _records(parts)
    records = parts[0][0].shape[1]
    audit = np.flatnonzero(~population)
    membership = Membership(
        inside=np.concatenate([_inside(part, models, role) for part, models, role in parts]),
        roles=tuple(role for _, models, role in parts for _ in models),
        pools={AUDIT: audit, POPULATION: np.flatnonzero(population)},
        units=np.arange(records) if units is None else units,
        seed=0,
    )
    each = [(part, model) for part, models, _ in parts for model in models]
    found = _signals(each, labels, wanted)
    _refuse_twins(found, membership)
    rounded = sum(_rounded(arrays_at(p, m), labels) for p, m in each)
    if rounded:
        warnings.warn(
            f"{rounded} probabilities of the true class were rounded to 1 when they were saved: "
            "their order is lost, and attacks see less than there is; save logits",
            SecateurWarning,
            stacklevel=2,
        )
    classes = [
        part.arrays[k][0].shape[-1]
        for part, _, _ in parts
        for k in part.arrays
        if k in ("logits", "probabilities")
    ]
    labels = np.zeros(records, np.int64) if labels is None else labels
    seen = Observations.from_arrays(
        found,
        labels=labels,
        membership=membership,
        n_classes=max([int(labels.max()) + 1, *classes]),
        view=view,
    )
    ids = parts[0][0].ids
    return seen if ids is None else replace(seen, ids=ids)


def _signals(
    each: Sequence[tuple[SavedSignals, int]],
    labels: NDArray[np.int64] | None,
    wanted: Sequence[Signal],
) -> dict[str, NDArray[Any]]:
    """Return each signal of all models, `[model, ...]`."""
    found: dict[str, NDArray[Any]] = {}
    for row, (part, model) in enumerate(each):
        for key, values in _signals_at(part, model, labels, wanted).items():
            if key not in found:
                found[key] = _room((len(each), *values.shape))
            if found[key].shape[1:] != values.shape:
                raise DataError(
                    f"{part.path} was asked in {len(values)} forms, others in {found[key].shape[1]}"
                )
            found[key][row] = values
    return found


def _signals_at(
    part: SavedSignals, model: int, labels: NDArray[np.int64] | None, wanted: Sequence[Signal]
) -> dict[str, NDArray[np.float32]]:
    """Return one model's signals; an error names its file and its number there."""
    where = f"{part.path}, model {model}"
    try:
        found = signals_of(arrays_at(part, model), labels, wanted)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    for key, values in found.items():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=0))
        if bad.size:
            raise DataError(
                f"{where}: {key} of {bad.size} of {values.shape[-1]} records is NaN or infinite, "
                f"first of record {bad[0]}; ask the model again, or leave it out"
            )
    return found


def _refuse_twins(found: Mapping[str, NDArray[Any]], membership: Membership) -> None:
    """Refuse a target whose signals are those of a reference: the answer stands in the question."""
    rows: dict[bytes, int] = {}
    if set(found) == {"correct"}:  # good models may agree on every record
        return
    for model in range(len(membership)):
        together = hashlib.sha256(b"".join(values[model].tobytes() for values in found.values()))
        if membership.roles[model] == "target":
            rows[together.digest()] = model
        elif together.digest() in rows:
            raise InputError(
                f"model {model} of the references has the signals of target "
                f"{rows[together.digest()]} on every record: it is the same model; leave it out, "
                "as an attacker has no reference that is the target"
            )


def _room(shape: tuple[int, ...]) -> NDArray[np.float32]:
    size = 4 * int(np.prod(shape))
    if size <= IN_MEMORY:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile() as file:  # stays until the array is gone
        return np.memmap(file, np.float32, "w+", shape=shape)


def _rounded(arrays: ModelArrays, labels: NDArray[np.int64] | None) -> int:
    """Return how many of the true class's probabilities are 1 as they were saved."""
    if "logits" in arrays:
        return 0
    if "probabilities" in arrays and labels is not None:
        p = arrays["probabilities"]
        return int((p[:, np.arange(len(labels)), labels] >= 1).sum())
    return int((arrays["confidence"] >= 1).sum()) if "confidence" in arrays else 0


def _records(
    parts: Sequence[tuple[SavedSignals, Sequence[int], Role]],
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None, NDArray[np.bool_]]:
    """Return labels, units and the population; files that say them must agree."""
    first = parts[0][0]
    records = first.shape[1]
    said: dict[str, tuple[NDArray[Any], SavedSignals]] = {}
    for part, _, _ in parts:
        if part.shape[1] != records:
            raise DataError(
                f"{first.path} has signals of {records} records, {part.path} of {part.shape[1]}; "
                "targets and references must be asked about the same records in the same order"
            )
        for name in ("labels", "units", "population"):
            value = getattr(part, name)
            if value is None:
                continue
            other, source = said.setdefault(name, (value, part))
            if (other != value).any():
                raise said_otherwise(name, part, other, source)
    labels, units, population = (said.get(n, (None,))[0] for n in ("labels", "units", "population"))
    return labels, units, np.zeros(records, np.bool_) if population is None else population


def _inside(part: SavedSignals, models: Sequence[int], role: Role) -> NDArray[np.bool_]:
    if part.inside is not None:
        return part.inside[list(models)]
    if role == "reference":  # of other data: out of every record
        return np.zeros((len(models), part.shape[1]), np.bool_)
    raise DataError(
        f"{part.path} does not say which records the target was trained on; add an array `inside` "
        "of 0 and 1, [model, record], or give both sides as two files: --members FILE "
        "--non-members FILE (docs/signals.md)"
    )
