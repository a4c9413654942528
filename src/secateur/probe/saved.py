"""Observations from saved outputs or signals of models that somebody else trained; numpy alone."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import DataError, InputError, SecateurWarning
from secateur.probe.signals import signals
from secateur.types import AUDIT, POPULATION, Membership, Observations, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.store import SavedSignals
    from secateur.types import Role

__all__ = ["from_probabilities", "observations_of", "obtainable", "signals_of", "source_of"]

SMALLEST = 1e-45  # stands for a probability of 0, as in LiRA's released code
IN_MEMORY = 2**28  # bytes of one signal; what is larger goes to a temporary file
ModelArrays = Mapping[str, "NDArray[Any]"]  # one model's arrays, `[query, record(, class)]`
PLAIN = ("margin", "log_confidence", "loss")


def from_probabilities(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return logits that give these probabilities `[..., class]`: their logarithms.

    A probability of 0, which is what is left where the true class's was rounded to 1, becomes
    1e-45.

    Raises:
        DataError: values outside [0, 1], or classes that do not add up to 1 within 1 %.

    Example:
        >>> from_probabilities(np.array([0.5, 0.5])).round(3)
        array([-0.693, -0.693])
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if not ((p >= 0) & (p <= 1 + 1e-6)).all():
        raise DataError(
            f"probabilities must be in [0, 1], got {p.min()} .. {p.max()}; call logits logits"
        )
    total = p.sum(axis=-1)
    if not (np.abs(total - 1) <= 0.01).all():
        raise DataError(
            f"the probabilities of a record must add up to 1, got sums of {total.min():.4g} .. "
            f"{total.max():.4g}"
        )
    return np.log(np.maximum(p, SMALLEST))


def obtainable(held: Sequence[str], wanted: Signal) -> bool:
    """Return whether a signal can be computed from arrays of these names.

    Example:
        >>> obtainable(["loss"], Signal(name="margin"))
        True
        >>> obtainable(["loss"], Signal(name="margin", temperature=2.0))
        False
    """
    return source_of(held, wanted) is not None


def source_of(held: Sequence[str], wanted: Signal) -> str | None:
    """Return from which of these arrays a signal is computed; None where it cannot be.

    Example:
        >>> source_of(["confidence", "logits"], Signal(name="margin"))
        'logits'
    """
    plain = wanted.name in PLAIN and wanted.temperature == 1
    order = (wanted.key, "logits", "probabilities", *((*PLAIN, "confidence") if plain else ()))
    return next((name for name in order if name in held), None)


def signals_of(
    arrays: ModelArrays, labels: NDArray[np.int64] | None, wanted: Sequence[Signal]
) -> dict[str, NDArray[np.float32]]:
    """Return signals of one model from what was saved of it, per key `[query, record]`.

    Args:
        arrays: `logits` or `probabilities` `[query, record, class]`, or signals `[query, record]`
            by their keys, or `confidence`, the true class's probability.
        labels: `[record]`; needed for logits and probabilities.
        wanted: which signals.

    Raises:
        InputError: a signal that cannot be computed from what there is.
        DataError: labels are missing or beyond the classes; probabilities that are none.

    Example:
        >>> half = np.array([[[0.5, 0.5]]])
        >>> found = signals_of({"probabilities": half}, np.array([1]), [Signal(name="margin")])
        >>> found["margin"]
        array([[0.]], dtype=float32)
    """
    found = {s.key: np.asarray(arrays[s.key], np.float32) for s in wanted if s.key in arrays}
    rest = [s for s in wanted if s.key not in found]
    for s in rest:
        if not obtainable(list(arrays), s):
            raise InputError(
                f"{s.key} cannot be computed from {', '.join(sorted(arrays))}; give logits"
            )
    outputs = next((k for k in ("logits", "probabilities") if k in arrays), None)
    if not rest:
        return found
    if outputs is None:
        return {**found, **_plain(arrays, rest)}
    z = arrays[outputs]
    if labels is None:
        raise DataError(f"{outputs} need labels, the true class of each record")
    if z.shape[-1] < 2 or labels.max() >= z.shape[-1]:
        raise DataError(f"labels go up to {labels.max()}, but {outputs} have {z.shape[-1]} classes")
    parts = []
    for form in z:
        if not np.isfinite(form).all():
            raise DataError(f"{outputs} hold values that are NaN or infinite")
        held = from_probabilities(form) if outputs == "probabilities" else form
        parts.append(signals(held, labels, rest))
    return {**found, **{s.key: np.stack([p[s.key] for p in parts]) for s in rest}}


def _plain(arrays: ModelArrays, wanted: Sequence[Signal]) -> dict[str, NDArray[np.float32]]:
    """Return margin, log-confidence and loss from one of them, or from the confidence."""
    if "margin" in arrays:
        margin = np.asarray(arrays["margin"], np.float64)
        log_p = -np.logaddexp(0.0, -margin)
    else:
        log_p = _log_confidence(arrays)
        miss = np.maximum(-np.expm1(log_p), SMALLEST)  # 1 - p, exact where the loss is small
        margin = log_p - np.log(miss)
    found = {"margin": margin, "log_confidence": log_p, "loss": -log_p}
    return {s.key: found[s.name].astype(np.float32) for s in wanted}


def _log_confidence(arrays: ModelArrays) -> NDArray[np.float64]:
    if "log_confidence" in arrays:
        log_p = np.asarray(arrays["log_confidence"], np.float64)
    elif "loss" in arrays:
        log_p = -np.asarray(arrays["loss"], np.float64)
    else:
        p = np.asarray(arrays["confidence"], np.float64)
        if not ((p >= 0) & (p <= 1 + 1e-6)).all():
            raise DataError(f"confidence must be in [0, 1], got {p.min()} .. {p.max()}")
        log_p = np.log(np.clip(p, SMALLEST, 1.0))
    if (log_p > 1e-6).any():
        raise DataError(f"a loss must not be negative, got {-log_p.max()}")
    return np.minimum(log_p, 0.0)


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
        DataError: files about different records, a target whose membership is not said, members in
            the population.
        InputError: a signal that cannot be computed; a target that is one of the references too.
    """
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
    found: dict[str, NDArray[Any]] = {}
    row, rounded = 0, 0
    for part, models, _ in parts:
        for model in models:
            arrays = {k: a[model] for k, a in part.arrays.items()}
            rounded += _rounded(arrays, labels)
            for key, values in signals_of(arrays, labels, wanted).items():
                if key not in found:
                    found[key] = _room((len(membership), *values.shape))
                if found[key].shape[1:] != values.shape:
                    raise DataError(
                        f"{part.path} was asked in {len(values)} forms, others in "
                        f"{found[key].shape[1]}"
                    )
                found[key][row] = values
            row += 1
    _refuse_twins(found, membership)
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
    return Observations.from_arrays(
        found,
        labels=labels,
        membership=membership,
        n_classes=max([int(labels.max()) + 1, *classes]),
        view=view,
    )


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
    said: dict[str, NDArray[Any]] = {}
    for part, _, _ in parts:
        if part.shape[1] != records:
            raise DataError(
                f"{first.path} has signals of {records} records, {part.path} of {part.shape[1]}; "
                "targets and references must be asked about the same records in the same order"
            )
        for name in ("labels", "units", "population"):
            value = getattr(part, name)
            if value is not None and (said.setdefault(name, value) != value).any():
                raise DataError(
                    f"{part.path} says other {name} than another file: targets and references "
                    "must be asked about the same records in the same order"
                )
    population = said.get("population", np.zeros(records, np.bool_))
    return said.get("labels"), said.get("units"), population


def _inside(part: SavedSignals, models: Sequence[int], role: Role) -> NDArray[np.bool_]:
    if part.inside is not None:
        return part.inside[list(models)]
    if role == "reference":  # of other data: out of every record
        return np.zeros((len(models), part.shape[1]), np.bool_)
    raise DataError(
        f"{part.path} does not say which records the target was trained on; add an array `inside` "
        "of 0 and 1, [model, record]"
    )
