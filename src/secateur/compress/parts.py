"""What patterns share: what a pattern is, which budgets it takes, and equal parts of each layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from secateur.compress.masks import top_k_mask
from secateur.compress.shares import shared_counts
from secateur.errors import MethodError

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.compress.budgets import Budget
    from secateur.compress.masks import Grouping
    from secateur.protocols import Builder
    from secateur.train.hooks import Moment, Tensors

__all__ = ["Parts", "Pattern", "refuse_multiply_adds", "refuse_ranking"]


@runtime_checkable
class Pattern(Protocol):
    """Which weights are kept or removed together; a frozen dataclass, its repr is its spelling."""

    @property
    def rate(self) -> float:
        """The compression rate where none is asked for."""
        ...

    def check(self, budget: Budget) -> None:
        """Refuse a budget that has no meaning here.

        Raises:
            MethodError: says what.
        """
        ...

    def fitted(self, build: Builder) -> Grouping | None:
        """Return the groups of a network; None where each weight stands by itself."""
        ...


def refuse_ranking(pattern: object, budget: Budget) -> None:
    """Refuse budgets that are spread over layers in another way than by one share.

    Raises:
        MethodError: says which.
    """
    if budget.scope != "layer" or budget.allocation != "uniform" or budget.sparsities:
        raise MethodError(
            f"{pattern!r} keeps the same share of every layer; scope={budget.scope!r}, "
            f"allocation={budget.allocation!r}, sparsities={budget.sparsities!r} have no meaning "
            "with it: leave them out, or exempt layers"
        )


def refuse_multiply_adds(pattern: object, budget: Budget) -> None:
    """Refuse a budget of multiply-adds where no channel is removed as a whole.

    Raises:
        MethodError: names the pattern that takes one.
    """
    if budget.multiply_adds is not None:
        raise MethodError(
            f"multiply_adds={budget.multiply_adds} asks for a network that computes less, and "
            f"{pattern!r} removes no whole channels; give rate or sparsity, or pattern=Coupled()"
        )


class Parts:
    """Equal parts of each layer's weight, of which every layer keeps the same share."""

    @property
    def rate(self) -> float:
        """10."""
        return 10.0

    def check(self, budget: Budget) -> None:
        """Refuse a ranking over layers and a budget of multiply-adds."""
        refuse_ranking(self, budget)
        refuse_multiply_adds(self, budget)

    def fitted(self, build: Builder) -> Grouping:
        """Return itself: shapes say all."""
        del build
        return self

    def whole(self, prunable: tuple[str, ...]) -> tuple[str, ...]:
        """Return the layers that are counted, but not pruned."""
        del prunable
        return ()

    @abstractmethod
    def summed(self, squares: Tensor) -> Tensor:
        """Return the sum of each part's squares, in a shape that broadcasts to the weight's."""

    def masks(self, scores: Mapping[str, Tensor], budget: Budget, now: Moment) -> Tensors:
        """Return masks that keep the parts of the largest norm."""
        whole = self.whole(now.prunable)
        squares = {name: s.square() for name, s in scores.items()}
        sums = {name: self.summed(s) for name, s in squares.items() if name not in whole}
        sizes = [s.numel() for s in sums.values()]
        each = [squares[name].numel() // n for name, n in zip(sums, sizes, strict=True)]
        rest = sum(s.numel() for name, s in squares.items() if name not in sums)

        def cost(counts: Sequence[int]) -> int:
            return rest + sum(n * size for n, size in zip(counts, each, strict=True))

        counts = shared_counts(sizes, cost, budget.total(cost(sizes)))
        kept = {
            name: top_k_mask(s.flatten(), k).reshape(s.shape).expand(scores[name].shape)
            for (name, s), k in zip(sums.items(), counts, strict=True)
        }
        return {
            name: kept.get(name, torch.ones_like(s, dtype=torch.bool)) for name, s in scores.items()
        }
