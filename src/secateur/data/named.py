"""The data sets that have a name, and reading one by it."""

from __future__ import annotations

import difflib
from pathlib import Path

from secateur.data.census import ADULT
from secateur.data.cifar import CIFAR10, CIFAR100
from secateur.data.dataset import DataSet
from secateur.data.embedded import DIGITS, MNIST5000
from secateur.data.folders import IMAGE_FOLDER
from secateur.data.idx import FASHION_MNIST, MNIST
from secateur.data.location import LOCATION30
from secateur.data.tables import PURCHASE100, TEXAS100
from secateur.data.tiny_imagenet import TINY_IMAGENET10
from secateur.errors import DataFileError, InputError
from secateur.types import Records

__all__ = ["DATA_SETS", "data_set", "load"]

DATA_SETS = (
    DIGITS,
    MNIST,
    MNIST5000,
    FASHION_MNIST,
    CIFAR10,
    CIFAR100,
    LOCATION30,
    PURCHASE100,
    TEXAS100,
    ADULT,
    TINY_IMAGENET10,
    IMAGE_FOLDER,
)


def data_set(name: str) -> DataSet:
    """Return what is known of a data set by its name.

    Raises:
        InputError: an unknown name; the message says what there is.

    Example:
        >>> data_set("digits").sizes
        (300, 400, 797)
    """
    known = {d.name: d for d in DATA_SETS}
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"unknown data set {name!r}; {hint}there are {', '.join(known)}")
    return known[name]


def load(name: str, folder: Path | None = None) -> Records:
    """Read a data set by its name.

    Args:
        name: one of `DATA_SETS`.
        folder: where its files lie; those inside a package need none.

    Raises:
        InputError: an unknown name, no folder, or a file in its place; the message says what
            there is.
        DataFileError: see the readers; where files are missing that can be downloaded, the message
            names the command that does.

    Example:
        >>> load("digits").name
        'digits'
    """
    found = data_set(name)
    if folder is None and (found.files or found.needs_folder):
        get = found.fetched_by()
        raise InputError(
            f"{name} is read from a folder, and none is named; give --data-dir or set "
            f"SECATEUR_DATA (in Python: load({name!r}, FOLDER)). "
            f"{f'To download it: {get}. By hand: ' if get else ''}{found.origin}"
        )
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}, the folder of the data sets, is a file; name a folder")
    try:
        return found.read(folder or Path())
    except DataFileError as error:
        get = found.fetched_by(folder)
        if found.needs_folder and not found.files:
            what = f"{name} reads {folder} itself, whose folders are the classes"
            raise DataFileError(f"{what}; name that folder, or mend this one: {error}") from error
        if folder is None or not get or not found.missing(folder):
            raise
        raise DataFileError(f"{error}; or download it: {get}") from error
