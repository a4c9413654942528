"""What models answered around records, kept so that an audit that goes on does not ask again."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import StoreError
from secateur.store.arrays import read_npz, write_npz
from secateur.store.documents import write_text
from secateur.store.files import bytes_below

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = [
    "ANSWERS",
    "answer_folders",
    "begin_answers",
    "found_answers",
    "is_answers",
    "remove_answers",
    "write_answers",
]

ANSWERS = "answers"
"""The folder of one seed of a sweep in which they lie."""
NOTE = "answers.txt"
_SAYS = """Numbers per record that models under audit, and reference models, answered.
They are kept so that an audit that goes on, or one with an attack more, does not ask again.
They are about the persons whose records these are: keep them no longer than the models, and
remove them with `secateur clean` and the name of this folder, or of the sweep's.
"""
_FORMAT = "secateur-answers-1"
_NAME = re.compile(r"[0-9a-f]{64}\.npz")


def write_answers(path: str | Path, means: Mapping[str, NDArray[np.float32]]) -> None:
    """Write what one model answered around records.

    Args:
        path: an npz file, named by all that the answers depend on; replaced when it exists.
        means: by a signal's key its mean over the queries of each record, `[audited record]`.

    Raises:
        StoreError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_answers(f"{folder}/a.npz", {"margin": np.ones(2, np.float32)})
        ...     found_answers(f"{folder}/a.npz", 2)
        {'margin': array([1., 1.], dtype=float32)}
    """
    arrays = {str(place): values for place, values in enumerate(means.values())}
    write_npz(path, form=_FORMAT, fields={"keys": list(means)}, arrays=arrays)


def found_answers(path: str | Path, records: int) -> dict[str, NDArray[np.float32]]:
    """Return what `write_answers` wrote; nothing where no whole file is there.

    Args:
        path: the file.
        records: how many are audited.
    """
    try:
        fields, arrays = read_npz(path, form=_FORMAT)
    except StoreError:  # none yet, or damaged: the model is asked again
        return {}
    found = {str(key): arrays.get(str(n)) for n, key in enumerate(fields.get("keys", ()))}
    return {
        key: values
        for key, values in found.items()
        if values is not None and values.shape == (records,) and values.dtype == np.float32
    }


def begin_answers(folder: str | Path) -> None:
    """Make a folder for answers, with a note that says what lies there; one that is there stays.

    Raises:
        StoreError: it cannot be written, or is a file.
    """
    place = Path(folder) / NOTE
    if not place.exists():
        write_text(place, _SAYS)


def is_answers(folder: str | Path) -> bool:
    """Tell whether a folder has the note of `begin_answers`, word for word."""
    try:
        return (Path(folder) / NOTE).read_text(encoding="utf-8") == _SAYS
    except (OSError, UnicodeDecodeError):
        return False


def answer_folders(sweep: str | Path) -> tuple[Path, ...]:
    """Return the folders below a sweep's in which answers lie, sorted; those of its seeds."""
    return tuple(path for path in sorted(Path(sweep).glob(f"seed-*/{ANSWERS}")) if path.is_dir())


def remove_answers(folder: str | Path) -> int:
    """Remove answers and their note, and the folder where nothing else lies in it.

    Returns:
        The bytes that this frees.

    Raises:
        StoreError: something cannot be removed.
    """
    place = Path(folder)
    files = [file for file in place.glob("*.npz") if _NAME.fullmatch(file.name)]
    files += [place / NOTE] if is_answers(place) else []
    freed = 0
    try:
        for file in files:
            freed += bytes_below(file)
            file.unlink()
    except OSError as error:
        raise StoreError(
            f"cannot remove {error.filename or folder} ({error.strerror or error}); remove it by "
            "hand"
        ) from error
    with contextlib.suppress(OSError):  # something of somebody else's lies there
        place.rmdir()
    return freed
