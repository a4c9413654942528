"""What may be done to models: another training, a defence, another form; and what is accounted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from secateur.protocols import Builder
    from secateur.train.recipe import Phase, Recipe
    from secateur.types import Artifact, BoolArray, IntArray, Records

__all__ = ["Accounted", "Conversion", "Defence", "Heard", "Taught", "Transform"]


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


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the teachers of one model said of the records that it will learn on.

    Args:
        logits: `[teachers, records, classes]`; of records that were made, 0 where a teacher saw a
            parent, since then it is not asked.
        seen: `[teachers, records]`, whether a teacher was trained on a record, or a parent of it.
        labels: `[records]`, the records' own; -1 where a record was made of members.
        classes: how many there are.
    """

    logits: Tensor
    seen: Tensor
    labels: Tensor
    classes: int


@runtime_checkable
class Taught(Transform, Protocol):
    """A transform whose models learn from the answers of teachers, in place of the labels.

    For each model teachers are trained first, from fresh weights, each on some of the model's
    members; then they answer for the records of `pool`, and the model itself is trained on these
    answers by `phases`. Teachers and answers stay in the process that makes the model; unless
    `keeps_answers` is true nothing of them is written into the model's file. A sweep, and `apply`
    with `lessons`, write them into a folder, so that other methods of the run share them; a sweep
    removes what no fleet to come asks, and all when the seed is done: until then its folder holds
    secrets. A method may have a further property, `recombined`: a `Recombined`, by which inputs are
    made of the records of `pool`, and the model learns on these in place of them; and another,
    `share_met`, below 1 where the model learns on a secret share of the units of `pool` alone; and
    a further function, `teachers_by`, of the recipe that teachers are trained by in place of the
    models' own. One that stands around another taught method names it by `taught`.
    """

    @property
    def pool(self) -> str:
        """Whose records the model learns on: `members`, or a pool of the membership."""
        ...

    @property
    def keeps_answers(self) -> bool:
        """Whether the artifact's history holds the answers, and who was taught what."""
        ...

    def split(self, units: IntArray, *, seed: int) -> BoolArray:
        """Return which members each teacher trains on, `[teachers, members]`.

        Args:
            units: whose record each member is; a unit is never cut.
            seed: of this model.
        """
        ...

    def teaching(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return what happens to each teacher, in order."""
        ...

    def answers(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Return which of the records the model learns on, `[n]` positions in ascending order, and
        what it is told of them, soft labels `[n, classes]`.
        """
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
    byte of what it makes; `form` the kind of file that it makes, empty where it makes none. A field
    `shape` that is None stands for the shape of the fleet's records.
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
