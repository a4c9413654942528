"""Where the methods that a report names come from: their papers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

from secateur.types import Report

__all__ = ["SOURCE_HEADERS", "source_table"]

SOURCE_HEADERS = ("method", "source")
_NAME = re.compile(r"\b([A-Z]\w*)(?=\()")
_STRINGS = re.compile(r"'[^']*'|\"[^\"]*\"")


def source_table(report: Report) -> list[dict[str, str]]:
    """Return one row per method that ran or was asked for and has a source; keys are
    `SOURCE_HEADERS`, in the order of their names.

    Names are read from the spellings of attacks and steps; a method of yours is not listed.
    """
    known = _known()
    names = {name for text in _spellings(report) for name in _NAME.findall(_STRINGS.sub("", text))}
    names |= {text for text in _spellings(report) if text.isidentifier()}
    sources = {name: known["methods"][name] for name in sorted(names) if name in known["methods"]}
    return [
        dict(zip(SOURCE_HEADERS, (name, known["sources"][key]), strict=True))
        for name, key in sources.items()
    ]


def _spellings(report: Report) -> Iterable[str]:
    yield from dict.fromkeys(r.method for r in report.rows if r.risk == "membership")
    for subject in dict(report.facts.get("subjects", {})).values():
        yield from map(str, subject.get("pipeline", []))


def _known() -> dict[str, Any]:
    """Return the methods' keys and the keys' sources; `python -m tools.sources` writes the file."""
    file = resources.files(__name__).joinpath("sources.json")
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return known
