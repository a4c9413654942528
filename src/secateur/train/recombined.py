"""Inputs that are nobody's: put together from two members that a teacher has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from secateur.data.recombinations import PICTURES, Way, check_way, recombined
from secateur.errors import MethodError

if TYPE_CHECKING:
    from secateur.train.steps import Taught
    from secateur.types import BoolArray, FloatArray

__all__ = ["Questions", "Recombined", "recombined_of"]

DRAWS = 100
"""How often an input is drawn anew that turned out to be a member's."""
MOST = 1000.0


class Questions(NamedTuple):
    """Inputs `[questions, ...]`, and which teachers saw a parent `[teachers, questions]`."""

    inputs: FloatArray
    seen: BoolArray


@dataclass(frozen=True, kw_only=True)
class Recombined:
    """How new inputs are made of a model's members; the share of each parent is uniform.

    Args:
        way: see `secateur.data.recombinations.recombined`.
        times: how many times as many inputs as members, above 0 and at most 1,000.

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
    times: float = 4.0

    def __post_init__(self) -> None:
        check_way(self.way, what="recombine")
        if not 0 < self.times <= MOST:
            raise MethodError(f"times must be above 0 and at most {MOST:g}, got {self.times}")

    def count(self, members: int) -> int:
        """Return how many inputs are made of so many members, at least 2."""
        return max(2, round(self.times * members))

    def of(self, inputs: FloatArray, seen: BoolArray, *, seed: int) -> Questions:
        """Make inputs, each of two members that one teacher at least has seen neither of, and none
        that is a member's own.

        Args:
            inputs: of the members `[members, ...]`.
            seen: which members each teacher trained on, `[teachers, members]`.
            seed: of this model.

        Raises:
            MethodError: every teacher has seen all members but one; `patches` of what is no
                picture; members so alike that what is put together is a member's input again.
        """
        if self.way == "patches" and inputs.ndim != PICTURES:
            raise MethodError(
                f"recombine='patches' needs pictures [channels, height, width], and a record has "
                f"the shape {inputs.shape[1:]}; write 'features' or 'mixed'"
            )
        rng = np.random.default_rng(seed)
        unseen = [np.flatnonzero(~row) for row in seen]
        able = [rows for rows in unseen if len(rows) > 1]
        if not able:
            raise MethodError(
                "recombine puts together two members that one teacher has not seen, and every "
                "teacher has seen all but one; ask for fewer folds, or draw more members"
            )
        known = {row.tobytes() for row in inputs}
        made = np.empty((self.count(len(inputs)), *inputs.shape[1:]), inputs.dtype)
        pairs = np.empty((len(made), 2), np.int64)
        left = np.arange(len(made))
        for _ in range(DRAWS):
            for row, which in zip(left, rng.integers(0, len(able), len(left)), strict=True):
                pairs[row] = rng.choice(able[which], 2, replace=False)
            first, second = pairs[left].T
            made[left] = recombined(
                inputs[first],
                inputs[second],
                way=self.way,
                share=rng.random(len(left)),
                place=rng.random((len(left), 2)),
                rng=rng,
            )
            left = left[[row.tobytes() in known for row in made[left]]]
            if not len(left):
                break
        else:
            raise MethodError(
                f"recombine={self.way!r}: {len(left)} of {len(made)} inputs were a member's own "
                f"{DRAWS} times over, so alike are the members; choose another way, or leave it out"
            )
        return Questions(made, seen[:, pairs[:, 0]] | seen[:, pairs[:, 1]])


def recombined_of(method: Taught) -> Recombined | None:
    """Return how a method makes the inputs that its models learn on; None: it makes none."""
    found: Recombined | None = getattr(method, "recombined", None)
    return found
