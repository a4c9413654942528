"""Find rows in a report: the one place that knows how rows are named."""

from __future__ import annotations

from typing import Any

from secateur.types import Measurement, Report, Series

__all__ = [
    "best_rows",
    "chosen_on",
    "consequences",
    "find",
    "is_given",
    "label",
    "series_of",
    "short",
    "shown",
    "strongest",
    "subjects",
    "tpr_row",
]

PRIORS = {"1%": 1, "10%": 0, "50%": 0}  # and to how many digits a per cent of each is shown


def subjects(report: Report) -> list[str]:
    """Return the subjects in the order of their first row."""
    return list(dict.fromkeys(row.subject for row in report.rows))


def shown(report: Report) -> list[str]:
    """Return the subjects that a table lists: not the last epoch, which repeats the baseline."""
    about: dict[str, Any] = dict(report.facts.get("subjects", {}))
    return [s for s in subjects(report) if "repeats" not in dict(about.get(s, {}))]


def label(report: Report, subject: str) -> str:
    """Return what a subject is called for people."""
    facts: dict[str, Any] = dict(report.facts.get("subjects", {}).get(subject, {}))
    return str(facts.get("label", subject))


def find(
    report: Report,
    subject: str,
    metric: str,
    *,
    method: str | None = None,
    versus: str = "",
    naive: bool = False,
    group: str = "all",
) -> Measurement | None:
    """Return the first row with these names; None when there is none."""
    for row in report.rows:
        if (
            row.subject == subject
            and row.metric == metric
            and row.versus == versus
            and row.group == group
            and (row.threat == "naive") == naive
            and (method is None or row.method == method)
        ):
            return row
    return None


def tpr_row(
    report: Report, subject: str, method: str, *, versus: str = "", naive: bool = False
) -> Measurement | None:
    """Return the measured TPR row; an unresolvable one when there is no other."""
    rows = [
        r
        for r in report.rows
        if r.subject == subject
        and r.method == method
        and r.versus == versus
        and r.group == "all"
        and r.metric.startswith("tpr at")
        and (r.threat == "naive") == naive
    ]
    measured = [r for r in rows if r.status == "measured"]
    return measured[0] if measured else (rows[0] if rows else None)


def strongest(report: Report, subject: str) -> str:
    """Return the spelling of the attack that was chosen for a subject on the references."""
    chosen: dict[str, str] = dict(report.facts.get("strongest", {}))
    if subject in chosen:
        return chosen[subject]
    methods = [
        r.method
        for r in report.rows
        if r.subject == subject and r.metric == "auc" and r.group == "all"
    ]
    return methods[0] if methods else ""


def best_rows(report: Report, subject: str) -> dict[str, Measurement | None]:
    """Return the rows of the main table for one subject."""
    method = strongest(report, subject)
    return {
        "kept": find(report, subject, "kept weights"),
        "train": find(report, subject, "train accuracy"),
        "test": find(report, subject, "test accuracy"),
        "others": find(report, subject, "accuracy on non-members"),
        "gap": find(report, subject, "accuracy gap"),
        "auc": find(report, subject, "auc", method=method),
        "balanced": find(report, subject, "balanced accuracy", method=method),
        "tpr": tpr_row(report, subject, method),
    }


def is_given(report: Report) -> bool:
    """Return whether the model under audit was handed over, so that nobody saw its training."""
    baseline = str(report.facts.get("baseline", ""))
    return dict(report.facts.get("subjects", {}).get(baseline, {})).get("kind") == "given"


def chosen_on(report: Report, subject: str) -> str:
    """Return on what a subject's attack was chosen: `references` unless the report says else."""
    return str(dict(report.facts.get("chosen_on", {})).get(subject, "references"))


def consequences(report: Report, subject: str) -> dict[str, Measurement | None]:
    """Return what the strongest attack's scores amount to, for one subject.

    Keys: `fpr`, `precision 1%` and so on, `bound`, `estimate`, `divergence`, `accuracy`, `exposed`,
    and `accounted`, the epsilon that the training promises, which is of no attack; None where the
    report has no such row.
    """
    method = strongest(report, subject)
    own = [r for r in report.rows if r.subject == subject and r.method == method and not r.versus]
    own = [r for r in own if r.group == "all" and r.threat != "naive"]

    def first(start: str, end: str = "") -> Measurement | None:
        fits = (r for r in own if r.metric.startswith(start) and r.metric.endswith(end))
        return next(fits, None)

    priors = {f"precision {prior}": first(f"precision at {prior}") for prior in PRIORS}
    bounds = [r for r in own if r.metric.startswith("epsilon at") and "fit" not in r.metric]
    promised = (
        r for r in report.rows if r.subject == subject and r.metric.startswith("accounted epsilon")
    )
    return {
        "fpr": first("false-positive rate"),
        **priors,
        "bound": bounds[0] if bounds else None,
        "estimate": first("epsilon at", "gdp fit"),
        "divergence": first("jensen-shannon"),
        "accuracy": first("reachable accuracy"),
        "exposed": first("balanced accuracy of the"),
        "accounted": next(promised, None),
    }


def short(method: str) -> str:
    """Return an attack's name with the parameters that tell it from its kin.

    Example:
        >>> short("LiRA(mode='offline', variance='shrunk', weight=8.0, centre='mean')")
        'LiRA offline, shrunk'
        >>> short("RMIA(mode='online', temperature=4.0, gamma=1.0)")
        'RMIA online, T=4'
    """
    name, _, rest = method.partition("(")
    wanted = []
    for part in rest.rstrip(")").split(", "):
        key, _, value = part.partition("=")
        if key in ("mode", "variance") and value:
            wanted.append(value.strip("'"))
        elif key == "temperature" and value:
            wanted.append(f"T={value.removesuffix('.0')}")
    return f"{name} {', '.join(wanted)}" if wanted else name


def series_of(report: Report, kind: str) -> list[Series]:
    """Return the series of one kind."""
    return [s for s in report.series if s.kind == kind]
