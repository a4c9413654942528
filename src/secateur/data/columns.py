"""Columns of a user's own beside a data set: whose a record is, and its groups."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np

from secateur.data.bounded import unpacked
from secateur.errors import DataFileError
from secateur.types import Records

__all__ = ["UNIT", "with_columns"]

UNIT = "unit"
"""The name of the column that says whose record it is."""

MOST_BYTES = 2**28
MOST_COLUMNS = 100


def with_columns(records: Records, path: Path) -> Records:
    """Return the records with further columns out of a CSV file.

    Args:
        records: a whole data set.
        path: a CSV file in UTF-8, plain or gzipped: a row of names, then one row per record, in the
            order of the records. The column `unit` says whose record it is; every other one becomes
            a column of groups, and replaces one of the same name.

    Raises:
        DataFileError: not readable, no such table, or another number of rows than records; the
            message names the line.

    Example:
        >>> from secateur.data import digits
        >>> place = getfixture("tmp_path") / "columns.csv"
        >>> _ = place.write_text("unit,site\\n" + "".join(f"{i % 60},a\\n" for i in range(1797)))
        >>> len(np.unique(with_columns(digits(), place).units))
        60
    """
    if not path.is_file():
        raise DataFileError(f"there is no file of columns {path}; check the path")
    try:
        text = unpacked(path, most=MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path} is not UTF-8 text ({error}); save it as CSV, UTF-8") from error
    names, columns = _table(path, text)
    n = len(columns[0])
    if n != len(records):
        raise DataFileError(
            f"{path} has {n} rows below its names, but {records.name} has {len(records)} records; "
            "give one row per record, in the order of the data set"
        )
    found = {name: np.array(column) for name, column in zip(names, columns, strict=True)}
    units = found.pop(UNIT, None)
    groups = {**records.groups, **found}
    return replace(records, groups=groups, units=records.units if units is None else units)


def _table(path: Path, text: str) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if not names or "" in names or len(set(names)) != len(names) or len(names) > MOST_COLUMNS:
            raise DataFileError(
                f"{path}, line 1: the first row must hold 1 to {MOST_COLUMNS} different names, got "
                f"{names[:8]}"
            )
        columns: list[list[str]] = [[] for _ in names]
        for row in reader:
            if len(row) != len(names):
                raise DataFileError(
                    f"{path}, line {reader.line_num}: {len(row)} values for {len(names)} columns"
                )
            for column, value in zip(columns, row, strict=True):
                if not value.strip():
                    raise DataFileError(
                        f"{path}, line {reader.line_num}: an empty value; write a word for what is "
                        "unknown"
                    )
                column.append(value.strip())
    except csv.Error as error:
        raise DataFileError(f"{path}, line {reader.line_num}: {error}") from error
    return names, columns
