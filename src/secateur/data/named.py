"""Readers of the field's data sets, from a folder that the user names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.data.bounded import refuse_other_content, unpacked
from secateur.data.embedded import digits
from secateur.data.idx import parse_idx
from secateur.data.location import CLASSES, location_text, parse_location
from secateur.errors import DataFileError, InputError
from secateur.types import Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DATA_SETS", "DataSet", "fashion_mnist", "load", "location30", "mnist"]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What is known of a data set without reading it.

    `files` are looked for below the named folder; `sha256[i]` is that of the canonical content of
    `files[i]`, unpacked. `origin` says how to get it, `terms` under which terms it is given.
    """

    name: str
    about: str
    files: tuple[str, ...]
    origin: str
    read: Callable[[Path], Records]
    terms: str = ""
    sha256: tuple[str, ...] = ()


IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
COUNTS = {
    "train-images-idx3-ubyte": 60_000,
    "train-labels-idx1-ubyte": 60_000,
    "t10k-images-idx3-ubyte": 10_000,
    "t10k-labels-idx1-ubyte": 10_000,
    "bangkok": 5_010,
}
# SHA-256 of the canonical files, unpacked, in the order of IDX_FILES
SHA256 = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "location30": ("2ca8f7fc231251e089823e44d39f2d1eed124574cc351c7f80368cfe631dd718",),
}


@contextmanager
def _mended_by(origin: str) -> Iterator[None]:
    """Say in every refusal of a file where the right one comes from."""
    try:
        yield
    except DataFileError as error:
        raise DataFileError(f"{error}; {origin}") from error


def _find(folder: Path, names: tuple[str, ...], *, what: str) -> Path:
    tried = [folder / name for name in names]
    for path in tried:
        if path.is_file():
            return path
    raise DataFileError(f"{what}: no file at any of {', '.join(str(p) for p in tried)}")


def _pictures(folder: Path, name: str, sub: str, origin: str) -> Records:
    with _mended_by(origin):
        parts = [_part(folder, name, sub, i) for i in range(len(IDX_FILES))]
    images = np.concatenate([parts[0], parts[2]])
    labels = np.concatenate([parts[1], parts[3]])
    inputs = images.astype(np.float32)[:, None] / np.float32(255)
    return Records.from_arrays(inputs, labels, n_classes=10, name=name)


def _part(folder: Path, name: str, sub: str, i: int) -> NDArray[np.uint8]:
    file = IDX_FILES[i]
    places = tuple(
        f"{place}{file}{end}" for place in (f"{sub}/raw/", f"{sub}/", "") for end in (".gz", "")
    )
    path = _find(folder, places, what=f"{name} needs {file}")
    data = unpacked(path)
    values = parse_idx(path, data, dimensions=3 if "images" in file else 1)
    if len(values) != COUNTS[file]:
        raise DataFileError(
            f"{path} holds {len(values)} records, the canonical file {COUNTS[file]}"
        )
    if values.ndim == 3 and values.shape[1:] != (28, 28):
        raise DataFileError(f"{path}: pictures are {values.shape[1:]}, expected (28, 28)")
    if values.ndim == 1 and values.max() > 9:
        where = int(values.argmax())
        raise DataFileError(f"{path}: label {values[where]} of record {where} is not in 0 .. 9")
    refuse_other_content(path, data, sha256=SHA256[name][i], what=f"{name}'s {file}")
    return values


def mnist(folder: Path) -> Records:
    """Read MNIST: 60,000 training and 10,000 test pictures, in this order, `[70000, 1, 28, 28]` in
    [0, 1].

    Args:
        folder: holds the four idx files, gzipped or not, itself or in `MNIST/raw`.

    Raises:
        DataFileError: a file is missing, truncated, altered, or not of this format.

    Reference: LeCun, Cortes & Burges.
    """
    return _pictures(Path(folder), "mnist", "MNIST", MNIST_ORIGIN)


def fashion_mnist(folder: Path) -> Records:
    """Read Fashion-MNIST: as MNIST, from `FashionMNIST/raw`.

    Args:
        folder: holds the four idx files, gzipped or not, itself or in `FashionMNIST/raw`.

    Raises:
        DataFileError: a file is missing, truncated, altered, or not of this format.

    Reference: Xiao, Rasul & Vollgraf 2017.
    """
    return _pictures(Path(folder), "fashion-mnist", "FashionMNIST", FASHION_ORIGIN)


def location30(folder: Path) -> Records:
    """Read Location-30: check-ins of 5,010 people, 446 binary features, 30 classes.

    Args:
        folder: holds `dataset_location.tgz`, or the file `bangkok` out of it.

    Returns:
        Records with inputs `[5010, 446]` of 0 and 1, labels 0 .. 29 for the file's 1 .. 30.

    Raises:
        DataFileError: a file is missing, truncated, altered, or not of this format; the message
            names line and column.

    Reference: Shokri et al. 2017.
    """
    names = tuple(
        f"{place}{file}"
        for place in ("", "location30/")
        for file in ("dataset_location.tgz", "bangkok")
    )
    with _mended_by(LOCATION_ORIGIN):
        path = _find(Path(folder), names, what="location30 needs dataset_location.tgz")
        text = location_text(path)
        inputs, labels = parse_location(path, text)
        if len(labels) != COUNTS["bangkok"]:
            raise DataFileError(
                f"{path} holds {len(labels)} records, the canonical file {COUNTS['bangkok']}"
            )
        refuse_other_content(path, text, sha256=SHA256["location30"][0], what="Location-30")
    return Records.from_arrays(inputs, labels, n_classes=CLASSES, name="location30")


MNIST_ORIGIN = (
    "get the four canonical idx files of MNIST (LeCun, Cortes, Burges) and put them into MNIST/raw "
    "below the folder named by --data-dir or SECATEUR_DATA"
)
FASHION_ORIGIN = (
    "get the four idx files of Fashion-MNIST (GitHub zalandoresearch/fashion-mnist) and put them "
    "into FashionMNIST/raw below the folder named by --data-dir or SECATEUR_DATA"
)
LOCATION_ORIGIN = (
    "get dataset_location.tgz (GitHub privacytrustlab/datasets) and put it into the folder named "
    "by --data-dir or SECATEUR_DATA"
)

DATA_SETS = (
    DataSet(
        name="digits",
        about="1,797 handwritten digits, 8x8, 10 classes",
        files=(),
        origin="inside scikit-learn; nothing to get",
        read=lambda _: digits(),
        terms="UCI, CC BY 4.0; shipped by scikit-learn (BSD-3-Clause)",
    ),
    DataSet(
        name="mnist",
        about="70,000 handwritten digits, 28x28, 10 classes",
        files=tuple(f"MNIST/raw/{f}.gz" for f in IDX_FILES),
        origin=MNIST_ORIGIN,
        read=mnist,
        terms="widely given as CC BY-SA 3.0",
        sha256=SHA256["mnist"],
    ),
    DataSet(
        name="fashion-mnist",
        about="70,000 pictures of clothes, 28x28, 10 classes",
        files=tuple(f"FashionMNIST/raw/{f}.gz" for f in IDX_FILES),
        origin=FASHION_ORIGIN,
        read=fashion_mnist,
        terms="MIT licence, (c) 2017 Zalando SE",
        sha256=SHA256["fashion-mnist"],
    ),
    DataSet(
        name="location30",
        about="check-ins of 5,010 people, 446 binary features, 30 classes",
        files=("dataset_location.tgz",),
        origin=LOCATION_ORIGIN,
        read=location30,
        terms="its makers state none",
        sha256=SHA256["location30"],
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
            f"SECATEUR_DATA. {known[name].origin}"
        )
    return known[name].read(folder or Path())
