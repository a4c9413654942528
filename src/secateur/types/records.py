"""Labelled records of persons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import DataError
from secateur.types.base import IntArray, digest_arrays, frozen, set_fields
from secateur.types.sources import ArraySource, CompactSource, Source

__all__ = ["Records"]


def _check_groups(groups: object) -> None:
    if not isinstance(groups, Mapping):
        raise DataError(
            f"groups must be columns by name, such as {{'site': [...]}}, got "
            f"{type(groups).__name__}"
        )
    if "class" in groups:
        raise DataError(
            "a column of groups is named 'class', which stands for the label; rename it"
        )


def _numbered(units: NDArray[Any]) -> NDArray[Any]:
    """Return units as whole numbers; texts are numbered in sorted order."""
    if units.dtype.kind in "iu":
        return units
    if units.dtype.kind in "US" or (
        units.dtype.kind == "O" and all(isinstance(u, str) for u in units.flat)
    ):
        return np.unique(units.astype(str), return_inverse=True)[1].reshape(units.shape)
    raise DataError(
        f"units must be whole numbers or texts, one per record, got dtype {units.dtype}; a number "
        "with a fraction names nobody"
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Records:
    """Labelled records of persons.

    `units[i]` says whose record i is (default: everyone owns one); `groups` maps a column's name to
    one value per record. Labels are 0 .. n_classes - 1.
    """

    source: Source
    labels: NDArray[np.int64]
    n_classes: int
    name: str = "records"
    ids: NDArray[np.int64] | None = None
    units: NDArray[np.int64] | None = None
    groups: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)  # how to read them again; not digested

    def __post_init__(self) -> None:
        n = self.source.shape[0]
        labels = np.asarray(self.labels)
        if labels.shape != (n,):
            raise DataError(f"labels need the shape ({n},) of the inputs, got {labels.shape}")
        if labels.dtype.kind not in "iu":
            raise DataError(
                f"labels must be whole numbers, got dtype {labels.dtype}; "
                "encode them as 0 .. classes - 1"
            )
        if n == 0:
            raise DataError("there are no records (0 rows); give at least one")
        if self.n_classes < 2:
            raise DataError(
                f"a classifier needs at least 2 classes, got n_classes={self.n_classes}"
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.n_classes:
            raise DataError(
                f"labels must be in 0 .. {self.n_classes - 1} (n_classes={self.n_classes}), got "
                f"the range "
                f"{low} .. {high}; encode them, or correct n_classes"
            )
        if low == high:
            raise DataError(
                f"all {n} labels are {low}: one class only; a classifier needs at least 2 present"
            )
        ids = np.arange(n) if self.ids is None else np.asarray(self.ids)
        units = ids if self.units is None else np.asarray(self.units)
        _check_groups(self.groups)
        units = _numbered(units)
        for what, column in {"ids": ids, "units": units, **self.groups}.items():
            if np.shape(column) != (n,):
                raise DataError(f"{what} need the shape ({n},), got {np.shape(column)}")
        if len(np.unique(ids)) != n:
            raise DataError(
                f"ids must be unique: {n} records have {len(np.unique(ids))} different ids"
            )
        set_fields(
            self,
            labels=frozen(labels.astype(np.int64)),
            ids=frozen(ids.astype(np.int64)),
            units=frozen(units.astype(np.int64)),
            groups={k: frozen(np.asarray(v)) for k, v in self.groups.items()},
        )

    @classmethod
    def from_arrays(
        cls,
        inputs: NDArray[Any],
        labels: NDArray[Any],
        *,
        n_classes: int | None = None,
        name: str = "records",
        units: NDArray[Any] | None = None,
        groups: Mapping[str, NDArray[Any]] | None = None,
    ) -> Records:
        """Make records from arrays in memory.

        Args:
            inputs: `[records, ...]`, finite.
            labels: `[records]`, whole numbers 0 .. n_classes - 1.
            n_classes: number of classes; by default the largest label + 1.
            name: what the report calls this data set.
            units: `[records]`, whose record each is: whole numbers, or texts.
            groups: named columns, one value per record; `class` is taken, it stands for the label.

        Raises:
            DataError: lengths disagree, a value is not finite, a label is out of range.

        Example:
            >>> r = Records.from_arrays(np.zeros((4, 2)), np.array([0, 1, 0, 1]))
            >>> len(r), r.n_classes
            (4, 2)
        """
        labels = np.asarray(labels)
        if n_classes is None:
            n_classes = int(labels.max()) + 1 if labels.size and labels.dtype.kind in "iu" else 2
            if labels.size and labels.dtype.kind in "iu" and labels.min() == 1:
                raise DataError(
                    f"labels begin at 1 (1 .. {int(labels.max())}), so that class 0 would be "
                    "empty; subtract 1, or state n_classes"
                )
        return cls(
            source=ArraySource(values=np.asarray(inputs)),
            labels=labels,
            n_classes=n_classes,
            name=name,
            units=units,
            groups=groups or {},
        )

    def __len__(self) -> int:
        return self.source.shape[0]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one record's input."""
        return self.source.shape[1:]

    def gather(self, indices: IntArray) -> NDArray[np.float32]:
        """Return the inputs at these indices, float32 `[len(indices), ...]`."""
        return self.source.gather(np.asarray(indices))

    def take(self, indices: IntArray) -> Records:
        """Return the records at these indices, in this order, in memory; ids and units are kept."""
        indices = np.asarray(indices)
        held = self.source
        assert self.ids is not None and self.units is not None  # set by __post_init__
        return Records(
            source=held.take(indices)
            if isinstance(held, CompactSource)
            else ArraySource(values=held.gather(indices)),
            labels=self.labels[indices],
            n_classes=self.n_classes,
            name=self.name,
            ids=self.ids[indices],
            units=self.units[indices],
            groups={k: v[indices] for k, v in self.groups.items()},
            origin=self.origin,
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over inputs, labels, ids, units and groups."""
        assert self.ids is not None and self.units is not None  # set by __post_init__
        columns = {f"group:{k}": np.asarray(v).astype(str) for k, v in self.groups.items()}
        return digest_arrays(
            {"labels": self.labels, "ids": self.ids, "units": self.units, **columns},
            extra=f"{self.source.digest()}|{self.n_classes}",
        )
