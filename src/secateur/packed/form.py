"""What a packed file says of each tensor, and which sizes it may state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from secateur.errors import InputError, StoreError
from secateur.types.base import frozen, set_fields

__all__ = [
    "DTYPES",
    "LAYOUTS",
    "LIMIT",
    "LOSSY",
    "MAX_ENTRIES",
    "TABLE",
    "VALUES",
    "Coded",
    "Head",
    "Layout",
    "Packed",
    "Values",
    "refuse",
]

Values = Literal["float32", "float16", "int8", "codebook"]
Layout = Literal["auto", "bitmask", "gaps", "dense"]

VALUES: tuple[str, ...] = get_args(Values)
LAYOUTS: tuple[str, ...] = get_args(Layout)
LOSSY = ("float16", "int8", "codebook")
EXACT = "exact"
LIMIT = 4 * 2**30  # bytes of all decoded tensors together
MAX_ENTRIES = 255  # of a codebook; one more number stands for zero where zeros are stored
TABLE = np.dtype("<f4")
_NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name).newbyteorder("<") for name in _NAMES}
_MAX_AXES = 32
_MAX_SIZE = 2**48  # elements along one axis; what is more is no network


def refuse(why: str) -> StoreError:
    """Return the error for a packed file that cannot be decoded."""
    return StoreError(
        f"this is no whole packed file, it was truncated or altered: {why}; write it again from "
        "the model that it was made of"
    )


@dataclass(frozen=True, kw_only=True)
class Coded:
    """How one tensor is coded.

    `stored` counts the values that are in the file: the non-zeros, or all in the layout `dense`.
    `n_positions` and `n_table` are the bytes of their positions and the entries of the table
    (scales of `int8`, values of a codebook) before entropy coding.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    values: str
    stored: int
    n_positions: int
    n_table: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def symbol(self) -> np.dtype[Any]:
        """The whole number as which each value is stored."""
        if self.values == EXACT:
            return np.dtype(f"<u{DTYPES[self.dtype].itemsize}")
        return np.dtype("<u2" if self.values == "float16" else "<u1")

    @property
    def rotated(self) -> bool:
        """Whether the sign stands behind the mantissa, so that the exponent is a byte of its own.

        True of floating-point values.
        """
        exact = self.values == EXACT and DTYPES[self.dtype].kind == "f"
        return exact or self.values == "float16"

    @property
    def kind(self) -> str:
        """Tensors of one kind have values of one kind: few of them are coded together."""
        how = self.dtype if self.values == EXACT else self.values
        return f"{how}/{'dense' if self.layout == 'dense' else 'sparse'}"

    def row(self) -> list[Any]:
        """Return what is written of it."""
        shape = list(self.shape)
        counts = [self.stored, self.n_positions, self.n_table]
        return [self.name, self.dtype, shape, self.layout, self.values, *counts]

    @classmethod
    def of_row(cls, row: Any) -> Coded:
        """Return what a file says of a tensor.

        Raises:
            StoreError: it contradicts itself.
        """
        if not (isinstance(row, list) and len(row) == 8 and isinstance(row[2], list)):
            raise refuse(f"its head describes a tensor as {str(row)[:80]!r}")
        name, dtype, shape, layout, values, *counts = row
        if not all(isinstance(word, str) for word in (name, dtype, layout, values)):
            raise refuse(f"its head describes a tensor as {str(row)[:80]!r}")
        if not all(type(n) is int and 0 <= n < _MAX_SIZE for n in (*shape, *counts)):
            raise refuse(f"its head gives sizes that are none of {name[:80]!r}")
        stored, n_positions, n_table = counts
        made = cls(
            name=name,
            dtype=dtype,
            shape=tuple(shape),
            layout=layout,
            values=values,
            stored=stored,
            n_positions=n_positions,
            n_table=n_table,
        )
        made._check()
        return made

    def _check(self) -> None:
        words = self.dtype in DTYPES and self.layout in LAYOUTS[1:]
        if not (words and self.values in (EXACT, *LOSSY) and len(self.shape) <= _MAX_AXES):
            raise refuse(
                f"{self.name[:80]!r} is {self.dtype[:20]!r} of {len(self.shape)} axes, coded as "
                f"{self.layout[:20]!r}, {self.values[:20]!r}, which this version does not know"
            )
        matrix = DTYPES[self.dtype].kind == "f" and len(self.shape) > 1 and self.size > 0
        if self.values != EXACT and not matrix:
            raise refuse(f"{self.name[:80]!r} of {self.dtype} is said to be {self.values}")
        table = {"int8": self.shape[:1] == (self.n_table,), "codebook": self.n_table <= 256}
        positions = {
            "dense": self.n_positions == 0 and self.stored == self.size,
            "bitmask": self.n_positions == -(-self.size // 8),
            "gaps": self.stored <= self.n_positions <= self.stored + self.size // 255,
        }
        if not (table.get(self.values, self.n_table == 0) and positions[self.layout]):
            raise refuse(f"the sizes that its head gives of {self.name[:80]!r} contradict")
        if self.stored > self.size:
            raise refuse(f"{self.stored} values of {self.size} are said of {self.name[:80]!r}")


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a packed file says of itself.

    `tensors` in the order of the state dict; `surgery` the same for its index arrays, each as a
    bool array of the rows that are kept; `graph` what was handed to `pack`. `n_bytes` are the
    bytes of the file's parts after coding: `frame` (the container's own), `head`, `positions`,
    `values`.
    """

    tensors: tuple[Coded, ...]
    surgery: tuple[Coded, ...] = ()
    graph: Any = None
    n_bytes: Mapping[str, int] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Coded, ...]:
        """All that is coded, in the order of coding."""
        return (*self.tensors, *self.surgery)


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """A decoded file: `tensors` by state-dict name, `surgery` as `Artifact.surgery`, `head`."""

    tensors: Mapping[str, NDArray[Any]]
    surgery: Mapping[str, NDArray[Any]]
    head: Head

    def __post_init__(self) -> None:
        for what in ("tensors", "surgery"):
            set_fields(self, **{what: {k: frozen(v) for k, v in getattr(self, what).items()}})


def check_choice(values: str, layout: str) -> None:
    """Refuse words that are no coding of values and no layout.

    Raises:
        InputError: one of them.
    """
    if values not in VALUES or layout not in LAYOUTS:
        raise InputError(
            f"values={values!r}, layout={layout!r}: values are one of {', '.join(VALUES)}, a "
            f"layout is one of {', '.join(LAYOUTS)}"
        )
