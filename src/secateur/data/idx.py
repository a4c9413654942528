"""The idx format, arrays of bytes behind a short header, and the data sets that come in it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.data.bounded import refuse_other_content, unpacked
from secateur.data.dataset import DataFile, DataSet, find_file, mended_by, put_into
from secateur.errors import DataFileError
from secateur.types import Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FASHION_MNIST", "MNIST", "fashion_mnist", "mnist", "parse_idx"]

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
}
MNIST_ORIGIN = put_into(
    "MNIST/raw", "the four canonical idx files of MNIST (LeCun, Cortes, Burges)"
)
FASHION_ORIGIN = put_into(
    "FashionMNIST/raw",
    "the four idx files of Fashion-MNIST (GitHub zalandoresearch/fashion-mnist)",
)


def parse_idx(path: Path, data: bytes, *, dimensions: int) -> NDArray[np.uint8]:
    """Return the array that the content of an idx file holds.

    Args:
        path: named in errors.
        data: the file's content, unpacked.
        dimensions: 1 for labels, 3 for pictures.

    Raises:
        DataFileError: not bytes with so many dimensions, or longer or shorter than the header says.

    Example:
        >>> parse_idx(Path("labels"), bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), dimensions=1)
        array([7, 9], dtype=uint8)
    """
    head = 4 + 4 * dimensions
    magic = bytes([0, 0, 8, dimensions])
    if len(data) < head or data[:4] != magic:
        raise DataFileError(
            f"{path} is not an idx file of bytes with {dimensions} dimension(s): it begins with "
            f"{data[:4].hex() or 'nothing'} and holds {len(data)} bytes, expected {magic.hex()} "
            f"and at least {head}"
        )
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    size = int(np.prod(shape, dtype=object))
    if len(data) - head != size:
        raise DataFileError(
            f"{path} is truncated or altered: its header promises {shape} = {size} bytes, it holds "
            f"{len(data) - head}"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _pictures(folder: Path, name: str, sub: str, origin: str) -> Records:
    with mended_by(origin):
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
    path = find_file(folder, places, what=f"{name} needs {file}")
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


MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist"  # the makers' own address is silent
FASHION_URL = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
# MD5 and bytes of the gzipped files as published, in the order of IDX_FILES
MNIST_PUBLISHED = (
    ("f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
    ("d53e105ee54ea40749a09fcbcd1e9432", 28_881),
    ("9fb629c4189551a2d022fa330f9573f3", 1_648_877),
    ("ec29112dd5afa0611ce80d1b7f02629c", 4_542),
)
FASHION_PUBLISHED = (
    ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
    ("25c81989df183df01b3e8a0aad5dffbe", 29_515),
    ("bef4ecab320f06d8554ea6380940ec79", 4_422_102),
    ("bb300cfdad3c16e7a12a480ee83cd310", 5_148),
)


def _files(sub: str, address: str, published: tuple[tuple[str, int], ...]) -> tuple[DataFile, ...]:
    return tuple(
        DataFile(
            path=f"{sub}/raw/{name}.gz",
            url=f"{address}/{name}.gz",
            checksum=f"md5:{md5}",
            n_bytes=n_bytes,
        )
        for name, (md5, n_bytes) in zip(IDX_FILES, published, strict=True)
    )


RECIPE = "Recipe(build=LeNet5(), optimiser=Adam(lr=0.003), epochs=25, batch_size=32)"
SIZES = (1000, 1000, 5000)
PARTS = (("train", 60_000), ("test", 10_000))

MNIST = DataSet(
    name="mnist",
    about="70,000 handwritten digits, 28x28, 10 classes",
    files=_files("MNIST", MNIST_URL, MNIST_PUBLISHED),
    origin=MNIST_ORIGIN,
    read=mnist,
    terms="widely given as CC BY-SA 3.0",
    recipe=RECIPE,
    sizes=SIZES,
    n_records=70_000,
    parts=PARTS,
)
FASHION_MNIST = DataSet(
    name="fashion-mnist",
    about="70,000 pictures of clothes, 28x28, 10 classes",
    files=_files("FashionMNIST", FASHION_URL, FASHION_PUBLISHED),
    origin=FASHION_ORIGIN,
    read=fashion_mnist,
    terms="MIT licence, (c) 2017 Zalando SE",
    recipe=RECIPE,
    sizes=SIZES,
    n_records=70_000,
    parts=PARTS,
)
