"""JSON documents that carry the digest of their own content; among them the report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur.errors import InputError, StoreError
from secateur.store.files import altered, read_bytes, write_bytes
from secateur.store.files import damaged as broken
from secateur.types import SWEEP_SCHEMA, Report, Sweep, canonical_json

__all__ = [
    "plain",
    "read_document",
    "read_report",
    "read_result",
    "read_text",
    "report_text",
    "write_document",
    "write_report",
    "write_sweep",
    "write_text",
]


def plain(value: Any, *, what: str) -> Any:
    """Return a value as JSON would give it back: lists for tuples, text for every key.

    Raises:
        StoreError: the value is not plain JSON.
    """
    try:
        return json.loads(canonical_json(value))
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{what} cannot be written as JSON ({error}); use text, finite numbers, lists and "
            "mappings only"
        ) from error


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _text(content: Mapping[str, Any], *, what: str) -> str:
    content = plain(dict(content), what=what)
    full = {**content, "digest": _digest(content)}
    text = json.dumps(full, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n"


def write_document(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as sorted, indented JSON with the digest of its canonical form on top.

    Raises:
        StoreError: the content is not plain JSON, or the folder cannot be written.
    """
    write_bytes(path, _text(content, what=f"the content of {path}").encode())


def read_document(path: str | Path, *, what: str) -> dict[str, Any]:
    """Read what `write_document` wrote, without the digest, after checking it.

    Raises:
        StoreError: the file is missing, truncated, altered, of another kind, or somebody else's.
    """
    data = read_bytes(path, expected="json", what=what)
    try:
        content: dict[str, Any] = json.loads(data)
        stated = content.pop("digest", None)
        found = _digest(content)
    except (ValueError, RecursionError) as error:
        raise broken(path, what=what, why=error) from error
    if stated is None:
        raise StoreError(
            f"{path} is JSON without a digest, not a {what}: other software wrote it; give a file "
            "that secateur wrote"
        )
    if stated != found:
        raise altered(path, stated=stated, found=found)
    return content


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, such as a page, whole or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    write_bytes(path, text.encode())


def read_text(path: str | Path, *, what: str) -> str:
    """Read a text file in UTF-8, with or without a mark of its byte order.

    Args:
        path: the file.
        what: what it should hold, for the messages.

    Raises:
        StoreError: the file is missing, empty, of another kind, or not in UTF-8.
    """
    try:
        return read_bytes(path, expected="text", what=what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StoreError(f"{path} is not in UTF-8 ({error}); save it in UTF-8") from error


def write_report(path: str | Path, report: Report) -> None:
    """Write a report as JSON: sorted, indented, with the digest of the rest under `digest`.

    Raises:
        StoreError: the report is not plain JSON, or the folder cannot be written.
    """
    write_document(path, report.to_dict())


def report_text(report: Report) -> str:
    """Return what `write_report` writes.

    Raises:
        StoreError: the report is not plain JSON.
    """
    return _text(report.to_dict(), what="the report")


def read_report(path: str | Path) -> Report:
    """Read a report and check it against its digest.

    Raises:
        StoreError: the file is missing, truncated, altered, of another kind or schema version.
    """
    content = read_document(path, what="secateur report")
    try:
        return Report.from_dict(content)
    except InputError as error:
        raise StoreError(f"{path}: {error}") from error


def write_sweep(path: str | Path, sweep: Sweep) -> None:
    """Write a sweep as a report is written.

    Raises:
        StoreError: the sweep is not plain JSON, or the folder cannot be written.
    """
    write_document(path, sweep.to_dict())


def read_result(path: str | Path) -> Report | Sweep:
    """Read a report or a sweep, whichever the file holds.

    Raises:
        StoreError: the file is missing, truncated, altered, of another kind or schema version.
    """
    content = read_document(path, what="secateur report")
    sweeps = str(content.get("schema")).startswith(SWEEP_SCHEMA.partition("-")[0])
    try:
        return Sweep.from_dict(content) if sweeps else Report.from_dict(content)
    except InputError as error:
        raise StoreError(f"{path}: {error}") from error
