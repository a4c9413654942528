"""What may be done to models: another training, a defence, another form; and what is accounted."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secateur.protocols import Builder
    from secateur.train.recipe import Phase, Recipe
    from secateur.types import Artifact, Records

__all__ = ["Accounted", "Conversion", "Defence", "Transform"]


@runtime_checkable
class Transform(Protocol):
    """Makes another model from a trained one, or trains one anew (`fresh`), with the recipe's data
    and loss.

    A frozen dataclass whose repr is its provenance; `revision` is raised when its result changes.
    A class constant `masks_only = True` says that of the trained model only the masks are taken:
    hooks begin with its prunable weights; every other parameter is 1, or 0 where a mask removes it;
    buffers are those of the seed. `goes_back = True` says that it needs the initial weights, which
    a module of one's own does not tell.
    """

    fresh: ClassVar[bool]
    revision: ClassVar[int]
    reference: ClassVar[str]

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return what happens, in order."""
        ...


@runtime_checkable
class Defence(Protocol):
    """Changes how a model is trained: a recipe in, the defended recipe out.

    What the defence adds to the recipe (hooks, streams, another training code) is still there when
    the model is pruned afterwards, since a pruning method trains with the recipe's hooks.
    A frozen dataclass whose repr is its provenance.
    """

    revision: ClassVar[int]
    reference: ClassVar[str]

    def defended(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the defence in it."""
        ...


@runtime_checkable
class Conversion(Protocol):
    """Makes another form of a trained model without training it: smaller tensors, a file.

    A frozen dataclass whose repr is its provenance. References go through it as targets do, so that
    an attacker knows the form that is shipped. `pools` are those of the membership that it reads
    (`members` stands for the model's own); `libraries` the packages whose versions can change a
    byte of what it makes; `form` the kind of file that it makes, empty where it makes none.
    """

    revision: ClassVar[int]
    reference: ClassVar[str]
    libraries: ClassVar[tuple[str, ...]]
    form: ClassVar[str]

    @property
    def pools(self) -> tuple[str, ...]:
        """Pools that it reads, such as `("population",)` to calibrate on; often none."""
        ...

    def converted(
        self, artifact: Artifact, build: Builder, pools: Mapping[str, Records], *, seed: int
    ) -> Artifact:
        """Return the model in its new form; provenance is filled in by whoever calls.

        Args:
            artifact: with its weights.
            build: makes the empty network that `artifact` was trained in.
            pools: the records of each pool that it reads.
            seed: of this model.
        """
        ...


@runtime_checkable
class Accounted(Protocol):
    """Training code (`Recipe.train`) whose leak is bounded beforehand, as DP-SGD's is.

    The bound is of the training alone: whatever reads the members afterwards voids it.
    """

    @property
    def accountant(self) -> str:
        """How `epsilon` is found, in words."""
        ...

    def epsilon(self, members: int, *, delta: float = 1e-5) -> float:
        """Return an upper bound on epsilon, one record added or removed."""
        ...

    def accounted(self, members: int) -> Mapping[str, float]:
        """Return the numbers that `epsilon` follows from: steps, sampling rate, noise."""
        ...
