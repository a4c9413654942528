"""The forms in which CIFAR's pictures lie on disk: batches of bytes, pickled batches, pages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.data.archives import archived_files
from secateur.data.bounded import unpacked
from secateur.data.npz import npz_arrays
from secateur.data.pickled import PickledArray, plain_values
from secateur.data.pictures import decode_rgb
from secateur.errors import DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["COUNTS", "SIDE", "Batches", "Pictures", "read_batches", "read_pages"]

SIDE = 32
PIXELS = 3 * SIDE * SIDE
PAGE = 100  # pictures in one WebP of the npz form, one below the other
COUNTS = {"train": 50_000, "test": 10_000}
MOST_BYTES = 2**28  # of the npz form
# MD5 of the batches as published: the pickled ones are stated by torchvision, those of bytes by
# GitHub rai-project/dldataset (CIFAR-10's also by others)
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
    "test.bin": "4499cfba6c016c1be1438163640a0898",
}


@dataclass(frozen=True, kw_only=True)
class Batches:
    """A folder of batches, or an archive with this folder inside."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    pickled: bool

    @property
    def most(self) -> int:
        """Bytes after which any one batch is refused: its pictures, and as much again for the rest.

        The published ones hold 30 or 31 MB of CIFAR-10, up to 155 MB of CIFAR-100.
        """
        return 2**20 + 2 * PIXELS * COUNTS["train"] // len(self.train)

    @property
    def places(self) -> tuple[str, str]:
        """The archive and the folder, in the order in which they are looked for."""
        return self.archive, self.folder


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pixels `[records, 3072]` and labels `[kinds of labels, records]`, training part first.

    `copies` are the indices of pictures that are not the original ones, but JPEG copies of them.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    copies: NDArray[np.int32] | None = None


def read_batches(batches: Batches, place: Path, *, labels: tuple[str, ...]) -> Pictures:
    """Read all batches out of their archive or folder.

    Args:
        batches: what is read.
        place: the archive or the folder.
        labels: the pickled keys of the labels, in the order in which a record of bytes has them.

    Raises:
        DataFileError: a batch is missing, truncated, altered or not of this form.
    """
    pixels = np.empty((sum(COUNTS.values()), PIXELS), np.uint8)
    marks = np.empty((len(labels), len(pixels)), np.uint8)
    n_files = {"train": len(batches.train), "test": len(batches.test)}
    parts = ("train",) * n_files["train"] + ("test",) * n_files["test"]
    start = 0
    for part, (where, data) in zip(parts, _contents(batches, place), strict=True):
        n = COUNTS[part] // n_files[part]
        found = (_pickled if batches.pickled else _plain)(where, data, labels, n)
        _refuse_other_batch(where, data)
        pixels[start : start + n] = found.pixels
        marks[:, start : start + n] = found.labels
        start += n
    return Pictures(pixels=pixels, labels=marks)


def _contents(batches: Batches, place: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the content of each batch, in canonical order; an archive is read once, as a whole."""
    files = (*batches.train, *batches.test)
    if place.is_file():
        members = tuple(f"{batches.folder}/{file}" for file in files)
        found = archived_files(place, members=members, most=batches.most)
        for member in members:
            yield place / member, found.pop(member)
        return
    for file in files:
        path = place / file
        if not path.is_file():
            raise DataFileError(f"{place} is incomplete: there is no {file} in it")
        yield path, unpacked(path, most=batches.most)


def _refuse_other_batch(where: Path, data: bytes) -> None:
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != MD5[where.name]:
        raise DataFileError(
            f"{where} has the right form, but it is not the published batch: it has the MD5 "
            f"{found}, that one {MD5[where.name]}; it was altered or written anew. Results on it "
            "would not be comparable: give it another name with Records.from_arrays"
        )


def _plain(where: Path, data: bytes, labels: tuple[str, ...], n: int) -> Pictures:
    """Read records of bytes: labels, then 1,024 bytes each of red, green and blue."""
    kinds = len(labels)
    if len(data) != n * (kinds + PIXELS):
        raise DataFileError(
            f"{where} has {len(data)} bytes, expected {n} records of {kinds + PIXELS} bytes = "
            f"{n * (kinds + PIXELS)}: it is truncated or another file"
        )
    rows = np.frombuffer(data, np.uint8).reshape(n, kinds + PIXELS)
    return Pictures(pixels=rows[:, kinds:], labels=rows[:, :kinds].T)


def _pickled(where: Path, data: bytes, labels: tuple[str, ...], n: int) -> Pictures:
    """Read a pickled mapping with an array of pixels and lists of labels."""
    held = plain_values(where, data)
    for key in ("data", *labels):
        if key not in held:
            raise DataFileError(f"{where} has no {key!r}; it holds {', '.join(held)[:120]}")
    array = held["data"]
    if not isinstance(array, PickledArray):
        raise DataFileError(f"{where}: 'data' is no array, but a {type(array).__name__}")
    for key in labels:
        column = held[key]
        whole = isinstance(column, list) and all(type(v) is int and 0 <= v < 256 for v in column)
        if not whole or len(column) != n:
            raise DataFileError(f"{where}: {key!r} is not a list of {n} whole numbers in 0 .. 255")
    return Pictures(
        pixels=array.values(f"{where}: 'data'", (n, PIXELS)),
        labels=np.array([held[key] for key in labels], np.uint8),
    )


def read_pages(path: Path) -> Pictures:
    """Read the npz form: lossless WebP files of 100 pictures each, one below the other.

    Raises:
        DataFileError: truncated, damaged or not of this form; the message names the page.
        MissingExtraError: Pillow is not installed.
    """
    n = sum(COUNTS.values())
    form: dict[str, tuple[str, tuple[int | None, ...]]] = {
        "webp": ("uint8", (None,)),
        "offsets": ("int64", (n // PAGE + 1,)),
        "labels": ("uint8", (n,)),
        "jpeg_index": ("int32", (None,)),
    }
    held = npz_arrays(path, form, most=MOST_BYTES)
    cuts, copies = held["offsets"], held["jpeg_index"]
    if cuts[0] != 0 or cuts[-1] != len(held["webp"]) or (cuts[1:] <= cuts[:-1]).any():
        raise DataFileError(
            f"{path}: the offsets do not rise from 0 to the {len(held['webp'])} bytes of webp, "
            f"they run from {cuts[0]} to {cuts[-1]}"
        )
    if copies.size and not 0 <= copies.min() <= copies.max() < n:
        raise DataFileError(
            f"{path}: jpeg_index holds numbers in {copies.min()} .. {copies.max()}, expected "
            f"0 .. {n - 1}"
        )
    pixels = np.empty((n, PIXELS), np.uint8)
    for k in range(n // PAGE):
        page = _page(f"{path}, page {k}", held["webp"][cuts[k] : cuts[k + 1]].tobytes())
        pixels[k * PAGE : (k + 1) * PAGE] = page
    return Pictures(pixels=pixels, labels=held["labels"][None], copies=copies)


def _page(what: str, data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a page's pictures, `[100, 3072]`, channels first."""
    rgb = decode_rgb(data, what=what, most_pixels=PAGE * SIDE * SIDE)
    if rgb.shape != (PAGE * SIDE, SIDE, 3):
        raise DataFileError(f"{what} is {rgb.shape[:2]}, expected ({PAGE * SIDE}, {SIDE})")
    return rgb.reshape(PAGE, SIDE, SIDE, 3).transpose(0, 3, 1, 2).reshape(PAGE, PIXELS)
