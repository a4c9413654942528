"""Paired differences of two reports of one membership, from their numbers target by target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from secateur.data import Queries
from secateur.errors import InputError
from secateur.measure import fpr_name, paired_difference, t_interval
from secateur.report.lookup import find, series_of, short, strongest, tpr_row
from secateur.types import Interval, Measurement, Report, Series

__all__ = ["Pairable", "difference", "paired", "paired_ends", "unpaired_because"]

Pairable = Literal["test accuracy", "auc", "tpr"]
COLUMNS = {"test accuracy": "test_accuracy", "auc": "auc", "tpr": "tpr"}
Side = tuple[Report, str]
Values = np.ndarray[Any, np.dtype[np.float64]]


def unpaired_because(old: Report, new: Report) -> str:
    """Return why two reports cannot be paired; empty where they share records and membership.

    Example:
        >>> from secateur.types import Provenance
        >>> one = Report(title="a", rows=(), provenance=Provenance(key={"membership": "m"}))
        >>> two = Report(title="b", rows=(), provenance=Provenance(key={"membership": "n"}))
        >>> unpaired_because(one, two).partition(" (")[0]
        'the reports do not share their membership matrix'
    """
    keys = (old.provenance.key, new.provenance.key)
    if any("membership" not in key for key in keys):
        return "a report does not say who was a member"
    data = [key.get("records", key.get("labels")) for key in keys]
    if keys[0]["membership"] != keys[1]["membership"]:
        return (
            "the reports do not share their membership matrix (references were added, or members "
            "drawn anew)"
        )
    return "" if data[0] == data[1] else "they are about other records"


def paired(new: Side, old: Side, metric: Pairable) -> Measurement:
    """Return new - old, paired over the targets that both reports have.

    Each side is attacked by the attack that was the strongest on it. Where both rows are widened
    the interval is joined with what these two say of a difference, as if unpaired; that of a TPR
    reaches over the steps of both ROCs, as an audit's does.

    Args:
        new: (report, subject).
        old: (report, subject), of the same membership.
        metric: `test accuracy`, `auc`, or `tpr` at the lowest FPR that the targets' numbers are of.

    Returns:
        Status "not run", with the reason, where there is nothing to pair.

    Reference:
        zou2008construction for a difference from two intervals.
    """
    methods = [strongest(*side) for side in (new, old)]
    about: dict[str, Any] = {
        "subject": new[1],
        "versus": old[1],
        "risk": "utility" if metric == "test accuracy" else "membership",
        "method": "accuracy" if metric == "test accuracy" else methods[0],
        "metric": metric,
        "better": "higher" if metric == "test accuracy" else "lower",
    }
    try:
        ours, theirs, rows = _pair(new, old, methods, metric)
    except InputError as error:
        return Measurement(**about, value=None, status="not run", why=str(error))
    low, mean, high, kind = paired_ends(ours, theirs, rows, stepped=metric == "tpr")
    told = ["paired over the same targets"]
    if metric != "test accuracy" and methods[0] != methods[1]:
        told.append(f"{new[1]} by {_told(methods, 0)}, {old[1]} by {_told(methods, 1)}")
    return Measurement(
        **{**about, "metric": rows[0].metric},
        value=mean,
        low=low,
        high=high,
        interval=kind,
        counts={"targets": float(len(ours))},
        why="; ".join(told),
    )


def difference(
    report: Report, subject: str, versus: str, metric: Literal["auc", "tpr"] = "auc"
) -> Measurement | None:
    """Return subject - versus within one report, each by its own strongest attack.

    Where that is one attack, its row. Where a report does not hold what two attacks reached target
    by target, as older ones, what the subject's attack says of both; None where it says nothing.
    """
    method = strongest(report, subject)
    if method != strongest(report, versus):
        found = paired((report, subject), (report, versus), metric)
        if found.value is not None:
            return found
    if metric == "auc":
        return find(report, subject, metric, method=method, versus=versus)
    return tpr_row(report, subject, method, versus=versus)


def _pair(
    new: Side, old: Side, methods: list[str], metric: Pairable
) -> tuple[Values, Values, list[Measurement]]:
    """Return each side's number per target, and its row.

    Raises:
        InputError: why the two cannot be paired.
    """
    if why := unpaired_because(old[0], new[0]) or _unlike(new, old, methods, metric):
        raise InputError(why)
    if all(dict(r.facts.get("models", {})).get("targets") == 1 for r, _ in (new, old)):
        raise InputError(
            "one model each: nothing to pair; several of one draw, as `secateur train` and then "
            "`secateur prune` or `defend` make them, can be paired"
        )
    ours, theirs = _values(new, metric), _values(old, metric)
    if len(ours) != len(theirs) or len(ours) < 2:
        raise InputError(f"{len(ours)} and {len(theirs)} targets: nothing to pair")
    levels = [_fpr(side) for side in (new, old)] if metric == "tpr" else [0.0]
    if len(set(levels)) > 1:
        raise InputError(f"at FPRs of {levels[0]:g} here and {levels[1]:g} there: nothing to pair")
    return ours, theirs, [_row(side, metric, levels[0]) for side in (new, old)]


def _unlike(new: Side, old: Side, methods: list[str], metric: Pairable) -> str:
    """Return why a difference would be one of the attackers, not of the models; empty where not."""
    if metric == "test accuracy":
        return ""
    keys = [side[0].provenance.key for side in (new, old)]
    asked = [str(key.get("queries", repr(Queries()))) for key in keys]
    if asked[0] != asked[1]:
        return f"asked by {asked[0]} here, by {asked[1]} there; audit both in one way"
    for method in dict.fromkeys(methods):
        missing = any(method not in key.get("attacks", ()) for key in keys)
        if missing and methods[0] != methods[1]:
            return f"only one of the two was attacked by {short(method)}; audit both with it"
        found = [key.get("revisions", {}).get(method) for key in keys]
        if None not in found and found[0] != found[1]:
            return (
                f"revision {found[0]} of {short(method)} here, {found[1]} there; audit both with "
                "one version"
            )
    return ""


def _told(methods: list[str], which: int) -> str:
    """Return the short name of one of two attacks, or its spelling where both have one name."""
    names = [short(method) for method in methods]
    return methods[which] if names[0] == names[1] else names[which]


def _series(side: Side) -> Series:
    report, subject = side
    for series in series_of(report, "targets"):
        if series.subject == subject and series.method == strongest(report, subject):
            targets = dict(report.facts.get("models", {})).get("targets")
            if targets is not None and targets != len(series.columns["target"]):
                raise InputError(
                    f"numbers of {len(series.columns['target'])} of {targets} targets are kept"
                )
            return series
    raise InputError(f"the report holds no numbers of {subject} target by target; audit anew")


def _values(side: Side, metric: Pairable) -> Values:
    """Return one number per target, in the order of the targets."""
    columns = _series(side).columns
    found = columns.get(COLUMNS[metric], ())
    if not found or None in found:
        raise InputError(f"the report holds no {metric} of {side[1]} target by target")
    order = np.argsort(np.array(columns["target"], dtype=np.float64), kind="stable")
    return np.array(found, dtype=np.float64)[order]


def _fpr(side: Side) -> float:
    """Return the FPR that a subject's TPRs are at."""
    return float(_series(side).columns["fpr"][0] or 0.0)


def _row(side: Side, metric: Pairable, fpr: float) -> Measurement:
    """Return the report's own row, whose interval says what the targets' spread does not.

    Raises:
        InputError: there is none, or it has no value.
    """
    report, subject = side
    name = fpr_name(fpr) if metric == "tpr" else metric
    method = None if metric == "test accuracy" else strongest(report, subject)
    row = find(report, subject, name, method=method)
    if row is None or row.value is None:
        why = "no such row" if row is None else f"{row.status}, {row.why}"
        raise InputError(f"{name} of {subject}: {why}")
    return row


def paired_ends(
    ours: Values,
    theirs: Values,
    rows: Sequence[Measurement],
    *,
    stepped: bool,
) -> tuple[float, float, float, Interval]:
    """Return (low, mean, high) of the mean of ours - theirs, and the interval's kind.

    Args:
        ours: one number per target `[targets]`.
        theirs: of the same targets.
        rows: each side's own, whose interval says what the targets' spread does not: where both are
            widened, the paired interval is joined with what these two say, as if unpaired.
        stepped: of a TPR, whose interval reaches over the steps of both ROCs.

    Reference:
        zou2008construction for a difference from two intervals.
    """
    mean, low, high = paired_difference(ours, theirs)
    if stepped:
        low -= _step(ours, rows[0])
        high += _step(theirs, rows[1])
    if not all(row.interval.endswith("widened") for row in rows):
        return low, mean, high, "t over targets"
    (a, b, value), (c, d, other) = (
        (row.low or 0.0, row.high or 0.0, row.value or 0.0) for row in rows
    )
    return (
        min(low, mean - float(np.hypot(value - a, d - other))),
        mean,
        max(high, mean + float(np.hypot(b - value, other - c))),
        "t over targets, widened",
    )


def _step(values: Values, row: Measurement) -> float:
    """Return how far a TPR's row reaches below the t interval of its targets, at most its value.

    That is the height of its ROC's step; where the row was cut at 0, or is no t interval, no more
    is known than that it is at most the value.
    """
    mean, low, _ = t_interval(values)
    if row.low is None or row.low <= 0 or not row.interval.startswith("t over"):
        return mean
    return max(0.0, low - row.low)
