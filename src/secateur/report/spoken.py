"""Of which subjects of a report a policy's pattern speaks."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from secateur.report.lookup import label, subjects
from secateur.spelling import did_you_mean

if TYPE_CHECKING:
    from secateur.types import Report

__all__ = ["called", "named", "no_such", "released", "subject_of"]


def released(report: Report, pattern: str) -> list[str]:
    """Return the subjects that a pattern names; early-stopped views only by their whole name.

    Where it is no subject's name it may be what the report's page calls one.
    """
    kinds = dict(report.facts.get("subjects", {}))
    there = {name: label(report, name) for name in subjects(report)}

    def fits(name: str, said: str) -> bool:
        return said == pattern or (
            fnmatchcase(said, pattern) and dict(kinds.get(name, {})).get("kind") != "stopped"
        )

    by_name = [name for name in there if fits(name, name)]
    return by_name or [name for name, said in there.items() if fits(name, said)]


def subject_of(report: Report, name: str) -> str:
    """Return the subject of a name, or of what the report's page calls it; else the name."""
    there = subjects(report)
    return next((s for s in there if name not in there and label(report, s) == name), name)


def no_such(report: Report, pattern: str) -> str:
    """Say that a pattern names no subject of a report, and which there are."""
    there = released(report, "*")
    near = did_you_mean(pattern, [*there, *(label(report, name) for name in there)])
    said = called(report, there, quoted=False)
    return f"the report has no such subject; {near}there are {said}"


def called(report: Report, names: Sequence[str], *, quoted: bool = True) -> str:
    """Return subjects in a row, each with what the report's page calls it where that differs."""
    told = []
    for name in names:
        said = label(report, name)
        also = f" (shown as {said})" if said != name else ""
        told.append((named([name]) if quoted else name) + also)
    return ", ".join(told) or "none"


def named(names: Sequence[str]) -> str:
    """Return names in a row, each in quotes.

    Example:
        >>> named(["given", "dense"])
        '`given`, `dense`'
    """
    return ", ".join(f"`{name}`" for name in names) or "none"
