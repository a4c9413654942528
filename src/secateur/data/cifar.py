"""CIFAR-10 and CIFAR-100, in every form in which they are common."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.cifar_forms import COUNTS, SIDE, Batches, Pictures, read_batches, read_pages
from secateur.data.dataset import DataFile, DataSet, mended_by, put_into
from secateur.errors import DataFileError
from secateur.types import ByteSource, Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CIFAR10", "CIFAR100", "cifar10", "cifar100"]

ADDRESS = "https://www.cs.toronto.edu/~kriz"
TERMS = "its makers state none; they ask to cite Krizhevsky 2009"


@dataclass(frozen=True, kw_only=True)
class _Set:
    """One of the two data sets; `labels` are the pickled keys, in the order of the binary bytes."""

    name: str
    classes: int
    labels: tuple[str, ...]
    forms: tuple[Batches, ...]
    origin: str


TEN = tuple(f"data_batch_{i}" for i in range(1, 6))
SETS = {
    "cifar10": _Set(
        name="cifar10",
        classes=10,
        labels=("labels",),
        forms=(
            Batches(
                folder="cifar-10-batches-bin",
                archive="cifar-10-binary.tar.gz",
                train=tuple(f"{n}.bin" for n in TEN),
                test=("test_batch.bin",),
                pickled=False,
            ),
            Batches(
                folder="cifar-10-batches-py",
                archive="cifar-10-python.tar.gz",
                train=TEN,
                test=("test_batch",),
                pickled=True,
            ),
        ),
        origin=put_into("", "cifar-10-binary.tar.gz (Krizhevsky, University of Toronto)"),
    ),
    "cifar100": _Set(
        name="cifar100",
        classes=100,
        labels=("coarse_labels", "fine_labels"),
        forms=(
            Batches(
                folder="cifar-100-binary",
                archive="cifar-100-binary.tar.gz",
                train=("train.bin",),
                test=("test.bin",),
                pickled=False,
            ),
            Batches(
                folder="cifar-100-python",
                archive="cifar-100-python.tar.gz",
                train=("train",),
                test=("test",),
                pickled=True,
            ),
        ),
        origin=put_into("", "cifar-100-binary.tar.gz (Krizhevsky, University of Toronto)"),
    ),
}
# The kind, 0 .. 19, of each of CIFAR-100's classes
COARSE = (
    *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7),
    *(6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10),
    *(16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16),
    *(12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13),
)
# SHA-256 of CIFAR-10's labels, then pixels, without the pictures of COPIES; and of the pixels of
# these in the npz form
EXACT = {"cifar10": "642634457c01685f70e9dff4944cb7b016a28da6008746098108bda3de204923"}
COPIED = {"cifar10": "4dc40087b9e1dbd10c937ec36dc3855eba59c3596c3e1d7201e6819be24a535c"}
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


def cifar10(folder: Path) -> Records:
    """Read CIFAR-10: 50,000 training and 10,000 test pictures, in this order, 10 classes.

    The records are the same whatever the form, but for the pictures of `jpeg_copy`.

    Args:
        folder: holds one of: `cifar-10-binary.tar.gz`, `cifar-10-python.tar.gz`, the folders
            `cifar-10-batches-bin` or `cifar-10-batches-py` out of them, or `cifar10.npz`: WebP
            files of 100 pictures each, in which 97 pictures are JPEG copies of the originals. The
            first that is there is read, in this order, the binary form before the pickled one.

    Returns:
        Records with inputs `[60000, 3, 32, 32]` in [0, 1], kept as bytes (184 MB). The group
        `jpeg_copy` (`yes`, `no`), of the npz form alone, marks the 97.

    Raises:
        DataFileError: a file is missing, truncated, altered, or not of this format; a pickled batch
            holds anything else than a batch. Pickled batches are read as data: nothing in them is
            run.
        MissingExtraError: the npz form needs Pillow.

    Reference: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    return _read(SETS["cifar10"], Path(folder))


def cifar100(folder: Path) -> Records:
    """Read CIFAR-100: 50,000 training and 10,000 test pictures, 100 classes in 20 kinds.

    Args:
        folder: holds one of: `cifar-100-binary.tar.gz`, `cifar-100-python.tar.gz`, the folders
            `cifar-100-binary` or `cifar-100-python` out of them, or `cifar100.npz`, in the form of
            `cifar10.npz`; no digest of that form is known, so its pixels are not compared.

    Returns:
        As `cifar10`; labels are the 100 fine classes, the group `coarse` holds the 20 kinds.

    Raises:
        DataFileError: see `cifar10`.
        MissingExtraError: the npz form needs Pillow.

    Reference: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    return _read(SETS["cifar100"], Path(folder))


def _read(which: _Set, folder: Path) -> Records:
    with mended_by(which.origin):
        place, found = _found(which, folder)
        fine = found.labels[-1]
        _check_labels(which, place, found.labels)
        _refuse_other_pictures(which.name, place, found)
    groups: dict[str, NDArray[Any]] = {}
    if found.copies is not None:
        copied = np.isin(np.arange(len(fine)), found.copies)
        groups["jpeg_copy"] = np.where(copied, "yes", "no")
    if len(which.labels) > 1:
        groups["coarse"] = np.array(COARSE, np.uint8)[fine]
    return Records(
        source=ByteSource(values=found.pixels.reshape(-1, 3, SIDE, SIDE)),
        labels=fine.astype(np.int64),
        n_classes=which.classes,
        name=which.name,
        groups=groups,
    )


def _found(which: _Set, folder: Path) -> tuple[Path, Pictures]:
    """Read the first form that is there, and say where it is."""
    for form in which.forms:
        for place in (folder / p for p in form.places):
            if place.exists():
                return place, read_batches(form, place, labels=which.labels)
    npz = folder / f"{which.name}.npz"
    if npz.is_file():
        return npz, read_pages(npz)
    tried = (*(folder / p for form in which.forms for p in form.places), npz)
    raise DataFileError(
        f"{which.name} needs {which.forms[0].archive}: none of {', '.join(map(str, tried))}"
    )


def _check_labels(which: _Set, place: Path, labels: NDArray[np.uint8]) -> None:
    fine = labels[-1]
    if fine.max() >= which.classes:
        where = int(fine.argmax())
        raise DataFileError(
            f"{place}: label {fine[where]} of record {where} is not in 0 .. {which.classes - 1}"
        )
    if len(labels) > 1:
        expected = np.array(COARSE, np.uint8)[fine]
        if (labels[0] != expected).any():
            where = int((labels[0] != expected).argmax())
            raise DataFileError(
                f"{place}: record {where} of class {fine[where]} has the coarse label "
                f"{labels[0][where]}, expected {expected[where]}"
            )
    for part, some in zip(COUNTS, np.split(fine, [COUNTS["train"]]), strict=True):
        counts = np.bincount(some, minlength=which.classes)
        if counts.min() != counts.max():
            raise DataFileError(
                f"{place}: the {part} part has {counts.min()} .. {counts.max()} records of each "
                f"class, expected {len(some) // which.classes}"
            )


def _refuse_other_pictures(name: str, place: Path, found: Pictures) -> None:
    """Refuse pictures that are not the canonical ones, where their digest is known."""
    if name not in EXACT:
        return
    total = hashlib.sha256(found.labels.tobytes())
    kept = np.setdiff1d(np.arange(len(found.pixels)), COPIES)
    for start in range(0, len(kept), 5_000):
        total.update(found.pixels[kept[start : start + 5_000]].tobytes())
    digests = [("labels and pixels", total.hexdigest(), EXACT[name])]
    if found.copies is not None:
        if found.copies.tolist() != list(COPIES):
            raise DataFileError(
                f"{place}: jpeg_index names other pictures than the {len(COPIES)} JPEG copies of "
                "this form: it was altered"
            )
        copied = hashlib.sha256(found.pixels[list(COPIES)].tobytes()).hexdigest()
        digests.append(("JPEG copies", copied, COPIED[name]))
    for what, digest, canonical in digests:
        if digest != canonical:
            raise DataFileError(
                f"{place} has the right form, but its {what} have the SHA-256 {digest}, the "
                f"canonical ones {canonical}: it was altered. Results on it would not be "
                "comparable: give it another name with Records.from_arrays"
            )


def _others(which: _Set) -> tuple[str, ...]:
    forms = (place for form in which.forms for place in form.places)
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
    parts=tuple(COUNTS.items()),
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
    parts=tuple(COUNTS.items()),
)
