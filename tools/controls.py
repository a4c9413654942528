"""Which controls a case has, and which of them nothing tells apart from it."""

from __future__ import annotations

from collections.abc import Sequence

from tools.verdicts import Difference, Point, between, of_method

__all__ = ["ANYWHERE", "AT_ITS_RATE", "controls_of", "equals", "nearest_decay"]

AT_ITS_RATE = ("random-mask", "from-scratch", "magnitude", "small-dense")
"""Controls of a pruned case that keep as many weights."""
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
        found = [p for p in of_method(points, *AT_ITS_RATE) if p["axes"].get("rate") == rate]
    found += of_method(points, ANYWHERE.get(point["method"], ""))
    return [p for p in found if not methods or p["method"] in methods]


def equals(point: Point, control: Point) -> bool:
    """Tell whether a control leaks no more and is no less accurate, as far as intervals tell."""
    leak, test = (between(point, control, name) for name in ("leak", "test accuracy"))
    return leak.verdict in NO_MORE and test.verdict in ("lower", "no detectable effect")


NO_MORE = ("higher", "no detectable effect")
"""What a case minus a control says where the control does as well."""


def nearest_decay(points: dict[str, Point], point: Point) -> tuple[Point, Difference] | None:
    """Return the weight decay whose accuracy over the references is the nearest to a case's, and
    the case's test accuracy minus its own; None where there is none.
    """
    able = [p for p in of_method(points, "weight-decay") if _of_references(p) is not None]
    own = _of_references(point)
    if own is None or not able:
        return None
    nearest = min(able, key=lambda p: abs((_of_references(p) or 0.0) - own))
    return nearest, between(point, nearest, "test accuracy")


def _of_references(point: Point) -> float | None:
    values: Sequence[float] = point["units"].get("reference_accuracy", ())
    return sum(values) / len(values) if values else None
