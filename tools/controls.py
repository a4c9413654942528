"""Which controls a case has, and which of them nothing tells apart from it."""

from __future__ import annotations

from dataclasses import dataclass

from tools.stopped import MATCHED
from tools.verdicts import PRUNED, Difference, Point, between, of_method, over_references

__all__ = [
    "ANYWHERE",
    "AT_ITS_RATE",
    "LONGER",
    "Nearest",
    "controls_of",
    "equals",
    "matched_rivals",
    "nearest",
]

AT_ITS_RATE = ("random-mask", "from-scratch", "magnitude", "small-dense")
"""Controls of a pruned case that keep as many weights."""
LONGER = ("random-mask-longer", "from-scratch-longer", "small-dense-longer")
"""The same, trained for as many epochs as dense training and pruning together."""
ANYWHERE = {"mia-pruning": "trained-on", "dp-sgd": "group-norm"}
"""Controls without a rate, by the method that they are of."""


def controls_of(points: dict[str, Point], point: Point, *methods: str) -> list[Point]:
    """Return a case's controls, of these methods or of all.

    Args:
        points: of a sweep, by name.
        point: the case.
        methods: such as `magnitude`; none means all that its method has.
    """
    rate = point["axes"].get("rate")
    found = []
    if point["method"] == "mia-pruning":
        found = [
            p for p in of_method(points, *AT_ITS_RATE, *LONGER) if p["axes"].get("rate") == rate
        ]
    found += of_method(points, ANYWHERE.get(point["method"], ""))
    return [p for p in found if not methods or p["method"] in methods]


def equals(point: Point, control: Point) -> bool:
    """Tell whether a control leaks no more and is no less accurate, as far as intervals tell."""
    leak, test = (between(point, control, name) for name in ("leak", "test accuracy"))
    return leak.verdict in NO_MORE and test.verdict in ("lower", "no detectable effect")


NO_MORE = ("higher", "no detectable effect")
"""What a case minus a control says where the control does as well."""


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The setting of a rival that is the nearest to a case in test accuracy: over the references,
    or, where the sweep kept none of theirs, on the `targets` that are compared.
    """

    point: Point
    test: Difference
    targets: bool

    @property
    def matched(self) -> bool:
        """Whether the two are about as accurate, on the targets."""
        return self.test.value is not None and abs(self.test.value) <= MATCHED


def nearest(points: dict[str, Point], point: Point, *methods: str) -> Nearest | None:
    """Return the case of these methods whose accuracy is the nearest to a case's, and the case's
    test accuracy minus its own; None where none is known.

    Args:
        points: of a sweep, by name.
        point: the case.
        methods: of the rival.
    """
    rivals = of_method(points, *methods)
    for read, targets in ((over_references, False), (_of_targets, True)):
        own = read(point)
        able = [(abs(other - own), p) for p in rivals if (other := read(p)) is not None and own]
        if able:
            found = min(able, key=lambda both: both[0])[1]
            return Nearest(
                point=found, test=between(point, found, "test accuracy"), targets=targets
            )
    return None


def matched_rivals(points: dict[str, Point], rival: str) -> list[tuple[Point, Nearest]]:
    """Return the pruned cases that have a rival of about their test accuracy, and that rival."""
    beside = [(p, nearest(points, p, rival)) for p in of_method(points, *PRUNED)]
    return [(point, found) for point, found in beside if found is not None and found.matched]


def _of_targets(point: Point) -> float | None:
    value: float | None = (point["rows"].get("test accuracy") or {}).get("value")
    return value
