"""Numbers per record from a model's logits, in float64 and log space; numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp, xlog1py

from secateur.data import MeanSignal
from secateur.errors import InputError
from secateur.types import Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SignalProbe", "signals", "softmax"]


def softmax(logits: NDArray[Any]) -> NDArray[np.float32]:
    """Return the softmax of logits `[..., classes]`, computed in float64, as float32."""
    z = _from_largest(np.asarray(logits, dtype=np.float64))
    p = np.exp(z - logsumexp(z, axis=-1, keepdims=True))
    return p.astype(np.float32)


def signals(
    logits: NDArray[Any], labels: NDArray[Any], wanted: Sequence[Signal]
) -> dict[str, NDArray[np.float32]]:
    """Return signals of one model.

    Args:
        logits: `[records, classes]`, finite, at least 2 classes.
        labels: `[records]`, in 0 .. classes - 1.
        wanted: which signals; see `Signal` for the formulas.

    Returns:
        Per `signal.key` an array `[records]`; direction as the name says (`margin`,
        `log_confidence` and `correct` are larger for members, the others smaller).

    Raises:
        InputError: shapes that do not fit.

    Example:
        >>> z = np.array([[2.0, 0.0], [0.0, 0.0]])
        >>> signals(z, np.array([0, 1]), [Signal(name="margin")])["margin"].tolist()
        [2.0, 0.0]
    """
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels)
    if z.ndim != 2 or z.shape[1] < 2 or y.shape != z.shape[:1]:
        raise InputError(
            f"logits must be [records, classes >= 2] and labels [records], got {z.shape} and "
            f"{y.shape}"
        )
    others = [s.key for s in wanted if isinstance(s, MeanSignal)]
    if others:
        raise InputError(
            f"{', '.join(others)} cannot be computed from the logits of the records as they are; "
            "observe a fleet, whose models can be asked"
        )
    found = {}
    for temperature in dict.fromkeys(s.temperature for s in wanted):
        parts = _Parts(z / temperature, y)
        for s in wanted:
            if s.temperature == temperature:
                one = (
                    parts.coordinate(s.part) if s.name == "coordinate" else getattr(parts, s.name)()
                )
                found[s.key] = one.astype(np.float32)
    return found


def _from_largest(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logits less the largest of their record, so that large ones absorb no logarithm."""
    shifted: NDArray[np.float64] = z - z.max(axis=-1, keepdims=True)
    return shifted


class _Parts:
    """What the signals of one temperature share."""

    def __init__(self, z: NDArray[np.float64], y: NDArray[Any]) -> None:
        z = _from_largest(z)
        self.z, self.y, self.rows = z, y, np.arange(len(y))
        self.log_p = z - logsumexp(z, axis=1, keepdims=True) if len(y) else z

    def of(self, signal: Signal) -> NDArray[np.float64]:
        """Return a signal by its name."""
        if signal.name == "coordinate":
            return self.coordinate(signal.part)
        value: NDArray[np.float64] = getattr(self, signal.name)()
        return value

    def margin(self) -> NDArray[np.float64]:
        """Return log p_y - log(1 - p_y) = z_y - logsumexp of the other logits."""
        others = self.z.copy()
        others[self.rows, self.y] = -np.inf
        value: NDArray[np.float64] = self.z[self.rows, self.y] - logsumexp(others, axis=1)
        return value

    def log_confidence(self) -> NDArray[np.float64]:
        """Return log p_y = -log(1 + exp(-margin)), exact where p_y is next to 1."""
        value: NDArray[np.float64] = -np.logaddexp(0.0, -self.margin())
        return value

    def loss(self) -> NDArray[np.float64]:
        """Return -log p_y."""
        return -self.log_confidence()

    def entropy(self) -> NDArray[np.float64]:
        """Return -sum p log p."""
        value: NDArray[np.float64] = -(np.exp(self.log_p) * self.log_p).sum(axis=1)
        return value

    def modified_entropy(self) -> NDArray[np.float64]:
        """Return -(1 - p_y) log p_y - sum_{i != y} p_i log(1 - p_i)."""
        margin = self.margin()
        miss = np.exp(-np.logaddexp(0.0, margin))  # 1 - p_y
        p = np.exp(self.log_p)
        wrong = np.minimum(p, 1.0)
        wrong[self.rows, self.y] = 0.0
        # a wrong class that takes nearly all: log(1 - p_i) from the sum of the others
        tail = np.log(np.maximum(1.0 - wrong, np.finfo(float).tiny))
        near = wrong > 0.5
        if near.any():
            r, c = np.nonzero(near)
            others = self.z[r].copy()
            others[np.arange(len(r)), c] = -np.inf
            tail[r, c] = logsumexp(others, axis=1) - logsumexp(self.z[r], axis=1)
        small = wrong <= 0.5
        other_terms = np.where(small, -xlog1py(wrong, -np.where(small, wrong, 0.0)), -wrong * tail)
        value: NDArray[np.float64] = miss * self.loss() + other_terms.sum(axis=1)
        return value

    def correct(self) -> NDArray[np.float64]:
        """Return 1 where the largest logit (of equal ones the first) is the true class's."""
        value: NDArray[np.float64] = (self.z.argmax(axis=1) == self.y).astype(np.float64)
        return value

    def coordinate(self, part: int) -> NDArray[np.float64]:
        """Return sum_c log p_c b_c for one cosine b over the classes; 0 beyond the last one."""
        classes = self.z.shape[1]
        if part >= classes - 1:
            return np.zeros(len(self.y))
        phase = np.pi * (np.arange(classes) + 0.5) * (part + 1) / classes
        value: NDArray[np.float64] = self.log_p @ (np.cos(phase) * np.sqrt(2 / classes))
        return value


@dataclass(frozen=True, kw_only=True)
class SignalProbe:
    """A probe that keeps these signals; fits `Snapshots(probe=...)`.

    Example:
        >>> SignalProbe(signals=(Signal(name="loss"),))(np.zeros((1, 2)), np.array([0]))["loss"]
        array([0.6931472], dtype=float32)
    """

    signals: tuple[Signal, ...]

    def __call__(
        self, logits: NDArray[Any], labels: NDArray[Any]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the signals of logits `[records, classes]`."""
        return signals(logits, labels, self.signals)
