"""Of which subjects of a report a policy's pattern speaks."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from secateur.report.lookup import subjects
from secateur.spelling import did_you_mean

if TYPE_CHECKING:
    from secateur.types import Report

__all__ = ["named", "no_such", "released"]


def released(report: Report, pattern: str) -> list[str]:
    """Return the subjects that a pattern names; early-stopped views only by their whole name."""
    kinds = dict(report.facts.get("subjects", {}))
    return [
        name
        for name in subjects(report)
        if name == pattern
        or (fnmatchcase(name, pattern) and dict(kinds.get(name, {})).get("kind") != "stopped")
    ]


def no_such(report: Report, pattern: str) -> str:
    """Say that a pattern names no subject of a report, and which there are."""
    there = released(report, "*")
    near = did_you_mean(pattern, there)
    return f"the report has no such subject; {near}there are {', '.join(there) or 'none'}"


def named(names: Sequence[str]) -> str:
    """Return names in a row, each in quotes.

    Example:
        >>> named(["given", "dense"])
        '`given`, `dense`'
    """
    return ", ".join(f"`{name}`" for name in names) or "none"
