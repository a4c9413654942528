"""Signals from saved outputs of models that somebody else trained; numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data import MeanSignal
from secateur.errors import DataError, InputError
from secateur.probe.signals import signals
from secateur.types import Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["from_probabilities", "obtainable", "signals_of", "source_of"]

SMALLEST = 1e-45  # stands for a probability of 0, as in LiRA's released code
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
            f"{total.max():.4g}; divide by the sums, or call them logits where they are logits"
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
    if isinstance(wanted, MeanSignal):  # of other inputs than those that were saved
        return None
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
        first = "; they begin at 1: subtract 1" if labels.min() == 1 else ""
        raise DataError(
            f"labels go up to {labels.max()}, but {outputs} have {z.shape[-1]} classes, which are "
            f"numbered from 0{first}"
        )
    parts = []
    for form in z:
        if not np.isfinite(form).all():
            bad = np.flatnonzero(~np.isfinite(form).all(axis=-1))
            raise DataError(
                f"{outputs} of {len(bad)} of {len(form)} records are NaN or infinite, first of "
                f"record {bad[0]}; ask the model again, or leave it out"
            )
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
