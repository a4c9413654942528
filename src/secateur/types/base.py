"""What all types share: seeds, canonical JSON, digests, and how a frozen type is filled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BoolArray",
    "FloatArray",
    "IntArray",
    "canonical_json",
    "derive_seed",
    "digest_arrays",
    "frozen",
    "set_fields",
]

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]


def derive_seed(seed: int, *path: str | int) -> int:
    """Derive an independent sub-seed in [0, 2**63) from a seed and a path of names.

    Example:
        >>> derive_seed(0, "model", 3) == derive_seed(0, "model", 3)
        True
        >>> derive_seed(0, "model", 3) == derive_seed(0, "model", 4)
        False
    """
    text = json.dumps([int(seed), *path], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def digest_arrays(arrays: Mapping[str, NDArray[Any]], extra: str = "") -> str:
    """Return the SHA-256 of named arrays: names, dtypes, shapes and bytes, in sorted order."""
    h = hashlib.sha256(extra.encode())
    for name in sorted(arrays):
        a = np.ascontiguousarray(arrays[name])
        h.update(f"|{name}|{a.dtype.str}|{a.shape}|".encode())
        h.update(a.data if a.size else b"")
    return h.hexdigest()


def frozen(a: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view of an array."""
    view = np.asarray(a).view()
    view.flags.writeable = False
    return view


def set_fields(obj: object, **values: Any) -> None:
    """Set fields of a frozen dataclass while it is being constructed."""
    for name, value in values.items():
        object.__setattr__(obj, name, value)
