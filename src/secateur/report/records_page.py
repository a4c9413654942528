"""One self-contained HTML page from a table of single records: same table, same bytes."""

from __future__ import annotations

import csv
import io

from secateur.errors import InputError
from secateur.report.html import environment, script_json

__all__ = ["MOST_RECORDS", "render_records_page"]

MOST_RECORDS = 100_000
SHOWN = 200
ROW_HEIGHT = 30
NAMED = ("record", "model", "attack", "models_asked")
WORDS = (
    "Each line is one record under one model family, as that family's strongest attack judged it: "
    "how many of its models call the record a member, and the mean score; larger is more like a "
    "member.",
    "A single line is a weak statement. Records at the top of a sorted table look more exposed "
    "than they are, since they were picked by the same numbers; and a record that is not found is "
    "not thereby out of reach of a stronger attack.",
    "Where records are of persons, this page is data about persons. Keep it no longer than the "
    "question takes for which it was made.",
)
MEANINGS = {
    "record": "its id, or its number from 0",
    "unit": "whose record it is, as a number: one unit is in or out of a model as a whole",
    "models_asked": "how many models under audit were asked about it",
    "called_member": "how many of those call it a member",
    "mean_score": "of the attack, over the models asked",
    "models_with_it": "how many of the models asked were trained on it",
    "found": "how many of the models trained on it call it a member",
    "mean_score_with_it": "over the models trained on it",
    "models_without_it": "how many of the models asked were not trained on it",
    "falsely_called": "how many of the models not trained on it call it a member",
    "mean_score_without_it": "over the models not trained on it",
    "balanced_accuracy": "(found / models with it + 1 - falsely called / models without it) / 2",
}


def render_records_page(text: str, *, name: str) -> str:
    """Return the page of a table that `records_csv` wrote.

    Args:
        text: CSV with the columns record, model, attack and models_asked; others are shown as
            they are.
        name: of the table, for the title.

    Returns:
        HTML with a table that sorts, filters and scrolls; where scripts are off, the first 200
        records. Columns with one value throughout stand above the table.

    Raises:
        InputError: no such table, a line of another length, no record, or too many.

    Example:
        >>> page = render_records_page("record,model,attack,models_asked\\n<b>,dense,LiRA(),2\\n",
        ...     name="risk.csv")
        >>> "&lt;b&gt;" in page and "<b>" not in page
        True
    """
    headers, lines = _read(text, name)
    same = [i for i in range(len(headers)) if headers[i] in ("model", "attack") and _one(lines, i)]
    kept = [i for i in range(len(headers)) if i not in same]
    rows = [[line[i] for i in kept] for line in lines]
    page = (
        environment()
        .get_template("records.html.j2")
        .render(
            title=f"Risk of single records: {name}",
            headers=[headers[i] for i in kept],
            lines=rows,
            counted=_counted(headers, lines),
            shown=rows[:SHOWN],
            same=[(headers[i], lines[0][i]) for i in same],
            words=WORDS,
            glossary=[(h, MEANINGS[h]) for h in headers if h in MEANINGS],
            data=script_json(rows),
            row_height=ROW_HEIGHT,
        )
    )
    return page + "\n"


SEPARATORS = {";": "semicolons", "\t": "tabs"}


def _counted(headers: list[str], lines: list[list[str]]) -> str:
    """Say how many records there are, and under how many models where they recur.

    Example:
        >>> _counted(["record", "model"], [["7", "a"], ["7", "b"]])
        '1 records under 2 models'
    """
    records, models = (
        len({line[headers.index(name)] for line in lines}) for name in ("record", "model")
    )
    return f"{records:,} records" + (f" under {models:,} models" if models > 1 else "")


def _one(lines: list[list[str]], column: int) -> bool:
    return len({line[column] for line in lines}) == 1


def _read(text: str, name: str) -> tuple[list[str], list[list[str]]]:
    """Return the header and the lines, all of one length, numbers rounded for the eye."""
    text = text.removeprefix("\ufeff")  # a spreadsheet's mark of UTF-8
    try:
        headers, *lines = list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    except csv.Error as error:
        raise InputError(f"{name} is no CSV table: {error}") from error
    for sign, word in SEPARATORS.items():
        if len(headers) == 1 and sign in headers[0]:
            raise InputError(
                f"{name} parts its columns by {word}, as some spreadsheets save it; save it with "
                "commas, or take the table that secateur wrote"
            )
    missing = [column for column in NAMED if column not in headers]
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(missing)}; give a table of single records, as "
            "`secateur report report.json --records risk.csv` writes it"
        )
    if not 0 < len(lines) <= MOST_RECORDS:
        raise InputError(
            f"{name} holds {len(lines)} lines; a page shows 1 to {MOST_RECORDS}: take a part"
        )
    for number, line in enumerate(lines, start=1):
        if len(line) != len(headers):
            raise InputError(
                f"{name}: line {number} has {len(line)} cells, the header has {len(headers)}; "
                "write the table anew"
            )
    scores = [
        i for i, header in enumerate(headers) if header.startswith(("mean_score", "balanced"))
    ]
    for line in lines:
        for i in scores:
            line[i] = _rounded(line[i])
    return headers, lines


def _rounded(cell: str) -> str:
    """Return a score with six digits; what is no number stays."""
    try:
        return f"{float(cell):.6g}" if cell else ""
    except ValueError:
        return cell
