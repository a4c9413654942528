"""What the recipes that come with the package will take, counted before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from secateur.sweeping.reading import SweepPlan
    from secateur.train import Defence, Recipe, Transform

__all__ = ["Work", "listing", "work_of"]

RATE = 6e9
"""Multiply-adds a second and core while training. LeNet-5 and ResNet-18 at an eighth of its width
came to this in results/attacks.json and results/smoke-resnet18.json; wide networks are faster.
"""
UNITS = 1000  # a number of members to split; teachers read shares of them
STAND_IN = (64, 128)
"""Widths of a network that is quickly made and narrowed: how many epochs a step trains does not
depend on the network."""
SHAPES = {
    "location30": (446,),
    "adult": (107,),
    "mnist": (1, 28, 28),
    "fashion-mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "cifar100": (3, 32, 32),
    "image-folder": (3, 224, 224),
}


@dataclass(frozen=True, kw_only=True)
class Work:
    """Trainings of a recipe, and their multiply-adds: forward, and twice as many backward."""

    cases: int
    trainings: int
    multiply_adds: float

    @property
    def hours(self) -> float:
        """Core hours at `RATE`."""
        return self.multiply_adds / RATE / 3600


def listing(cells: Mapping[str, Traversable], scales: Sequence[str]) -> str:
    """Return one line per cell and scale: cases, trainings, their core hours at least."""
    from secateur.cli.reproduce import OWN
    from secateur.sweeping import read_plan

    wide = max(map(len, cells))
    lines = [f"{'cell':{wide}}  scale  cases  trainings  core hours (no audits), at least"]
    for name, found in cells.items():
        text = found.read_text(encoding="utf-8")
        for scale in scales:
            work = work_of(read_plan(text, scale=scale, where=name))
            lines.append(
                f"{name:{wide}}  {scale:5}  {work.cases:5}  {work.trainings:9,}  {_hours(work)}"
            )
    lines += [
        "",
        f"Core hours: multiply-adds at {RATE / 1e9:g} billion a second, a narrow network on one "
        "core. Not counted: what Min-Max and DP-SGD do more in a step, and the audits, which take "
        "longer than the trainings where these are short. Before a run its methods are timed on "
        "your machine, and what its trainings will take is said: --dry-run ends there.",
        f"Not the paper's, but worlds of our own: {', '.join(n for n in OWN if n in cells)}.",
        "run one: secateur reproduce CELL --scale small --data-dir DATA --out FOLDER",
    ]
    return "\n".join(lines)


def work_of(plan: SweepPlan) -> Work:
    """Return what a sweep trains: what its cases have in common counts once.

    A narrowed network counts as the whole one.

    Args:
        plan: of a recipe that names its network.
    """
    from secateur.cli.runs import default_recipe
    from secateur.cli.spelled import parse_recipe
    from secateur.models import SmallCNN, multiply_adds

    recipe = parse_recipe(plan.recipe or default_recipe(plan.data))
    models = (plan.targets + plan.references) * len(plan.seeds)
    fleets = dict.fromkeys(
        case.steps[:end] for case in plan.cases for end in range(1, len(case.steps) + 1)
    )
    alike = replace(recipe, build=SmallCNN(widths=STAND_IN, batch_norm=True))
    epochs = recipe.epochs + sum(_epochs(steps[-1], alike) for steps in fleets)
    passes = (plan.targets + plan.references) * len(plan.seeds) * plan.sizes["members"] * epochs
    return Work(
        cases=len(plan.cases) + 1,
        trainings=models * (len(fleets) + 1),
        multiply_adds=3.0 * passes * multiply_adds(recipe.build, SHAPES[plan.data]),
    )


def _epochs(step: str, recipe: Recipe) -> int:
    from secateur.cli.spelled import parse_step
    from secateur.train import Conversion, Defence, Taught

    method: Defence | Transform | Conversion = parse_step(step)
    if isinstance(method, Defence):
        return method.defended(recipe).epochs
    if isinstance(method, Conversion):
        return 0
    epochs = sum(phase.epochs for phase in method.phases(recipe))
    if isinstance(method, Taught):  # each teacher reads a share of the members
        shares = method.split(np.arange(UNITS), seed=0).mean(axis=1).sum()
        taught = sum(phase.epochs for phase in method.teaching(recipe))
        epochs += round(float(shares) * taught)
    return epochs


def _hours(work: Work) -> str:
    hours = work.hours
    if hours < 0.01:
        return "<0.01"
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"
