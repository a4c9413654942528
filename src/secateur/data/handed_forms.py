"""The one reader of records as people have them: a pair of arrays, a table, a data set of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from secateur.data.handed_datasets import (
    is_hugging_face,
    is_splits,
    read_columns,
    refuse_splits,
)
from secateur.data.handed_tables import column_of, is_table, without
from secateur.errors import DataError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Fault", "Named", "Raw", "array_of", "label_shape", "lengths", "read_raw", "refuse"]

NUMBERS = "fiub"


@dataclass(frozen=True, kw_only=True, eq=False)
class Raw:
    """Inputs and labels as they were given, before anything of them is refused.

    `inputs` are numbers `[records, ...]`, or a pandas table of the columns that are learned from;
    `units` and `groups` are columns of a table, by name; `classes` names of the labels'
    numbers, where a data set has them.
    """

    inputs: Any
    labels: NDArray[Any]
    form: Literal["pair", "table", "items", "columns"]
    units: NDArray[Any] | None = None
    groups: dict[str, NDArray[Any]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Named:
    """The columns of a table that a caller names, and what the caller calls that.

    `needed` says how to name the column of labels, where `{}` stands for one; `words` are the
    caller's for label, unit and groups.
    """

    label: str | None = None
    unit: str | None = None
    groups: Sequence[str] = ()
    needed: str = "say which column holds the true classes, such as label={}"
    words: tuple[str, str, str] = ("label", "unit", "groups")

    def columns(self) -> list[tuple[str, str]]:
        """Return the caller's word and the name of each column that is named."""
        label, unit, groups = self.words
        named = [(label, self.label), (unit, self.unit), *((groups, g) for g in self.groups)]
        return [(word, name) for word, name in named if name is not None]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with records that can be read, and how to mend it."""

    what: str
    mend: str


def read_raw(found: object, *, what: str, forms: str, named: Named) -> Raw:
    """Return inputs and labels of any of the forms in which people have records.

    Args:
        found: a pair (inputs, labels) of arrays, tensors or lists, inputs perhaps a table; a pandas
            table; a Hugging Face Dataset; a data set of torch's kind: `len()`, and items that are
            pairs (input, label).
        what: the caller's word for it, with which messages begin.
        forms: what the caller takes, in words behind "must".
        named: the columns of a table that are no input.

    Raises:
        InputError: another form; says which would be taken.
        DataError: a column that is not there, inputs that are no numbers or of several shapes.

    Example:
        >>> pair = ([[1.0], [2.0]], [0, 1])
        >>> read_raw(pair, what="members", forms="be a pair", named=Named()).inputs.shape
        (2, 1)
    """
    if is_table(found):
        return _of_table(found, what, named)
    if isinstance(found, dict) and is_splits(found):
        refuse_splits(what, found)
    if is_hugging_face(found):
        return _of_columns(found, what, named)
    if isinstance(found, tuple | list) and len(found) == 2:
        first, second = found
        inputs = first if is_table(first) else _inputs(first, what)
        return Raw(inputs=inputs, labels=_array(second, f"{what}: labels"), form="pair")
    if hasattr(found, "__getitem__") and hasattr(found, "__len__") and not _is_plain(found):
        return _of_items(found, what, forms)
    raise InputError(
        f"{what} must {forms}; got {_kind(found)}"
        + ("; of a DataLoader give its dataset" if hasattr(found, "dataset") else "")
    )


def refuse(what: str, *faults: Fault | None) -> None:
    """Raise the first of these faults, if there is one.

    Raises:
        DataError: begins with `what`.
    """
    for fault in faults:
        if fault is not None:
            raise DataError(f"{what}: {fault.what}; {fault.mend}")


def label_shape(raw: Raw) -> Fault | None:
    """Find labels with an axis too many."""
    shape = raw.labels.shape
    if len(shape) == 1:
        return None
    if shape[1:] == (1,):
        mend, seen = "give labels[:, 0]", ""
    else:
        mend = "give class numbers: labels.argmax(1)"
        seen = "; they look one-hot" if len(shape) == 2 else ""
    return Fault(
        what=f"labels have the shape {shape}, one class per record is expected{seen}", mend=mend
    )


def lengths(raw: Raw) -> Fault | None:
    """Find another number of labels than of inputs, or none at all."""
    n = len(raw.labels) if raw.labels.ndim else 0
    if len(raw.inputs) != n:
        return Fault(
            what=f"there are {len(raw.inputs)} inputs, but {n} labels",
            mend="give as many labels as inputs",
        )
    return None if n else Fault(what="there are no records", mend="give at least one")


def array_of(value: Any) -> NDArray[Any]:
    """Return a tensor, list or array as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def _is_plain(value: object) -> bool:
    return isinstance(value, tuple | str | bytes | dict | np.ndarray) or hasattr(value, "detach")


def _kind(value: object) -> str:
    shape = getattr(value, "shape", None)
    size = f" of {len(cast('Any', value))}" if isinstance(value, tuple | list | dict) else ""
    return type(value).__name__ + (size if shape is None else f" of shape {tuple(shape)}")


def _array(value: Any, what: str) -> NDArray[Any]:
    try:
        return array_of(value)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{what} cannot stand in one array ({error}); give all records one shape, by padding "
            "or cutting"
        ) from error


def _inputs(value: Any, what: str) -> NDArray[Any]:
    array = _array(value, f"{what}: inputs")
    if array.dtype.kind not in NUMBERS:
        raise DataError(
            f"{what}: inputs are of type {array.dtype}; they must be numbers, such as the network "
            "takes, or columns of a pandas table"
        )
    if not array.ndim:
        raise DataError(f"{what}: inputs are the one number {array}; give an array [records, ...]")
    return array


def _of_items(dataset: Any, what: str, forms: str) -> Raw:
    """Return the items of a data set, each asked for once, in their order."""
    inputs: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    for i in range(len(dataset)):
        item = dataset[i]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise InputError(
                f"{what}: item {i} of the data set is {_kind(item)}, not a pair (input, label); "
                f"{what} must {forms}"
            )
        one = _array(item[0], f"{what}: the input of item {i}")
        if not hasattr(item[0], "shape") or one.dtype.kind not in NUMBERS:
            raise InputError(
                f"{what}: the input of item {i} is {_kind(item[0])}, not an array of numbers; give "
                "the data set a transform that makes the tensors that the network takes, such as "
                "torchvision.transforms.ToTensor()"
            )
        if inputs and one.shape != inputs[0].shape:
            raise DataError(
                f"{what}: item {i} has the shape {one.shape}, item 0 {inputs[0].shape}; give all "
                "records one shape, by padding or cutting"
            )
        inputs.append(one)
        labels.append(_array(item[1], f"{what}: the label of item {i}"))
    if not inputs:
        raise DataError(f"{what} is empty: the data set's len() is 0; give at least one record")
    shapes = sorted({label.shape for label in labels})
    if len(shapes) > 1:
        raise DataError(
            f"{what} has labels of different shapes: {shapes[:5]}; give each record one class"
        )
    return Raw(inputs=np.stack(inputs), labels=np.stack(labels), form="items")


def _of_columns(dataset: Any, what: str, named: Named) -> Raw:
    """Return a Hugging Face Dataset's inputs and labels."""
    _, unit, groups = named.words
    if named.unit is not None or named.groups:
        raise DataError(
            f"{what}: {unit} and {groups} name columns of a table; give dataset.to_pandas(), or "
            "Records.from_arrays(inputs, labels, units=..., groups=...)"
        )
    read = read_columns(what, dataset, label=named.label)
    return Raw(inputs=read.inputs, labels=read.labels, form="columns", classes=read.classes)


def _of_table(table: Any, what: str, named: Named) -> Raw:
    """Return a table's columns: label, unit and groups by name, all but the first two as inputs."""
    columns = [str(c) for c in table.columns]
    shown = ", ".join(columns[:20])
    if named.label is None:
        raise DataError(
            f"{what} is a table; {named.needed.format(repr(''.join(columns[-1:])))}; its columns "
            f"are {shown}"
        )
    for word, name in named.columns():
        if columns.count(name) != 1:
            raise DataError(
                f"{what}: {word} names the column {name!r}, which is there {columns.count(name)} "
                f"times; the columns are {shown}"
            )
    inputs = without(table, [named.label, *([named.unit] if named.unit is not None else [])])
    if not inputs.shape[1]:
        raise DataError(
            f"{what}: beside {named.label!r} the table has no column to learn from; give more"
        )
    for held, column in (("labels", named.label), ("units", named.unit)):
        missing = 0 if column is None else int(column_of(table, column).isna().sum())
        if missing:
            raise DataError(
                f"{what}: {missing} of {len(table)} {held} in the column {column!r} are missing; "
                "leave those records out"
            )
    return Raw(
        inputs=inputs,
        labels=np.asarray(column_of(table, named.label)),
        form="table",
        units=None if named.unit is None else np.asarray(column_of(table, named.unit)),
        groups={name: np.asarray(column_of(table, name)) for name in named.groups},
    )
