"""Cases beside the dense training stopped earlier: what early stopping alone would have given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from secateur.types import NEVER_AS_ACCURATE
from tools.verdicts import (
    DENSE,
    Difference,
    Leak,
    Point,
    between,
    cases,
    leak_difference,
    of_method,
    over_references,
)

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

    `never` is true where the dense models are nowhere as accurate as the case; `gap` is their test
    accuracy on the targets minus the case's, None where it is not known; `epoch` is where they
    were stopped, None where nothing says it.
    """

    leak: Leak
    about: str = ""
    never: bool = False
    gap: float | None = None
    epoch: float | None = None

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
    about, gap = _match(curve, at, point), _gap(curve, at, point)
    return Stopped(leak=leak, about=about, gap=gap, epoch=epoch)


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

    These are the snapshot, or the models of `early-stopping`, that are over the references no less
    accurate than the case, after the fewest epochs of both.
    """
    found = stopped(content, point, NO_LESS)
    earlier = _models_stopped(content, point, found)
    if earlier is not None:
        return earlier
    if not found.never:
        return found
    return replace(stopped(content, point, "equal test accuracy"), never=True)


def within_a_point(content: dict[str, Any], point: Point) -> Stopped | None:
    """Return a case minus the dense models stopped no less accurate, or where these lie farther
    than `MATCHED` from it, minus those of the nearest accuracy; None where these do too.
    """
    found = no_worse_stopped(content, point)
    if not found.matched:
        found = stopped(content, point, "equal test accuracy")
    return found if found.matched else None


def _models_stopped(content: dict[str, Any], point: Point, found: Stopped) -> Stopped | None:
    """Return a case minus the models of `early-stopping` that are no less accurate, where they were
    stopped before `found`, or where that is at no snapshot; None where there are none.
    """
    own = over_references(point)
    able = [
        (other["axes"]["epochs"], other)
        for other in of_method(cases(content), "early-stopping")
        if other["case"] != point["case"]
        and own is not None
        and (accuracy := over_references(other)) is not None
        and accuracy >= own
    ]
    if not able:
        return None
    epochs, dense = min(able, key=lambda both: both[0])
    if not found.never and (found.epoch is None or epochs >= found.epoch):
        return None
    leak, tpr = (between(point, dense, name) for name in ("leak", "tpr"))
    fpr = (point["rows"].get("tpr") or {}).get("metric", "").removeprefix("tpr ")
    test = between(point, dense, "test accuracy").value
    return Stopped(
        leak=Leak(auc=leak, tpr=tpr, fpr=fpr),
        about=f"trained for {epochs} epochs: {_accuracies(dense['rows'], point)}",
        gap=None if test is None else -test,
        epoch=epochs,
    )


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
    dense = {
        name: {"value": curve[name.replace(" ", "_")][at]}
        for name in ("train accuracy", "test accuracy")
    }
    return f"epoch {curve['epoch'][at]:.0f}: {_accuracies(dense, point)}"


def _accuracies(dense: dict[str, Any], point: Point) -> str:
    """Return the dense models' train and test accuracy beside a case's."""
    return ", ".join(
        f"{name.partition(' ')[0]} {100 * one['value']:.1f} beside {100 * row['value']:.1f} %"
        for name in ("train accuracy", "test accuracy")
        if (one := dense.get(name)) is not None and one["value"] is not None
        if (row := point["rows"].get(name)) is not None and row["value"] is not None
    )
