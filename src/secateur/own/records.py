"""Turn what a user's `records()` gives into Records: arrays, a table, a data set of torch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from secateur.data.handed import array_of
from secateur.data.handed_datasets import is_hugging_face, read_columns
from secateur.data.handed_labels import plain_labels
from secateur.data.handed_tables import is_table
from secateur.errors import DataError
from secateur.types import Records

__all__ = ["Parts", "as_parts", "as_records"]

FORMS = (
    "a Records, a pair (inputs, labels) of arrays, a pandas DataFrame with LABEL naming its column "
    "of labels, a Hugging Face Dataset, or a data set with len() whose items are pairs "
    "(input, label)"
)
MOST_VALUES = 100


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Inputs `[records, ...]` and labels as they were given, before anything is refused."""

    inputs: NDArray[Any]
    labels: NDArray[Any]
    units: NDArray[Any] | None = None
    groups: dict[str, NDArray[Any]] = field(default_factory=dict)
    n_classes: int | None = None


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
        DataError: another form, or values that no classifier can learn from; says which.

    Example:
        >>> as_records((np.zeros((4, 2)), [0, 1, 0, 1])).input_shape
        (2,)
    """
    if isinstance(found, Records):
        return found
    parts = as_parts(found, label=label, unit=unit, groups=groups)
    if parts.labels.ndim == 2:
        raise DataError(
            f"labels have the shape {parts.labels.shape}: they look one-hot; give class numbers, "
            "labels.argmax(axis=1)"
        )
    return Records.from_arrays(
        parts.inputs,
        parts.labels,
        n_classes=n_classes or parts.n_classes,
        name=name,
        units=parts.units,
        groups=parts.groups,
    )


def as_parts(
    found: object, *, label: str | None = None, unit: str | None = None, groups: Sequence[str] = ()
) -> Parts:
    """Return inputs and labels as arrays; see `as_records` for the arguments.

    Raises:
        DataError: another form, or items that cannot stand in one array.
    """
    if is_table(found):
        return _of_table(found, label=label, unit=unit, groups=groups)
    if is_hugging_face(found):
        if unit is not None or groups:
            raise DataError(
                "UNIT and GROUPS name columns of a DataFrame; give dataset.to_pandas(), or "
                "Records.from_arrays(inputs, labels, units=..., groups=...)"
            )
        read = read_columns("the data set", found, label=label)
        labels = plain_labels(read.labels)
        if labels.dtype.kind == "U":
            labels = np.unique(labels, return_inverse=True)[1]
        return Parts(inputs=read.inputs, labels=labels, n_classes=len(read.classes) or None)
    if isinstance(found, tuple | list) and len(found) == 2:
        return Parts(inputs=_array(found[0], "inputs"), labels=_array(found[1], "labels"))
    if hasattr(found, "__len__") and hasattr(found, "__getitem__") and not _is_plain(found):
        return _of_items(found)
    raise DataError(f"records() must give {FORMS}; got {_kind(found)}")


def _is_plain(found: object) -> bool:
    return isinstance(found, tuple | list | dict | str | bytes | np.ndarray)


def _kind(found: object) -> str:
    many = isinstance(found, tuple | list | dict)
    size = f" of {len(cast('Any', found))}" if many else ""
    return f"{type(found).__name__}{size}"


def _array(found: Any, what: str) -> NDArray[Any]:
    try:
        array = array_of(found)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{what} cannot stand in one array ({error}); give all records one shape, by padding "
            "or cutting"
        ) from error
    if what == "inputs" and array.dtype.kind not in "iufb":
        raise DataError(
            f"inputs must be numbers, got the type {array.dtype}; encode texts as numbers, or give "
            "a DataFrame with LABEL"
        )
    return array


def _of_items(found: Any) -> Parts:
    """Return the items of a data set, each asked for once, in their order."""
    inputs, labels = [], []
    for i in range(len(found)):
        item = found[i]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise DataError(
                f"item {i} of the data set is a {_kind(item)}, not a pair (input, label); "
                f"records() must give {FORMS}"
            )
        one = item[0]
        if not hasattr(one, "shape"):
            raise DataError(
                f"the input of item {i} is a {type(one).__name__}, not an array; give the data set "
                "a transform that makes arrays, such as torchvision.transforms.ToTensor()"
            )
        inputs.append(_array(one, "inputs"))
        labels.append(_array(item[1], "labels"))
        if inputs[-1].shape != inputs[0].shape:
            raise DataError(
                f"item {i} has the shape {inputs[-1].shape}, item 0 {inputs[0].shape}; give all "
                "records one shape, by padding or cutting"
            )
    if not inputs:
        raise DataError("the data set has no items (len() is 0); give at least one")
    return Parts(inputs=np.stack(inputs), labels=np.stack(labels))


def _of_table(found: Any, *, label: str | None, unit: str | None, groups: Sequence[str]) -> Parts:
    """Return a DataFrame's columns: label, unit and groups by name, all others as inputs."""
    columns = [str(c) for c in found.columns]
    if label is None:
        raise DataError(
            f'a DataFrame needs LABEL = "column" beside records(); its columns are '
            f"{', '.join(columns[:20])}"
        )
    for what, column in (
        ("LABEL", label),
        *((("UNIT", unit),) if unit else ()),
        *(("GROUPS", group) for group in groups),
    ):
        if columns.count(column) != 1:
            raise DataError(
                f"{what} names the column {column!r}, which is there {columns.count(column)} "
                f"times; the columns are {', '.join(columns[:20])}"
            )
    held = {name: found.iloc[:, i] for i, name in enumerate(columns)}
    inputs = [_column(name, s) for name, s in held.items() if name not in (label, unit)]
    if not inputs:
        raise DataError(f"beside {label!r} the table has no column to learn from; give more")
    labels = held[label].to_numpy()
    if labels.dtype.kind not in "iufb":
        labels = np.unique(labels.astype(str), return_inverse=True)[1]
    elif labels.dtype.kind == "b":
        labels = labels.astype(np.int64)
    return Parts(
        inputs=np.concatenate(inputs, axis=1),
        labels=labels,
        units=None if unit is None else _as_names(held[unit].to_numpy()),
        groups={name: held[name].to_numpy().astype(str) for name in groups},
    )


def _as_names(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype.kind in "iu" else values.astype(str)


def _column(name: str, series: Any) -> NDArray[np.float32]:
    """Return one column as inputs `[records, 1]`, or `[records, values]` where it holds texts."""
    values = series.to_numpy()
    missing = int(series.isna().sum())
    if missing:
        raise DataError(
            f"{missing} of {len(values)} values of the column {name!r} are missing; fill or drop "
            "them in records()"
        )
    if values.dtype.kind in "iufb":
        return np.asarray(values, dtype=np.float32)[:, None]
    if values.dtype.kind not in "OUST" or any(not isinstance(v, str) for v in values.tolist()):
        raise DataError(
            f"the column {name!r} holds {values.dtype}; turn it into numbers or texts in records()"
        )
    distinct, which = np.unique(values.astype(str), return_inverse=True)
    if len(distinct) > MOST_VALUES:
        raise DataError(
            f"the column {name!r} holds {len(distinct)} different texts, more than {MOST_VALUES}; "
            "drop it, or put its values into fewer groups"
        )
    return np.eye(len(distinct), dtype=np.float32)[which]
