"""Saved signals in a csv table: one row per (model, record), or one row per record."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["arrays_of_table"]

PER_RECORD = {"label": "labels", "population": "population", "unit": "units", "record": "ids"}
OUTPUTS = {"logit": "logits", "probability": "probabilities"}
MOST = 2**31


def arrays_of_table(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a table, `[model, record]`, of outputs `[model, record, class]`.

    Long: columns `model`, `record`, `inside`, `label` and signals, a row per pair. Wide: a row per
    record, columns `inside:m` and `margin:m` for each model m. Of one model: a row per record,
    columns `inside`, `label` and signals, `record` where it has an id. Columns `logit_0`,
    `logit_1`, ... or `probability_0`, ... make outputs.

    Raises:
        StoreError: missing, no such table, torn rows, or values that are no numbers.
    """
    names, cells = _cells(path)
    if {"model", "record"} <= set(names):
        return _long(path, names, cells)
    if any(":" in name for name in names):
        return _wide(path, names, cells)
    if "model" not in names:
        return _joined(path, _one_model(names, cells))
    raise _bad(path, "a table with a column model needs a column record too")


def _bad(path: Path, why: str) -> StoreError:
    return StoreError(f"{path}: {why[:400]}; docs/signals.md shows what is read")


def _cells(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    try:
        if path.stat().st_size > MOST:
            raise _bad(path, f"more than {MOST} bytes; save large signals as npy")
        text = path.read_bytes().decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except FileNotFoundError as error:
        raise StoreError(f"there is no signals file {path}; check the path") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _bad(path, f"cannot be read as a table ({error})") from error
    if len(rows) < 2:
        raise _bad(path, "no rows below the names of columns")
    names = [name.strip() for name in rows[0]]
    if len(set(names)) < len(names):
        raise _bad(path, "two columns have one name")
    cells = np.empty((len(rows) - 1, len(names)))
    for i, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise _bad(path, f"row {i + 2}: {len(row)} values for {len(names)} columns")
        try:
            cells[i] = [float(v) for v in row]
        except ValueError as error:
            raise _bad(path, f"row {i + 2}: {error}") from error
    if not np.isfinite(cells).all():
        first = int(np.argwhere(~np.isfinite(cells))[0][0])
        raise _bad(path, f"row {first + 2} holds a value that is NaN or infinite")
    return names, cells


def _one_model(names: list[str], cells: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Take a row per record as all that was asked of one model."""
    columns = dict(zip(names, cells.T, strict=True))
    return {PER_RECORD.get(n, n): v if n in PER_RECORD else v[None] for n, v in columns.items()}


def _long(path: Path, names: list[str], cells: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    models, model = np.unique(cells[:, names.index("model")], return_inverse=True)
    records, record = np.unique(cells[:, names.index("record")], return_inverse=True)
    n_pairs = len(np.unique(model * len(records) + record))
    if len(cells) != len(models) * len(records) or n_pairs < len(cells):
        raise _bad(
            path,
            f"{len(cells)} rows for {len(models)} models and {len(records)} records; each pair "
            "needs one row",
        )
    order = np.lexsort((record, model))
    cube = cells[order].reshape(len(models), len(records), -1)
    found: dict[str, NDArray[Any]] = {}
    for i, name in enumerate(names):
        if name in PER_RECORD:
            if (cube[:, :, i] != cube[0, :, i]).any():
                raise _bad(path, f"column {name!r} differs between models of one record")
            found[PER_RECORD[name]] = cube[0, :, i]
        elif name != "model":
            found[name] = cube[:, :, i]
    return _joined(path, found)


def _wide(path: Path, names: list[str], cells: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    columns: dict[str, dict[str, NDArray[Any]]] = {}
    for i, name in enumerate(names):
        signal, colon, model = name.partition(":")
        if colon:
            columns.setdefault(signal, {})[model] = cells[:, i]
        elif name in PER_RECORD:
            found[PER_RECORD[name]] = cells[:, i]
        else:
            found[name] = cells[:, i]
    models = list(next(iter(columns.values())))
    for signal, by_model in columns.items():
        if set(by_model) != set(models):
            raise _bad(path, f"{signal!r} stands for other models than {next(iter(columns))!r}")
        found[signal] = np.stack([by_model[m] for m in models])
    return _joined(path, found)


def _joined(path: Path, columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Put `logit_0`, `logit_1`, ... together as one array with the axis `class`."""
    found = dict(columns)
    for stem, name in OUTPUTS.items():
        n = sum(c.startswith(f"{stem}_") for c in columns)
        wanted = [f"{stem}_{i}" for i in range(n)]
        if any(w not in columns for w in wanted):
            raise _bad(path, f"columns {stem}_0, {stem}_1, ... must have no gap")
        if n:
            found[name] = np.stack([found.pop(w) for w in wanted], axis=-1)
    return found
