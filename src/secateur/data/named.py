"""Readers of the field's data sets, from a folder that the user names."""

from __future__ import annotations

import difflib
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from secateur.data.embedded import digits
from secateur.data.idx import read_idx
from secateur.errors import DataFileError, InputError
from secateur.types import Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DATA_SETS", "DataSet", "fashion_mnist", "load", "location30", "mnist"]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What is known of a data set without reading it."""

    name: str
    about: str
    files: tuple[str, ...]
    origin: str
    read: Callable[[Path], Records]


IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _find(folder: Path, names: tuple[str, ...], *, what: str, origin: str) -> Path:
    tried = [folder / name for name in names]
    for path in tried:
        if path.is_file():
            return path
    looked = ", ".join(str(p) for p in tried)
    raise DataFileError(f"{what}: no file at any of {looked}; {origin}")


def _pictures(folder: Path, name: str, sub: str, origin: str) -> Records:
    parts = []
    for file in IDX_FILES:
        places = tuple(
            f"{place}{file}{end}" for place in (f"{sub}/raw/", f"{sub}/", "") for end in (".gz", "")
        )
        path = _find(folder, places, what=f"{name} needs {file}", origin=origin)
        parts.append((path, read_idx(path, dimensions=3 if "images" in file else 1)))
    for (image_path, images), (label_path, labels) in (parts[:2], parts[2:]):
        if len(images) != len(labels):
            raise DataFileError(
                f"{image_path} holds {len(images)} pictures, {label_path} {len(labels)} labels; "
                f"they are "
                "not of one data set"
            )
        if images.shape[1:] != (28, 28):
            raise DataFileError(f"{image_path}: pictures are {images.shape[1:]}, expected (28, 28)")
        if labels.size and labels.max() > 9:
            raise DataFileError(f"{label_path}: label {labels.max()} is out of range 0 .. 9")
    images = np.concatenate([parts[0][1], parts[2][1]])
    labels = np.concatenate([parts[1][1], parts[3][1]])
    inputs = images.astype(np.float32)[:, None] / np.float32(255)
    return Records.from_arrays(inputs, labels, n_classes=10, name=name)


def mnist(folder: Path) -> Records:
    """Read MNIST: 60,000 training and 10,000 test pictures, in this order, `[70000, 1, 28, 28]` in
    [0, 1].

    Args:
        folder: holds the four idx files, gzipped or not, itself or in `MNIST/raw`.

    Raises:
        DataFileError: a file is missing, truncated, or not of this format.

    Reference: LeCun, Cortes & Burges.
    """
    return _pictures(folder, "mnist", "MNIST", MNIST_ORIGIN)


def fashion_mnist(folder: Path) -> Records:
    """Read Fashion-MNIST: as MNIST, from `FashionMNIST/raw`.

    Args:
        folder: holds the four idx files, gzipped or not, itself or in `FashionMNIST/raw`.

    Raises:
        DataFileError: a file is missing, truncated, or not of this format.

    Reference: Xiao, Rasul & Vollgraf 2017.
    """
    return _pictures(folder, "fashion-mnist", "FashionMNIST", FASHION_ORIGIN)


LOCATION_COLUMNS = 446
LOCATION_CLASSES = 30
LOCATION_MOST_ROWS = 100_000


def location30(folder: Path) -> Records:
    """Read Location-30: check-ins of 5,010 people, 446 binary features, 30 classes.

    Args:
        folder: holds `dataset_location.tgz`, or the file `bangkok` out of it.

    Raises:
        DataFileError: a file is missing, truncated, or not of this format; the message names the
            line.

    Reference: Shokri et al. 2017.
    """
    names = ("dataset_location.tgz", "bangkok", "location30/dataset_location.tgz")
    path = _find(
        folder, names, what="location30 needs dataset_location.tgz", origin=LOCATION_ORIGIN
    )
    if path.suffix != ".tgz":
        with path.open("rb") as lines:
            return _location(path, lines)
    try:
        with tarfile.open(path, "r:gz") as archive:  # one member is streamed, none is extracted
            for member in archive:
                if member.isfile() and Path(member.name).name == "bangkok":
                    lines_in = archive.extractfile(member)
                    if lines_in is not None:
                        return _location(path, lines_in)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataFileError(
            f"{path} is truncated, altered or not a gzipped tar archive ({error}); get it again"
        ) from error
    raise DataFileError(f"{path} has no file 'bangkok' inside; {LOCATION_ORIGIN}")


def _location(path: Path, lines: IO[bytes]) -> Records:
    labels: list[int] = []
    rows: list[NDArray[np.float32]] = []
    for number, line in enumerate(lines, start=1):
        if number > LOCATION_MOST_ROWS or len(line) > 10_000:
            raise DataFileError(f"{path}, line {number}: far too long for this data set")
        text = line.decode("ascii", errors="replace").strip()
        if not text:
            continue
        cells = text.split(",")
        if len(cells) != LOCATION_COLUMNS + 1:
            raise DataFileError(
                f"{path}, line {number}: {len(cells)} columns, expected {LOCATION_COLUMNS + 1}; "
                f"the file "
                "is truncated or not Location-30"
            )
        labels.append(_label(path, number, cells[0]))
        wrong = next((i for i, c in enumerate(cells[1:], 2) if c not in ("0", "1")), None)
        if wrong is not None:
            raise DataFileError(
                f"{path}, line {number}, column {wrong}: {cells[wrong - 1]!r} is not 0 or 1"
            )
        rows.append(np.array(cells[1:], dtype=np.float32))
    if not rows:
        raise DataFileError(f"{path} holds no records")
    return Records.from_arrays(
        np.stack(rows), np.array(labels), n_classes=LOCATION_CLASSES, name="location30"
    )


def _label(path: Path, number: int, cell: str) -> int:
    text = cell.strip('"')
    if not text.isdecimal() or not 1 <= int(text) <= LOCATION_CLASSES:
        raise DataFileError(
            f"{path}, line {number}, column 1: label {cell!r} is not in 1 .. {LOCATION_CLASSES}"
        )
    return int(text) - 1


MNIST_ORIGIN = (
    "get the four canonical idx files of MNIST (LeCun, Cortes, Burges) and put them into MNIST/raw "
    "below the folder named by --data-dir or SECATEUR_DATA"
)
FASHION_ORIGIN = (
    "get the four idx files of Fashion-MNIST (GitHub zalandoresearch/fashion-mnist) and put them"
    " into "
    "FashionMNIST/raw below the folder named by --data-dir or SECATEUR_DATA"
)
LOCATION_ORIGIN = (
    "get dataset_location.tgz (GitHub privacytrustlab/datasets) and put it into the folder named"
    " by "
    "--data-dir or SECATEUR_DATA"
)

DATA_SETS = (
    DataSet(
        name="digits",
        about="1,797 handwritten digits, 8x8, 10 classes",
        files=(),
        origin="inside scikit-learn; nothing to get",
        read=lambda _: digits(),
    ),
    DataSet(
        name="mnist",
        about="70,000 handwritten digits, 28x28, 10 classes",
        files=tuple(f"MNIST/raw/{f}.gz" for f in IDX_FILES),
        origin=MNIST_ORIGIN,
        read=mnist,
    ),
    DataSet(
        name="fashion-mnist",
        about="70,000 pictures of clothes, 28x28, 10 classes",
        files=tuple(f"FashionMNIST/raw/{f}.gz" for f in IDX_FILES),
        origin=FASHION_ORIGIN,
        read=fashion_mnist,
    ),
    DataSet(
        name="location30",
        about="check-ins of 5,010 people, 446 binary features, 30 classes",
        files=("dataset_location.tgz",),
        origin=LOCATION_ORIGIN,
        read=location30,
    ),
)


def load(name: str, folder: Path | None = None) -> Records:
    """Read a data set by its name.

    Args:
        name: one of `DATA_SETS`.
        folder: where its files lie; only `digits` needs none.

    Raises:
        InputError: an unknown name, or no folder; the message says what there is.
        DataFileError: see the readers.

    Example:
        >>> load("digits").name
        'digits'
    """
    known = {d.name: d for d in DATA_SETS}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"unknown data set {name!r}; {hint}there are {', '.join(known)}")
    if folder is None and known[name].files:
        raise InputError(
            f"{name} is read from a folder, and none is named; give --data-dir or set "
            f"SECATEUR_DATA. "
            f"{known[name].origin}"
        )
    return known[name].read(folder or Path())
