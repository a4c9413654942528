"""The text of Location-30: one line a record, the class first, then 446 cells of 0 or 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.data.archives import archived_files
from secateur.data.bits import Form, lines_of, read_bits
from secateur.data.bounded import PACKED, refuse_other_content, unpacked
from secateur.data.dataset import DataFile, DataSet, find_file, mended_by, put_into
from secateur.types import Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LOCATION30", "location30", "location_text", "parse_location"]

COLUMNS = 446
CLASSES = 30
MEMBER = "bangkok"
MOST_BYTES = 2**24  # the text has 4.5 MB
COUNTS = {MEMBER: 5_010}
# SHA-256 of the canonical text
SHA256 = {MEMBER: "2ca8f7fc231251e089823e44d39f2d1eed124574cc351c7f80368cfe631dd718"}
ORIGIN = put_into("", "dataset_location.tgz (GitHub privacytrustlab/datasets)")


def location_text(path: Path) -> bytes:
    """Return the text: the file itself, or the archive's member `bangkok`; nothing is extracted.

    Raises:
        DataFileError: no such member, a damaged archive, or more than a bounded number of bytes.
    """
    if path.suffix in PACKED:
        return archived_files(path, members=(MEMBER,), most=MOST_BYTES)[MEMBER]
    return unpacked(path, most=MOST_BYTES)


def parse_location(path: Path, text: bytes) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return inputs `[records, 446]` of 0 and 1, and labels `[records]` in 0 .. 29.

    Raises:
        DataFileError: a line or cell that is not of this form, named by line and column, or
            another number of records.
    """
    form = Form(what="Location-30", columns=COLUMNS, classes=CLASSES)
    cells, labels = read_bits(path, lines_of(text), form, records=COUNTS[MEMBER])
    return cells.astype(np.float32), labels


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
    with mended_by(ORIGIN):
        path = find_file(Path(folder), names, what="location30 needs dataset_location.tgz")
        text = location_text(path)
        inputs, labels = parse_location(path, text)
        refuse_other_content(path, text, sha256=SHA256[MEMBER], what="Location-30")
    return Records.from_arrays(inputs, labels, n_classes=CLASSES, name="location30")


LOCATION30 = DataSet(
    name="location30",
    about="check-ins of 5,010 people, 446 binary features, 30 classes",
    files=(
        DataFile(
            path="dataset_location.tgz",
            url="https://raw.githubusercontent.com/privacytrustlab/datasets/master/"
            "dataset_location.tgz",
            # its makers state none: of the file as their repository holds it
            checksum="sha256:927203f85a868f8ee17a0ded1dc61699efe602167beabe34fbf45b4b1de94b33",
            n_bytes=287_293,
        ),
    ),
    others=("bangkok", "location30/bangkok", "location30/dataset_location.tgz"),
    origin=ORIGIN,
    read=location30,
    terms="its makers state none",
    recipe="Recipe(build=MLP(widths=(446, 512, 256, 128, 30)), optimiser=Adam(lr=0.001), "
    "epochs=30, batch_size=64)",
    sizes=(1000, 1000, 2010),
    n_records=5_010,
)
