"""Cases beside the dense training stopped earlier: what early stopping alone would have given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from secateur.types import NEVER_AS_ACCURATE
from tools.verdicts import DENSE, Difference, Leak, Point, leak_difference

NO_LESS = "no less test accuracy"
MATCHES = {
    "equal train accuracy": "where its train accuracy is nearest",
    "equal test accuracy": "where its test accuracy is nearest",
    NO_LESS: "at the first snapshot whose test accuracy is no less",
}
"""How the epoch is chosen, by the name that a sweep's rows have for it."""
MATCHED = 0.01
"""How far test accuracies may lie apart, on the targets, for a snapshot to be a match."""


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A case minus the dense models at one epoch; `about` says which, and how near the match is.

    `never` is true where the dense models are at no snapshot as accurate as the case; `gap` is
    their test accuracy on the targets minus the case's, None where it is not known.
    """

    leak: Leak
    about: str = ""
    never: bool = False
    gap: float | None = None

    @property
    def matched(self) -> bool:
        """Whether the dense models, as they were stopped, are about as accurate as the case."""
        return self.gap is not None and abs(self.gap) <= MATCHED

    @property
    def against(self) -> str:
        """What the dense models were when they were stopped, as `no_worse_stopped` chose it."""
        return "nearest in test accuracy, never as accurate" if self.never else "no less accurate"

    def shown(self) -> str:
        """Return the differences and the match as text."""
        return f"{self.leak.shown()}{f' ({self.about})' if self.about else ''}"


def stopped(content: dict[str, Any], point: Point, match: str) -> Stopped:
    """Return a case minus the dense models stopped earlier.

    Args:
        content: the sweep.
        point: the case, over its seeds.
        match: one of `MATCHES`.
    """
    curve = _curve(content)
    row = point["rows"].get(f"leak - dense at {match}")
    if (row or {}).get("why") == NEVER_AS_ACCURATE:
        return _never(curve)
    leak = leak_difference(point, f"dense at {match}")
    epoch = _epoch_of(row)
    if not curve or epoch not in curve["epoch"]:
        return Stopped(leak=leak)
    at = curve["epoch"].index(epoch)
    return Stopped(leak=leak, about=_match(curve, at, point), gap=_gap(curve, at, point))


def _never(curve: dict[str, list[float]]) -> Stopped:
    """Say what the dense models reached where no snapshot of them is as accurate as a case."""
    best = f"{100 * max(curve['test_accuracy']):.1f} %" if curve else "not known"
    nothing = Difference(value=None)
    return Stopped(
        leak=Leak(auc=nothing, tpr=nothing),
        about=f"never over the references; the dense models' best snapshot on the targets: {best}",
        never=True,
    )


def no_worse_stopped(content: dict[str, Any], point: Point) -> Stopped:
    """Return a case minus the dense models stopped no less accurate; where they never are, minus
    the dense models at the nearest test accuracy.
    """
    found = stopped(content, point, NO_LESS)
    if not found.never:
        return found
    return replace(stopped(content, point, "equal test accuracy"), never=True)


def beats_the_best_snapshot(content: dict[str, Any], point: Point) -> bool:
    """Tell whether a case's leak lies below that of the dense models' most accurate snapshot on the
    targets, interval beside interval, each by its own strongest attack; true without a curve.
    """
    curve, own = _curve(content), point["rows"].get("leak") or {}
    if not curve:
        return True
    best = max(range(len(curve["epoch"])), key=lambda at: curve["test_accuracy"][at])
    low = curve["low"][best]
    return None not in (low, own.get("high")) and own["high"] < low


def _curve(content: dict[str, Any]) -> dict[str, list[float]]:
    """Return the dense models' curve of a sweep of one seed; empty where there is none."""
    curves = [s for s in content.get("series", ()) if s["kind"] == "early stopping"]
    return dict(curves[0]["columns"]) if len(curves) == 1 else {}


def _epoch_of(row: dict[str, Any] | None) -> float | None:
    """Return the epoch that a row is against, such as 12 of `dense, epoch 12`."""
    start, _, epoch = (row or {}).get("versus", "").partition(", epoch ")
    return float(epoch) if start == DENSE and epoch else None


def _gap(curve: dict[str, list[float]], at: int, point: Point) -> float | None:
    row = point["rows"].get("test accuracy")
    known = row is not None and row["value"] is not None
    return curve["test_accuracy"][at] - row["value"] if known and row is not None else None


def _match(curve: dict[str, list[float]], at: int, point: Point) -> str:
    pairs = (
        (name.partition("_")[0], curve[name][at], point["rows"].get(name.replace("_", " ")))
        for name in ("train_accuracy", "test_accuracy")
    )
    words = ", ".join(
        f"{name} {100 * dense:.1f} beside {100 * row['value']:.1f} %"
        for name, dense, row in pairs
        if row is not None and row["value"] is not None
    )
    return f"epoch {curve['epoch'][at]:.0f}: {words}"
