"""A file that was exported, and beside it a note of which model it is and how it was made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur.errors import StoreError
from secateur.store.documents import read_document, write_document
from secateur.store.files import write_bytes

__all__ = ["Export", "beside", "read_export", "write_export"]

_FORMAT = "secateur-export-1"
_WHAT = "note of an exported file"


@dataclass(frozen=True, kw_only=True)
class Export:
    """What an exported file is.

    Args:
        file: where it lies.
        digest: SHA-256 of its bytes.
        form: such as `onnx`.
        parent: folder of the trained fleet whose model it is.
        steps: (spelling of a conversion, folder of the fleet that it makes), in order; the last one
            makes such files, of which this is one.
        model: row of the fleets' membership.
    """

    file: Path
    digest: str
    form: str
    parent: Path
    steps: tuple[tuple[str, Path], ...]
    model: int


def beside(file: Path) -> tuple[Path, Path]:
    """Return where an exported file's note and its model card lie.

    Example:
        >>> [path.name for path in beside(Path("model.onnx"))]
        ['model.onnx.json', 'model.onnx.md']
    """
    return file.with_name(file.name + ".json"), file.with_name(file.name + ".md")


def write_export(export: Export, data: bytes) -> Path:
    """Write a file and its note; return the note's path.

    Raises:
        StoreError: the folder cannot be written.
    """
    where = export.file.parent.resolve()
    note: Mapping[str, Any] = {
        "format": _FORMAT,
        "file": export.file.name,
        "sha256": export.digest,
        "bytes": len(data),
        "form": export.form,
        "parent": os.path.relpath(export.parent.resolve(), where),
        "steps": [[step, os.path.relpath(f.resolve(), where)] for step, f in export.steps],
        "model": export.model,
    }
    write_bytes(export.file, data)
    place, _ = beside(export.file)
    write_document(place, dict(note))
    return place


def read_export(file: Path) -> Export:
    """Read the note of an exported file and compare the file with it.

    Raises:
        StoreError: there is no note, or the file is not the one that it speaks of.
    """
    place, _ = beside(file)
    if not file.is_file():
        raise StoreError(f"{file} is no file; give one that `secateur export` wrote")
    if not place.is_file():
        raise StoreError(
            f"{file} has no note {place.name} beside it, which says of which fleet it is; "
            "`secateur export` writes one: keep the two together, or export the model again"
        )
    note = read_document(place, what=_WHAT)
    if note.get("format") != _FORMAT or not _is_whole(note):
        raise StoreError(
            f"{place} is no {_WHAT} of the format {_FORMAT!r} (its format is "
            f"{note.get('format')!r}); another version of secateur or other software wrote it: "
            "export the model again"
        )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != note["sha256"]:
        raise StoreError(
            f"{file} is not the file that was exported: {place.name} states the digest "
            f"{note['sha256']}, the file has {digest}; export the model again"
        )
    parent = _place(file, note["parent"])
    if not parent.is_dir():
        raise StoreError(
            f"{place.name} says that {file} is a model of the fleet {note['parent']}, seen from "
            f"the file's folder, and {parent} is no folder; put file and note back where they were "
            "written, or export the model again from where the fleet is now"
        )
    return Export(
        file=file,
        digest=digest,
        form=note["form"],
        parent=parent,
        steps=tuple((step, _place(file, folder)) for step, folder in note["steps"]),
        model=note["model"],
    )


def _place(file: Path, told: str) -> Path:
    """Return a folder that a note names, seen from where the user is."""
    place = (file.parent / told).resolve()
    return place if file.is_absolute() else Path(os.path.relpath(place))


def _is_whole(note: Mapping[str, Any]) -> bool:
    """Tell whether all that is needed is there and has its type."""
    texts = all(isinstance(note.get(key), str) for key in ("sha256", "form", "parent"))
    model, steps = note.get("model"), note.get("steps")
    return (
        texts
        and isinstance(model, int)
        and not isinstance(model, bool)
        and model >= 0
        and isinstance(steps, list)
        and len(steps) > 0
        and all(
            isinstance(step, list) and len(step) == 2 and all(isinstance(t, str) for t in step)
            for step in steps
        )
    )
