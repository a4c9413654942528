"""Pictures in one folder per class, the layout of ImageNet, read when they are asked for."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.data.bounded import unpacked
from secateur.data.dataset import DataSet
from secateur.data.pictures import decode_rgb, resized
from secateur.errors import DataFileError, InputError
from secateur.types import ByteSource, Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import IntArray

__all__ = ["IMAGE_FOLDER", "FolderSource", "image_folder"]

PARTS = ("train", "val", "test")
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
HIDDEN = ("thumbs.db", "desktop.ini")  # what Windows leaves behind; elsewhere a dot says hidden
MOST_BYTES = 2**28  # of one file
MOST_PIXELS = 10**8  # of one picture; decoding that many takes 1 GB
LAYOUT = "expected FOLDER/train/CLASS/PICTURE and FOLDER/val/CLASS/PICTURE, or FOLDER/CLASS/PICTURE"


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Pictures that stay in their files; what is asked for is decoded, scaled and cropped.

    Args:
        folder: the folder that all names start from.
        names: of the pictures, below it, with `/` between folders.
        size: pixels of the square that is cut from the centre.
        resize: pixels that the shorter side is scaled to before, at least `size`.
    """

    folder: Path
    names: tuple[str, ...]
    size: int = 224
    resize: int = 256

    def __post_init__(self) -> None:
        whole = all(type(n) is int for n in (self.size, self.resize))
        if not (whole and 1 <= self.size <= self.resize):
            raise InputError(
                "size and resize must be whole numbers with size in 1 .. resize, got "
                f"size={self.size!r} and resize={self.resize!r}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with the number of records first: `[records, 3, size, size]`."""
        return (len(self.names), 3, self.size, self.size)

    def gather(self, indices: IntArray) -> NDArray[np.float32]:
        """Return the pictures at these indices, float32 `[len(indices), 3, size, size]` in [0, 1].

        Raises:
            DataFileError: a picture cannot be read or decoded; the message names its path.
            MissingExtraError: Pillow is not installed.
        """
        taken = self.take(indices)
        return taken.gather(np.arange(len(taken.values)))

    def take(self, indices: IntArray) -> ByteSource:
        """Return the pictures at these indices in memory, as bytes.

        Raises:
            DataFileError: a picture cannot be read or decoded; the message names its path.
            MissingExtraError: Pillow is not installed.
        """
        where = np.arange(len(self.names))[indices]
        found = np.empty((len(where), *self.shape[1:]), np.uint8)
        for row, index in zip(found, where, strict=True):
            path = self.folder / self.names[index]
            data = unpacked(path, most=MOST_BYTES)
            rgb = decode_rgb(data, what=str(path), most_pixels=MOST_PIXELS)
            row[:] = resized(rgb, size=self.resize, crop=self.size).transpose(2, 0, 1)
        return ByteSource(values=found)

    def digest(self) -> str:
        """Return a digest of all names, all files' content, and how they are scaled.

        Every file is read once, in pieces of bounded size, on the first call.

        Raises:
            DataFileError: a file cannot be read.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str:
        found = hashlib.sha256(f"folder|{self.size}|{self.resize}".encode())
        for name in self.names:
            path = self.folder / name
            try:
                with path.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise DataFileError(f"{path} cannot be read ({error})") from error
            found.update(os.fsencode(name) + b"|" + content.encode() + b"|")
        return found.hexdigest()


def image_folder(folder: Path, *, size: int = 224, resize: int = 256) -> Records:
    """List pictures in one folder per class; each is decoded when it is asked for.

    Reads `FOLDER/train/CLASS/PICTURE` and `FOLDER/val/CLASS/PICTURE`, the layout of ImageNet (`val`
    may be absent; `test` is read too where it holds class folders), or `FOLDER/CLASS/PICTURE`. A
    folder `train` that holds pictures itself is a class of that name. Label i is the i-th of the
    class folders sorted by name; records are sorted by part, class and file name.

    Pictures are files ending in .jpg, .jpeg, .png, .webp or .bmp, in any case. Hidden files (a
    leading dot, Thumbs.db, desktop.ini) are passed over; anything else inside a class folder is
    refused. Files beside class folders are passed over, unless they are pictures. Links are
    followed. Each picture is scaled so that its shorter side has `resize` pixels, and its centre of
    `size` x `size` is cut out: ImageNet's usual evaluation transform.

    Listing takes about 200 bytes of memory a picture, decoding 10 bytes a pixel of one picture at a
    time; pictures of more than 100 million pixels are refused. `Records.take` and `restrict`, which
    `secateur train` uses, bring what they keep into memory: 3 bytes a pixel, that is 0.15 MB a
    picture of 224 x 224, and 0.15 GB for 1,000.

    Args:
        folder: of the class folders, or of `train`, `val` and `test`.
        size: pixels of the square inputs.
        resize: pixels of the shorter side before cropping, at least `size`.

    Returns:
        Records with inputs `[records, 3, size, size]` in [0, 1], and the group column `part`
        (`train`, `val` or `test`) where there are parts.

    Raises:
        DataFileError: no such folder or layout, fewer than two classes, an empty class, a class of
            `val` or `test` that is not in `train`, or a file that is not a picture. A corrupt
            picture is named when it is gathered.
        InputError: size or resize is out of range.

    Reference: the layout of Russakovsky et al. 2015 (ImageNet), as it is commonly unpacked.
    """
    root = Path(folder).absolute()
    parts = _parts(root)
    classes = _classes(root / parts[0] if parts else root)
    if len(classes) == 1:
        raise DataFileError(
            f"{root} holds one class folder only, {classes[0]!r}; a classifier needs at least two"
        )
    label = {name: i for i, name in enumerate(classes)}
    names: list[str] = []
    labels: list[int] = []
    columns: list[str] = []
    for part in parts or ("",):
        for name in _classes(root / part):
            if name not in label:
                raise DataFileError(
                    f"{root / part / name} is a class that is not in {root / parts[0]}, which has "
                    f"{len(classes)} classes; rename it or remove it"
                )
            found = _pictures(root / part / name)
            place = f"{part}/{name}" if part else name
            names += [f"{place}/{file}" for file in found]
            labels += [label[name]] * len(found)
            columns += [part] * len(found)
    return Records(
        source=FolderSource(folder=root, names=tuple(names), size=size, resize=resize),
        labels=np.array(labels),
        n_classes=len(classes),
        name="image-folder",
        groups={"part": np.array(columns)} if parts else {},
    )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, hidden things left out, sorted by name."""
    try:
        with os.scandir(folder) as found:
            shown = [e for e in found if not e.name.startswith(".")]
    except OSError as error:
        raise DataFileError(f"{folder} cannot be listed ({error}); {LAYOUT}") from error
    return sorted((e for e in shown if e.name.lower() not in HIDDEN), key=lambda e: e.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:  # a link that leads to itself
        raise DataFileError(f"{entry.path} cannot be followed ({error}); remove it") from error


def _parts(root: Path) -> tuple[str, ...]:
    """Return the parts that hold folders; empty where classes lie at the top."""
    top = {e.name for e in _entries(root) if e.name in PARTS and _is_folder(e)}
    classed = {part for part in top if any(map(_is_folder, _entries(root / part)))}
    top -= {"test"} - classed  # ImageNet's holds pictures without labels
    if not classed:
        return ()
    if PARTS[0] not in top:
        raise DataFileError(f"{root} has a folder {sorted(top)[0]} but no folder train; {LAYOUT}")
    return tuple(part for part in PARTS if part in top)


def _classes(folder: Path) -> tuple[str, ...]:
    """Return the names of the class folders, sorted."""
    found = []
    stray = []
    for entry in _entries(folder):
        if _is_folder(entry):
            found.append(entry.name)
        elif _is_picture(entry.name):
            stray.append(entry.name)
    if stray:
        raise DataFileError(
            f"{folder} holds {len(stray)} picture(s) outside a class folder, first {stray[0]!r}; "
            f"{LAYOUT}"
        )
    if not found:
        raise DataFileError(f"{folder} holds no class folders, so there are no pictures; {LAYOUT}")
    return tuple(found)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def _pictures(folder: Path) -> list[str]:
    """Return the names of the pictures of one class, sorted."""
    found = []
    for entry in _entries(folder):
        if _is_folder(entry):
            raise DataFileError(
                f"{entry.path} is a folder inside a class folder; pictures are not looked for "
                f"there: {LAYOUT}"
            )
        if not _is_picture(entry.name):
            raise DataFileError(
                f"{entry.path} is not a picture ({', '.join(ENDINGS)}); move it out of the class "
                "folder"
            )
        if not entry.is_file():
            raise DataFileError(
                f"{entry.path} is not a regular file, or a link that leads nowhere; remove it"
            )
        found.append(entry.name)
    if not found:
        raise DataFileError(
            f"the class folder {folder} holds no pictures ({', '.join(ENDINGS)}); fill it or "
            "remove it"
        )
    return found


IMAGE_FOLDER = DataSet(
    name="image-folder",
    about="your own pictures, one folder per class, scaled and cropped to 224x224",
    origin=f"name the folder of your class folders: {LAYOUT}",
    read=image_folder,
    needs_folder=True,
    terms="those of your pictures",
    sizes=(200, 100, 200),
)
