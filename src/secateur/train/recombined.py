"""Inputs that are nobody's: put together from two members that a teacher has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from secateur.errors import MethodError

if TYPE_CHECKING:
    from secateur.train.steps import Taught
    from secateur.types import BoolArray, FloatArray

__all__ = ["WAYS", "Questions", "Recombined", "Way", "recombined_of"]

Way = Literal["features", "mixed", "patches"]
WAYS: tuple[Way, ...] = ("features", "mixed", "patches")


class Questions(NamedTuple):
    """Inputs `[questions, ...]`, and which teachers saw a parent `[teachers, questions]`."""

    inputs: FloatArray
    seen: BoolArray


@dataclass(frozen=True, kw_only=True)
class Recombined:
    """How new inputs are made of a model's members.

    Args:
        way: `features` takes each feature (of pictures, each pixel) from one parent or the other,
            in a share drawn for each input; `mixed` takes the weighted mean; `patches` puts a
            rectangle of one picture into the other.
        times: how many times as many inputs as members, above 0.

    Raises:
        MethodError: an unknown way, or `times` out of range.

    Example:
        >>> made = Recombined(way="features", times=3.0)
        >>> inputs = np.arange(8.0).reshape(4, 2)
        >>> seen = np.array([[True, True, False, False], [False, False, True, True]])
        >>> questions = made.of(inputs, seen, seed=0)
        >>> questions.inputs.shape, questions.seen.sum(0).tolist() == [1] * 12
        ((12, 2), True)
    """

    way: Way
    times: float

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise MethodError(f"recombine must be one of {', '.join(WAYS)}, got {self.way!r}")
        if not (self.times > 0 and np.isfinite(self.times)):
            raise MethodError(f"times must be above 0 and finite, got {self.times}")

    def count(self, members: int) -> int:
        """Return how many inputs are made of so many members, at least 2."""
        return max(2, round(self.times * members))

    def of(self, inputs: FloatArray, seen: BoolArray, *, seed: int) -> Questions:
        """Make inputs, each of two members that one teacher at least has seen neither of.

        Args:
            inputs: of the members `[members, ...]`.
            seen: which members each teacher trained on, `[teachers, members]`.
            seed: of this model.

        Raises:
            MethodError: every teacher has seen all members but one; `patches` of what is no
                picture.
        """
        if self.way == "patches" and inputs.ndim != 4:
            raise MethodError(
                f"recombine='patches' needs pictures [channels, height, width], and a record has "
                f"the shape {inputs.shape[1:]}; write 'features' or 'mixed'"
            )
        rng = np.random.default_rng(seed)
        unseen = [np.flatnonzero(~row) for row in seen]
        able = [rows for rows in unseen if len(rows) >= 2]
        if not able:
            raise MethodError(
                "recombine puts together two members that one teacher has not seen, and every "
                "teacher has seen all but one; ask for fewer folds, or draw more members"
            )
        n = self.count(len(inputs))
        pairs = np.empty((n, 2), np.int64)
        for pair, which in zip(pairs, rng.integers(0, len(able), n), strict=True):
            pair[:] = rng.choice(able[which], 2, replace=False)
        first, second = pairs.T
        share = rng.random(n)  # of the first parent
        made = getattr(self, f"_{self.way}")(inputs[first], inputs[second], share, rng)
        return Questions(made.astype(inputs.dtype), seen[:, first] | seen[:, second])

    @staticmethod
    def _mixed(
        one: FloatArray, other: FloatArray, share: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        del rng
        weight = share.reshape(-1, *[1] * (one.ndim - 1)).astype(one.dtype)
        found: FloatArray = weight * one + (1 - weight) * other
        return found

    @staticmethod
    def _features(
        one: FloatArray, other: FloatArray, share: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        # channels of a pixel stay together
        shape = (len(one), 1, *one.shape[2:]) if one.ndim == 4 else one.shape
        mine = rng.random(shape) < share.reshape(-1, *[1] * (one.ndim - 1))
        return np.where(mine, one, other)

    @staticmethod
    def _patches(
        one: FloatArray, other: FloatArray, share: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        height, width = one.shape[2:]
        side = np.sqrt(1 - share)  # of the other parent's rectangle, as a share of the picture's
        tall, wide = np.round(side * height).astype(int), np.round(side * width).astype(int)
        top = (rng.random(len(one)) * (height - tall + 1)).astype(int)[:, None]
        left = (rng.random(len(one)) * (width - wide + 1)).astype(int)[:, None]
        y, x = np.arange(height), np.arange(width)
        inside = ((y >= top) & (y < top + tall[:, None]))[:, :, None] & (
            (x >= left) & (x < left + wide[:, None])
        )[:, None, :]
        return np.where(inside[:, None], other, one)


def recombined_of(method: Taught) -> Recombined | None:
    """Return how a method makes the inputs that its models learn on; None: it makes none."""
    found: Recombined | None = getattr(method, "recombined", None)
    return found
