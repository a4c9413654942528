"""From audits to points: the rows that a sweep shows of each case, per seed and over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.auditing.consequences import DELTA
from secateur.data import CANARY
from secateur.measure import epsilon_name, paired_difference, t_interval
from secateur.measure.canaries import ORDINARY
from secateur.report.lookup import find, strongest, tpr_row
from secateur.report.paired import difference
from secateur.sweeping.reading import DENSE
from secateur.sweeping.sizes import bytes_of, cpu_seconds_of
from secateur.types import NEVER_AS_ACCURATE, Measurement, Point, Report, Series, Status

if TYPE_CHECKING:
    from secateur.sweeping.tree import Node
    from secateur.types import Fleet

__all__ = ["curve_of", "over_seeds", "point_of"]

EPSILON = epsilon_name(DELTA)
OF_BASELINE = "kept of the baseline's weights"
RATE_OF_BASELINE = "compression rate of the baseline's weights"
PAPERS = "NasrAttack"
CANARIES = f"{CANARY}="
ACCURACIES = ("train accuracy", "test accuracy")
BY = "leak by "
"""How the rows of single attacks begin, before the attack's spelling."""
STOPPED = {
    "train accuracy": "dense at equal train accuracy",
    "test accuracy": "dense at equal test accuracy",
    "no less test accuracy": "dense at no less test accuracy",
}
"""What rows call the dense models stopped earlier, by how an audit chose the epoch."""


def point_of(report: Report, node: Node, fleets: Sequence[Fleet], *, seed: int) -> Point:
    """Return one case of one audit.

    Args:
        report: of the seed's fleets, the dense one first.
        node: the case's fleet, or the dense one.
        fleets: on the way to it, itself last, as the audit saw it.
        seed: of the world.
    """
    subject = node.label
    method = strongest(report, subject)
    rows: dict[str, Measurement | None] = {
        **{name: find(report, subject, name) for name in ACCURACIES},
        "leak": find(report, subject, "auc", method=method),
        "tpr": tpr_row(report, subject, method),
        **_by_name(report, subject),
        "epsilon bound": find(report, subject, EPSILON),
        "kept weights": find(report, subject, OF_BASELINE) or find(report, subject, "kept weights"),
        "compression rate": find(report, subject, RATE_OF_BASELINE)
        or find(report, subject, "compression rate"),
        "bytes": bytes_of(subject, fleets[-1]),
        "cpu seconds": cpu_seconds_of(subject, fleets),
    }
    rows |= _by_attack(report, subject) | _of_canaries(report, subject, method)
    accounted = find(report, subject, f"accounted {EPSILON}")
    if accounted is not None:
        rows["accounted epsilon"] = accounted
    if subject != DENSE:
        rows |= _differences(report, subject)
    units = _units(report, subject)
    if subject != DENSE:
        rows["test accuracy - dense"] = _accuracy_difference(report, subject)
    case = node.case
    return Point(
        case=subject,
        method=DENSE if case is None else case.method,
        seed=seed,
        steps=node.steps,
        axes={} if case is None else dict(case.axes),
        rows={k: v if v is not None else _absent(subject, k) for k, v in rows.items()},
        units=units,
    )


def curve_of(report: Report, seed: int) -> Series | None:
    """Return the dense models' early-stopping curve of one seed; None without snapshots."""
    for series in report.series:
        if series.kind == "early stopping":
            return replace(series, id=f"early-stopping/seed-{seed}")
    return None


def over_seeds(points: Sequence[Point]) -> Point:
    """Return one case over the worlds of several seeds.

    A value is the mean over seeds of the means over targets. Targets of one world share its
    records, its references and its pools, so they are no independent trials of the pipeline on
    other draws; the worlds are. Hence the interval is t over the seeds' means, with one degree of
    freedom fewer than seeds: two seeds give a wide one, as two worlds say little about others. Of
    one seed its rows stand as they are.

    Args:
        points: of one case, one per seed.
    """
    first = points[0]
    if len(points) == 1:
        return replace(first, seed=None)
    names = dict.fromkeys(name for p in points for name in p.rows)
    rows = {
        name: _over([p.rows.get(name) or _absent(p.case, name) for p in points]) for name in names
    }
    units = {
        axis: tuple(float(np.mean(p.units[axis])) for p in points)
        for axis in first.units
        if all(p.units.get(axis) for p in points)
    }
    return replace(first, seed=None, rows=rows, units=units)


def _over(rows: Sequence[Measurement]) -> Measurement:
    methods = " or ".join(dict.fromkeys(r.method for r in rows if r.method))
    first = replace(next((r for r in rows if r.value is not None), rows[0]), method=methods)
    values = [r.value for r in rows if r.value is not None]
    if len(values) < len(rows):
        gap = next(r for r in rows if r.value is None)
        return _without(first, gap.status, f"not in every seed: {gap.why or gap.status}")
    if len({r.metric for r in rows}) > 1:
        rates = ", ".join(r.metric for r in rows)
        return _without(first, "not resolvable", f"seeds resolve different rates: {rates}")
    counts = {**first.counts, "seeds": float(len(rows))}
    if first.metric == EPSILON:
        return _without(first, "not run", "a bound speaks of one audit: see that of each seed")
    if first.metric == f"accounted {EPSILON}":  # holds for every seed's models, as their mean not
        largest = max(rows, key=lambda r: r.value or 0.0)
        return replace(largest, counts={**largest.counts, "seeds": float(len(rows))})
    if first.status == "exact":
        return replace(first, value=float(np.mean(values)), counts=counts)
    mean, low, high = t_interval(np.array(values))
    if not first.versus:  # rates, all of them
        low, high = max(0.0, low), min(1.0, high)
    return replace(
        first,
        value=mean,
        low=min(low, mean),
        high=max(high, mean),
        interval="t over seeds",
        estimand="pipeline",
        counts=counts,
    )


def _without(row: Measurement, status: Status, why: str) -> Measurement:
    return replace(row, value=None, low=None, high=None, interval="none", status=status, why=why)


def _by_name(report: Report, subject: str) -> dict[str, Measurement | None]:
    """Return what the paper's attack and LiRA say, whichever attack is the strongest."""

    def first(name: str, metric: str, *, naive: bool = False) -> Measurement | None:
        for row in report.rows:
            if (
                row.subject == subject
                and row.method.startswith(f"{name}(")
                and row.metric == metric
                and not row.versus
                and row.group == "all"
                and (row.threat == "naive") == naive
            ):
                return row
        return None

    rows = {
        "paper's attack": first(PAPERS, "accuracy"),
        "paper's attack, balanced": first(PAPERS, "balanced accuracy"),
        "LiRA": first("LiRA", "auc"),
    }
    return rows if subject == DENSE else {**rows, "LiRA, naive": first("LiRA", "auc", naive=True)}


def _by_attack(report: Report, subject: str) -> dict[str, Measurement | None]:
    """Return the AUC of each adaptive attack, so that what the strongest adds is seen."""
    return {
        f"{BY}{row.method}": row
        for row in report.rows
        if (row.subject, row.metric, row.group) == (subject, "auc", "all")
        and not row.versus
        and row.threat not in ("naive", "insider")
    }


def _of_canaries(report: Report, subject: str, method: str) -> dict[str, Measurement | None]:
    """Return the AUC of the strongest attack on each kind of canaries that was planted."""
    return {
        f"leak of canaries, {row.group.removeprefix(CANARIES)}": row
        for row in report.rows
        if (row.subject, row.method, row.metric) == (subject, method, "auc")
        and row.group.startswith(CANARIES)
        and row.group != f"{CANARIES}{ORDINARY}"
        and not row.versus
    }


def _differences(report: Report, subject: str) -> dict[str, Measurement | None]:
    """Return paired differences to the dense model, and to it stopped at equal accuracy, each by
    its own strongest attack.
    """
    against = {"dense": DENSE}
    for matched in report.facts.get("matched", ()):
        if matched["subject"] == subject:
            against[STOPPED[matched["by"]]] = matched["view"]
    rows: dict[str, Measurement | None] = {}
    for label in ("dense", *STOPPED.values()):
        view = against.get(label)
        rows[f"leak - {label}"] = None if view is None else difference(report, subject, view)
        rows[f"tpr - {label}"] = None if view is None else difference(report, subject, view, "tpr")
    rows["paper's attack - dense"] = next(
        (
            r
            for r in report.rows
            if (r.subject, r.versus, r.metric, r.group) == (subject, DENSE, "accuracy", "all")
            and r.method.startswith(f"{PAPERS}(")
        ),
        None,
    )
    return rows


def _targets(report: Report, subject: str) -> Mapping[str, Any]:
    for series in report.series:
        if series.kind == "targets" and series.subject == subject:
            return series.columns
    return {}


def _units(report: Report, subject: str) -> dict[str, tuple[float, ...]]:
    columns = _targets(report, subject)
    same = ("train_accuracy", "test_accuracy", "tpr", "canary_auc", "canary_tpr", "canary_fpr")
    names = {**{name: name for name in same}, "leak": "auc", "paper's attack": "insider_accuracy"}
    found = {}
    for name, column in names.items():
        values = columns.get(column, ())
        if values and all(v is not None for v in values):
            found[name] = tuple(float(v) for v in values)
    references = report.facts.get("reference_accuracy", {}).get(subject)
    if references is not None:
        found["reference_accuracy"] = (float(references),)
    return found


def _accuracy_difference(report: Report, subject: str) -> Measurement | None:
    own, dense = (_units(report, s).get("test_accuracy", ()) for s in (subject, DENSE))
    about: dict[str, Any] = {
        "subject": subject,
        "risk": "utility",
        "method": "accuracy",
        "metric": "test accuracy",
        "versus": DENSE,
        "better": "higher",
        "counts": {"targets": float(len(own))},
    }
    if not own or len(own) != len(dense):
        return None
    if len(own) < 2:
        return Measurement(**about, value=own[0] - dense[0], why="one target: no interval")
    mean, low, high = paired_difference(np.array(own), np.array(dense))
    return Measurement(**about, value=mean, low=low, high=high, interval="t over targets")


def _absent(subject: str, name: str) -> Measurement:
    none_chosen = "no attack is the strongest: that is chosen on references, and these are too few"
    reasons = {
        "leak": none_chosen,
        "tpr": none_chosen,
        "cpu seconds": "models that another run made cost nothing here",
        "paper's attack": "NasrAttack is not among the attacks, or did not run",
        "paper's attack, balanced": "NasrAttack is not among the attacks, or did not run",
        "paper's attack - dense": "NasrAttack is not among the attacks, or did not run",
        "LiRA": "LiRA is not among the attacks, or did not run",
        "LiRA, naive": "no naive LiRA ran",
    }
    never = NEVER_AS_ACCURATE if "no less" in name else ""
    why = never or reasons.get(name, "the audit has no such row")
    return Measurement(
        subject=subject,
        risk="membership",
        method="",
        metric=name,
        value=None,
        status="not run",
        why=why,
    )
