"""Tables of 0 and 1 as text or array: a label, then cells, one record a line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Blocks = Iterable[list[bytes]]

__all__ = ["Form", "lines_of", "read_bits", "zero_or_one"]

ZERO, COMMA = b"0,"
SHOWN = 20  # characters of a bad cell in a message


@dataclass(frozen=True, kw_only=True)
class Form:
    """The form of a text: on each line a label 1 .. `classes`, then `columns` cells of 0 or 1.

    Without classes there is no label in front, without columns there is nothing but the label. A
    label may stand in double quotes. `what` names the data set in errors.
    """

    what: str
    columns: int = 0
    classes: int = 0

    @cached_property
    def labels(self) -> dict[bytes, int]:
        """The label 0 .. classes - 1 of each way to write it."""
        plain = {b"%d" % (label + 1): label for label in range(self.classes)}
        return plain | {b'"%s"' % text: label for text, label in plain.items()}

    @property
    def n_cells(self) -> int:
        """Cells of a line, the label included."""
        return self.columns + (self.classes > 0)


def lines_of(text: bytes) -> list[list[bytes]]:
    """Return a text that stands in memory as one block of lines.

    Example:
        >>> lines_of(bytes([49, 10, 50, 10]))
        [[b'1', b'2']]
    """
    lines = text.split(b"\n")
    return [lines if lines[-1] else lines[:-1]]


def read_bits(
    where: object, blocks: Blocks, form: Form, *, records: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return cells `[records, columns]` of 0 and 1, and labels `[records]` in 0 .. classes - 1.

    Args:
        where: names the text in errors, such as its path.
        blocks: its lines, some at a time; no more than a block stands in memory beside the result.
        form: what a line holds.
        records: how many lines there must be.

    Raises:
        DataFileError: a line or cell that is not of this form, named by line and column, or another
            number of lines.

    Example:
        >>> form = Form(what="x", columns=2, classes=2)
        >>> read_bits("x", [[b"2,0,1"], [b"1,1,1"]], form, records=2)
        (array([[0, 1],
               [1, 1]], dtype=uint8), array([1, 0]))
    """
    cells = np.empty((records, form.columns), np.uint8)
    labels = np.zeros(records, np.int64)
    n = 0
    for lines in blocks:
        some_cells, some_labels = _parsed(where, n, lines, form)
        kept = min(len(lines), max(0, records - n))  # lines too many are counted only
        cells[n : n + kept] = some_cells[:kept]
        labels[n : n + kept] = some_labels[:kept]
        n += len(lines)
    if n == 0:
        raise DataFileError(f"{where} holds no records")
    if n != records:
        raise DataFileError(f"{where} holds {n} records, the canonical file {records}")
    return cells, labels


def _parsed(
    where: object, before: int, lines: list[bytes], form: Form
) -> tuple[NDArray[np.uint8], list[int]]:
    """Parse a block at once; only where something is wrong, look line by line for what."""
    lines = [line.rstrip(b"\r") for line in lines]
    labels, tails = [0] * len(lines), lines
    if form.classes:
        parts = [line.partition(b",") for line in lines] if form.columns else [(x,) for x in lines]
        labels = [form.labels.get(part[0], -1) for part in parts]
        tails = [part[-1] for part in parts]
    if not form.columns:
        values = np.empty((len(lines), 0), np.uint8)
        good = True
    else:
        width = 2 * form.columns - 1
        good = all(len(tail) == width for tail in tails)
        text = np.frombuffer(b"".join(tails) if good else bytes(width), np.uint8)
        text = text.reshape(-1, width)
        values = text[:, ::2] - np.uint8(ZERO)  # what stands before 0 wraps round to above 1
        good = good and bool((text[:, 1::2] == COMMA).all()) and int(values.max(initial=0)) <= 1
    if good and min(labels, default=0) >= 0:
        return values, labels
    number, problem = next(
        (number, problem)
        for number, line in enumerate(lines, start=before + 1)
        if (problem := _problem(line, form))
    )
    raise DataFileError(f"{where}, line {number}{problem}")


def _problem(line: bytes, form: Form) -> str:
    """Return what is wrong with a line, empty where nothing is."""
    n_cells = line.count(b",") + 1
    if n_cells != form.n_cells:
        return (
            f": {n_cells} columns, expected {form.n_cells}; the file is truncated or not "
            f"{form.what}"
        )
    cells = line.split(b",")
    if form.classes and cells[0] not in form.labels:
        return f", column 1: label {_shown(cells[0])} is not in 1 .. {form.classes}"
    first = int(form.classes > 0)
    for column, cell in enumerate(cells[first:], start=first + 1):
        if cell not in (b"0", b"1"):
            return f", column {column}: {_shown(cell)} is not 0 or 1"
    return ""


def _shown(cell: bytes) -> str:
    return repr(cell.decode("ascii", errors="replace")[:SHOWN])


def zero_or_one(where: object, before: int, block: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a block of rows as bytes when it holds nothing but 0 and 1.

    Args:
        where: names the array in errors.
        before: how many rows came before it.
        block: `[rows, columns]`, of any type of number.

    Raises:
        DataFileError: another value, named by record and column.
    """
    bad = np.argwhere((block != 0) & (block != 1))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        raise DataFileError(
            f"{where}, record {before + row}, column {column}: {block[row, column]} is not 0 or 1"
        )
    return block.astype(np.uint8)
