"""Markdown tables of the pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["table"]


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(headers)} |", "|" + " --- |" * len(headers)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
