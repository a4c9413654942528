"""Data sets of Hugging Face's `datasets` as arrays, without importing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from secateur.errors import DataError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Columns", "is_hugging_face", "is_splits", "read_columns", "refuse_splits"]

LABELS = ("label", "labels")
LOOKED_AT_TWICE = 4
SHOWN = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """Inputs `[records, ...]`, labels `[records]`, and the classes' names where they are known."""

    inputs: NDArray[Any]
    labels: NDArray[Any]
    classes: tuple[str, ...] = ()


def is_hugging_face(value: object) -> bool:
    """Tell whether a value is of the package `datasets`, without importing it.

    Example:
        >>> is_hugging_face([1, 2])
        False
    """
    return type(value).__module__.partition(".")[0] == "datasets"


def read_columns(what: str, dataset: Any, *, label: str | None = None) -> Columns:
    """Return a data set's inputs and labels, items as its own transform or format gives them.

    Args:
        what: is read, for the messages.
        dataset: a `datasets.Dataset`: one column of labels, and either one column of pictures,
            sequences or arrays of one shape, or columns of numbers alone.
        label: the column of labels; by default the only ClassLabel, else `label` or `labels`.

    Returns:
        Pictures are `[records, channels, height, width]` in [0, 1] as torchvision's `ToTensor`
        makes them, columns of numbers `[records, columns]` in their order; both float32. Sequences
        and arrays stay as they are.

    Raises:
        InputError: a stream, several splits, or no column that is meant; says what to write.
        DataError: missing values, other shapes, texts, labels of -1, a random transform.
    """
    _refuse_other_forms(what, dataset)
    target = _label_column(what, dataset, label)
    items = [dataset[i] for i in range(len(dataset))]
    rows = [_inputs(what, item, target, i) for i, item in enumerate(items)]
    for i in range(min(len(rows), LOOKED_AT_TWICE)):
        if not np.array_equal(rows[i], _inputs(what, dataset[i], target, i), equal_nan=True):
            raise DataError(
                f"{what} gives record {i} differently each time it is read: its transform is "
                "random; give it the transform of evaluation, dataset.with_transform(...)"
            )
    shapes = sorted({row.shape for row in rows})
    if len(shapes) > 1:
        shown = ", ".join(map(str, shapes[:SHOWN]))
        raise DataError(
            f"{what} has inputs of different shapes: {shown}; pad or cut sequences to one length, "
            "bring pictures to one size and mode"
        )
    feature = dataset.features.get(target)
    return Columns(
        inputs=np.stack(rows),
        labels=_labels(what, [item[target] for item in items], target),
        classes=tuple(getattr(feature, "names", None) or ()),
    )


def is_splits(value: object) -> bool:
    """Tell whether a value is a dictionary of data sets by the names of their splits.

    Example:
        >>> is_splits({"train": 1})
        False
    """
    return isinstance(value, dict) and (
        is_hugging_face(value) or (bool(value) and all(map(is_hugging_face, value.values())))
    )


def refuse_splits(what: str, splits: Mapping[Any, Any]) -> NoReturn:
    """Refuse several data sets in one dictionary.

    Args:
        what: is read, for the message.
        splits: data sets by name.

    Raises:
        InputError: names the splits and says how one is given.
    """
    names = list(splits)
    sizes = [f" ({len(d)} records)" if hasattr(d, "__len__") else "" for d in splits.values()]
    shown = ", ".join(f"{n!r}{size}" for n, size in list(zip(names, sizes, strict=True))[:SHOWN])
    kind = type(splits).__name__
    if not names:
        raise InputError(f"{what} is a {kind} without any split; give a Dataset")
    first = "train" if "train" in names else names[0]
    others = [name for name in ("test", "validation", *names) if name in names and name != first]
    raise InputError(
        f"{what} is a {kind}, whose splits are {shown}; give one of them, such as ds[{first!r}]"
        + (
            f"; where a model was trained on {first!r} alone, an audit takes "
            f"members=ds[{first!r}], non_members=ds[{others[0]!r}]"
            if others
            else ""
        )
    )


def _refuse_other_forms(what: str, dataset: Any) -> None:
    if isinstance(dataset, dict):
        refuse_splits(what, dataset)
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "features"):
        raise InputError(
            f"{what} is a {type(dataset).__name__}, which is read once, in order; load it without "
            "streaming=True"
        )
    if not len(dataset):
        raise DataError(f"{what} is empty: an audit needs members and non-members")


def _label_column(what: str, dataset: Any, label: str | None) -> str:
    columns = [str(name) for name in dataset[0]]
    if label is not None:
        if label not in columns:
            raise InputError(f"{what} has no column {label!r}; it has {', '.join(columns[:SHOWN])}")
        return label
    classes = [
        name
        for name, feature in dataset.features.items()
        if type(feature).__name__ == "ClassLabel" and name in columns
    ]
    found = classes if len(classes) == 1 else [name for name in LABELS if name in columns]
    if len(found) != 1:
        raise InputError(
            f"{what} has the columns {', '.join(columns[:SHOWN])}; say which of them holds the "
            f"true classes, such as label={columns[-1]!r} (in a recipe file LABEL = "
            f"{columns[-1]!r})"
        )
    return found[0]


def _inputs(what: str, item: Any, target: str, index: int) -> NDArray[Any]:
    """Return what a model is given of one item."""
    names = [str(name) for name in item if name != target]
    values = {name: _value(what, item[name], name, index) for name in names}
    large = [name for name, value in values.items() if value.ndim]
    if not values:
        raise InputError(f"{what} has no column beside its labels; give the inputs too")
    if not large:
        return np.array(list(values.values()), dtype=np.float32)
    if len(values) > 1:
        raise InputError(
            f"{what} has the input columns {', '.join(names[:SHOWN])}, and a model is given one "
            f"array; keep one: dataset.select_columns([{large[0]!r}, {target!r}])"
        )
    return values[large[0]]


def _value(what: str, value: Any, name: str, index: int) -> NDArray[Any]:
    if value is None:
        raise DataError(
            f"{what}: item {index} has no value in column {name!r}; remove or impute what is "
            "missing before the audit"
        )
    if hasattr(value, "getbands"):
        return _picture(value)
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "iufb":
        raise DataError(
            f"{what}: column {name!r} holds {type(value).__name__} ({str(value)[:40]!r} in item "
            f"{index}), no numbers of one shape; tokenise texts, drop other columns with "
            f"dataset.remove_columns({name!r})"
        )
    return array


def _picture(value: Any) -> NDArray[np.float32]:
    """Return a picture of Pillow's as `[channels, height, width]` in [0, 1]."""
    pixels = np.asarray(value)
    most = 255.0 if pixels.dtype == np.uint8 else 65535.0 if pixels.dtype == np.uint16 else 1.0
    pixels = pixels.astype(np.float32) / np.float32(most)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _labels(what: str, values: list[Any], name: str) -> NDArray[Any]:
    if any(value is None for value in values):
        missing = sum(value is None for value in values)
        raise DataError(f"{what}: {missing} labels in column {name!r} are missing; remove them")
    found = np.array([np.asarray(value) for value in values])
    if found.dtype.kind in "if" and (found == -1).any():
        raise DataError(
            f"{what}: {int((found == -1).sum())} labels in column {name!r} are -1, as in test "
            "splits whose classes are not published; give a split with labels"
        )
    return found
