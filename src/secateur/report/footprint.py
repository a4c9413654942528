"""The report's table of what is shipped: accuracy, leak, bytes, multiply-adds, speed."""

from __future__ import annotations

from secateur.report.lookup import best_rows, find, label, subjects
from secateur.report.table import cell
from secateur.types import Measurement, Report

__all__ = [
    "FOOTPRINT_HEADERS",
    "SIZE_HEADERS",
    "SPEED_HEADERS",
    "footprint_table",
    "is_known",
    "is_timed",
]

FOOTPRINT_HEADERS = (
    "model",
    "test acc. %",
    "AUC",
    "file",
    "bytes",
    "parameters",
    "not zero",
    "multiply-adds",
    "without zeros",
    "ms, 1 record",
    "speed-up",
    "ms, 32 records",
    "speed-up, 32",
    "all threads",
    "peak MB",
    "SHA-256",
)
SPEED_HEADERS = ("model", *FOOTPRINT_HEADERS[9:15])
"""The columns of times and memory, where they stand in a table of their own."""
SIZE_HEADERS = (*FOOTPRINT_HEADERS[:9], FOOTPRINT_HEADERS[15])
"""The other columns."""


def footprint_table(report: Report) -> list[dict[str, str]]:
    """Return one row per model family of which the size is known; keys are `FOOTPRINT_HEADERS`.

    Times and speed-ups are there where the audit measured latency.
    """
    baseline = str(report.facts.get("baseline", ""))
    found = []
    for subject in subjects(report):
        size = find(report, subject, "bytes of the file")
        size = size or find(report, subject, "bytes of all tensors")
        if size is None:
            continue
        work = find(report, subject, "multiply-adds")
        effective = find(report, subject, "effective multiply-adds")
        rows = best_rows(report, subject)
        one, many = (find(report, subject, f"latency, {n}") for n in ("1 record", "32 records"))
        faster, faster_many = (
            find(report, subject, f"speed-up, {n}", versus=baseline)
            for n in ("1 record", "32 records")
        )
        values = (
            label(report, subject),
            cell(rows["test"], percent=True, digits=1),
            cell(rows["auc"]),
            "none, tensors" if size.metric == "bytes of all tensors" else size.method,
            _whole(size),
            f"{size.counts.get('parameters', 0):,.0f}",
            f"{size.counts.get('nonzero', 0):,.0f}",
            _whole(work),
            _whole(effective),
            _time(one),
            _times(faster),
            _time(many),
            _times(faster_many),
            _on_all_threads(report, subject),
            _megabytes(find(report, subject, "peak memory, 1 record")),
            _digest(size),
        )
        found.append(dict(zip(FOOTPRINT_HEADERS, values, strict=True)))
    return found


def is_known(report: Report) -> bool:
    """Tell whether there is more to say than weights: a file, or a time."""
    return is_timed(report) or any(row.metric == "bytes of the file" for row in report.rows)


def is_timed(report: Report) -> bool:
    """Tell whether latency was measured."""
    return any(row.metric.startswith("latency") for row in report.rows)


def _whole(row: Measurement | None) -> str:
    return "-" if row is None or row.value is None else f"{row.value:,.0f}"


def _time(row: Measurement | None) -> str:
    if row is None or row.value is None:
        return "-"
    return f"{row.value:.3g} (p95 {row.counts.get('p95', row.value):.3g})"


def _times(row: Measurement | None) -> str:
    if row is None or row.value is None:
        return "-"
    counts = row.counts
    return f"{row.value:.2f}x [{counts.get('lowest', 0):.2f}, {counts.get('highest', 0):.2f}]"


def _on_all_threads(report: Report, subject: str) -> str:
    """Return the speed-up at one record on all threads, where that is more than one."""
    fits = (
        (row, threads)
        for row in report.rows
        if row.subject == subject
        and row.metric.startswith("speed-up, 1 record, ")
        and (threads := row.metric.rpartition(", ")[2])
    )
    row, threads = next(fits, (None, ""))
    return "-" if row is None else f"{_times(row)}, {threads}"


def _megabytes(row: Measurement | None) -> str:
    return "-" if row is None or row.value is None else f"{row.value / 1e6:.1f}"


def _digest(size: Measurement) -> str:
    digest = size.why.rpartition("SHA-256 ")[2] if "SHA-256" in size.why else ""
    return f"{digest[:12]}..." if digest else "-"
