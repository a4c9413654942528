"""Pruning by magnitude, at once or over several rounds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from secateur.compress.budgets import Budget, Scope
from secateur.compress.masks import FixedMask
from secateur.compress.parts import Pattern
from secateur.compress.patterns import Unstructured
from secateur.errors import MethodError
from secateur.spelling import spelled_without
from secateur.train.recipe import Adam, Phase
from secateur.types.base import set_fields

if TYPE_CHECKING:
    from secateur.train.recipe import Optimiser, Recipe

__all__ = ["Magnitude"]


@dataclass(frozen=True, kw_only=True)
class Magnitude:
    """Keep the weights that are largest in magnitude, and retrain them with fixed masks.

    With several rounds the share kept falls geometrically: after round r of R it is the final
    share to the power r / R.

    Args:
        rate: compression rate over the prunable weights that are not exempt, at least 1; 10 when
            neither this nor `sparsity` is given.
        sparsity: share of them removed, in [0, 1), instead of `rate`.
        scope: `layer` prunes every layer by the same share, `global` ranks all layers together.
        floor: least share kept of every layer in the scope `global`.
        exempt: names of prunable weights to leave whole.
        rounds: 1 prunes at once.
        retrain_epochs: epochs after each round. With 0 the running statistics of batch
            normalisation stay those of the unpruned network; `RefreshStatistics` takes them afresh
            and leaves the weights.
        optimiser: of the retraining, fresh in each round.
        sparsities: pairs (name, share removed), a budget for each layer by itself, instead of
            `rate` and `sparsity`.
        pattern: which weights are kept or removed together, such as `Filters()`, `NM(n=2, m=4)` or
            `Coupled()`: those groups stay whose norm is largest.
        multiply_adds: multiply-adds before / multiply-adds kept, instead of `rate`, with
            `pattern=Coupled()`.

    Raises:
        SparsityError: a rate, sparsity or floor that cannot be reached.
        MethodError: rounds below 1 or epochs below 0, or a budget that the pattern does not take.

    Example:
        >>> Magnitude(rate=16.0, rounds=2).rates()
        (4.0, 16.0)

    Reference:
        han2015learning.
    """

    rate: float | None = None
    sparsity: float | None = None
    scope: Scope = "layer"
    floor: float = 0.01
    exempt: tuple[str, ...] = ()
    rounds: int = 1
    retrain_epochs: int = 15
    optimiser: Optimiser = field(default_factory=Adam)
    sparsities: tuple[tuple[str, float], ...] = ()
    pattern: Pattern = field(default_factory=Unstructured)
    multiply_adds: float | None = None

    fresh: ClassVar[bool] = False
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "han2015learning"

    def __post_init__(self) -> None:
        if {self.rate, self.sparsity, self.multiply_adds} == {None} and not self.sparsities:
            set_fields(self, rate=self.pattern.rate)
        _ = self.budget
        if self.rounds < 1 or self.retrain_epochs < 0:
            raise MethodError(
                f"rounds={self.rounds}, retrain_epochs={self.retrain_epochs}: they must be at "
                "least 1 and 0; rounds=1 prunes at once"
            )
        for budget in self.budgets():
            self.pattern.check(budget)

    def __repr__(self) -> str:
        """Return its spelling; what came later stands in it where it is not the default."""
        return spelled_without(self, {"pattern": Unstructured(), "multiply_adds": None})

    @property
    def budget(self) -> Budget:
        """How many weights are kept in the end."""
        return Budget(
            rate=self.rate,
            sparsity=self.sparsity,
            scope=self.scope,
            floor=self.floor,
            exempt=self.exempt,
            sparsities=self.sparsities,
            multiply_adds=self.multiply_adds,
        )

    def rates(self) -> tuple[float, ...]:
        """Return the compression rate after each round, of multiply-adds where they are asked."""
        if self.sparsities:
            raise MethodError("with sparsities of layers there is no one rate; see `budgets`")
        ratio = float(self.multiply_adds or self.rate or 1)
        final = 1.0 / (1.0 - self.sparsity) if self.sparsity is not None else ratio
        steps = range(1, self.rounds)
        return (*(float(final ** (r / self.rounds)) for r in steps), final)

    def budgets(self) -> tuple[Budget, ...]:
        """Return what may be kept after each round."""
        if not self.sparsities:
            last, rates = self.budget, self.rates()[:-1]
            if self.multiply_adds is not None:
                return (*(replace(last, multiply_adds=r) for r in rates), last)
            return (*(replace(last, rate=r, sparsity=None) for r in rates), last)
        parts = [r / self.rounds for r in range(1, self.rounds)]
        own = [tuple((name, 1 - (1 - s) ** part) for name, s in self.sparsities) for part in parts]
        return (*(replace(self.budget, sparsities=pairs) for pairs in own), self.budget)

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return one phase per round, the recipe's hooks before the mask."""
        grouping = self.pattern.fitted(recipe.build)
        return tuple(
            Phase(
                epochs=self.retrain_epochs,
                hooks=(*recipe.hooks, FixedMask(budget=budget, grouping=grouping)),
                optimiser=self.optimiser,
                streams=recipe.streams,
            )
            for budget in self.budgets()
        )
