"""CIFAR-10 and CIFAR-100, in every form in which they are common."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.archives import archived_files
from secateur.data.bounded import unpacked
from secateur.data.dataset import DataFile, DataSet, mended_by, put_into
from secateur.data.npz import npz_arrays
from secateur.data.pickled import PickledArray, plain_values
from secateur.data.pictures import decode_rgb
from secateur.errors import DataFileError
from secateur.types import ByteSource, Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CIFAR10", "CIFAR100", "cifar10", "cifar100"]

SIDE = 32
PIXELS = 3 * SIDE * SIDE
PAGE = 100  # pictures in one WebP of the npz form, one below the other
COUNTS = {"train": 50_000, "test": 10_000}
MOST_BYTES = 2**28  # the largest file, CIFAR-100's training part, has 155 MB
ADDRESS = "https://www.cs.toronto.edu/~kriz"
TERMS = "its makers state none; they ask to cite Krizhevsky 2009"


@dataclass(frozen=True, kw_only=True)
class _Form:
    """A folder of batches, or an archive with this folder inside."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    pickled: bool


@dataclass(frozen=True, kw_only=True)
class _Set:
    """One of the two data sets; `labels` are the pickled keys, in the order of the binary bytes.

    `md5` is that of single files.
    """

    name: str
    classes: int
    labels: tuple[str, ...]
    forms: tuple[_Form, ...]
    origin: str
    md5: dict[str, str]


TEN = tuple(f"data_batch_{i}" for i in range(1, 6))
SETS = {
    "cifar10": _Set(
        name="cifar10",
        classes=10,
        labels=("labels",),
        forms=(
            _Form(
                folder="cifar-10-batches-bin",
                archive="cifar-10-binary.tar.gz",
                train=tuple(f"{n}.bin" for n in TEN),
                test=("test_batch.bin",),
                pickled=False,
            ),
            _Form(
                folder="cifar-10-batches-py",
                archive="cifar-10-python.tar.gz",
                train=TEN,
                test=("test_batch",),
                pickled=True,
            ),
        ),
        origin=put_into("", "cifar-10-binary.tar.gz (Krizhevsky, University of Toronto)"),
        md5={},
    ),
    "cifar100": _Set(
        name="cifar100",
        classes=100,
        labels=("coarse_labels", "fine_labels"),
        forms=(
            _Form(
                folder="cifar-100-binary",
                archive="cifar-100-binary.tar.gz",
                train=("train.bin",),
                test=("test.bin",),
                pickled=False,
            ),
            _Form(
                folder="cifar-100-python",
                archive="cifar-100-python.tar.gz",
                train=("train",),
                test=("test",),
                pickled=True,
            ),
        ),
        origin=put_into("", "cifar-100-binary.tar.gz (Krizhevsky, University of Toronto)"),
        md5={
            "train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
            "test.bin": "4499cfba6c016c1be1438163640a0898",
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        },
    ),
}
# SHA-256 of CIFAR-10's labels, then pixels, without the pictures of COPIES
EXACT = {"cifar10": "642634457c01685f70e9dff4944cb7b016a28da6008746098108bda3de204923"}
# The pictures that the npz form of CIFAR-10 has as JPEG copies
COPIES = (
    *(4298, 5949, 7066, 7237, 7248, 7630, 8006, 8831, 8968, 9415, 10336, 10408, 12762, 12834),
    *(13546, 21493, 25728, 26098, 26927, 27621, 28435, 28728, 29694, 29747, 30329, 31066, 31367),
    *(31462, 31625, 31663, 32777, 33641, 33661, 34067, 34276, 34387, 34825, 35160, 35646, 36733),
    *(37329, 37474, 37567, 38384, 38925, 39358, 39385, 39613, 39840, 39888, 39971, 40805, 41779),
    *(42004, 42389, 42611, 43357, 43883, 44882, 45168, 45240, 46175, 46435, 46538, 46624, 47393),
    *(47597, 48081, 48124, 48333, 48821, 48836, 49321, 49429, 49631, 49830, 49857, 51259, 51369),
    *(51422, 52245, 52737, 52935, 53695, 53718, 54085, 54496, 55791, 55896, 56286, 57580, 57707),
    *(57724, 57832, 58117, 58551, 59254),
)
Found = tuple["NDArray[np.uint8]", "NDArray[np.uint8]"]


def cifar10(folder: Path) -> Records:
    """Read CIFAR-10: 50,000 training and 10,000 test pictures, in this order, 10 classes.

    Args:
        folder: holds one of: `cifar-10-binary.tar.gz`, `cifar-10-python.tar.gz`, the folders
            `cifar-10-batches-bin` or `cifar-10-batches-py` out of them, or `cifar10.npz`: WebP
            files of 100 pictures each, in which 97 pictures are JPEG copies of the originals.

    Returns:
        Records with inputs `[60000, 3, 32, 32]` in [0, 1], kept as bytes (184 MB). The group
        `jpeg_copy` (`yes`, `no`), of the npz form alone, marks the 97.

    Raises:
        DataFileError: a file is missing, truncated, altered, or not of this format; a pickled batch
            holds anything else than a batch.
        MissingExtraError: the npz form needs Pillow.

    Reference: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    return _read(SETS["cifar10"], Path(folder))


def cifar100(folder: Path) -> Records:
    """Read CIFAR-100: 50,000 training and 10,000 test pictures, 100 classes in 20 kinds.

    Args:
        folder: holds one of: `cifar-100-binary.tar.gz`, `cifar-100-python.tar.gz`, the folders
            `cifar-100-binary` or `cifar-100-python` out of them, or `cifar100.npz`, in the form of
            `cifar10.npz`.

    Returns:
        As `cifar10`; labels are the 100 fine classes, the group `coarse` holds the 20 kinds (not
        in the npz form).

    Raises:
        DataFileError, MissingExtraError: see `cifar10`.

    Reference: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    return _read(SETS["cifar100"], Path(folder))


def _read(which: _Set, folder: Path) -> Records:
    with mended_by(which.origin):
        npz = folder / f"{which.name}.npz"
        groups: dict[str, NDArray[Any]] = {}
        for form in which.forms:
            place = next((folder / p for p in _places(form) if (folder / p).exists()), None)
            if place is not None:
                pixels, labels = _batches(which, form, place)
                break
        else:
            if not npz.is_file():
                places = [folder / p for form in which.forms for p in _places(form)]
                tried = ", ".join(map(str, [*places, npz]))
                raise DataFileError(f"{which.name} needs {which.forms[0].archive}: none of {tried}")
            place = npz
            pixels, labels, copies = _pages(which, npz)
            groups = {"jpeg_copy": np.where(copies, "yes", "no")}
        _check_labels(which, place, labels)
        _refuse_other_pictures(which, place, pixels, labels[-1])
    if len(labels) > 1:
        groups["coarse"] = labels[0]
    return Records(
        source=ByteSource(values=pixels.reshape(-1, 3, SIDE, SIDE)),
        labels=labels[-1].astype(np.int64),
        n_classes=which.classes,
        name=which.name,
        groups=groups,
    )


def _places(form: _Form) -> tuple[str, str]:
    return form.archive, form.folder


def _batches(which: _Set, form: _Form, place: Path) -> Found:
    """Return pixels `[records, 3072]` and labels `[kinds of labels, records]` of all batches."""
    parts = []
    for part, files in (("train", form.train), ("test", form.test)):
        for file in files:
            what, data = _content(form, place, file)
            if file in which.md5:
                _refuse_other_file(what, data, which.md5[file])
            read = _pickled if form.pickled else _binary
            parts.append(read(which, what, data, COUNTS[part] // len(files)))
    return np.concatenate([p for p, _ in parts]), np.concatenate([y for _, y in parts], axis=1)


def _content(form: _Form, place: Path, file: str) -> tuple[Path, bytes]:
    if place.is_file():
        member = f"{form.folder}/{file}"
        return place / member, archived_files(place, members=(member,), most=MOST_BYTES)[member]
    path = place / file
    if not path.is_file():
        raise DataFileError(f"{place} is incomplete: there is no {file} in it")
    return path, unpacked(path, most=MOST_BYTES)


def _refuse_other_file(path: Path, data: bytes, md5: str) -> None:
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataFileError(f"{path} has the MD5 {found}, the canonical file {md5}: it was altered")


def _binary(which: _Set, path: Path, data: bytes, n: int) -> Found:
    kinds = len(which.labels)
    if len(data) != n * (PIXELS + kinds):
        raise DataFileError(
            f"{path} has {len(data)} bytes, the canonical file {n * (PIXELS + kinds)}: it is "
            "truncated or another file"
        )
    rows = np.frombuffer(data, np.uint8).reshape(n, kinds + PIXELS)
    return rows[:, kinds:], rows[:, :kinds].T


def _pickled(which: _Set, path: Path, data: bytes, n: int) -> Found:
    held = plain_values(path, data)
    for key in ("data", *which.labels):
        if key not in held:
            raise DataFileError(f"{path} has no {key!r}; it holds {', '.join(held)[:120]}")
    if not isinstance(held["data"], PickledArray):
        raise DataFileError(f"{path}: 'data' is no array, but a {type(held['data']).__name__}")
    pixels = held["data"].values(f"{path}: 'data'")
    if pixels.shape != (n, PIXELS):
        raise DataFileError(f"{path}: 'data' has the shape {pixels.shape}, not {(n, PIXELS)}")
    labels = [held[key] for key in which.labels]
    for key, column in zip(which.labels, labels, strict=True):
        whole = isinstance(column, list) and all(type(v) is int and 0 <= v < 256 for v in column)
        if not whole or len(column) != n:
            raise DataFileError(f"{path}: {key!r} is not a list of {n} whole numbers in 0 .. 255")
    return pixels, np.array(labels, np.uint8)


def _pages(which: _Set, path: Path) -> tuple[Any, Any, NDArray[np.bool_]]:
    """Return pixels, labels, and which pictures are JPEG copies, of the npz form."""
    n = sum(COUNTS.values())
    form = {
        "webp": ("uint8", (None,)),
        "offsets": ("int64", (n // PAGE + 1,)),
        "labels": ("uint8", (n,)),
        "jpeg_index": ("int32", (None,)),
    }
    held = npz_arrays(path, form, most=MOST_BYTES)
    content, cuts = held["webp"].tobytes(), held["offsets"]
    if cuts[0] != 0 or cuts[-1] != len(content) or (np.diff(cuts) <= 0).any():
        raise DataFileError(f"{path}: the offsets do not rise from 0 to {len(content)}")
    copies = held["jpeg_index"]
    if copies.size and not 0 <= copies.min() <= copies.max() < n:
        raise DataFileError(f"{path}: jpeg_index holds numbers outside 0 .. {n - 1}")
    pixels = np.empty((n, 3, SIDE, SIDE), np.uint8)
    for k in range(n // PAGE):
        what = f"{path}, page {k}"
        rgb = decode_rgb(content[cuts[k] : cuts[k + 1]], what=what, most_pixels=PAGE * SIDE * SIDE)
        if rgb.shape != (PAGE * SIDE, SIDE, 3):
            raise DataFileError(f"{what} is {rgb.shape[:2]}, expected ({PAGE * SIDE}, {SIDE})")
        page = rgb.reshape(PAGE, SIDE, SIDE, 3)
        pixels[k * PAGE : (k + 1) * PAGE] = page.transpose(0, 3, 1, 2)
    return pixels.reshape(n, PIXELS), held["labels"][None], np.isin(np.arange(n), copies)


def _check_labels(which: _Set, path: Path, labels: NDArray[np.uint8]) -> None:
    for column, most in zip(labels[::-1], (which.classes, 20), strict=False):
        if column.max() >= most:
            where = int(column.argmax())
            raise DataFileError(
                f"{path}: label {column[where]} of record {where} is not in 0 .. {most - 1}"
            )


def _refuse_other_pictures(
    which: _Set, path: Path, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    if which.name not in EXACT:
        return
    total = hashlib.sha256(np.ascontiguousarray(labels).tobytes())
    kept = np.setdiff1d(np.arange(len(pixels)), COPIES)
    for start in range(0, len(kept), 5_000):
        total.update(pixels[kept[start : start + 5_000]].tobytes())
    if total.hexdigest() != EXACT[which.name]:
        raise DataFileError(
            f"{path} has the right form, but its labels and pixels have the SHA-256 "
            f"{total.hexdigest()}, the canonical ones {EXACT[which.name]}: it was altered"
        )


def _others(which: _Set) -> tuple[str, ...]:
    forms = (place for form in which.forms for place in _places(form))
    return (*(place for place in forms if place != which.forms[0].archive), f"{which.name}.npz")


CNN = "Recipe(build=SmallCNN(channels=3, classes={classes}, widths=(32, 64, 128)), "
TRAINING = "optimiser=Adam(lr=0.002), epochs=30, batch_size=64)"

CIFAR10 = DataSet(
    name="cifar10",
    about="60,000 colour pictures, 32x32, 10 classes",
    files=(
        DataFile(
            path="cifar-10-binary.tar.gz",
            url=f"{ADDRESS}/cifar-10-binary.tar.gz",
            checksum="md5:c32a1d4ab5d03f1284b67883e8d87530",
            n_bytes=170_052_171,
        ),
    ),
    others=_others(SETS["cifar10"]),
    origin=SETS["cifar10"].origin,
    read=cifar10,
    terms=TERMS,
    recipe=CNN.format(classes=10) + TRAINING,
    sizes=(2500, 1000, 5000),
    n_records=60_000,
    parts=(("train", 50_000), ("test", 10_000)),
)
CIFAR100 = DataSet(
    name="cifar100",
    about="60,000 colour pictures, 32x32, 100 classes in 20 kinds",
    files=(
        DataFile(
            path="cifar-100-binary.tar.gz",
            url=f"{ADDRESS}/cifar-100-binary.tar.gz",
            checksum="md5:03b5dce01913d631647c71ecec9e9cb8",
            n_bytes=168_513_733,
        ),
    ),
    others=_others(SETS["cifar100"]),
    origin=SETS["cifar100"].origin,
    read=cifar100,
    terms=TERMS,
    recipe=CNN.format(classes=100) + TRAINING,
    sizes=(5000, 2000, 10000),
    n_records=60_000,
    parts=(("train", 50_000), ("test", 10_000)),
)
