"""What cases of a sweep leak of planted records, for docs/evidence.md."""

from __future__ import annotations

from tools.verdicts import DENSE, Leak, Point, between, from_units, shown

__all__ = ["canaries_minus_dense", "of_canaries", "planted_lines"]

OF_CANARIES = "leak of canaries, "


def of_canaries(points: dict[str, Point]) -> list[str]:
    """Return the names of the rows of planted records that the dense models have."""
    return [name for name in points[DENSE]["rows"] if name.startswith(OF_CANARIES)]


def canaries_minus_dense(points: dict[str, Point], point: Point) -> Leak:
    """Return AUC and TPR on all planted records minus the dense models', paired over targets; each
    by the attack that is its strongest on all records.

    Where one kind was planted the AUC's interval is joined with those of both rows, as an audit's
    is; of a TPR no row is kept, so that its interval is t over targets, without the ROC's steps.
    """
    kinds = of_canaries(points)
    sides = (point, points[DENSE])
    units = [side["units"].get("canary_auc", ()) for side in sides]
    if len(kinds) == 1 and len(units[0]) == len(units[1]) >= 2:
        auc = from_units(units, [side["rows"].get(kinds[0]) for side in sides], stepped=False)
    else:
        auc = between(*sides, "canary auc")
    tpr = between(*sides, "canary tpr")
    levels = point["units"].get("canary_fpr")
    return Leak(auc=auc, tpr=tpr, fpr=f"at {100 * max(levels):.3g}% fpr" if levels else "")


def planted_lines(points: dict[str, Point], *methods: str) -> list[str]:
    """Return a line for each case: what is left, and that minus the dense models.

    Args:
        points: of a sweep, by name, the dense one among them.
        methods: beside the dense models; none means all.
    """
    names = of_canaries(points)
    lines = []
    for point in points.values() if names else ():
        if methods and point["method"] not in (DENSE, *methods):
            continue
        left = "; ".join(f"{n.removeprefix(OF_CANARIES)} {shown(point, n)}" for n in names)
        minus = "" if point["case"] == DENSE else f"; {canaries_minus_dense(points, point).shown()}"
        lines.append(f"- {point['case']}: AUC on {left}{minus}")
    return lines
