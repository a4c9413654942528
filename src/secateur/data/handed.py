"""Members and non-members as people have them: arrays, a torch Dataset, a table, or Records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.handed_datasets import is_hugging_face, read_columns
from secateur.data.handed_labels import looked_up, numbered, plain_labels
from secateur.data.handed_tables import Column, encoded, is_table
from secateur.data.twins import content_keys
from secateur.errors import DataError, InputError
from secateur.types import ArraySource, ByteSource, Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Handed", "array_of", "as_records", "handed_over"]

LOOKED_AT_TWICE = 4
SHOWN = 5


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


def handed_over(members: object, non_members: object, *, label: str | None = None) -> Handed:
    """Put what a caller hands over as members and non-members into one set of records.

    Args:
        members: what the model was trained on: Records, a pair (inputs, labels), a torch Dataset
            of such pairs, a Hugging Face Dataset, or a pandas table with its labels in the column
            `label`.
        non_members: of the same kind, never seen by the model.
        label: the name of that column.

    Raises:
        DataError: sides of different shapes or kinds; a record on both of them; inputs that change
            from one look to the next.

    Example:
        >>> x, y = np.eye(4), np.array([0, 1, 0, 1])
        >>> handed_over((x[:2], y[:2]), (x[2:], y[2:])).inside.tolist()
        [True, True, False, False]
    """
    sides = [_side("members", members, label), _side("non_members", non_members, label)]
    inside = np.repeat([True, False], [len(s.labels) for s in sides])
    columns: tuple[Column, ...] = ()
    if is_table(sides[0].inputs) or is_table(sides[1].inputs):
        inputs, columns = encoded([s.inputs for s in sides])
    else:
        inputs = _stacked([np.asarray(s.inputs) for s in sides])
    labels = np.concatenate([plain_labels(s.labels) for s in sides])
    _refuse_both(inputs, labels, inside)
    return Handed(
        inputs=inputs,
        labels=labels,
        inside=inside,
        columns=columns,
        **_of_records([s.records for s in sides]),
    )


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


def _side(what: str, value: object, label: str | None) -> _Side:
    """Return one side's inputs and labels; the message says what would be taken."""
    if isinstance(value, Records):
        return _Side(inputs=value.gather(np.arange(len(value))), labels=value.labels, records=value)
    if is_table(value):
        return _table_side(what, value, label)
    if is_hugging_face(value):
        found = read_columns(what, value, label=label)
        return _checked(what, found.inputs, found.labels)
    if label is not None:
        raise InputError(f"label={label!r} names a column, but {what} is {_kind(value)}, no table")
    if isinstance(value, tuple | list) and len(value) == 2:
        inputs, labels = (v if is_table(v) else array_of(v) for v in value)
        return _checked(what, inputs, np.asarray(labels))
    if hasattr(value, "__getitem__") and hasattr(value, "__len__") and not _is_array(value):
        return _dataset_side(what, value)
    raise InputError(
        f"{what} must be Records, a pair (inputs, labels), a torch or Hugging Face Dataset, or "
        f"a pandas table with label='its column', got {_kind(value)}"
        + ("; of a DataLoader give its dataset" if hasattr(value, "dataset") else "")
    )


def _kind(value: object) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")


def _is_array(value: object) -> bool:
    return isinstance(value, str | bytes | dict | np.ndarray) or hasattr(value, "detach")


def array_of(value: Any) -> NDArray[Any]:
    """Return a tensor, list or array as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def _table_side(what: str, table: Any, label: str | None) -> _Side:
    if label is None:
        raise InputError(
            f"{what} is a table; say which column holds the true classes, such as "
            f"label={str(table.columns[-1])!r}"
        )
    if label not in table.columns:
        names = ", ".join(map(str, list(table.columns)[:12]))
        raise InputError(f"{what} has no column {label!r}; it has {names}")
    return _checked(what, table.drop(columns=[label]), np.asarray(table[label]))


def _checked(what: str, inputs: Any, labels: NDArray[Any]) -> _Side:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"{what}: labels must be one class per record, got the shape {labels.shape}; of "
            "one-hot labels give labels.argmax(1)"
        )
    if len(inputs) != len(labels):
        raise DataError(f"{what} has {len(inputs)} inputs, but {len(labels)} labels")
    if not len(labels):
        raise DataError(f"{what} is empty: an audit needs members and non-members")
    return _Side(inputs=inputs, labels=labels)


def _dataset_side(what: str, dataset: Any) -> _Side:
    n = len(dataset)
    if not n:
        raise DataError(f"{what} is empty: an audit needs members and non-members")
    items = [_item(what, dataset[i], i) for i in range(n)]
    for i in range(min(n, LOOKED_AT_TWICE)):
        if not np.array_equal(items[i][0], _item(what, dataset[i], i)[0]):
            raise DataError(
                f"{what} gives record {i} differently each time it is read: its transform is "
                "random; give the Dataset with the transform of evaluation"
            )
    shapes = {inputs.shape for inputs, _ in items}
    if len(shapes) > 1:
        raise DataError(f"{what} has inputs of different shapes: {sorted(shapes)[:SHOWN]}")
    return _checked(what, np.stack([x for x, _ in items]), np.array([y for _, y in items]))


def _item(what: str, item: Any, index: int) -> tuple[NDArray[Any], Any]:
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise InputError(
            f"{what}: a Dataset must give pairs (input, label), item {index} is {_kind(item)}"
        )
    inputs, label = array_of(item[0]), array_of(item[1])
    if inputs.dtype.kind not in "fiub" or not hasattr(item[0], "shape"):
        raise InputError(
            f"{what}: the input of item {index} is {_kind(item[0])}; give the Dataset a transform "
            "that makes the tensors that the model takes"
        )
    if label.size != 1:
        raise DataError(f"{what}: the label of item {index} is no single class: {label.shape}")
    return inputs, label.reshape(-1)[0]


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    first, second = parts
    for what, part in zip(("members", "non_members"), parts, strict=True):
        if part.dtype.kind not in "fiub":
            raise DataError(
                f"the inputs of {what} are of type {part.dtype}; they must be numbers, such as the "
                "model takes"
            )
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


def _of_records(sides: Sequence[Records | None]) -> dict[str, Any]:
    """Return ids, units and groups; units of separate sets are taken for different people."""
    first, second = sides
    if first is None and second is None:
        return {}
    if first is None or second is None:
        raise InputError("give members and non-members both as Records, or neither")
    if set(first.groups) != set(second.groups):
        raise DataError(
            f"members have the groups {sorted(first.groups)}, non-members "
            f"{sorted(second.groups)}; give both the same columns"
        )
    assert first.ids is not None and second.ids is not None  # set by Records
    assert first.units is not None and second.units is not None
    groups = {k: np.concatenate([v, second.groups[k]]) for k, v in first.groups.items()}
    if np.intersect1d(first.ids, second.ids).size:  # numbered apart from each other
        apart = second.units - second.units.min() + first.units.max() + 1
        return {"units": np.concatenate([first.units, apart]), "groups": groups}
    return {
        "ids": np.concatenate([first.ids, second.ids]),
        "units": np.concatenate([first.units, second.units]),
        "groups": groups,
    }


def _refuse_both(inputs: NDArray[Any], labels: NDArray[Any], inside: NDArray[np.bool_]) -> None:
    """Refuse records that stand on both sides, unless the data repeats itself on each side too."""
    flat = np.ascontiguousarray(inputs.reshape(len(inputs), -1), dtype=np.float32)
    places: dict[tuple[bytes, str], int] = {}
    keys = zip((k.tobytes() for k in content_keys(flat)), map(str, labels), strict=True)
    which = np.array([places.setdefault(key, len(places)) for key in keys])
    counts = np.stack([np.bincount(which[s], minlength=len(places)) for s in (inside, ~inside)])
    both = int(counts[0][counts[1] > 0].sum())
    repeated = int(counts[counts > 1].sum())
    if both > 2 * repeated / len(labels) * int(inside.sum()):
        raise DataError(
            f"{both} of {int(inside.sum())} members are also among the {int((~inside).sum())} "
            "non-members, input and label alike; a record is either in the training set or not: "
            "remove them from one of the two"
        )
