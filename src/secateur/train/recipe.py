"""What to train and how, declaratively: any engine can run a `Recipe`, a `Phase`, a `Transform`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

from secateur.errors import MethodError
from secateur.kinds import fits

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from secateur.protocols import Builder, TrainCallable
    from secateur.train.hooks import Hook
    from secateur.train.optimisers import Steps

__all__ = [
    "SGD",
    "Adam",
    "Optimiser",
    "Phase",
    "Recipe",
    "Schedule",
    "spelled",
]

Schedule = Literal["constant", "cosine"]


def spelled(value: object) -> str:
    """Return the repr of a method, or a function's name, which is the same in every process."""
    if inspect.isfunction(value):
        return f"{value.__module__}:{value.__qualname__}"
    return repr(value)


def _check_lr(lr: float, weight_decay: float) -> None:
    if not (lr > 0 and math.isfinite(lr)):
        raise MethodError(f"lr must be positive and finite, got {lr}")
    if not (weight_decay >= 0 and math.isfinite(weight_decay)):
        raise MethodError(f"weight_decay must be at least 0, got {weight_decay}")


@runtime_checkable
class Optimiser(Protocol):
    """Makes a torch optimiser; `schedule` scales its learning rate over a phase.

    A class constant `elementwise = True` says that it changes each weight by itself, so that the
    weights of many models may stand in one tensor.
    """

    @property
    def lr(self) -> float:
        """Learning rate at the start."""
        ...

    @property
    def schedule(self) -> Schedule:
        """How the learning rate changes over the phase."""
        ...

    def make(self, params: Iterable[torch.Tensor]) -> Steps:
        """Return a fresh optimiser for these parameters, such as a `torch.optim.Optimizer`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma & Ba 2015); `decoupled` makes it AdamW.

    Example:
        >>> Adam(lr=2e-3)
        Adam(lr=0.002, weight_decay=0.0, schedule='constant', decoupled=False)
    """

    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    decoupled: bool = False

    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_lr(self.lr, self.weight_decay)

    def make(self, params: Iterable[torch.Tensor]) -> Steps:
        """Return a fresh fused Adam or AdamW."""
        from secateur.train.optimisers import FusedAdam

        return FusedAdam(
            params, lr=self.lr, weight_decay=self.weight_decay, decoupled=self.decoupled
        )


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum."""

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    schedule: Schedule = "cosine"

    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_lr(self.lr, self.weight_decay)
        if not 0 <= self.momentum < 1:
            raise MethodError(f"momentum must be in [0, 1), got {self.momentum}")
        if self.nesterov and not self.momentum:
            raise MethodError("nesterov needs a momentum above 0, got momentum=0; leave it out")

    def make(self, params: Iterable[torch.Tensor]) -> Steps:
        """Return a fresh fused SGD."""
        from secateur.train.optimisers import FusedSGD

        return FusedSGD(
            params,
            lr=self.lr,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            nesterov=self.nesterov,
        )


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training: `epochs` with one fresh optimiser (None: the recipe's) and these
    hooks.

    `streams` maps a pool's name to the size of the extra batch that hooks get from it at each step.
    A phase of 0 epochs still runs `begin` and `finish`, so that a mask can be applied without
    training. Where `trains` is false, batches only pass through: the running statistics of
    normalisation layers are taken afresh, averaged over all records, and no parameter changes,
    whatever a hook returns; of the calls within a step only `batch` is made.
    """

    epochs: int
    hooks: tuple[Hook, ...] = ()
    optimiser: Optimiser | None = None
    streams: Mapping[str, int] = field(default_factory=dict)
    trains: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise MethodError(f"epochs must be at least 0, got {self.epochs}")
        for pool, size in self.streams.items():
            if size < 1:
                raise MethodError(f"the batch of stream {pool!r} must be at least 1, got {size}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model is trained from scratch.

    Args:
        build: makes the network, from torch's current random state.
        optimiser: `Adam(...)` or `SGD(...)`.
        epochs: passes over the members.
        batch_size: records per step; a last batch of one record is joined to the one before.
        label_smoothing: in [0, 1), share of the target spread over all classes.
        hooks: further loss terms or steps, see `secateur.train.hooks`.
        streams: pools that those hooks read, with batch sizes.
        train: your own training code, `(records, *, seed) -> module`, called with exactly the
            members in place of our loop; what it returns must fit `build`, and may be the
            `Artifact` that `apply` makes of a module. Batch size and optimiser then serve pruning
            alone. The engines that make models one by one run it.

    Example:
        >>> from secateur.models import MLP
        >>> Recipe(build=MLP(widths=(64, 10))).epochs
        30
    """

    build: Builder
    optimiser: Optimiser = field(default_factory=Adam)
    epochs: int = 30
    batch_size: int = 64
    label_smoothing: float = 0.0
    hooks: tuple[Hook, ...] = ()
    streams: Mapping[str, int] = field(default_factory=dict)
    train: TrainCallable | None = None

    revision: ClassVar[int] = 2

    def __repr__(self) -> str:
        """Return its spelling; functions by their names, so that it is the same in any process."""
        shown = [f for f in fields(self) if f.name != "train" or self.train is not None]
        parts = [f"{f.name}={spelled(getattr(self, f.name))}" for f in shown]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __post_init__(self) -> None:
        if self.train is not None and (not callable(self.train) or isinstance(self.train, type)):
            raise MethodError(
                f"train must be a function (records, *, seed) -> module, got {self.train!r}"
            )
        if not callable(self.build) or isinstance(self.build, type):
            raise MethodError(
                f"build must make a network, such as MLP(widths=(64, 10)), got {self.build!r}"
            )
        if not isinstance(self.optimiser, Optimiser) or isinstance(self.optimiser, type):
            raise MethodError(
                f"optimiser must be one, such as Adam(lr=0.001), got {self.optimiser!r}"
            )
        if not isinstance(self.hooks, tuple) or not all(
            callable(getattr(h, "begin", None)) and not isinstance(h, type) for h in self.hooks
        ):
            raise MethodError(
                f"hooks must be a tuple of hooks, such as (RandomFlip(),), got {self.hooks!r}"
            )
        for what in ("epochs", "batch_size"):
            if not fits(getattr(self, what), int):
                raise MethodError(f"{what} must be a whole number, got {getattr(self, what)!r}")
        if self.epochs < 0:
            raise MethodError(f"epochs must be at least 0, got {self.epochs}")
        if self.batch_size < 1:
            raise MethodError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.label_smoothing < 1:
            raise MethodError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")

    def phases(self) -> tuple[Phase, ...]:
        """Return the one phase of plain training."""
        return (Phase(epochs=self.epochs, hooks=self.hooks, streams=self.streams),)
