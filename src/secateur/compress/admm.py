"""Pruning by the alternating direction method of multipliers (ADMM)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch

from secateur.compress.budgets import Budget, Scope
from secateur.compress.masks import FixedMask, Grouping, project
from secateur.compress.parts import Pattern
from secateur.compress.patterns import Unstructured
from secateur.errors import MethodError
from secateur.spelling import spelled_without
from secateur.train.hooks import Hook, Left, Moment
from secateur.train.recipe import Adam, Phase
from secateur.types.base import set_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Optimiser, Recipe

__all__ = ["ADMM", "AdmmHook"]


@dataclass(frozen=True, kw_only=True)
class ADMM:
    """Train towards a sparse network, prune it to the budget, retrain what is left.

    Every layer's weight W gets a sparse copy Z and a scaled dual U. The data loss is trained with
    (rho / 2) ||W - Z + U||^2 added, and after every `epochs_per_update` epochs Z becomes the
    projection of W + U onto the budget and U grows by W - Z. Then the weights that are largest in
    magnitude are kept and the rest is frozen at zero.

    Args:
        rate: compression rate over the prunable weights that are not exempt, at least 1; 10 when
            neither this nor `sparsity` is given.
        sparsity: share of them removed, in [0, 1), instead of `rate`.
        scope: `layer` gives every layer the same share, `global` ranks all layers together.
        floor: least share kept of every layer in the scope `global`.
        exempt: names of prunable weights to leave whole.
        updates: how often Z and U are updated; 0 leaves out this part.
        epochs_per_update: epochs of training before each update.
        rho: strength of the penalty in the first and in the last period, geometric in between. It
            must end large enough: with 0.1 small networks were seen not to converge.
        optimiser: of the ADMM part, kept over all updates.
        retrain_epochs: epochs with fixed masks afterwards, which also refresh the running
            statistics of batch normalisation; with 0 those stay what they were before the prune.
        retrain_optimiser: of the retraining.
        sparsities: pairs (name, share removed), a budget for each layer by itself, instead of
            `rate` and `sparsity`.
        pattern: which weights are kept or removed together, such as `Filters()`, `NM(n=2, m=4)` or
            `Coupled()`. Z and U stand for the prunable weights alone; biases and normalisation of
            removed channels go at the prune: columns that read them are near zero by then.
        multiply_adds: multiply-adds before / multiply-adds kept, instead of `rate`, with
            `pattern=Coupled()`.

    Raises:
        SparsityError: a rate, sparsity or floor that cannot be reached.
        MethodError: a schedule out of range, or a budget that the pattern does not take.

    Each artifact's history holds `admm/residual` and `admm/dual` `[updates, layers]`, which are
    ||W - Z|| / ||W|| and ||Z - previous Z|| / ||W||, and `admm/rho` `[updates]`. Layers are in
    sorted order, that of the artifact's masks; under a pattern that masks more than weights,
    `admm/layers` holds their places among the masks' sorted names.

    Other schedules from the literature:
        Zhang et al. 2018, LeNet: `ADMM(updates=30, rho=(1e-4, 1e-4), sparsities=(("0.weight", 0.8),
            ("2.weight", 0.92), ("5.weight", 0.991), ("7.weight", 0.93)))` on `LeNet20()`.
        Ye et al. 2019: `ADMM(updates=10, rho=(1e-3, 1e-3 * 1.3**9), epochs_per_update=20)`.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> method = ADMM(rate=4.0, updates=3, epochs_per_update=2)
        >>> [phase.epochs for phase in method.phases(Recipe(build=MLP(widths=(8, 4, 2))))]
        [6, 15]

    Reference:
        wang2021against.

    Differs from the paper:
        The paper's rho and schedule are not published. When rho changes, U is rescaled by
        old rho / new rho, so that the unscaled dual rho * U stays as it was.
    """

    rate: float | None = None
    sparsity: float | None = None
    scope: Scope = "layer"
    floor: float = 0.01
    exempt: tuple[str, ...] = ()
    updates: int = 10
    epochs_per_update: int = 2
    rho: tuple[float, float] = (1e-2, 3.0)
    optimiser: Optimiser = field(default_factory=lambda: Adam(lr=2e-3))
    retrain_epochs: int = 15
    retrain_optimiser: Optimiser = field(default_factory=lambda: Adam(lr=1e-3))
    sparsities: tuple[tuple[str, float], ...] = ()
    pattern: Pattern = field(default_factory=Unstructured)
    multiply_adds: float | None = None

    fresh: ClassVar[bool] = False
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "wang2021against"

    def __post_init__(self) -> None:
        if {self.rate, self.sparsity, self.multiply_adds} == {None} and not self.sparsities:
            set_fields(self, rate=self.pattern.rate)
        self.pattern.check(self.budget)
        if self.updates < 0 or self.epochs_per_update < 1 or self.retrain_epochs < 0:
            raise MethodError(
                f"updates={self.updates}, epochs_per_update={self.epochs_per_update}, "
                f"retrain_epochs={self.retrain_epochs}: they must be at least 0, 1 and 0; "
                "updates=0 leaves out the ADMM part"
            )
        pair = isinstance(self.rho, tuple | list) and len(self.rho) == 2
        if not (pair and all(r > 0 and math.isfinite(r) for r in self.rho)):
            raise MethodError(
                f"rho must be two positive finite numbers (first period, last period), got "
                f"{self.rho}; the default is (0.01, 3.0)"
            )

    def __repr__(self) -> str:
        """Return its spelling; what came later stands in it where it is not the default."""
        return spelled_without(self, {"pattern": Unstructured(), "multiply_adds": None})

    @property
    def budget(self) -> Budget:
        """How many weights are kept."""
        return Budget(
            rate=self.rate,
            sparsity=self.sparsity,
            scope=self.scope,
            floor=self.floor,
            exempt=self.exempt,
            sparsities=self.sparsities,
            multiply_adds=self.multiply_adds,
        )

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the ADMM part and the retraining, each with the recipe's hooks before its own."""
        grouping = self.pattern.fitted(recipe.build)
        hook = AdmmHook(
            budget=self.budget,
            grouping=grouping,
            updates=self.updates,
            epochs_per_update=self.epochs_per_update,
            rho=self.rho,
        )
        towards = Phase(
            epochs=self.updates * self.epochs_per_update,
            hooks=(*recipe.hooks, hook),
            optimiser=self.optimiser,
            streams=recipe.streams,
        )
        retrain = Phase(
            epochs=self.retrain_epochs,
            hooks=(*recipe.hooks, FixedMask(budget=self.budget, grouping=grouping)),
            optimiser=self.retrain_optimiser,
            streams=recipe.streams,
        )
        return (towards, retrain) if self.updates else (retrain,)


@dataclass(frozen=True, kw_only=True)
class AdmmHook(Hook):
    """The penalty's gradient at each step, and the update of Z and U after some epochs.

    State: `Z/<layer>` and `U/<layer>` of the layer's shape; the curves `residual` and `dual`,
    `[updates, layers]`. The schedule depends on the epoch's number alone.
    """

    budget: Budget
    updates: int
    epochs_per_update: int
    rho: tuple[float, float]
    grouping: Grouping | None = None

    elementwise: ClassVar[frozenset[str]] = frozenset({"grads"})

    def rho_at(self, update: int) -> float:
        """Return the penalty's strength in the period before this update, counted from 0."""
        first, last = self.rho
        if self.updates < 2:
            return first
        return float(first * (last / first) ** (update / (self.updates - 1)))

    def _period(self, now: Moment) -> int:
        return min(now.epoch // self.epochs_per_update, self.updates - 1)

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """Start with Z = projection of W and U = 0."""
        del noise
        layers = self.budget.layers(now.prunable)
        weights = {name: now.params[name].detach() for name in layers}
        curve = weights[layers[0]].new_zeros(self.updates, len(layers))
        z = project(weights, self.budget, self.grouping, now)
        return {
            **{f"Z/{name}": z[name] for name in layers},
            **{f"U/{name}": torch.zeros_like(z[name]) for name in layers},
            "residual": curve,
            "dual": curve,
        }, now.params

    def grads(self, state: Tensors, now: Moment, grads: Tensors) -> tuple[Tensors, Tensors]:
        """Add the gradient of the penalty: rho (W - Z + U)."""
        rho = self.rho_at(self._period(now))
        pulled = {
            name: grads[name] + rho * (now.params[name] - state[f"Z/{name}"] + state[f"U/{name}"])
            for name in self.budget.layers(now.prunable)
            if name in grads
        }
        return state, {**grads, **pulled}

    def after_epoch(self, state: Tensors, now: Moment) -> tuple[Tensors, Tensors]:
        """Update Z and U at the end of a period; keep the unscaled dual rho U when rho changes."""
        if (now.epoch + 1) % self.epochs_per_update:
            return state, now.params
        update = self._period(now)
        layers = self.budget.layers(now.prunable)
        w = {name: now.params[name].detach() for name in layers}
        towards = {name: w[name] + state[f"U/{name}"] for name in layers}
        z = project(towards, self.budget, self.grouping, now)
        u = {name: state[f"U/{name}"] + w[name] - z[name] for name in layers}
        if update + 1 < self.updates:
            scale = self.rho_at(update) / self.rho_at(update + 1)
            u = {name: scale * value for name, value in u.items()}
        residual = [_relative(w[name] - z[name], w[name]) for name in layers]
        dual = [_relative(z[name] - state[f"Z/{name}"], w[name]) for name in layers]
        return {
            **{f"Z/{name}": z[name] for name in layers},
            **{f"U/{name}": u[name] for name in layers},
            "residual": _with_row(state["residual"], update, residual),
            "dual": _with_row(state["dual"], update, dual),
        }, now.params

    def finish(self, state: Tensors, now: Moment) -> tuple[Tensors, Left]:
        """Leave the curves."""
        rho = torch.tensor([self.rho_at(k) for k in range(self.updates)], dtype=torch.float64)
        curves = {
            "admm/residual": state["residual"],
            "admm/dual": state["dual"],
            "admm/rho": rho,
        }
        if self.grouping is not None:
            layers = self.budget.layers(now.prunable)
            scores = {name: state[f"Z/{name}"].abs() for name in layers}
            masked = sorted(self.grouping.masks(scores, self.budget, now))
            curves["admm/layers"] = torch.tensor([masked.index(name) for name in layers])
        return now.params, Left(history=curves)


def _relative(difference: Tensor, weight: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(weight).clamp_min(torch.finfo(weight.dtype).tiny)
    ratio: Tensor = torch.linalg.vector_norm(difference) / size
    return ratio


def _with_row(curve: Tensor, row: int, values: Sequence[Tensor]) -> Tensor:
    return torch.cat([curve[:row], torch.stack(list(values))[None], curve[row + 1 :]])
