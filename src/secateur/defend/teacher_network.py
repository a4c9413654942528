"""Teachers of another network than the student's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from secateur.errors import MethodError
from secateur.train.met import share_met
from secateur.train.recombined import Recombined, recombined_of
from secateur.train.steps import Taught

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.protocols import Builder
    from secateur.train.recipe import Optimiser, Phase, Recipe
    from secateur.train.steps import Heard
    from secateur.types import BoolArray, IntArray

__all__ = ["TeacherNetwork"]


@dataclass(frozen=True, kw_only=True)
class TeacherNetwork:
    """Let the teachers of a taught method be another network than the student.

    Teachers are never released, so that they may be as large and as slow as training allows: what
    they know better than a network of the recipe, the student learns of them. Who is taught what,
    what the student is, and how it is pruned stay as the method inside says. An attacker's
    references have such teachers too.

    Args:
        build: makes a teacher's network, of the same inputs and classes.
        method: a taught method, such as `SELENA` or `CrossFit`; its own epochs, `teacher_epochs`
            and `teacher`, hold for these networks.
        optimiser: of the teachers; by default the recipe's.

    Raises:
        MethodError: a method without teachers, or one that subsamples: that stands around this one.

    Example:
        >>> from secateur.defend import SELENA
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> large = TeacherNetwork(build=MLP(widths=(64, 512, 10)), method=SELENA())
        >>> large.teachers_by(Recipe(build=MLP(widths=(64, 10)))).build.widths
        (64, 512, 10)

    Reference:
        hinton2015distilling: a small network learns what larger ones answer. Differs from it: here
        the teachers have not seen the record.
    """

    build: Builder
    method: Taught
    optimiser: Optimiser | None = None

    fresh: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "hinton2015distilling"

    def __post_init__(self) -> None:
        if not callable(self.build):
            raise MethodError(
                f"TeacherNetwork: build={self.build!r} makes no network; write MLP(widths=...) or "
                "SmallCNN(...)"
            )
        method = self.method
        if isinstance(method, type) or not isinstance(method, Taught):
            raise MethodError(
                f"TeacherNetwork: method={method!r} has no teachers; write SELENA(...) or "
                "CrossFit(...)"
            )
        if getattr(method, "taught", None) is not None or share_met(method) != 1.0:
            raise MethodError(
                f"TeacherNetwork: method={method!r} stands around a method itself; put "
                "TeacherNetwork inside, around SELENA(...) or CrossFit(...)"
            )
        if isinstance(method, TeacherNetwork):
            raise MethodError(
                "TeacherNetwork: method is a TeacherNetwork itself; write one of them"
            )

    @property
    def pool(self) -> str:
        """As of the method inside."""
        return self.method.pool

    @property
    def recombined(self) -> Recombined | None:
        """As of the method inside."""
        return recombined_of(self.method)

    @property
    def keeps_answers(self) -> bool:
        """As of the method inside."""
        return self.method.keeps_answers

    def split(self, units: IntArray, *, seed: int) -> BoolArray:
        """Return which members each teacher trains on, as of the method inside."""
        return self.method.split(units, seed=seed)

    def teachers_by(self, recipe: Recipe) -> Recipe:
        """Return what trains the teachers: the recipe with their network, and their optimiser."""
        optimiser = recipe.optimiser if self.optimiser is None else self.optimiser
        return replace(recipe, build=self.build, optimiser=optimiser)

    def teaching(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the training of a teacher."""
        return self.method.teaching(recipe)

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the student's training, which is of the recipe's own network."""
        return self.method.phases(recipe)

    def answers(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Return what the method inside tells of the records."""
        return self.method.answers(heard)
