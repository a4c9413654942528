"""Tables of single records as CSV: no cell is a formula, and a note on keeping lies beside them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.errors import InputError, StoreError
from secateur.store.files import write_bytes

__all__ = [
    "check_record_table",
    "note_beside",
    "record_table",
    "retention_note",
    "text_cell",
    "write_record_table",
]

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


def record_table(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return columns of one length as CSV: a header, then one line a record.

    Args:
        columns: by name; None becomes an empty cell, a text no formula.

    Raises:
        InputError: columns of several lengths.

    Example:
        >>> record_table({"record": [7, 8], "model": ["=a", "b"], "found": [2, None]})
        "record,model,found\\n7,'=a,2\\n8,b,\\n"
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"columns of a table need one length, got {lengths}")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([text_cell(name) for name in columns])
    for line in zip(*columns.values(), strict=True):
        writer.writerow(
            ["" if v is None else text_cell(v) if isinstance(v, str) else v for v in line]
        )
    return buffer.getvalue()


def write_record_table(path: str | Path, text: str, *, title: str) -> str:
    """Write a table of single records, the note on keeping it first; return its SHA-256.

    Args:
        path: of the table; the note lies beside it, as `note_beside` says.
        text: what `record_table` gave.
        title: of the report that it belongs to.

    Raises:
        StoreError: the folder cannot be written.
    """
    path, data = Path(path), text.encode()
    write_bytes(note_beside(path), retention_note(title, path.name).encode())
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def check_record_table(path: str | Path, *, digest: str) -> None:
    """Refuse a table of single records that is not the one that a report names.

    Raises:
        StoreError: it cannot be read, or has another digest.
    """
    try:
        found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    if found != digest:
        raise StoreError(
            f"{path} holds another table (SHA-256 {found[:12]}...) than the report names "
            f"({digest[:12]}...): it was changed, or another audit wrote it; delete it by hand if "
            "it is no longer needed"
        )


def note_beside(path: Path) -> Path:
    """Return where the note on keeping a table lies.

    Example:
        >>> note_beside(Path("risk.csv")).name
        'risk.csv.txt'
    """
    return path.with_name(f"{path.name}.txt")


def retention_note(title: str, name: str) -> str:
    """Return what to know before a file of single records is kept.

    Args:
        title: of the report that the file belongs to.
        name: of the file.
    """
    title = "".join(c if c.isprintable() else " " for c in title)
    return (
        f"{name} holds one line per record of: {title}\n\n"
        "It says of each record how strongly an attacker takes it for a member of the training\n"
        "set, and where that is known whether it was one. Where records are of persons, these are\n"
        "data about persons: who was in the training set can itself be sensitive.\n\n"
        "- Keep it no longer than the question takes for which it was made, and where few can\n"
        "  read it. It does not belong to what is published with a model or a report.\n"
        "- Delete this file, the table, and the scores that it was made of: `secateur clean` with\n"
        "  the report's file removes those beside the report that it names. A page made of the\n"
        "  table is not deleted: delete that by hand.\n"
        "- A single line is a weak statement. The records at the top look more exposed than they\n"
        "  are, since they were picked by the same numbers.\n"
        "- A record that is not found is not thereby out of reach of a stronger attack.\n"
    )
