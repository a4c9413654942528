"""Purchase-100 and Texas-100: large tables of 0 and 1 with 100 classes, kept as bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.data.bits import Form, read_bits, zero_or_one
from secateur.data.bounded import PACKED
from secateur.data.dataset import DataFile, DataSet, find_file, mended_by, put_into
from secateur.data.npz import row_blocks
from secateur.data.streams import line_blocks
from secateur.errors import DataFileError
from secateur.types import ByteSource, Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = tuple[NDArray[np.uint8], NDArray[np.int64]]

__all__ = ["PURCHASE100", "TEXAS100", "purchase100", "texas100"]

CLASSES = 100
COLUMNS = {"purchase100": 600, "texas100": 6_169}
COUNTS = {"purchase100": 197_324, "texas100": 67_330}
MOST_BYTES = {"purchase100": 2**28, "texas100": 2**30}  # the texts have 237 MB and 831 MB
PURCHASE_MEMBER = "dataset_purchase"
TEXAS_FEATURES, TEXAS_LABELS = "texas/100/feats", "texas/100/labels"
ADDRESS = "https://github.com/privacytrustlab/datasets/raw/master"
PURCHASE_ORIGIN = put_into("", "dataset_purchase.tgz (GitHub privacytrustlab/datasets)")
TEXAS_ORIGIN = put_into("", "dataset_texas.tgz (GitHub privacytrustlab/datasets)")


def purchase100(folder: Path) -> Records:
    """Read Purchase-100: what 197,324 shoppers bought, 600 binary features, 100 classes.

    The makers publish no check sum, so form and number of records are checked, and `digest` of the
    records tells whether two people read the same.

    Args:
        folder: holds, itself or in `purchase100`, one of: `dataset_purchase.tgz`; the text
            `dataset_purchase` out of it; the conversion `purchase100.npz` with arrays `features`
            and `labels`, one-hot or 0 .. 99.

    Returns:
        Records with inputs `[197324, 600]` of 0 and 1, labels 0 .. 99 for the file's 1 .. 100.

    Raises:
        DataFileError: a file is missing, truncated or not of this form; the message names line and
            column.

    Reference: Shokri et al. 2017.
    """
    name = "purchase100"
    files = ("dataset_purchase.tgz", PURCHASE_MEMBER, f"{name}.npz")
    with mended_by(PURCHASE_ORIGIN):
        path = find_file(Path(folder), _places(name, files), what=f"{name} needs {files[0]}")
        if path.suffix == ".npz":
            cells, labels = _from_npz(path, name)
        else:
            form = Form(what="Purchase-100", columns=COLUMNS[name], classes=CLASSES)
            cells, labels = _from_text(path, PURCHASE_MEMBER, form, name)
    return _records(name, cells, labels)


def texas100(folder: Path) -> Records:
    """Read Texas-100: 67,330 hospital stays, 6,169 binary features, 100 classes of procedures.

    About 420 MB stand in memory. For check sums see `purchase100`.

    Args:
        folder: holds, itself or in `texas100`, one of: `dataset_texas.tgz`; the texts
            `texas/100/feats` and `texas/100/labels` out of it; the conversion `texas100.npz` with
            arrays `features` and `labels`, one-hot or 0 .. 99.

    Returns:
        Records with inputs `[67330, 6169]` of 0 and 1, labels 0 .. 99 for the file's 1 .. 100.

    Raises:
        DataFileError: a file is missing, truncated or not of this form; the message names line and
            column.

    Reference: Shokri et al. 2017.
    """
    name = "texas100"
    files = ("dataset_texas.tgz", TEXAS_FEATURES, f"{name}.npz")
    with mended_by(TEXAS_ORIGIN):
        path = find_file(Path(folder), _places(name, files), what=f"{name} needs {files[0]}")
        if path.suffix == ".npz":
            cells, labels = _from_npz(path, name)
        else:
            marks = path if path.suffix in PACKED else path.with_name("labels")
            if not marks.is_file():
                raise DataFileError(f"{name} needs {marks} beside {path.name}: no such file")
            form = Form(what="Texas-100's labels", classes=CLASSES)
            _, labels = _from_text(marks, TEXAS_LABELS, form, name)
            form = Form(what="Texas-100", columns=COLUMNS[name])
            cells, _ = _from_text(path, TEXAS_FEATURES, form, name)
    return _records(name, cells, labels)


def _places(name: str, files: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{place}{file}" for place in ("", f"{name}/") for file in files)


def _from_text(path: Path, member: str, form: Form, name: str) -> Table:
    where = f"{path}: {member}" if path.suffix in PACKED else str(path)
    blocks = line_blocks(path, member=member, most=MOST_BYTES[name])
    return read_bits(where, blocks, form, records=COUNTS[name])


def _from_npz(path: Path, name: str) -> Table:
    n, columns = COUNTS[name], COLUMNS[name]
    one_hot = (n, CLASSES)
    labels = np.empty(n, np.int64)
    start = 0
    for block in row_blocks(path, "labels", shapes=(one_hot, (n,))):
        labels[start : start + len(block)] = _classes(path, start, block)
        start += len(block)
    cells = np.empty((n, columns), np.uint8)
    start = 0
    for block in row_blocks(path, "features", shapes=((n, columns),)):
        cells[start : start + len(block)] = zero_or_one(f"{path}: features", start, block)
        start += len(block)
    return cells, labels


def _classes(path: Path, before: int, block: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return labels 0 .. 99 of some records, out of a row of 0 and a single 1 for each or plain."""
    if block.ndim == 2:
        ones = zero_or_one(f"{path}: labels", before, block)
        bad = np.flatnonzero(ones.sum(axis=1) != 1)
        if bad.size:
            raise DataFileError(
                f"{path}: labels, record {before + bad[0]} has {ones[bad[0]].sum()} classes, "
                "expected one"
            )
        found: NDArray[np.int64] = ones.argmax(axis=1)
        return found
    good = np.isin(block, np.arange(CLASSES))
    if not good.all():
        first = int(np.flatnonzero(~good)[0])
        raise DataFileError(
            f"{path}: labels, record {before + first}: {block[first]} is not in 0 .. {CLASSES - 1}"
        )
    return block.astype(np.int64)


def _records(name: str, cells: NDArray[np.uint8], labels: NDArray[np.int64]) -> Records:
    return Records(
        source=ByteSource(values=cells, scale=1.0), labels=labels, n_classes=CLASSES, name=name
    )


def _recipe(columns: int) -> str:
    return (
        f"Recipe(build=MLP(widths=({columns}, 1024, 512, 256, 128, 100), activation='tanh'), "
        "optimiser=Adam(lr=0.001), epochs=20, batch_size=128)"
    )


PURCHASE100 = DataSet(
    name="purchase100",
    about="what 197,324 shoppers bought, 600 binary features, 100 classes",
    files=(DataFile(path="dataset_purchase.tgz", url=f"{ADDRESS}/dataset_purchase.tgz"),),
    others=(
        *(PURCHASE_MEMBER, "purchase100.npz", "purchase100/dataset_purchase.tgz"),
        *(f"purchase100/{PURCHASE_MEMBER}", "purchase100/purchase100.npz"),
    ),
    origin=PURCHASE_ORIGIN,
    read=purchase100,
    terms="its makers state none; made from Kaggle's Acquire Valued Shoppers Challenge",
    recipe=_recipe(600),
    sizes=(10_000, 5_000, 20_000),
    n_records=197_324,
)
TEXAS100 = DataSet(
    name="texas100",
    about="67,330 hospital stays, 6,169 binary features, 100 classes",
    files=(DataFile(path="dataset_texas.tgz", url=f"{ADDRESS}/dataset_texas.tgz"),),
    others=(
        *(TEXAS_FEATURES, "texas100.npz", "texas100/dataset_texas.tgz"),
        *(f"texas100/{TEXAS_FEATURES}", "texas100/texas100.npz"),
    ),
    origin=TEXAS_ORIGIN,
    read=texas100,
    terms="its makers state none; made from the hospital discharge data of the Texas Department of "
    "State Health Services, which has terms of its own",
    recipe=_recipe(6_169),
    sizes=(5_000, 2_000, 10_000),
    n_records=67_330,
)
