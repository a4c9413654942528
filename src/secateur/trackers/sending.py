"""What of a report is sent, whichever tracker it goes to: rows, settings, files; no record."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from secateur import store
from secateur.errors import InputError, MissingExtraError, StoreError
from secateur.report import html
from secateur.report.lookup import label, short, strongest, subjects
from secateur.types import Measurement, Report

__all__ = ["Sent", "Tracker", "needed", "refused", "sent", "track", "unless_set"]

LONGEST = 250
ENDS = ("", "/low", "/high")
WORDS = {  # the longer signs first
    "<=": "at most",
    ">=": "at least",
    "<": "below",
    ">": "above",
    "+": "plus",
    "%": "percent",
}
UNKNOWN = re.compile(r"[^A-Za-z0-9_\-./ ]+")


class Tracker(Protocol):
    """Where reports go; a frozen dataclass whose repr is its spelling everywhere."""

    def ready(self) -> None:
        """Refuse a tracker whose package is not installed, before anything is computed."""
        ...

    def __call__(self, report: Report) -> str:
        """Send the report and return where it lies."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a tracker gets of a report."""

    title: str
    digest: str
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Mapping[str, str]


def track(report: Report, tracker: Tracker) -> str:
    """Send a report to an experiment tracker.

    Args:
        report: of an audit.
        tracker: `MLflow`, `TensorBoard`, `WandB`, or any callable that takes a report.

    Returns:
        Where it lies: the run, or the folder.

    Raises:
        InputError: the first is no report.
        MissingExtraError: the tracker's package is not installed.
        StoreError: the tracker did not take it.

    Example:
        >>> track(Report(title="Audit", rows=()), lambda report: f"sent: {report.title}")
        'sent: Audit'
    """
    if not isinstance(report, Report):
        raise InputError(
            f"a tracker takes a Report, got {type(report).__name__}; read one with "
            "secateur.read_report(FILE)"
        )
    return tracker(report)


def sent(report: Report, *, page: bool, every_row: bool) -> Sent:
    """Return what is sent of a report.

    Args:
        report: of an audit. It holds no value of a single record; files beside it are not read.
        page: send the HTML page too.
        every_row: send the rows of all attacks and groups, else those of each subject's strongest
            attack, of its accuracy, size and cost.

    Returns:
        `metrics`: per row with a value `subject/attack/metric`, and the ends of its interval with
        `/low` and `/high` behind it; where two rows had one name, the later gets a number.
        `settings`: data set, sizes, command, other names of subjects, and each control's status.
        `files`: `report.json` and, with `page`, `report.html`.

    Raises:
        MissingExtraError: `page` without the extra `report`.

    Example:
        >>> row = Measurement(
        ...     subject="dense", risk="membership", method="LiRA()", metric="auc", value=0.5)
        >>> report = Report(title="Audit", rows=(row,))
        >>> dict(sent(report, page=False, every_row=False).metrics)
        {'dense/LiRA/auc': 0.5}
    """
    files = {"report.json": store.report_text(report)}
    if page:
        files["report.html"] = html.render(report)
    return Sent(
        title=report.title,
        digest=str(json.loads(files["report.json"])["digest"]),
        settings=_settings(report),
        metrics=_metrics(report, every_row=every_row),
        files=files,
    )


def needed(package: str, extra: str) -> None:
    """Refuse to go on without a package.

    Raises:
        MissingExtraError: it is not installed; names the extra.

    Example:
        >>> needed("json", "json")
    """
    if find_spec(package) is None:
        raise MissingExtraError(
            f"this tracker needs the package {package}, which is not installed; "
            f"pip install 'secateur[{extra}]'"
        )


@contextmanager
def unless_set(**names: str) -> Iterator[None]:
    """Set names of the environment that the user did not set, and forget them afterwards.

    The libraries read these only there, when they are imported or when they send.

    Example:
        >>> with unless_set(SECATEUR_EXAMPLE="1"):
        ...     os.environ["SECATEUR_EXAMPLE"]
        '1'
        >>> "SECATEUR_EXAMPLE" in os.environ
        False
    """
    own = {name: value for name, value in names.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)


def refused(tracker: Callable[[Report], str], error: Exception) -> StoreError:
    """Return the error of a tracker that did not take a report."""
    said = " ".join(str(error).split())[:500] or type(error).__name__
    return StoreError(f"{tracker!r} did not take the report: {said}")


def _settings(report: Report) -> dict[str, str]:
    facts = report.facts
    known = {f"data {k}": v for k, v in dict(facts.get("data", {})).items()}
    known |= dict(facts.get("models", {}))
    known |= {f"pool {k}": v for k, v in dict(facts.get("pools", {})).items()}
    known |= {k: facts[k] for k in ("command", "seed", "queries", "baseline") if k in facts}
    called = {s: label(report, s) for s in subjects(report)}
    known |= {f"name of {s}": said for s, said in called.items() if said != s}
    known |= {f"strongest attack on {s}": strongest(report, s) for s in subjects(report)}
    for control in report.controls:
        known[f"control {control.id}, {control.subject}"] = control.status
    found: dict[str, str] = {}
    for name, value in known.items():
        found[_free(_name(name), found)] = str(value)
    return found


def _metrics(report: Report, *, every_row: bool) -> dict[str, float]:
    best = {s: strongest(report, s) for s in subjects(report)}
    found: dict[str, float] = {}
    for row in report.rows:
        own = row.risk != "membership" or row.method == best[row.subject]
        if row.value is None or not (every_row or (own and row.group == "all")):
            continue
        name = _row_name(row)
        if name in found:  # methods that `short` does not tell apart
            name = _name(f"{name} of {row.method}")
        name = _free(name, found)
        ends = {f"{name}/low": row.low, f"{name}/high": row.high}
        found[name] = row.value
        found |= {k: v for k, v in ends.items() if v is not None}
    return found


def _row_name(row: Measurement) -> str:
    who = short(row.method) if row.risk == "membership" else row.risk
    parts = [row.subject, who, row.metric]
    if row.group != "all":
        parts.append(f"in {row.group}")
    if row.versus:
        parts.append(f"minus {row.versus}")
    if row.threat == "naive":
        parts.append("naive attacker")
    return _name("/".join(part.replace("/", " ") for part in parts))


def _name(text: str) -> str:
    """Return a name that every tracker takes: some read it as a path."""
    for sign, word in WORDS.items():
        text = text.replace(sign, f" {word} ")
    plain = " ".join(UNKNOWN.sub(" ", text).split())
    parts = [part.strip() for part in plain.split("/") if part.strip(" .")]
    return "/".join(parts)[: LONGEST - len(ENDS[-1])].rstrip(" /")


def _free(name: str, taken: Mapping[str, object]) -> str:
    """Return the name, with a number behind it where it or one of its ends is taken."""
    free, number = name, 1
    while any(free + end in taken for end in ENDS):
        number += 1
        more = f" {number}"
        free = name[: LONGEST - len(ENDS[-1]) - len(more)].rstrip(" /") + more
    return free
