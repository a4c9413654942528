"""Differentially private training, by Opacus: clipped gradients and noise."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from secateur.defend.groupnorm import GroupNormDense
from secateur.defend.private import Ghost, Materialised, accounted_epsilon, drawn, refuse_mixing
from secateur.errors import InputError, MethodError
from secateur.measure import gdp_epsilon
from secateur.models import builds_batch_norm, check_device
from secateur.train import SGD, Moment, RandomCrop, RandomFlip
from secateur.train.batches import TrainData
from secateur.train.loop import diverged, learning_rate
from secateur.types import derive_seed

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.train import Batch, Hook, Recipe
    from secateur.train.recipe import Optimiser
    from secateur.types import Records

__all__ = ["DPSGD"]


@dataclass(frozen=True, kw_only=True)
class DPSGD:
    """Train by DP-SGD: each record's gradient is clipped, and noise is added to their sum.

    A step draws every member by its own coin (Poisson sampling) with the probability batch_size /
    members, scales each one's gradient down to the norm `max_grad_norm`, adds normal noise of
    deviation noise_multiplier * max_grad_norm to the sum, and divides by `batch_size`. Batch
    normalisation is replaced (`GroupNormed`), since it mixes records. The recipe's augmentation and
    label smoothing stay; hooks that do more are refused, as nothing accounts for them.

    `epsilon(members)` is an upper bound for neighbours that differ in one record, the number of
    members taken as public. The noise comes from torch's pseudo-random generator, drawn from
    `seed`, in floating point: the bound speaks of whoever knows neither the seed nor the
    generator's state, and does not cover attacks on the last bits of floating point numbers
    (Opacus' secure mode, of which no run could be repeated, is never used). Trying several settings
    on the same members is not accounted. Whatever reads the members afterwards without noise, such
    as retraining under a mask, ends the promise.

    Args:
        noise_multiplier: the noise's deviation in units of the clipping norm, above 0.
        max_grad_norm: the clipping norm, above 0.
        batch_size: expected number of records per step; at least the number of members makes each
            step take all of them.
        epochs: expected passes over the members.
        optimiser: takes the noisy gradients; weight decay is outside of the clipping.
        augmentations: copies of a record whose gradients are averaged before clipping, each with
            its own random augmentation.
        clipping: `ghost` finds the norms of linear layers without making each record's gradient,
            the same sums at less memory and time; several augmentations are always `materialised`.
        device: where it trains, such as `cuda:0`; noise is drawn there, so that other devices give
            other models.
        build: the network; filled in from the recipe, as are `augment` and `label_smoothing`.
        augment: the recipe's augmentation.
        label_smoothing: the recipe's.

    Raises:
        MethodError: a parameter out of range; a recipe with further hooks, streams or training code
            of its own.

    Example:
        >>> method = DPSGD(noise_multiplier=2.0, batch_size=250, epochs=20)
        >>> round(method.epsilon(1000), 2)
        5.72

    Reference:
        abadi2016deep; de2022unlocking for averaging over augmentations.

    Differs from the paper:
        the number of steps is a whole number of expected epochs, and the gradient is divided by the
        expected batch, a constant, instead of the drawn one.
    """

    noise_multiplier: float = 1.0
    max_grad_norm: float = 1.0
    batch_size: int = 256
    epochs: int = 30
    optimiser: Optimiser = field(
        default_factory=lambda: SGD(lr=0.5, weight_decay=0.0, schedule="constant")
    )
    augmentations: int = 1
    clipping: Literal["ghost", "materialised"] = "ghost"
    device: str = "cpu"
    build: Builder | None = None
    augment: tuple[Hook, ...] = ()
    label_smoothing: float = 0.0

    revision: ClassVar[int] = 2
    reference: ClassVar[str] = "abadi2016deep"
    libraries: ClassVar[tuple[str, ...]] = ("opacus",)

    def __post_init__(self) -> None:
        for what in ("noise_multiplier", "max_grad_norm"):
            value = getattr(self, what)
            if not (value > 0 and math.isfinite(value)):
                raise MethodError(f"{what} must be above 0 and finite, got {value}")
        for what in ("batch_size", "epochs", "augmentations"):
            if getattr(self, what) < 1:
                raise MethodError(f"{what} must be at least 1, got {getattr(self, what)}")
        if self.clipping not in ("ghost", "materialised"):
            raise MethodError(f"clipping must be 'ghost' or 'materialised', got {self.clipping!r}")
        if not 0 <= self.label_smoothing < 1:
            raise MethodError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")
        _refuse_hooks(self.augment)

    @property
    def accountant(self) -> str:
        """How `epsilon` is found, in words."""
        return (
            "Poisson sampling; the smaller of Opacus' PRV accountant and its RDP accountant, the "
            "closed form of the Gaussian mechanism where every step takes all members"
        )

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with this training in place of its own."""
        if recipe.train is not None:
            raise MethodError(
                f"DPSGD trains models itself, and so does this recipe's train={recipe.train!r}; "
                "begin with a recipe without it"
            )
        if recipe.streams:
            raise MethodError(
                f"DPSGD reads members alone, and this recipe the pools {sorted(recipe.streams)}: "
                "a defence such as MinMax trained before it; begin with the dense fleet"
            )
        _refuse_hooks(recipe.hooks)
        mixes = builds_batch_norm(recipe.build)
        build = GroupNormDense().normed(recipe.build) if mixes else recipe.build
        own = replace(
            self, build=build, augment=recipe.hooks, label_smoothing=recipe.label_smoothing
        )
        return replace(recipe, build=build, train=own)

    def epsilon(self, members: int, *, delta: float = 1e-5) -> float:
        """Return an upper bound on epsilon at `delta` for a training on so many members.

        Neighbours differ in one record, added or removed; the number of members is public.

        Raises:
            InputError: fewer than 1 member, or delta not in (0, 1).
            MissingExtraError: Opacus is not installed.
        """
        if members < 1 or not 0 < delta < 1:
            raise InputError(
                f"at least 1 member and a delta in (0, 1) are needed, got {members} and {delta}"
            )
        rate, steps = self._plan(members)
        if rate == 1:
            return gdp_epsilon(math.sqrt(steps) / self.noise_multiplier, delta)
        return accounted_epsilon(self.noise_multiplier, rate, steps, delta)

    def accounted(self, members: int) -> Mapping[str, float]:
        """Return the numbers that `epsilon` follows from."""
        rate, steps = self._plan(members)
        return {
            "members": float(members),
            "steps": float(steps),
            "sampling_rate": rate,
            "noise_multiplier": self.noise_multiplier,
            "max_grad_norm": self.max_grad_norm,
        }

    def _plan(self, members: int) -> tuple[float, int]:
        """Return each member's probability to be in a step, and the number of steps."""
        rate = min(1.0, self.batch_size / members)
        return rate, max(1, round(self.epochs / rate))

    def __call__(self, records: Records, *, seed: int) -> nn.Module:
        """Train a network on exactly these records; torch's global random state stays as it is.

        Raises:
            MethodError: no network, or one with a layer that mixes records.
            MissingExtraError: Opacus is not installed.
            DivergedError: the weights are no longer finite.
        """
        if self.build is None:
            raise MethodError(
                "DPSGD has no network yet; train by DPSGD(...).defended(recipe), or give build="
            )
        check_device(self.device)
        device = torch.device(self.device)
        data = TrainData.of(records, np.arange(len(records)), device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive_seed(seed, "init"))
            module = self.build()
            plain = copy.deepcopy(module)
            torch.manual_seed(derive_seed(seed, "dropout"))
            with warnings.catch_warnings():
                # a first layer's inputs need no gradient, and its hook is meant to see that
                warnings.filterwarnings("ignore", message="Full backward hook is firing")
                self._train(module.to(device).train(), data, seed)
        state = {name: value.cpu() for name, value in module.state_dict().items()}
        if not all(bool(v.isfinite().all()) for v in state.values()):
            raise diverged("a weight is infinite or not a number", self.epochs - 1)
        for name, before in plain.named_buffers():
            if not torch.equal(before, state[name]):
                raise MethodError(
                    f"{name!r} of the network changed with the records, outside of the noise; "
                    "replace the layer by one without running statistics"
                )
        plain.load_state_dict(state)
        return plain.eval()

    def _train(self, module: nn.Module, data: TrainData, seed: int) -> None:
        refuse_mixing(module)
        rate, steps = self._plan(len(data))
        kind = Ghost if self.clipping == "ghost" and self.augmentations == 1 else Materialised
        noise = torch.Generator(self.device).manual_seed(derive_seed(seed, "noise"))
        private = kind(self, module, noise)
        changes = torch.Generator().manual_seed(derive_seed(seed, "augment"))
        coins = derive_seed(seed, "sampling")
        for step, rows in enumerate(drawn(len(data), rate=rate, steps=steps, seed=coins)):
            lr = learning_rate(self.optimiser.lr, self.optimiser.schedule, step / steps)
            for part in private.parts(rows, lr=lr):
                which = part.repeat_interleave(self.augmentations).to(self.device)
                batch = data.batch(which, {})
                private.gradients(self._augmented(batch, changes, data.classes), len(part))

    def _augmented(self, batch: Batch, generator: torch.Generator, classes: int) -> Batch:
        """Return a batch changed by the recipe's augmentation, one record at a time."""
        if not len(batch.labels):
            return batch
        now = Moment(
            params={},
            buffers={},
            initial={},
            prunable=(),
            forward=_none,
            predict=_none,
            classes=classes,
            epoch=0,
            step=0,
            epochs=1,
        )
        for hook in self.augment:
            noise = hook.noise(generator, now, len(batch.labels))
            _, batch = hook.batch({}, now, batch, noise)
        return batch


def _none(*_: Any) -> Tensor:
    raise MethodError("an augmentation asked the network, which depends on other records")


def _refuse_hooks(hooks: tuple[Hook, ...]) -> None:
    """Refuse what does more than to change each record by itself."""
    strange = [h for h in hooks if not isinstance(h, RandomCrop | RandomFlip)]
    if strange:
        raise MethodError(
            f"DPSGD takes augmentation by RandomCrop, RandomShift and RandomFlip alone, got "
            f"{strange}: nothing accounts for what else they read; leave them out of the recipe"
        )
