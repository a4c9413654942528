"""The most exposed records, as a table, or why none is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from secateur.errors import InputError
from secateur.measure import FEWEST_MODELS
from secateur.report.lookup import label, series_of, short
from secateur.types import Report, Series

__all__ = [
    "EXPOSED_HEADERS",
    "Pictures",
    "check_pictures",
    "exposed_ids",
    "exposed_tables",
    "unnamed_words",
]

Pictures = Mapping[int, str]
"""By record id, a picture as a data URI: `data:image/png;base64,...`."""

EXPOSED_HEADERS = (
    "record",
    "class",
    "balanced acc. %",
    "same, chosen on %",
    "found %",
    "models with it",
    "falsely called %",
    "models without it",
)
_URI = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")


def exposed_ids(report: Report) -> list[int]:
    """Return the ids of all named records, once each, in the order of the report."""
    ids = [int(i or 0) for s in series_of(report, "most exposed") for i in s.columns["record"]]
    return list(dict.fromkeys(ids))


def exposed_tables(report: Report) -> list[dict[str, Any]]:
    """Return of each model family its name, attack, note and lines; keys are `EXPOSED_HEADERS`."""
    return [
        {
            "model": label(report, s.subject),
            "attack": short(s.method),
            "note": s.note,
            "lines": _lines(s),
        }
        for s in series_of(report, "most exposed")
    ]


def _lines(series: Series) -> list[dict[str, str]]:
    names = list(series.columns)
    found = []
    for values in zip(*series.columns.values(), strict=True):
        line: dict[str, Any] = dict(zip(names, values, strict=True))
        low, high = 100 * line["low"], 100 * line["high"]
        cells = (
            f"{line['record']:.0f}",
            f"{line['class']:.0f}" if "class" in line else "-",
            f"{100 * line['reported']:.0f}",
            f"{100 * line['chosen']:.0f}",
            f"{100 * line['tpr']:.0f} [{low:.0f}, {high:.0f}]",
            f"{line['models_with_it']:.0f}",
            f"{100 * line['fpr']:.0f}",
            f"{line['models_without_it']:.0f}",
        )
        found.append(dict(zip(EXPOSED_HEADERS, cells, strict=True)))
    return found


def unnamed_words(report: Report) -> str:
    """Say why no record is named; empty where some are."""
    if series_of(report, "most exposed"):
        return ""
    targets = dict(report.facts.get("models", {})).get("targets")
    why = (
        f"Records are chosen on one half of the models and measured on the other, which needs at "
        f"least {FEWEST_MODELS} models under audit; "
    )
    if isinstance(targets, int) and targets < FEWEST_MODELS:
        return (
            f"No record is named. {why}there {'is' if targets == 1 else 'are'} {targets}. Chosen "
            "and measured on the same ones, records look more exposed than they are."
        )
    return (
        f"No record is named. {why}the attack must have thresholds, and the report is of a version "
        "that names records."
    )


def check_pictures(pictures: Pictures | None) -> dict[int, str]:
    """Return the pictures.

    Raises:
        InputError: one is no PNG as a data URI.
    """
    found = dict(pictures or {})
    for record, uri in found.items():
        if not _URI.fullmatch(uri):
            raise InputError(
                f"the picture of record {record} must be data:image/png;base64,..., got "
                f"{uri[:40]!r}"
            )
    return found
