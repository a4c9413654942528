"""Saved signals, anybody's: npz and npy files, and folders of npy files; see docs/signals.md."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import SecateurWarning
from secateur.store.npy_files import array_of, refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "OUTPUTS",
    "SIGNAL",
    "SavedSignals",
    "made_of",
    "with_labels",
]

OUTPUTS = ("logits", "probabilities")  # with a last axis `class`
SIGNAL = re.compile(
    r"(?:(?:margin|log_confidence|loss|entropy|modified_entropy)(?:@\d{1,6}(?:\.\d{1,6})?)?"
    r"|correct|confidence)"
)
ABOUT = ("inside", "labels", "population", "units", "ids")


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedSignals:
    """What a file holds: per name one array for each model, `[query, record]`.

    Outputs (`logits`, `probabilities`) have a further axis `class`. `inside[model, record]`,
    `labels[record]`, `population[record]`, `units[record]` and `ids[record]` are None where the
    file is silent. With an `order` the records of the arrays are `array[:, order]`.
    """

    path: Path
    arrays: Mapping[str, tuple[NDArray[Any], ...]]
    inside: NDArray[np.bool_] | None
    labels: NDArray[np.int64] | None
    population: NDArray[np.bool_] | None
    units: NDArray[np.int64] | None
    ids: NDArray[np.int64] | None = None
    order: NDArray[np.int64] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of models and of records."""
        first = next(iter(self.arrays.values()))
        return len(first), first[0].shape[1] if self.order is None else len(self.order)


def made_of(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    models: tuple[str, Sequence[NDArray[Any]]] | None = None,
) -> SavedSignals:
    """Check named arrays and bring them to their full number of axes.

    Args:
        path: where they are from, for messages.
        arrays: by name, as they lie in the file.
        models: a signal whose models are arrays of their own, `[query, record(, class)]`.

    Raises:
        StoreError: no signal among them, shapes that disagree, or values that mean nothing.
    """
    signals = {k: a for k, a in arrays.items() if k in OUTPUTS or SIGNAL.fullmatch(k)}
    if not signals and models is None:
        raise refused(
            path,
            f"no array of signals; it holds {', '.join(sorted(map(str, arrays))[:12]) or 'nothing'}"
            f"; name one of them logits, probabilities, margin, confidence or loss",
        )
    for name in {*signals, *ABOUT} & set(arrays):
        _refuse_texts(path, name, arrays[name])
    other = sorted(set(arrays) - set(signals) - set(ABOUT))
    if other:
        warnings.warn(f"{path}: not read: {', '.join(other)[:200]}", SecateurWarning, stacklevel=2)
    full = {k: _full(path, k, a) for k, a in signals.items()}
    if models is not None:
        full[models[0]] = tuple(models[1])
    sizes = {(len(a), a[0].shape[1] if a else 0) for a in full.values()}
    if len(sizes) > 1 or 0 in min(sizes):
        shapes = ", ".join(f"{k} {arrays[k].shape}" for k in signals)
        raise refused(path, f"signals need one number of models and of records, got {shapes}")
    n_models, records = min(sizes)
    labels, units = (_whole_numbers(path, arrays, name, records) for name in ("labels", "units"))
    return SavedSignals(
        path=path,
        arrays=full,
        inside=_inside(path, arrays, n_models, records),
        labels=labels,
        population=_population(path, arrays, records),
        units=units,
        ids=_ids(path, arrays, records),
    )


def _refuse_texts(path: Path, name: str, array: NDArray[Any]) -> None:
    """Refuse what holds no plain numbers, such as labels that are texts."""
    kind = np.asarray(array).dtype.kind
    if kind in "biuf":
        return
    mend = "give plain numbers"
    if name in ("labels", "units"):
        mend = f"number them: np.unique({name}, return_inverse=True)[1]"
    if name == "labels":
        mend += ", in the order of the outputs' classes"
    raise refused(path, f"{name} must be numbers, got {np.asarray(array).dtype}; {mend}")


def _full(path: Path, name: str, array: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return `[query, record]` of each model, of outputs `[query, record, class]`."""
    classes = int(name in OUTPUTS)
    axes = array.ndim - classes
    if not 1 <= axes <= 3:
        wanted = "[model, record" + (", class]" if classes else "]")
        raise refused(path, f"{name} has the shape {array.shape}; expected {wanted}")
    if axes == 1:
        array = array[None]
    return tuple(array[:, None] if axes < 3 else array)


def _inside(
    path: Path, arrays: Mapping[str, NDArray[Any]], models: int, records: int
) -> NDArray[np.bool_] | None:
    if "inside" not in arrays:
        return None
    inside = np.asarray(arrays["inside"])
    inside = inside[None] if inside.ndim == 1 else inside
    if inside.shape != (models, records):
        raise refused(path, f"inside has the shape {inside.shape}; expected ({models}, {records})")
    if inside.dtype != np.bool_ and not np.isin(inside, (0, 1)).all():
        raise refused(path, "inside holds values other than 0 and 1")
    return inside.astype(np.bool_)


def _whole_numbers(
    path: Path, arrays: Mapping[str, NDArray[Any]], name: str, records: int
) -> NDArray[np.int64] | None:
    if name not in arrays:
        return None
    found = np.asarray(arrays[name])
    if found.shape != (records,):
        raise refused(path, f"{name} has the shape {found.shape}; expected ({records},)")
    if found.dtype.kind == "f" and not (np.isfinite(found).all() and (found % 1 == 0).all()):
        raise refused(path, f"{name} must be whole numbers, got {found.dtype}")
    if found.min() < 0 or found.max() >= 2**53:
        raise refused(path, f"{name} must be from 0 on, got {found.min()} .. {found.max()}")
    return found.astype(np.int64)


def with_labels(saved: SavedSignals, path: Path) -> SavedSignals:
    """Return saved signals with the labels of a npy file of their own.

    Raises:
        StoreError: no such file, another number of labels, or other labels than are there already.
    """
    labels = _whole_numbers(path, {"labels": array_of(path)}, "labels", saved.shape[1])
    if saved.labels is not None and not np.array_equal(saved.labels, np.asarray(labels)):
        raise refused(path, f"other labels than {saved.path} holds itself; give one of them")
    return replace(saved, labels=labels)


def _ids(path: Path, arrays: Mapping[str, NDArray[Any]], records: int) -> NDArray[np.int64] | None:
    found = _whole_numbers(path, arrays, "ids", records)
    if found is None:
        return None
    values, counts = np.unique(found, return_counts=True)
    if len(values) < records:
        raise refused(
            path,
            f"ids must name each record once, but {int((counts > 1).sum())} of them stand more "
            f"than once, first {values[counts > 1][0]}; leave doubled records out",
        )
    return found


def _population(
    path: Path, arrays: Mapping[str, NDArray[Any]], records: int
) -> NDArray[np.bool_] | None:
    if "population" not in arrays:
        return None
    found = np.asarray(arrays["population"])
    if found.shape != (records,) or not np.isin(found, (0, 1)).all():
        raise refused(
            path,
            f"population must be 0 or 1 for each of {records} records, got {found.dtype} of shape "
            f"{found.shape}",
        )
    return found.astype(np.bool_)
