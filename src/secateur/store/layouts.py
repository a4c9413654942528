"""Which layout saved signals have: ours, LiRA's folders, Privacy Meter's arrays, or a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import StoreError
from secateur.store.npy_files import array_of, arrays_of_folder, arrays_of_npz, refused
from secateur.store.signal_tables import arrays_of_table
from secateur.store.signals import SavedSignals, made_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_signals"]

LABELS = ("labels.npy", "y_train.npy")


def read_signals(
    path: str | Path, *, kind: str | None = None, without: Sequence[Path] = ()
) -> SavedSignals:
    """Read saved signals of one or several models; docs/signals.md shows each layout.

    Args:
        path: an npz, npy or csv file; a folder of npy files; a folder of LiRA's experiments, or one
            of them; a folder with Privacy Meter's `memberships.npy`.
        kind: what arrays without a name are: those of an npy file and of Privacy Meter, such as
            `logits` or `confidence`.
        without: experiments of LiRA that are left out, such as the target among the references.

    Returns:
        Arrays `[model, query, record]`; those of npy files stay on disk, mapped into memory.

    Raises:
        StoreError: missing, damaged, of no known layout, or arrays that do not fit together.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path, kind, {p.resolve() for p in without})
    if path.suffix == ".csv":
        return made_of(path, arrays_of_table(path))
    if path.suffix == ".npy":
        return made_of(path, {_named(path, kind): array_of(path)})
    return made_of(path, arrays_of_npz(path))


def _named(path: Path, kind: str | None) -> str:
    if kind is None:
        raise refused(path, "what its values are is not said; give --kind logits or confidence")
    return kind


def _folder(path: Path, kind: str | None, without: set[Path]) -> SavedSignals:
    experiments = [
        p for p in sorted(path.iterdir()) if p.is_dir() and _last(p) and p.resolve() not in without
    ]
    if _last(path):
        return _lira(path, [path])
    if experiments:
        return _lira(path, experiments)
    if (path / "memberships.npy").exists():
        return _privacy_meter(path, kind)
    arrays = arrays_of_folder(path)
    if not arrays:
        raise refused(
            path, "the folder holds no npy file and no experiment with logits/ or scores/"
        )
    return made_of(path, arrays)


def _last(experiment: Path) -> Path | None:
    """Return the file of an experiment's last epoch, of its logits or else of its scores."""
    for folder in ("logits", "scores"):
        found = [p for p in (experiment / folder).glob("*.npy") if p.stem.isdecimal()]
        if found:
            return max(found, key=lambda p: int(p.stem))
    return None


def _lira(path: Path, experiments: Sequence[Path]) -> SavedSignals:
    """Return the models of the folders that LiRA's released code writes."""
    files = [f for f in map(_last, experiments) if f is not None]
    folders = {f.parent.name for f in files}
    if len(folders) > 1:
        raise refused(path, "some experiments have logits and others scores alone")
    classes = int(folders == {"logits"})
    found = [_lira_axes(f, array_of(f), classes) for f in files]
    if len({a.shape for a in found}) > 1:
        odd = next(f for f, a in zip(files, found, strict=True) if a.shape != found[0].shape)
        raise refused(odd, f"a shape unlike that of {files[0]}")
    arrays: dict[str, NDArray[Any]] = {}
    keeps = [e / "keep.npy" for e in experiments]
    there = [k.exists() for k in keeps]
    if any(there) and not all(there):
        raise StoreError(f"there is no file {keeps[there.index(False)]}, which others have")
    if all(there):
        arrays["inside"] = np.stack(_equal(path, [array_of(k) for k in keeps]))
    for folder in dict.fromkeys((experiments[0], path, experiments[0].parent)):
        for name in LABELS:
            if "labels" not in arrays and (folder / name).exists():
                arrays["labels"] = array_of(folder / name)
    return made_of(path, arrays, ("logits" if classes else "margin", found))


def _lira_axes(file: Path, array: NDArray[Any], classes: int) -> NDArray[Any]:
    """Return `[record, query(, class)]` as `[query, record(, class)]`."""
    if not 1 + classes <= array.ndim <= 4 or 0 in array.shape:
        raise refused(file, f"the shape {array.shape}; expected [record, query, class]")
    n = len(array)
    last = array.shape[-1:] if classes else ()
    return np.moveaxis(array.reshape(n, -1, *last), 1, 0)


def _equal(path: Path, parts: list[NDArray[Any]]) -> list[NDArray[Any]]:
    if len({p.shape for p in parts}) > 1:
        raise refused(path, f"keep.npy of different shapes: {sorted({p.shape for p in parts})}")
    return parts


def _privacy_meter(path: Path, kind: str | None) -> SavedSignals:
    """Return Privacy Meter's arrays: memberships `[model, record]`, signals `[record, model]`."""
    inside = array_of(path / "memberships.npy")
    files = [p for p in sorted(path.glob("*.npy")) if "signals" in p.stem]
    if len(files) != 1:
        names = ", ".join(p.name for p in files) or "none"
        raise refused(path, f"beside memberships.npy one file *signals*.npy is read, got {names}")
    signals = array_of(files[0])
    if inside.ndim != 2 or signals.shape != inside.T.shape:
        raise refused(
            files[0],
            f"the shape {signals.shape}; expected [record, model] as memberships.npy says, "
            f"{inside.T.shape}",
        )
    arrays = {_named(files[0], kind): signals.T, "inside": inside}
    if (path / "labels.npy").exists():
        arrays["labels"] = array_of(path / "labels.npy")
    return made_of(path, arrays)
