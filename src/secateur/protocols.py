"""What the rooms agree on: one callable each. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from secateur.types import (
        Artifact,
        IntArray,
        Membership,
        Observations,
        Records,
        Scores,
        Signal,
    )

__all__ = [
    "Builder",
    "MembershipAttack",
    "Perturbation",
    "Perturbed",
    "Probe",
    "Progress",
    "Threat",
    "TrainCallable",
    "reads_one_view",
]

Threat = Literal["adaptive", "no references", "insider"]
"""What the adversary has: references through the identical pipeline; the target's outputs alone;
half of the members.
"""

Progress = Callable[[int, int, str], None]
"""Called with (tasks done, tasks in all, what) at the start of a run and whenever a task ends; what
an earlier run finished counts as done.
"""


@runtime_checkable
class Builder(Protocol):
    """Makes one freshly initialised network; a frozen dataclass, so that its repr is its
    provenance.
    """

    def __call__(self) -> nn.Module:
        """Return a new module, initialised from torch's current random state."""
        ...


class TrainCallable(Protocol):
    """A user's own training code, for `Recipe(build=..., train=...)`."""

    def __call__(self, records: Records, *, seed: int) -> nn.Module | Artifact:
        """Train on exactly these records and return the model, or what `apply` made of it."""
        ...


class Probe(Protocol):
    """Reduces a model's logits on records to named arrays, one value (or row) per record."""

    def __call__(self, logits: NDArray[Any], labels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return named arrays from logits `[records, classes]` and labels `[records]`."""
        ...


@runtime_checkable
class MembershipAttack(Protocol):
    """Scores (target model, record) pairs; a frozen dataclass whose repr is its spelling
    everywhere.

    `min_in` and `min_out` say how many reference models must have, and must not have, trained on
    each record of the audit pool; `needs` which signals are read; `needs_posteriors` whether the
    targets' softmax outputs are.
    """

    threat: ClassVar[Threat]
    revision: ClassVar[int]
    reference: ClassVar[str]
    needs_posteriors: ClassVar[bool]

    @property
    def needs(self) -> tuple[Signal, ...]:
        """Signals that `__call__` reads."""
        ...

    @property
    def min_in(self) -> int:
        """References that must have trained on each record; 0 for offline attacks."""
        ...

    @property
    def min_out(self) -> int:
        """References that must not have trained on each record."""
        ...

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score every (target, record of the audit pool); larger = more like a member."""
        ...


class Perturbed(Protocol):
    """A perturbation that knows the records: what a worker asks a model with."""

    def __len__(self) -> int:
        """Return how many queries are made of each record."""
        ...

    def change(
        self, records: Records, query: int
    ) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Return what makes the inputs of one query from the records' own.

        It is called once per block of the records asked about, in their order, and starts anew with
        every call of `change`: all models are asked the same.
        """
        ...


@runtime_checkable
class Perturbation(Protocol):
    """Says at which other inputs a model is asked about a record; a frozen dataclass whose repr is
    its spelling.
    """

    def __len__(self) -> int:
        """Return how many queries are made of each record, the record itself not counted."""
        ...

    def prepared(self, records: Records, membership: Membership, where: IntArray) -> Perturbed:
        """Return the queries about the records at `where`; DataError where these have none."""
        ...


def reads_one_view(attack: object) -> bool:
    """Tell whether an attack reads signals of the model under audit alone.

    Others read further versions of it (`needs_more_views`) or its weights (`needs_gradients`):
    what is made up or kept as signals alone cannot serve them.
    """
    return not (
        getattr(attack, "needs_more_views", False) or getattr(attack, "needs_gradients", False)
    )
