"""Turn what a user's `records()` gives into Records: arrays, a table, a data set of torch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.data.handed_forms import Named, Raw, label_shape, lengths, read_raw, refuse
from secateur.data.handed_labels import plain_labels
from secateur.data.handed_tables import Column, is_table, places
from secateur.errors import DataError
from secateur.types import Records

__all__ = ["as_raw", "as_records"]

WHAT = "records()"
FORMS = (
    "give a Records, a pair (inputs, labels) of arrays, a pandas DataFrame with LABEL naming its "
    "column of labels, a Hugging Face Dataset, or a data set with len() whose items are pairs "
    "(input, label)"
)
NEEDED = 'a DataFrame needs LABEL = "column" beside records()'
WORDS = ("LABEL", "UNIT", "GROUPS")
MOST_VALUES = 100


def as_records(
    found: object,
    *,
    label: str | None = None,
    unit: str | None = None,
    groups: Sequence[str] = (),
    n_classes: int | None = None,
    name: str = "records",
) -> Records:
    """Return records from any of the forms in which people have them.

    Args:
        found: a `Records`, a pair (inputs, labels) of arrays or tensors, a pandas DataFrame, a
            Hugging Face Dataset, or a data set of torch's kind: `len()`, and items that are pairs
            (input, label).
        label: of a DataFrame or Hugging Face Dataset, the column of labels; texts are
            numbered in sorted order.
        unit: of a DataFrame, the column that says whose record a row is; it is no input.
        groups: of a DataFrame, columns within which audits measure; they stay inputs.
        n_classes: number of classes; by default the largest label + 1.
        name: what the report calls this data set.

    Returns:
        All records in memory. A column of texts becomes one input of 0 and 1 for each of its
        values, in sorted order; numbers stay as they are, float32.

    Raises:
        DataError: another form, values that no classifier can learn from, or a column or number of
            classes that this form does not read; says which.

    Example:
        >>> as_records((np.zeros((4, 2)), [0, 1, 0, 1])).input_shape
        (2,)
    """
    if isinstance(found, Records):
        named = Named(label=label, unit=unit, groups=groups, words=WORDS).columns()
        said = [w for w, _ in named] + ["CLASSES"] * (n_classes not in (None, found.n_classes))
        if said == ["CLASSES"]:
            raise DataError(
                f"CLASSES = {n_classes}, but {WHAT} gives Records of {found.n_classes} classes; "
                f"say CLASSES = {found.n_classes}"
            )
        if said:
            raise DataError(
                f"{WHAT} gives Records, which hold labels, units, groups and classes themselves "
                f"({found.n_classes} classes here), so {', '.join(dict.fromkeys(said))} is not "
                "read; say it to Records, Records.from_arrays(inputs, labels, units=..., "
                "groups=..., n_classes=...), and delete it"
            )
        return found
    raw = as_raw(found, label=label, unit=unit, groups=groups)
    refuse(WHAT, label_shape(raw), lengths(raw))
    return Records.from_arrays(
        raw.inputs,
        raw.labels,
        n_classes=n_classes or len(raw.classes) or None,
        name=name,
        units=raw.units,
        groups=raw.groups,
    )


def as_raw(
    found: object, *, label: str | None = None, unit: str | None = None, groups: Sequence[str] = ()
) -> Raw:
    """Return inputs and labels as numbers, nothing refused yet; arguments as of `as_records`.

    Raises:
        DataError: another form, items or columns that cannot stand in one array of numbers, or
            columns named beside arrays.
    """
    named = Named(label=label, unit=unit, groups=groups, needed=NEEDED, words=WORDS)
    raw = read_raw(found, what=WHAT, forms=FORMS, named=named)
    if raw.form in ("pair", "items") and named.columns():
        words = ", ".join(dict.fromkeys(word for word, _ in named.columns()))
        raise DataError(
            f"{WHAT} gives arrays, and {words} names a column of a table; give a DataFrame, or "
            "Records.from_arrays(inputs, labels, units=..., groups=...)"
        )
    if is_table(raw.inputs):
        raw = replace(raw, inputs=_spread(*places([raw.inputs])))
    if raw.form == "columns":
        return replace(raw, labels=_numbered(plain_labels(raw.labels)))
    if raw.form != "table":
        return raw
    return replace(
        raw,
        labels=_numbered(raw.labels),
        units=None if raw.units is None else _as_names(raw.units),
        groups={name: values.astype(str) for name, values in raw.groups.items()},
    )


def _numbered(labels: NDArray[Any]) -> NDArray[Any]:
    """Return texts as their places in sorted order, numbers as they are."""
    if labels.dtype.kind == "b":
        return labels.astype(np.int64)
    if labels.dtype.kind in "iuf":
        return labels
    return np.unique(labels.astype(str), return_inverse=True)[1]


def _as_names(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype.kind in "iu" else values.astype(str)


def _spread(numbers: NDArray[np.float64], columns: Sequence[Column]) -> NDArray[np.float32]:
    """Return columns as inputs `[records, ...]`: of texts one input of 0 and 1 for each value."""
    found = []
    for column, values in zip(columns, numbers.T, strict=True):
        name, texts = str(column.name), column.values
        if column.missing:
            raise DataError(
                f"{column.missing} of {len(values)} values of the column {name!r} are missing; "
                "fill or drop them in records()"
            )
        if not all(isinstance(text, str) for text in texts):
            raise DataError(
                f"the column {name!r} holds {column.dtype}; turn it into numbers or texts in "
                "records()"
            )
        if len(texts) > MOST_VALUES:
            raise DataError(
                f"the column {name!r} holds {len(texts)} different texts, more than {MOST_VALUES}; "
                "drop it, or put its values into fewer groups"
            )
        if texts:
            found.append(np.eye(len(texts), dtype=np.float32)[values.astype(np.int64)])
        else:
            found.append(values.astype(np.float32)[:, None])
    return np.concatenate(found, axis=1)
