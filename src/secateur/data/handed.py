"""Members and non-members as people have them: arrays, a torch Dataset, a table, or Records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.handed_both import of_records, of_units, refuse_both
from secateur.data.handed_datasets import is_hugging_face, is_splits
from secateur.data.handed_forms import (
    Named,
    Raw,
    array_of,
    label_shape,
    lengths,
    read_raw,
    refuse,
)
from secateur.data.handed_labels import looked_up, numbered, plain_labels
from secateur.data.handed_tables import Column, is_table, places
from secateur.errors import DataError, InputError
from secateur.types import ArraySource, ByteSource, Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Handed", "Whole", "as_records", "handed_over", "whole_of"]

FORMS = (
    "be Records, a pair (inputs, labels), a torch or Hugging Face Dataset, or a pandas table with "
    "label='its column'"
)
LOOKED_AT_TWICE = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Handed:
    """Records of both kinds, one after the other, with labels as the caller wrote them.

    `columns` says how a table's columns became numbers; empty where the inputs were arrays.
    `ids`, `units` and `groups` are those of Records, where both sides were such.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]
    inside: NDArray[np.bool_]
    columns: tuple[Column, ...] = ()
    ids: NDArray[np.int64] | None = None
    units: NDArray[np.int64] | None = None
    groups: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Side:
    inputs: Any
    labels: NDArray[Any]
    records: Records | None = None
    units: NDArray[Any] | None = None

    def take(self, indices: NDArray[Any]) -> _Side:
        table = is_table(self.inputs)
        return _Side(
            inputs=self.inputs.iloc[indices] if table else self.inputs[indices],
            labels=self.labels[indices],
            units=None if self.units is None else self.units[indices],
        )


def handed_over(
    members: object, non_members: object, *, label: str | None = None, unit: str | None = None
) -> Handed:
    """Put what a caller hands over as members and non-members into one set of records.

    Args:
        members: what the model was trained on: Records, a pair (inputs, labels), a torch Dataset
            of such pairs, a Hugging Face Dataset, or a pandas table with its labels in the column
            `label`.
        non_members: of the same kind, never seen by the model.
        label: the name of that column.
        unit: the name of the column that says whose record a row is; it is no input.

    Raises:
        DataError: sides of different shapes or kinds; a record or unit on both of them; inputs
            that change from one look to the next.

    Example:
        >>> x, y = np.eye(4), np.array([0, 1, 0, 1])
        >>> handed_over((x[:2], y[:2]), (x[2:], y[2:])).inside.tolist()
        [True, True, False, False]
    """
    named = Named(label=label, unit=unit)
    sides = (_side("members", members, named), _side("non_members", non_members, named))
    return _together(sides, unit)


def _together(sides: tuple[_Side, _Side], unit: str | None) -> Handed:
    """Return members and non-members, one after the other."""
    inside = np.repeat([True, False], [len(s.labels) for s in sides])
    columns: tuple[Column, ...] = ()
    if is_table(sides[0].inputs) or is_table(sides[1].inputs):
        inputs, columns = _encoded([s.inputs for s in sides])
    else:
        inputs = _stacked([np.asarray(s.inputs) for s in sides])
    labels = np.concatenate([plain_labels(s.labels) for s in sides])
    refuse_both(inputs, labels, inside)
    return Handed(
        inputs=inputs,
        labels=labels,
        inside=inside,
        columns=columns,
        **(of_records([s.records for s in sides]) | of_units([s.units for s in sides], unit)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Whole:
    """All records that a caller hands over at once, of which indices then speak."""

    side: _Side
    unit: str | None

    def __len__(self) -> int:
        return len(self.side.labels)

    def split(self, members: NDArray[Any], non_members: NDArray[Any]) -> Handed:
        """Return the records at these indices, as `handed_over` returns both sides.

        Raises:
            DataError: a record or unit on both of them.
        """
        inside, outside = (self.side.take(np.unique(i)) for i in (members, non_members))
        return _together((inside, outside), self.unit)


def whole_of(records: object, *, label: str | None = None, unit: str | None = None) -> Whole:
    """Read all records that a caller hands over, in any form in which members are taken.

    Args:
        records: a pair (inputs, labels), a torch or Hugging Face Dataset, or a pandas table with
            its labels in the column `label`.
        label: the name of that column.
        unit: the name of the column that says whose record a row is; it is no input.

    Raises:
        InputError: another form; says which would be taken.
        DataError: lengths that disagree, missing values.

    Example:
        >>> whole = whole_of((np.eye(4), np.array([0, 1, 0, 1])))
        >>> whole.split(np.array([0, 2]), np.array([1, 3])).labels.tolist()
        [0, 0, 1, 1]
    """
    return Whole(side=_side("records", records, Named(label=label, unit=unit)), unit=unit)


def as_records(
    handed: Handed, *, n_classes: int, classes: Sequence[Any] | None = None, name: str = "records"
) -> Records:
    """Return records with labels 0 .. n_classes - 1.

    Args:
        handed: what was handed over.
        n_classes: of the model.
        classes: the model's own names of its classes, in order; by default labels are numbers.
        name: what the report calls the data.

    Raises:
        DataError: a label that the model does not know, labels that are no whole numbers.
    """
    labels = numbered(handed.labels) if classes is None else looked_up(handed.labels, classes)
    inputs = handed.inputs
    # bytes stay the numbers that they are, in a quarter of the memory
    source: Any = (
        ByteSource(values=inputs, scale=1.0)
        if inputs.dtype == np.uint8 and inputs.ndim > 1
        else ArraySource(values=inputs)
    )
    return Records(
        source=source,
        labels=labels,
        n_classes=n_classes,
        name=name,
        ids=handed.ids,
        units=handed.units,
        groups=handed.groups,
    )


def _side(what: str, value: object, named: Named) -> _Side:
    """Return one side's inputs and labels; the message says what would be taken."""
    if isinstance(value, Records):
        return _Side(inputs=value.gather(np.arange(len(value))), labels=value.labels, records=value)
    for word, name in named.columns():
        if not (is_table(value) or is_hugging_face(value) or is_splits(value)):
            kind = type(value).__name__
            raise InputError(f"{word}={name!r} names a column, but {what} is {kind}, no table")
    raw = read_raw(value, what=what, forms=FORMS, named=named)
    if raw.labels.ndim == 2 and raw.labels.shape[1] == 1:
        raw = replace(raw, labels=raw.labels[:, 0])
    if not len(raw.inputs):
        raise DataError(f"{what} is empty: an audit needs members and non-members")
    refuse(what, label_shape(raw), lengths(raw))
    if raw.form == "items":
        _refuse_changing(what, value, raw)
    return _Side(inputs=raw.inputs, labels=raw.labels, units=raw.units)


def _refuse_changing(what: str, dataset: Any, raw: Raw) -> None:
    """Refuse a data set that gives other inputs when it is asked once more."""
    for i, first in enumerate(raw.inputs[:LOOKED_AT_TWICE]):
        if not np.array_equal(first, array_of(dataset[i][0]), equal_nan=True):
            raise DataError(
                f"{what} gives record {i} differently each time it is read: its transform is "
                "random; give the Dataset with the transform of evaluation"
            )


def _encoded(tables: Sequence[Any]) -> tuple[NDArray[np.float32], tuple[Column, ...]]:
    """Return both sides' tables as numbers below each other, and what undoes it."""
    if not all(map(is_table, tables)):
        raise InputError("give members and non-members both as tables, or neither")
    names, others = (list(table.columns) for table in tables)
    if names != others:
        apart = sorted(map(str, set(names) ^ set(others)))
        raise DataError(
            f"members and non-members have different columns, or in another order: "
            f"{', '.join(apart[:8]) or 'the order'}; prepare both in the same way"
        )
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"columns of one name: {', '.join(twice[:8])}; rename all but one of them")
    numbers, columns = places(tables)
    for column in columns:
        if column.missing:
            raise DataError(
                f"column {column.name!r} has {column.missing} missing values; remove or impute "
                "them before the audit"
            )
    return numbers.astype(np.float32), columns


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    first, second = parts
    if first.shape[1:] != second.shape[1:]:
        raise DataError(
            f"members have inputs of shape {first.shape[1:]}, non-members of {second.shape[1:]}; "
            "prepare both in the same way"
        )
    if first.dtype != second.dtype and np.uint8 in (first.dtype, second.dtype):
        raise DataError(
            f"members have inputs of type {first.dtype}, non-members of {second.dtype}; prepare "
            "both in the same way"
        )
    return np.concatenate(parts)
