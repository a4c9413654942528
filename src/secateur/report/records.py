"""Risk of single records as CSV: one line a record, under the strongest attack."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError
from secateur.report.lookup import label, strongest, subjects
from secateur.types import Report, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["COLUMNS", "records_csv", "retention_note", "text_cell"]

COLUMNS = (
    "record",
    "model",
    "attack",
    "models_asked",
    "called_member",
    "mean_score",
    "models_with_it",
    "found",
    "mean_score_with_it",
    "models_without_it",
    "falsely_called",
    "mean_score_without_it",
)
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def text_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with an apostrophe before it.

    Source:
        OWASP, CSV injection.

    Example:
        >>> text_cell("=1+1"), text_cell(" @sum"), text_cell("LiRA()")
        ("'=1+1", "' @sum", 'LiRA()')
    """
    return f"'{text}" if text.lstrip(" ").startswith(DANGEROUS) else text


def records_csv(
    report: Report,
    scores: Mapping[str, Scores],
    *,
    ids: NDArray[Any] | None = None,
    inside: NDArray[np.bool_] | None = None,
) -> str:
    """Return one line per record that the strongest attack judged, in the order of the records.

    Args:
        report: of these scores.
        scores: by attack, `[targets, records]`; larger is more like a member.
        ids: of the records; by default their numbers from 0.
        inside: which target was trained on which record, `[targets, records]`, where known.

    Returns:
        CSV with the header `COLUMNS`: how many models were asked about a record, how many of them
        call it a member (empty where the attack has no threshold), the mean score; the same of
        models with and without it where that is known, else empty.

    Raises:
        InputError: the scores are not of the report's strongest attack, or shapes differ.
    """
    names = subjects(report)
    if len(names) != 1:
        raise InputError(f"scores are of one model family, the report is of {len(names)}")
    method = strongest(report, names[0])
    if method not in scores:
        raise InputError(
            f"the file of scores holds {', '.join(scores) or 'no attack'}, and not {method}, the "
            "strongest attack of the report"
        )
    found = scores[method]
    for what, shape, wanted in (
        ("inside", None if inside is None else inside.shape, found.values.shape),
        ("ids", None if ids is None else ids.shape, found.values.shape[1:]),
    ):
        if shape is not None and shape != wanted:
            raise InputError(f"{what} has the shape {shape}, the scores need {wanted}")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    about = (text_cell(label(report, names[0])), text_cell(method))
    for record, cells in _lines(found, inside):
        writer.writerow([record if ids is None else ids[record], *about, *cells])
    return buffer.getvalue()


def _lines(
    scores: Scores, inside: NDArray[np.bool_] | None
) -> Iterator[tuple[int, list[int | float | str]]]:
    """Yield each judged record with its cells after the names."""
    called = None if scores.threshold is None else scores.values >= scores.threshold[:, None]
    for record in np.flatnonzero(scores.evaluated.any(axis=0)).tolist():
        seen = scores.evaluated[:, record]
        groups = [seen]
        if inside is not None:
            groups += [seen & inside[:, record], seen & ~inside[:, record]]
        cells: list[int | float | str] = []
        for rows in groups:
            n = int(rows.sum())
            cells += [n, "" if called is None else int(called[rows, record].sum())]
            cells.append(float(scores.values[rows, record].mean()) if n else "")
        yield record, cells + [""] * (len(COLUMNS) - 3 - len(cells))


def retention_note(report: Report, name: str) -> str:
    """Return what to know before a file of single records is kept.

    Args:
        report: that the file belongs to.
        name: of the file.
    """
    title = "".join(c if c.isprintable() else " " for c in report.title)
    return (
        f"{name} holds one line per record of: {title}\n\n"
        "It says of each record how strongly an attacker takes it for a member of the training\n"
        "set, and where that is known whether it was one. Where records are of persons, these are\n"
        "data about persons: who was in the training set can itself be sensitive.\n\n"
        "- Keep it no longer than the question takes for which it was made, and where few can\n"
        "  read it. It does not belong to what is published with a model or a report.\n"
        "- Delete this file, the table, and the scores that it was made of: `secateur clean` with\n"
        "  the report's file removes those beside the report.\n"
        "- A single line is a weak statement. The records at the top look more exposed than they\n"
        "  are, since they were picked by the same numbers.\n"
        "- A record that is not found is not thereby out of reach of a stronger attack.\n"
    )
