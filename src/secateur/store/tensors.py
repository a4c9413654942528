"""Artifacts: one safetensors file for each model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from secateur.errors import InputError, StoreError
from secateur.store.files import altered, damaged, read_bytes, write_bytes
from secateur.types import Artifact, Kept, Provenance, Shipped, canonical_json

__all__ = ["read_artifact", "write_artifact"]

_FORMAT = "secateur-artifact-1"
_PARTS = ("tensors", "masks", "history", "snapshots", "surgery")
_SIGNALS = "signals"
_SHIPPED = "shipped"
_DTYPES = frozenset(
    [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    ]
)
# One entry only: the library keeps them in a hash map, whose order differs between processes.
_ENTRY = "secateur"


def write_artifact(path: str | Path, artifact: Artifact) -> None:
    """Write an artifact as one safetensors file; the same artifact always gives the same bytes.

    The provenance's `context` (time, hardware) is not written.

    Args:
        path: the file to write, usually `*.safetensors`; replaced when it exists.
        artifact: what to write.

    Raises:
        StoreError: an array or the provenance cannot be stored, or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> made = Artifact(
        ...     tensors={"weight": np.ones((2, 3))}, builder="", provenance=Provenance(key={})
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_artifact(f"{folder}/model.safetensors", made)
        ...     read_artifact(f"{folder}/model.safetensors").digest == made.digest
        True
    """
    key = _plain_key(path, artifact.provenance)
    parts = {part: getattr(artifact, part) for part in _PARTS}
    head = {
        "format": _FORMAT,
        "builder": artifact.builder,
        "provenance": key,
        "digest": artifact.digest,
    }
    if artifact.kept is not None:
        parts[_SIGNALS] = artifact.kept.signals
        kept = artifact.kept
        head["kept"] = {"probe": kept.probe, "queries": kept.queries, "model": kept.model}
    if artifact.shipped is not None:
        parts[_SHIPPED] = {"file": np.frombuffer(artifact.shipped.data, dtype=np.uint8)}
        head[_SHIPPED] = artifact.shipped.form
    arrays = {
        f"{part}/{name}": _storable(path, f"{part}/{name}", array)
        for part, named in parts.items()
        for name, array in named.items()
    }
    write_bytes(path, save(arrays, metadata={_ENTRY: canonical_json(head)}))


def _plain_key(path: str | Path, provenance: Provenance) -> dict[str, Any]:
    try:
        key: dict[str, Any] = json.loads(canonical_json(dict(provenance.key)))
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"cannot write {path}: its provenance key is not plain JSON ({error}); use text, "
            "numbers, lists and mappings only"
        ) from error
    if Provenance(key=key).digest != provenance.digest:
        raise StoreError(
            f"cannot write {path}: its provenance key changes when it is read back from JSON; use "
            "text for the names in every mapping"
        )
    return key


def _storable(path: str | Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.name not in _DTYPES or not array.dtype.isnative:
        raise StoreError(
            f"cannot write {path}: array {name!r} has the dtype {array.dtype.str}, and only native "
            "bool, whole and floating-point numbers are stored; convert it"
        )
    return np.asarray(array, order="C")


def read_artifact(path: str | Path) -> Artifact:
    """Read an artifact and check its content against its digest.

    Args:
        path: a file that `write_artifact` wrote.

    Returns:
        The artifact, equal in every array and in the provenance key to the one written.

    Raises:
        StoreError: the file is missing, truncated, altered, of another kind, or somebody else's.
    """
    what = "secateur artifact"
    data = read_bytes(path, expected="safetensors", what=what)
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        arrays = load(data)
        entry = header.get("__metadata__", {}).get(_ENTRY)
        head = None if entry is None else json.loads(entry)
    except (SafetensorError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise damaged(path, what=what, why=error) from error
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        seen = head.get("format") if isinstance(head, dict) else None
        raise StoreError(
            f"{path} is a safetensors file of the format {seen!r}, not {_FORMAT!r}: other software "
            "or another version wrote it; write it with write_artifact first"
        )
    try:
        artifact = _artifact(head, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise damaged(path, what=what, why=error) from error
    if artifact.digest != head.get("digest"):
        raise altered(path, stated=head.get("digest"), found=artifact.digest)
    return artifact


def _artifact(head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Artifact:
    names = (*_PARTS, _SIGNALS, _SHIPPED)
    parts: dict[str, dict[str, NDArray[Any]]] = {part: {} for part in names}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = array
    signals = parts.pop(_SIGNALS)
    file = parts.pop(_SHIPPED)
    kept = head.get("kept")
    return Artifact(
        builder=str(head["builder"]),
        provenance=Provenance(key=dict(head["provenance"])),
        kept=None
        if kept is None
        else Kept(
            signals=signals,
            probe=str(kept["probe"]),
            queries=str(kept["queries"]),
            model=str(kept["model"]),
        ),
        shipped=Shipped(form=str(head[_SHIPPED]), data=file["file"].tobytes()) if file else None,
        **parts,
    )
