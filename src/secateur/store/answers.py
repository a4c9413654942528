"""What models answered around records, kept so that an audit that goes on does not ask again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import StoreError
from secateur.store.arrays import read_npz, write_npz
from secateur.store.files import bytes_below

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["ANSWERS", "answer_folders", "found_answers", "remove_answers", "write_answers"]

ANSWERS = "answers"
"""The folder of one seed of a sweep in which they lie."""
_FORMAT = "secateur-answers-1"


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
        ...     found_answers(f"{folder}/a.npz", ["margin"])
        {'margin': array([1., 1.], dtype=float32)}
    """
    arrays = {str(place): values for place, values in enumerate(means.values())}
    write_npz(path, form=_FORMAT, fields={"keys": list(means)}, arrays=arrays)


def found_answers(path: str | Path, keys: Sequence[str]) -> dict[str, NDArray[np.float32]] | None:
    """Return what `write_answers` wrote; None where it is not there, not whole, or of other keys.

    Args:
        path: the file.
        keys: of the signals.
    """
    try:
        fields, arrays = read_npz(path, form=_FORMAT)
    except StoreError:  # none yet, or damaged: the model is asked again
        return None
    if fields.get("keys") != list(keys):
        return None
    return {key: arrays[str(place)] for place, key in enumerate(keys)}


def answer_folders(sweep: str | Path) -> tuple[Path, ...]:
    """Return the folders below a sweep's in which answers lie, sorted; those of its seeds."""
    return tuple(path for path in sorted(Path(sweep).glob(f"seed-*/{ANSWERS}")) if path.is_dir())


def remove_answers(folder: str | Path) -> int:
    """Remove a folder of answers; return the bytes that this frees.

    Raises:
        StoreError: something cannot be removed.
    """
    freed = bytes_below(folder)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(
            f"cannot remove {error.filename or folder} ({error.strerror or error}); remove it by "
            "hand"
        ) from error
    return freed
