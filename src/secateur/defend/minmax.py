"""The min-max game: the model trains against an attack network that trains against it.

Differs from the paper, beside what the class says: with batch normalisation or dropout the attack
network learns from answers as of the finished model (running statistics, nothing dropped), while
the term that it adds to the model's loss reads those of training (the batch's statistics, dropout).
It stands here since a class's own text is part of its models' keys.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch.nn import functional

from secateur.defend.ascent import Climb, ascend
from secateur.errors import MethodError
from secateur.models.two_branches import TwoBranches
from secateur.train.hooks import MEMBERS, Batch, Hook, Left, Moment
from secateur.types import ATTACK, derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Recipe

__all__ = ["MinMax"]


@dataclass(frozen=True, kw_only=True)
class MinMax(Hook):
    """Adversarial regularisation: add the gain of an attack network that is trained all along.

    Before each step of the model an attack network h, which reads the model's softmax output and
    the one-hot label, takes `inner_steps` steps of Adam that raise mean log h(members) + mean log(1
    - h(pool)). Each of them has a fresh batch of the members and one of the pool `attack`, which
    nobody trains on. The model's loss then has strength * mean log h over its own batch added, h
    held constant.

    Args:
        strength: lambda, at least 0; with 0 the attack network only looks on.
        inner_steps: k, steps of the attack network before each of the model.
        lr: Adam's rate for the attack network.
        inner_batch: members, and records of the attack pool, per step of the attack network;
            default the recipe's batch size.
        epochs: of the training from scratch; default the recipe's.
        warm_up: epochs at the start of each phase in which the attack network learns and the
            model's loss is left plain. Pruning begins phases, and each has a fresh attack network.
        objective: `log`; or `mse` and `mse-mean`, as released: the attack network lowers the
            squared error of its sigmoid, and the model's loss gets strength * mean h^2 (CIFAR-100,
            where the code calls a member 0 and writes (h - 1)^2) or strength * (mean h - 0.5)
            (Purchase-100, Texas-100, where a member is 1).
        reads: what h sees of the model: its `posterior`, or its `logits`, as in the released code.
        posterior: widths of h's branch on the output.
        label: widths of h's branch on the label.
        joint: widths of h behind the two.

    Each artifact's history holds `minmax/gain` and `minmax/accuracy` `[epochs]` of the last phase:
    what h reached on the first batch of each step before it learned from it, averaged over an
    epoch. A gain of
    -log 4 = -1.386 and an accuracy of 0.5 mean that it learned nothing, and then it defended
    nothing.

    Raises:
        MethodError: a number out of range; a recipe with training code of its own, or with another
            such game.

    Settings of the paper: lambda 3 on Purchase-100, 2 on Texas-100, 6 on CIFAR-100; k = 7 is
    remembered of it. Released scripts: `lr=1e-5` (CIFAR-100) or `1e-4`; strengths 1, 3 and 1; 52
    batches of h, then 2 of the model on Purchase-100; on Texas-100 `posterior=(512, 64)`,
    `label=(64,)`, `joint=(64,)`, on Purchase-100 `joint=(512, 256, 128, 64)`.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> dict(MinMax(strength=6.0).defended(Recipe(build=MLP(widths=(8, 2)))).streams)
        {'attack': 448, 'members': 448}

    Reference:
        nasr2018machine.

    Differs from the paper:
        `lr` is 0.001, where released scripts have 1e-4 or 1e-5: fewer records give h fewer steps.
        Weights start as PyTorch's layers do, not from N(0, 0.01), from which h does not learn on
        few records. With augmentation in the recipe h learns from records as they are, and judges
        the model's batch as augmented.
    """

    strength: float = 3.0
    inner_steps: int = 7
    lr: float = 1e-3
    inner_batch: int | None = None
    epochs: int | None = None
    warm_up: int = 0
    objective: Literal["log", "mse", "mse-mean"] = "log"
    reads: Literal["posterior", "logits"] = "posterior"
    posterior: tuple[int, ...] = (1024, 512, 64)
    label: tuple[int, ...] = (128, 64)
    joint: tuple[int, ...] = (256, 128, 64)

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "nasr2018machine"

    def __post_init__(self) -> None:
        if not (self.strength >= 0 and math.isfinite(self.strength)):
            raise MethodError(f"strength must be at least 0 and finite, got {self.strength}")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise MethodError(f"lr must be positive and finite, got {self.lr}")
        few = self.inner_batch is not None and self.inner_batch < 1
        if self.inner_steps < 1 or self.warm_up < 0 or few:
            raise MethodError(
                f"inner_steps={self.inner_steps}, warm_up={self.warm_up}, "
                f"inner_batch={self.inner_batch}: they must be at least 1, 0 and 1; strength=0 "
                "leaves the model alone"
            )
        if self.epochs is not None and self.epochs < 0:
            raise MethodError(f"epochs must be at least 0, or None, got {self.epochs}")
        for name in ("posterior", "label", "joint"):
            widths = getattr(self, name)
            if not widths or min(widths) < 1:
                raise MethodError(f"{name} must be one or more positive widths, got {widths}")

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with this game behind its hooks, reading the pool `attack`."""
        if recipe.train is not None:
            raise MethodError(
                f"MinMax plays in our training loop, and this recipe trains by {recipe.train!r}; "
                "give a recipe without `train`"
            )
        if ATTACK in recipe.streams or any(isinstance(hook, MinMax) for hook in recipe.hooks):
            raise MethodError(
                f"the recipe reads the pool {ATTACK!r} already, through {recipe.hooks!r}; take one "
                "game away"
            )
        size = recipe.batch_size if self.inner_batch is None else self.inner_batch
        drawn = dict.fromkeys((ATTACK, MEMBERS), self.inner_steps * size)
        return replace(
            recipe,
            hooks=(*recipe.hooks, self),
            streams={**recipe.streams, **drawn},
            epochs=recipe.epochs if self.epochs is None else self.epochs,
        )

    def _climb(self, classes: int) -> Climb:
        return Climb(
            network=TwoBranches(posterior=self.posterior, label=self.label, joint=self.joint),
            classes=classes,
            steps=self.inner_steps,
            lr=self.lr,
            loss="squared" if self.objective.startswith("mse") else "log",
        )

    def _read(self, logits: Tensor) -> Tensor:
        return logits if self.reads == "logits" else torch.softmax(logits, dim=-1)

    # -- what happens while a model trains ----------------------------------------------------

    def noise(self, generator: torch.Generator, now: Moment, size: int) -> Tensors:
        """Draw the attack network, from a generator of its own, so that no other hook notices."""
        if size:
            return {}
        own = torch.Generator().manual_seed(derive_seed(generator.initial_seed(), "minmax"))
        climb = self._climb(now.classes)
        return climb.network.start(climb.classes, own)

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """Start with a fresh attack network."""
        like = next(iter(now.params.values()))
        weights = {name: value.to(like) for name, value in noise.items()}
        return {
            **{f"weight/{name}": value for name, value in weights.items()},
            **{f"mean/{name}": torch.zeros_like(value) for name, value in weights.items()},
            **{f"square/{name}": torch.zeros_like(value) for name, value in weights.items()},
            "count": torch.zeros((), device=like.device),
            "sums": like.new_zeros(3),
            "curve": like.new_zeros(now.epochs, 2),
        }, now.params

    def batch(
        self, state: Tensors, now: Moment, batch: Batch, noise: Tensors
    ) -> tuple[Tensors, Batch]:
        """Let the attack network learn from the model as it is."""
        del noise
        climb = self._climb(now.classes)
        both = batch.streams[MEMBERS], batch.streams[ATTACK]
        with torch.no_grad():
            inputs = torch.cat([part.inputs for part in both])
            labels = torch.cat([_classes(part.labels) for part in both])
            seen = self._read(now.predict(now.params, now.buffers, inputs))
            one_hot, seen = (self._by_step(value) for value in (_one_hot(labels, seen), seen))
            names = [f"{kind}/{n}" for kind in ("weight", "mean", "square") for n in climb.names]
            taught = ascend(
                climb,
                (seen, one_hot),
                state["count"],
                [state[name] for name in names],
            )
            row = torch.stack([taught.gain, taught.right, torch.ones_like(taught.gain)])
        return {
            **dict(zip(names, taught.state, strict=True)),
            "count": taught.steps,
            "sums": state["sums"] + row,
            "curve": state["curve"],
        }, batch

    def _by_step(self, values: Tensor) -> Tensor:
        """Return `[step, members then others, classes]` of `[side, step, n]` laid out flat."""
        k, classes = self.inner_steps, values.shape[-1]
        return values.reshape(2, k, -1, classes).transpose(0, 1).reshape(k, -1, classes)

    def loss(
        self, state: Tensors, now: Moment, batch: Batch, logits: Tensor, loss: Tensor
    ) -> Tensor:
        """Add strength * the members' part of the gain."""
        if not self.strength or now.epoch < self.warm_up:
            return loss
        climb = self._climb(now.classes)
        seen = self._read(logits)
        member = climb.network.logits(
            {name: state[f"weight/{name}"] for name in climb.names},
            seen,
            _one_hot(_classes(batch.labels), seen),
        )
        if self.objective == "log":
            term = functional.logsigmoid(member).mean()
        elif self.objective == "mse":
            term = torch.sigmoid(member).square().mean()
        else:
            term = torch.sigmoid(member).mean() - 0.5
        return loss + self.strength * term

    def after_epoch(self, state: Tensors, now: Moment) -> tuple[Tensors, Tensors]:
        """Note what the attack network reached."""
        row = (state["sums"][:2] / state["sums"][2])[None]
        curve = torch.cat([state["curve"][: now.epoch], row, state["curve"][now.epoch + 1 :]])
        return {**state, "sums": torch.zeros_like(state["sums"]), "curve": curve}, now.params

    def finish(self, state: Tensors, now: Moment) -> tuple[Tensors, Left]:
        """Leave the curves; the attack network is forgotten."""
        return now.params, Left(
            history={"minmax/gain": state["curve"][:, 0], "minmax/accuracy": state["curve"][:, 1]}
        )


def _classes(labels: Tensor) -> Tensor:
    """Return class indices, of soft labels the largest."""
    return labels if labels.dim() == 1 else labels.argmax(-1)


def _one_hot(labels: Tensor, like: Tensor) -> Tensor:
    return functional.one_hot(labels, like.shape[-1]).to(like.dtype)
