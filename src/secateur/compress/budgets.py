"""How many weights may be kept: budgets, and how they are spread over layers. No torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from secateur.errors import MethodError, SparsityError

__all__ = ["Allocation", "Budget", "Scope", "keep_counts"]

Shapes = Mapping[str, tuple[int, ...]]

Scope = Literal["layer", "global"]
"""Whether every layer has its own budget, or one ranking runs over all layers."""

Allocation = Literal["uniform", "erk"]
"""How a budget is spread over layers: the same share of each, or Erdős-Rényi-Kernel shares."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many weights may be kept, and where.

    Args:
        rate: compression rate, at least 1: weights before / weights kept. Give this or `sparsity`.
        sparsity: share of weights removed, in [0, 1).
        scope: `layer` gives each layer its own number, `global` ranks all layers together.
        floor: in [0, 1), least share kept of every layer where layers compete (scope `global`,
            allocation `erk`); one weight per layer is always kept.
        exempt: names of weights that are left whole and not counted.
        allocation: how the scope `layer` spreads the budget.
        sparsities: pairs (name, share removed in [0, 1)), a budget for each layer by itself,
            instead of `rate` and `sparsity`; every layer that is not exempt is named.
        multiply_adds: multiply-adds before / multiply-adds kept, at least 1, instead of `rate`; for
            patterns that remove whole channels.

    Raises:
        SparsityError: the rate, sparsity or floor is out of range, or not exactly one of rate,
            sparsity, sparsities and multiply_adds is given.
        MethodError: an unknown scope or allocation, or an allocation that the scope ignores.

    Example:
        >>> Budget(rate=10.0).counts({"a": (30, 20), "b": (10, 30)})
        {'a': 60, 'b': 30}
    """

    rate: float | None = None
    sparsity: float | None = None
    scope: Scope = "layer"
    floor: float = 0.01
    exempt: tuple[str, ...] = ()
    allocation: Allocation = "uniform"
    sparsities: tuple[tuple[str, float], ...] = ()
    multiply_adds: float | None = None

    def __post_init__(self) -> None:
        _check_multiply_adds(self.multiply_adds, (self.rate, self.sparsity, self.sparsities))
        if self.multiply_adds is None:
            _check_amount(self.rate, self.sparsity, self.sparsities)
        if not 0 <= self.floor < 1:
            raise SparsityError(
                f"floor {self.floor} is not in [0, 1): it is the least share of a layer that is "
                "kept; 0.01 keeps one weight in a hundred"
            )
        if self.scope not in ("layer", "global"):
            raise MethodError(f"unknown scope {self.scope!r}; there are 'layer', 'global'")
        if self.allocation not in ("uniform", "erk"):
            raise MethodError(f"unknown allocation {self.allocation!r}; there are 'uniform', 'erk'")
        if self.scope == "global" and self.allocation != "uniform":
            raise MethodError(
                f"allocation {self.allocation!r} has no meaning with scope 'global', where the "
                "ranking decides each layer's share; use scope 'layer'"
            )
        if self.sparsities and (self.scope, self.allocation) != ("layer", "uniform"):
            raise MethodError(
                f"sparsities name a budget for each layer, so scope={self.scope!r} and "
                f"allocation={self.allocation!r} have no meaning; leave both out"
            )
        if isinstance(self.exempt, str):
            raise MethodError(
                f"exempt must be a tuple of names, got the text {self.exempt!r}; "
                f"write exempt=({self.exempt!r},)"
            )

    def layers(self, prunable: Collection[str]) -> tuple[str, ...]:
        """Return the names that the budget covers, sorted: prunable ones that are not exempt.

        Sorted, because stored files keep names and not their order.

        Raises:
            MethodError: an exempt name is not prunable, or nothing is left.
        """
        unknown = sorted(set(self.exempt) - set(prunable))
        if unknown:
            raise MethodError(
                f"exempt names {unknown}, which are no prunable weights; there are "
                f"{sorted(prunable)}"
            )
        left = tuple(sorted(set(prunable) - set(self.exempt)))
        if not left:
            raise MethodError(
                f"nothing to prune: of the prunable weights {sorted(prunable)} all are exempt; "
                "exempt fewer"
            )
        named = {name for name, _ in self.sparsities}
        if self.sparsities and named != set(left):
            raise MethodError(
                f"sparsities name {sorted(named)}, but the weights to prune are {list(left)}; name "
                "each of them once, or exempt those that stay whole"
            )
        return left

    def total(self, weights: int) -> int:
        """Return how many of this many weights, or multiply-adds, are kept.

        `round(weights / rate)`, or all but `round(weights * sparsity)`.
        """
        ratio = self.multiply_adds if self.rate is None else self.rate
        if ratio is not None:
            return round(weights / ratio)
        assert self.sparsity is not None  # __post_init__ looked
        return weights - round(weights * self.sparsity)

    def counts(self, shapes: Shapes) -> dict[str, int]:
        """Return how many weights each layer keeps in the scope `layer`.

        They sum to `total`; where each layer has a sparsity of its own, a layer of n weights keeps
        n - round(n * sparsity), at least one.
        """
        if self.sparsities:
            own = dict(self.sparsities)
            sizes = {name: math.prod(shape) for name, shape in shapes.items()}
            return {name: max(1, n - round(n * own[name])) for name, n in sizes.items()}
        return keep_counts(
            shapes,
            total=self.total(sum(map(math.prod, shapes.values()))),
            allocation=self.allocation,
            floor=self.floor,
        )

    def floors(self, shapes: Shapes) -> dict[str, int]:
        """Return how many weights each layer keeps at least in the scope `global`.

        Raises:
            SparsityError: the budget is below their sum.
        """
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        floors = {name: _least(n, self.floor) for name, n in sizes.items()}
        _check_reachable(self.total(sum(sizes.values())), sizes, floors)
        return floors


def _check_multiply_adds(ratio: float | None, others: tuple[object, ...]) -> None:
    if ratio is None:
        return
    if any(one is not None and one != () for one in others):
        raise SparsityError(
            f"multiply_adds={ratio} and rate, sparsity or sparsities {others}: give one of them"
        )
    if not (ratio >= 1 and math.isfinite(ratio)):
        raise SparsityError(
            f"multiply_adds {ratio} is not a finite number of at least 1: it is multiply-adds "
            "before / multiply-adds kept; 4 keeps a quarter"
        )


def _check_amount(
    rate: float | None, sparsity: float | None, sparsities: tuple[tuple[str, float], ...]
) -> None:
    if sparsities:
        if rate is not None or sparsity is not None:
            raise SparsityError(
                f"rate={rate}, sparsity={sparsity} and sparsities of layers: give one of the three"
            )
        if any(len(pair) != 2 or not isinstance(pair[0], str) for pair in sparsities):
            raise MethodError(
                f"sparsities must be pairs of a layer's name and a share, got {sparsities!r}; "
                "write sparsities=(('0.weight', 0.8), ('3.weight', 0.9))"
            )
        if len(dict(sparsities)) != len(sparsities):
            raise MethodError(f"sparsities name a layer more than once: {sparsities!r}")
        for _, share in sparsities:
            _check_amount(None, share, ())
        return
    if (rate is None) == (sparsity is None):
        raise SparsityError(
            f"rate={rate} and sparsity={sparsity}: give exactly one of them; "
            "rate=10 is the same as sparsity=0.9"
        )
    if rate is not None and not (rate >= 1 and math.isfinite(rate)):
        raise SparsityError(
            f"rate {rate} is not a finite number of at least 1: it is weights before / weights "
            "kept; rate=10 keeps a tenth"
        )
    if sparsity is not None and not 0 <= sparsity < 1:
        raise SparsityError(
            f"sparsity {sparsity} is not in [0, 1): it is the share of weights removed; "
            "sparsity=0.9 keeps a tenth"
        )


def _least(weights: int, floor: float) -> int:
    return max(1, math.floor(floor * weights + 1e-9))


def _check_reachable(total: int, sizes: Mapping[str, int], floors: Mapping[str, int]) -> None:
    least = sum(floors.values())
    if total < len(sizes):
        raise SparsityError(
            f"the budget of {total} weights for {len(sizes)} layers of {sum(sizes.values())} "
            "weights is below one weight per layer, which would cut the network; ask for a lower "
            "rate or sparsity"
        )
    if total < least:
        raise SparsityError(
            f"the budget of {total} of {sum(sizes.values())} weights is below the {least} that the "
            "floor keeps; lower the floor, or ask for a lower rate or sparsity"
        )


def keep_counts(
    shapes: Shapes, *, total: int, allocation: Allocation = "uniform", floor: float = 0.01
) -> dict[str, int]:
    """Spread a budget over layers, exact to the weight.

    Args:
        shapes: the shape of each layer's weight, `[out, in, ...]`.
        total: weights kept over all layers, at least one per layer.
        allocation: `uniform` keeps the same share of each layer, `erk` a share in proportion to
            (sum of the sides) / (product of the sides), so that small layers stay denser.
        floor: least share kept of every layer under `erk`.

    Returns:
        Weights kept per layer, each at least 1 and at most the layer's size. They sum to `total`:
        fractions are rounded by largest remainder, of equal ones the first layer's up.

    Raises:
        SparsityError: `total` is below what every layer must keep.

    Example:
        >>> keep_counts({"a": (3, 3), "b": (5, 5)}, total=10)
        {'a': 3, 'b': 7}

    Reference:
        evci2020rigging (Erdős-Rényi-Kernel).
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    if allocation == "uniform":
        floors, weights = dict.fromkeys(sizes, 1), dict(sizes)
    else:
        floors = {name: _least(n, floor) for name, n in sizes.items()}
        weights = {name: sum(shape) for name, shape in shapes.items()}
    _check_reachable(total, sizes, floors)
    if total == sum(sizes.values()):
        return sizes
    quotas = _quotas(total, weights, floors, sizes)
    counts = {name: math.floor(q) for name, q in quotas.items()}
    by_remainder = sorted(
        (name for name in sizes if counts[name] < sizes[name]),
        key=lambda name: counts[name] - quotas[name],
    )
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def _quotas(
    total: int, weights: Mapping[str, int], low: Mapping[str, int], high: Mapping[str, int]
) -> dict[str, float]:
    """Return `clip(scale * weight, low, high)` with the largest scale whose sum is within total."""

    def at(scale: float) -> dict[str, float]:
        return {n: min(max(scale * w, low[n]), high[n]) for n, w in weights.items()}

    below, above = 0.0, max(high[n] / w for n, w in weights.items())
    while True:
        middle = (below + above) / 2
        if not below < middle < above:
            return at(below)
        if math.fsum(at(middle).values()) <= total:
            below = middle
        else:
            above = middle
