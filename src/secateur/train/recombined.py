"""Inputs that are nobody's: put together from members that a teacher has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from secateur.data.recombinations import PICTURES, Way, check_way, recombined
from secateur.errors import MethodError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.train.steps import Taught
    from secateur.types import BoolArray, FloatArray, IntArray

__all__ = ["Questions", "Recombined", "recombined_of"]

DRAWS = 100
"""How often an input is drawn anew that turned out to be a member's."""
MOST = 1000.0
MOST_PARENTS = 100


class Questions(NamedTuple):
    """Inputs `[questions, ...]`, and which teachers saw a parent `[teachers, questions]`."""

    inputs: FloatArray
    seen: BoolArray


@dataclass(frozen=True, kw_only=True)
class Recombined:
    """How new inputs are made of a model's members.

    Args:
        way: see `secateur.data.recombinations.recombined`; of more than two parents each is put
            into what the ones before it gave.
        times: how many times as many inputs as members, above 0 and at most 1,000.
        parents: of how many members an input is made, 2 to 100. Their shares are uniform over all
            that sum to 1.
        least: the least share of every parent, at least 0 and below 1 / parents: what is above is
            uniform. With 0 some inputs are nearly a member's own.

    Raises:
        MethodError: an unknown way, or a number out of range.

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
    parents: int = 2
    least: float = 0.0

    def __post_init__(self) -> None:
        check_way(self.way, what="recombine")
        if not 0 < self.times <= MOST:
            raise MethodError(f"times must be above 0 and at most {MOST:g}, got {self.times}")
        if not 2 <= self.parents <= MOST_PARENTS:
            raise MethodError(f"parents must be 2 to {MOST_PARENTS}, got {self.parents}")
        if not 0 <= self.least < 1 / self.parents:
            raise MethodError(
                f"least must be at least 0 and below {1 / self.parents:.3g}, an equal share of "
                f"{self.parents} parents, got {self.least}"
            )

    def count(self, members: int) -> int:
        """Return how many inputs are made of so many members, at least 2."""
        return max(2, round(self.times * members))

    def of(
        self,
        inputs: FloatArray,
        seen: BoolArray,
        *,
        seed: int,
        units: IntArray | None = None,
        others: FloatArray | None = None,
    ) -> Questions:
        """Make inputs, each of members that one teacher at least has seen none of, and none that is
        a member's own, nor put together from records of one unit.

        Args:
            inputs: of the members `[members, ...]`.
            seen: which members each teacher trained on, `[teachers, members]`.
            seed: of this model.
            units: whose each member is `[members]`; by default each is a unit of its own.
            others: inputs of further members, that nothing is made of and nothing made may be.

        Raises:
            MethodError: no teacher has left so many members, or units, unseen; `patches` of what is
                no picture; members so alike, or units so large, that what is put together is a
                member's input, or of one unit, again and again.
        """
        if self.way == "patches" and inputs.ndim != PICTURES:
            raise MethodError(
                f"recombine='patches' needs pictures [channels, height, width], and a record has "
                f"the shape {inputs.shape[1:]}; write 'features' or 'mixed'"
            )
        rng = np.random.default_rng(seed)
        whose = np.arange(len(inputs)) if units is None else units
        unseen = [np.flatnonzero(~row) for row in seen]
        left_out = [len(np.unique(whose[rows])) for rows in unseen]
        able = [r for r, n in zip(unseen, left_out, strict=True) if n >= self.parents]
        if not able:
            raise MethodError(
                f"recombine puts together {self.parents} members of different units that one "
                f"teacher has not seen, and no teacher has left more than "
                f"{max(left_out, default=0)} unseen; ask for fewer folds or parents, or draw more "
                "members"
            )
        known = {row.tobytes() for row in (*inputs, *(() if others is None else others))}
        made = np.empty((self.count(len(inputs)), *inputs.shape[1:]), inputs.dtype)
        family = np.empty((len(made), self.parents), np.int64)
        left = np.arange(len(made))
        for _ in range(DRAWS):
            for row, which in zip(left, rng.integers(0, len(able), len(left)), strict=True):
                family[row] = rng.choice(able[which], self.parents, replace=False)
            made[left] = self._put_together(inputs, family[left], rng)
            own = np.array([row.tobytes() in known for row in made[left]], np.bool_)
            left = left[own | _alike(whose[family[left]])]
            if not len(left):
                break
        else:
            raise MethodError(
                f"recombine={self.way!r}: {len(left)} of {len(made)} inputs were a member's own, "
                f"or of one unit, {DRAWS} times over, so alike are the members, or so few their "
                "units; choose another way, or leave it out"
            )
        told: BoolArray = np.any(seen[:, family], axis=2)
        return Questions(made, told)

    def _put_together(
        self, inputs: FloatArray, family: IntArray, rng: np.random.Generator
    ) -> FloatArray:
        """Return an input for each row of parents `[n, parents]`."""
        shares = self._shares(len(family), rng)
        found: FloatArray = inputs[family[:, 0]]
        before = shares[:, 0]
        for parent, own in zip(family.T[1:], shares.T[1:], strict=True):
            found = recombined(
                found,
                inputs[parent],
                way=self.way,
                share=before / (before + own),
                place=rng.random((len(family), 2)),
                rng=rng,
            )
            before = before + own
        return found

    def _shares(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the parents' shares `[n, parents]`."""
        if self.parents == 2:
            first = rng.random(n)
            free = np.stack([first, 1 - first], 1)
        else:
            free = rng.dirichlet(np.ones(self.parents), n)
        return self.least + (1 - self.parents * self.least) * free


def _alike(units: IntArray) -> BoolArray:
    """Return where two parents are of one unit, of rows of parents' units `[n, parents]`."""
    ordered = np.sort(units, axis=1)
    found: BoolArray = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    return found


def recombined_of(method: Taught) -> Recombined | None:
    """Return how a method makes the inputs that its models learn on; None: it makes none."""
    found: Recombined | None = getattr(method, "recombined", None)
    return found
