"""Ten classes of Tiny-ImageNet, the original JPEG bytes in one npz file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.bounded import refuse_other_content
from secateur.data.dataset import DataFile, DataSet, find_file, mended_by, put_into
from secateur.data.npz import npz_arrays
from secateur.data.pictures import decode_rgb
from secateur.errors import DataFileError
from secateur.types import ByteSource, Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TINY_IMAGENET10", "tiny_imagenet10"]

FILE = "tiny_imagenet10.npz"
SIDE = 64
CLASSES = 10
MOST_BYTES = 2**25  # the file has 11 MB
COUNTS = {"train": 5_000, "val": 500}
# SHA-256 of the arrays jpeg, offsets, labels and is_val of the canonical file, one after another
SHA256 = {FILE: "0fdd3315539c6ff3263ed0cafa1efa56ef17bc9178ef75689b47e18de89ac4f1"}
ORIGIN = put_into(
    "",
    f"{FILE}, the labelled JPEG files of ten classes of Tiny-ImageNet (Stanford CS231n; GitHub "
    "seshuad/IMagenet) as arrays jpeg, offsets, labels and is_val",
)


def tiny_imagenet10(folder: Path) -> Records:
    """Read ten classes of Tiny-ImageNet: 5,000 training and 500 validation pictures, in this order.

    Classes: 0 goldfish, 1 European fire salamander, 2 king penguin, 3 golden retriever, 4 tabby
    cat, 5 monarch butterfly, 6 lighthouse, 7 school bus, 8 sports car, 9 pizza.

    Args:
        folder: holds `tiny_imagenet10.npz`.

    Returns:
        Records with inputs `[5500, 3, 64, 64]` in [0, 1], kept as bytes (68 MB), and the group
        column `part` (`train` or `val`).

    Raises:
        DataFileError: the file is missing, truncated, altered, or not of this format; the message
            names the picture.
        MissingExtraError: Pillow is not installed.

    Reference: the Tiny ImageNet Challenge of Stanford's course CS231n; the pictures are ImageNet's
    (Russakovsky et al. 2015).
    """
    with mended_by(ORIGIN):
        path = find_file(Path(folder), (FILE,), what=f"tiny-imagenet10 needs {FILE}")
        found = _checked(path)
        pictures = _pictures(path, found["jpeg"].tobytes(), found["offsets"])
    return Records(
        source=ByteSource(values=pictures),
        labels=found["labels"].astype(np.int64),
        n_classes=CLASSES,
        name="tiny-imagenet10",
        groups={"part": np.where(found["is_val"], "val", "train")},
    )


def _checked(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of the canonical file."""
    n = sum(COUNTS.values())
    found = npz_arrays(
        path,
        {
            "jpeg": ("uint8", (None,)),
            "offsets": ("int64", (n + 1,)),
            "labels": ("uint8", (n,)),
            "is_val": ("bool", (n,)),
        },
        most=MOST_BYTES,
    )
    cuts, labels, is_val = found["offsets"], found["labels"], found["is_val"]
    if cuts[0] != 0 or cuts[-1] != len(found["jpeg"]) or (cuts[1:] <= cuts[:-1]).any():
        raise DataFileError(
            f"{path}: the offsets do not rise from 0 to the {len(found['jpeg'])} bytes of jpeg, "
            f"they run from {cuts[0]} to {cuts[-1]}"
        )
    if labels.max() >= CLASSES:
        where = int(labels.argmax())
        raise DataFileError(
            f"{path}: label {labels[where]} of picture {where} is not in 0 .. {CLASSES - 1}"
        )
    if is_val[: COUNTS["train"]].any() or not is_val[COUNTS["train"] :].all():
        raise DataFileError(
            f"{path}: is_val must be false for the first {COUNTS['train']} pictures and true for "
            f"the last {COUNTS['val']}"
        )
    content = b"".join(a.tobytes() for a in found.values())
    refuse_other_content(path, content, sha256=SHA256[FILE], what="tiny-imagenet10")
    return found


def _pictures(path: Path, jpeg: bytes, offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Decode all, `[n, 3, 64, 64]`."""
    found = np.empty((len(offsets) - 1, 3, SIDE, SIDE), np.uint8)
    for k in range(len(found)):
        what = f"{path}, picture {k}"
        rgb = decode_rgb(jpeg[offsets[k] : offsets[k + 1]], what=what, most_pixels=SIDE * SIDE)
        if rgb.shape != (SIDE, SIDE, 3):
            raise DataFileError(f"{what} is {rgb.shape[:2]}, expected ({SIDE}, {SIDE})")
        found[k] = rgb.transpose(2, 0, 1)
    return found


TINY_IMAGENET10 = DataSet(
    name="tiny-imagenet10",
    about="5,500 pictures of ten ImageNet classes, 64x64, colour",
    files=(
        DataFile(
            path=FILE,
            checksum="sha256:67527ae2e964942e928f7121b69427ee075ec3181f9fb99accbc3e7fec67b75a",
            n_bytes=11_169_252,
        ),
    ),
    origin=ORIGIN,
    read=tiny_imagenet10,
    terms="ImageNet's terms: non-commercial research and education; rights stay with the owners",
    recipe="Recipe(build=SmallCNN(channels=3, classes=10, widths=(32, 64, 128, 128)), "
    "optimiser=Adam(lr=0.002), epochs=30, batch_size=64)",
    sizes=(1000, 500, 1000),
    n_records=5_500,
    parts=tuple(COUNTS.items()),
)
