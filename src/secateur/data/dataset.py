"""What is known of a data set without reading it, and how its files are found."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from secateur.errors import DataFileError
from secateur.types import Records

__all__ = ["DataFile", "DataSet", "find_file", "mended_by", "put_into"]


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file of a data set, as its makers publish it.

    `path` is its usual place below the data folder, and where `secateur data get` puts it. `url` is
    its canonical address, empty where there is none to download from. `checksum` is that of the
    published file, such as `md5:...` or `sha256:...`, empty where its makers state none that we
    know; `n_bytes` its length, 0 where unknown.
    """

    path: str
    url: str = ""
    checksum: str = ""
    n_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What is known of a data set without reading it.

    `files` lie below the named folder; where one of `others` is there, it is read instead. `origin`
    says how to get it, `terms` under which terms it is given. `recipe` spells the recipe that
    `secateur train` uses by default, empty where classes or shapes depend on the user's files;
    `sizes` are its default numbers of members per model, population and utility records;
    `n_records` is how many it holds, 0 where that depends on the user's files; `parts` are the
    names and sizes of the parts in which it is published, in the order of its records, empty where
    none; `needs_folder` says that it is read from a folder although no names of `files` are known;
    `package` is the importable package of an extra inside which it lies.
    """

    name: str
    about: str
    origin: str
    read: Callable[[Path], Records]
    files: tuple[DataFile, ...] = ()
    others: tuple[str, ...] = ()
    terms: str = ""
    recipe: str = ""
    sizes: tuple[int, int, int] = (1000, 1000, 1000)
    n_records: int = 0
    parts: tuple[tuple[str, int], ...] = ()
    needs_folder: bool = False
    package: str = ""

    def missing(self, folder: Path) -> tuple[str, ...]:
        """Return the usual places at which a file is missing; empty when one form is there."""
        if any((folder / other).exists() for other in self.others):
            return ()
        return tuple(f.path for f in self.files if not (folder / f.path).exists())

    def fetched_by(self, folder: Path | None = None) -> str:
        """Return the command that downloads the files; empty where one has no address.

        Args:
            folder: into which; None stands for one of the user's choice.
        """
        if not self.files or not all(f.url for f in self.files):
            return ""
        into = "DATA" if folder is None else shlex.quote(str(folder))
        return f"secateur data get {self.name} --data-dir {into}"


@contextmanager
def mended_by(origin: str) -> Iterator[None]:
    """Say in every refusal of a file where the right one comes from."""
    try:
        yield
    except DataFileError as error:
        raise DataFileError(f"{error}; {origin}") from error


def put_into(where: str, what: str) -> str:
    """Return the words for getting files by hand."""
    place = f"{where} below the folder" if where else "the folder"
    return f"put {what} into {place} named by --data-dir or SECATEUR_DATA"


def find_file(folder: Path, names: tuple[str, ...], *, what: str) -> Path:
    """Return the first of these files that is there.

    Raises:
        DataFileError: none is; the message names every place that was looked at.
    """
    tried = [folder / name for name in names]
    for path in tried:
        if path.is_file():
            return path
    raise DataFileError(f"{what}: no file at any of {', '.join(str(p) for p in tried)}")
