"""Which weights stand or fall together when a network is pruned.

A pattern projects exactly: of all tensors that it allows, the nearest in the Frobenius norm keeps
the groups of weights whose norm is largest (zhang2021structadmm). `Coupled` alone comes near it
only, because its groups share weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from secateur.compress.parts import Parts, refuse_multiply_adds, refuse_ranking
from secateur.errors import MethodError, SparsityError

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.compress.budgets import Budget
    from secateur.compress.masks import Grouping
    from secateur.protocols import Builder
    from secateur.train.hooks import Moment, Tensors

__all__ = [
    "NM",
    "Channels",
    "Columns",
    "Coupled",
    "Filters",
    "Unstructured",
]


@dataclass(frozen=True, kw_only=True)
class Unstructured:
    """Each weight stands by itself.

    Example:
        >>> Unstructured().rate
        10.0

    Reference:
        zhang2018systematic.
    """

    kind: ClassVar[str] = "pattern"
    reference: ClassVar[str] = "zhang2018systematic"

    @property
    def rate(self) -> float:
        """10."""
        return 10.0

    def check(self, budget: Budget) -> None:
        """Refuse a budget of multiply-adds."""
        refuse_multiply_adds(self, budget)

    def fitted(self, build: Builder) -> None:
        """Return None: nothing stands together."""
        del build


@dataclass(frozen=True, kw_only=True)
class Filters(Parts):
    """A row of a layer's weight: one output channel or neuron, with its bias.

    The last prunable layer in the order of definition is taken for the network's output and stays
    whole. A normalisation that follows keeps its shift; `Coupled` removes that too.

    Every layer keeps the same share of its rows, at least one; the weights kept are at most those
    asked for, and less than one row of the widest layer fewer.

    Reference:
        zhang2021structadmm.
    """

    kind: ClassVar[str] = "pattern"
    reference: ClassVar[str] = "zhang2021structadmm"

    def whole(self, prunable: tuple[str, ...]) -> tuple[str, ...]:
        """Return the output layer."""
        return prunable[-1:]

    def summed(self, squares: Tensor) -> Tensor:
        """Sum over a row."""
        return squares.sum(dim=tuple(range(1, squares.dim())), keepdim=True)

    def masks(self, scores: Mapping[str, Tensor], budget: Budget, now: Moment) -> Tensors:
        """Return masks of the weights, and of the biases of rows that are removed."""
        masks = super().masks(scores, budget, now)
        whole = self.whole(now.prunable)
        for name in [n for n in masks if n.endswith("weight") and n not in whole]:
            bias = f"{name.removesuffix('weight')}bias"
            if bias in now.params:
                masks[bias] = masks[name].flatten(1).any(1)
        return masks


@dataclass(frozen=True, kw_only=True)
class Channels(Parts):
    """All weights of a layer that read one input channel, over all its filters.

    The first prunable layer in the order of definition reads the network's inputs and stays whole.
    A linear layer behind a flattening reads single numbers; `Coupled` takes a channel's together.
    Of a convolution in groups the same channel of every group goes.

    Every layer keeps the same share, as with `Filters`.

    Reference:
        zhang2021structadmm.
    """

    kind: ClassVar[str] = "pattern"
    reference: ClassVar[str] = "zhang2021structadmm"

    def whole(self, prunable: tuple[str, ...]) -> tuple[str, ...]:
        """Return the layer that reads the inputs."""
        return prunable[:1]

    def summed(self, squares: Tensor) -> Tensor:
        """Sum over what reads a channel."""
        return squares.sum(dim=(0, *range(2, squares.dim())), keepdim=True)


@dataclass(frozen=True, kw_only=True)
class Columns(Parts):
    """One position of a layer's filters: input channel, kernel row, kernel column, over all of
    them; for a linear layer one input.

    Every layer keeps the same share, as with `Filters`; of the first layer too.

    Reference:
        zhang2021structadmm, where it is called filter shape.
    """

    kind: ClassVar[str] = "pattern"
    reference: ClassVar[str] = "zhang2021structadmm"

    def summed(self, squares: Tensor) -> Tensor:
        """Sum over the filters."""
        return squares.sum(dim=0, keepdim=True)


@dataclass(frozen=True, kw_only=True)
class NM:
    """Of each m weights that follow each other in a row at most n are kept.

    A row is a filter's weights, flattened in the order channel, kernel row, kernel column. Where m
    does not divide it, of the rest r weights floor(r n / m) are kept, so that a row never keeps
    more than its share; a row too short for one weight keeps one. The rate follows: leave it out.

    Args:
        n: kept, at least 1 and below m.
        m: of so many.

    Raises:
        MethodError: n and m that leave nothing to remove.

    Example:
        >>> NM(n=2, m=4).rate
        2.0

    Reference:
        zhou2021learning. Differs from it: the mask of the trained weights, not one per step.
    """

    n: int = 2
    m: int = 4

    kind: ClassVar[str] = "pattern"
    reference: ClassVar[str] = "zhou2021learning"

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m:
            raise MethodError(
                f"n={self.n}, m={self.m}: n of m weights are kept, so 1 <= n < m; such as n=2, m=4"
            )

    @property
    def rate(self) -> float:
        """Weights before / weights kept."""
        return self.m / self.n

    def check(self, budget: Budget) -> None:
        """Refuse any budget but its own.

        Raises:
            SparsityError: another rate or sparsity.
        """
        refuse_ranking(self, budget)
        refuse_multiply_adds(self, budget)
        asked = budget.rate if budget.sparsity is None else 1 / (1 - budget.sparsity)
        if asked is None or not math.isclose(asked, self.rate):
            raise SparsityError(
                f"{self!r} keeps {self.n} of {self.m} weights, a rate of {self.rate:g}, and a rate "
                f"of {asked:g} was asked for; leave rate and sparsity out, and take one round"
            )

    def fitted(self, build: Builder) -> Grouping:
        """Return itself: shapes say all."""
        del build
        return self

    def masks(self, scores: Mapping[str, Tensor], budget: Budget, now: Moment) -> Tensors:
        """Return masks that keep the n largest of each m; of equal ones the first."""
        del budget, now
        return {name: self._of_rows(s.flatten(1)).reshape(s.shape) for name, s in scores.items()}

    def _of_rows(self, rows: Tensor) -> Tensor:
        length = rows.shape[1]
        full = length // self.m * self.m
        blocks = rows[:, :full].reshape(len(rows), full // self.m, self.m)
        few = (length - full) * self.n // self.m
        rest = _largest(rows[:, full:], few if full or few else 1)
        return torch.cat([_largest(blocks, self.n).flatten(1), rest], dim=1)


def _largest(values: Tensor, k: int) -> Tensor:
    """Return a mask of the k largest along the last axis, of equal ones the first."""
    order = torch.sort(values, dim=-1, descending=True, stable=True).indices
    return torch.argsort(order, dim=-1) < k


@dataclass(frozen=True, kw_only=True)
class Coupled:
    """Channels that must go together for the network to become smaller for real.

    A channel is the rows of all layers that produce it, with their biases, its place in batch
    normalisation, and the columns of all layers that read it: through residual sums,
    concatenations, flattening and depthwise convolutions, as Torch-Pruning's dependency graph
    finds them. Masks hold all of it at zero, so a removed channel is zero and read by nobody, and a
    conversion can cut it out. The network's inputs and outputs stay, and so do channels that a
    layer of another kind touches (layer normalisation, attention, recurrence): they cannot be cut.

    All groups of channels keep the same share, at least one channel. With `rate`, rows and columns
    at zero both count; with `multiply_adds` of the method, what a record's forward pass takes in
    linear and convolutional layers counts. Never more is kept than asked for, and less than one
    channel of the costliest group less.

    A weight lies in the row of one channel and the column of another, so which channels are best
    depends on the other groups' choice, and no ranking gives the nearest network; with one group it
    does. The channels of largest norm start; then twice, group by group, the best are taken given
    all others.

    Args:
        shape: of one record; by default found by trying (`secateur.models.input_shape`).
        multiple: what a group keeps is a multiple of it, or all. Other numbers of
            channels than multiples of 16 can cost ONNX Runtime more than what was removed saves
            (measured: docs/deploy.md); 1 comes nearest to what is asked.

    Raises:
        MissingExtraError: when it is used without Torch-Pruning.
        MethodError: when it is used on a network without channels that can be removed.

    Example:
        >>> Coupled(shape=(3, 32, 32))
        Coupled(shape=(3, 32, 32), multiple=1)

    Reference:
        fang2023depgraph. Differs from it: the choice above; norms are over the weights that a rate
        counts, not over biases and normalisation.
    """

    shape: tuple[int, ...] | None = None
    multiple: int = 1

    kind: ClassVar[str] = "pattern"
    reference: ClassVar[str] = "fang2023depgraph"

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise MethodError(f"multiple must be at least 1, got {self.multiple}; 1 rounds nothing")

    @property
    def rate(self) -> float:
        """10."""
        return 10.0

    def check(self, budget: Budget) -> None:
        """Refuse a ranking over layers."""
        refuse_ranking(self, budget)

    def fitted(self, build: Builder) -> Grouping:
        """Return the network's groups of channels."""
        from secateur.compress.coupled import coupling_of

        return replace(coupling_of(build, self.shape), multiple=self.multiple)
