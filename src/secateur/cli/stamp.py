"""When a report was made: the command line says it, since the same audit gives the same rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secateur.types import Report

__all__ = ["stamped"]


def stamped(report: Report) -> Report:
    """Return a report whose context says when it was made: UTC, to the second."""
    from secateur.report.requirements import MADE

    made = datetime.now(UTC).isoformat(timespec="seconds")
    came = report.provenance
    return replace(report, provenance=replace(came, context={**came.context, MADE: made}))
