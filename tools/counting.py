"""The pruned cases of all worlds, and sentences that count what their intervals carry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.verdicts import (
    ATTACK,
    DENSE,
    Difference,
    Leak,
    Point,
    between,
    cases,
    leak_difference,
    of_method,
    row_difference,
)

__all__ = [
    "HARDLY",
    "Case",
    "Worlds",
    "by_chance",
    "cases_of",
    "counted",
    "number",
    "together",
    "with_dense",
]

HARDLY = 2.5
"""Times chance, up to which dense models hardly learned."""
CLASSES = re.compile(r"\bclasses=(\d+)")
Worlds = dict[str, tuple[dict[str, Any], dict[str, Point]]]
"""A sweep and its cases over seeds by name, by the world's name."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case of one world."""

    world: str
    content: dict[str, Any]
    points: dict[str, Point]
    point: Point

    @property
    def dense(self) -> Point:
        """The world's dense models."""
        return self.points[DENSE]

    @property
    def paper(self) -> Difference:
        """The paper's attack, minus that on the dense models."""
        return between(self.point, self.dense, ATTACK)

    @property
    def leak(self) -> Leak:
        """The leak, minus the dense models'."""
        return leak_difference(self.point, DENSE)

    @property
    def test(self) -> Difference:
        """The test accuracy, minus the dense models'."""
        return row_difference(self.point, f"test accuracy - {DENSE}")

    @property
    def named(self) -> str:
        """Its name with its world's."""
        return f"`{self.point['case']}` of {self.world}"


def with_dense(found: dict[str, dict[str, Any]]) -> Worlds:
    """Return the worlds whose dense models were measured."""
    worlds = {name: (content, cases(content)) for name, content in found.items()}
    return {name: both for name, both in worlds.items() if DENSE in both[1]}


def cases_of(worlds: Worlds, *methods: str) -> Iterator[Case]:
    """Yield the cases of these methods, world by world."""
    for name, (content, points) in worlds.items():
        for point in of_method(points, *methods):
            yield Case(world=name, content=content, points=points, point=point)


def by_chance(content: dict[str, Any], dense: Point) -> str:
    """Return how little the dense models learned, where they hardly beat chance; empty where they
    do, or where the recipe does not tell the number of classes.
    """
    classes = CLASSES.search(content["facts"].get("recipe", ""))
    row = dense["rows"].get("test accuracy")
    if classes is None or row is None or row["value"] is None:
        return ""
    if row["value"] > HARDLY / int(classes[1]):
        return ""
    return f"{100 * row['value']:.1f} %, {100 / int(classes[1]):.3g} by chance"


def together(leak: Leak) -> str:
    """Return what AUC and TPR say together."""
    both = (leak.auc.verdict, leak.tpr.verdict)
    if both[0] == both[1]:
        return both[0]
    if "not measured" in both:
        return "one of AUC and TPR not measured"
    effects = sorted(set(both) - {"no detectable effect"})
    return f"{effects[0]} in one of the two" if len(effects) == 1 else "lower and higher"


def number(n: int, what: str) -> str:
    """Return a number of things, such as `1 case` or `2 cases`."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def counted(verdicts: Iterable[str]) -> str:
    """Return how often which verdict, such as `lower in 2, higher in 1`."""
    every = list(verdicts)
    return ", ".join(f"{v} in {every.count(v)}" for v in sorted(set(every), key=ORDER.index))


ORDER = (
    "lower",
    "higher",
    "no detectable effect",
    "lower in one of the two",
    "higher in one of the two",
    "lower and higher",
    "one of AUC and TPR not measured",
    "not measured",
)
