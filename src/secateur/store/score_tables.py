"""Scores of single records, of several attacks in one file: what lies beside a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import InputError, StoreError
from secateur.store.arrays import Arrays, digest_npz, read_npz, write_npz
from secateur.store.files import damaged
from secateur.types import Scores

__all__ = ["RecordScores", "read_record_scores", "read_score_table", "write_score_table"]

_SCORE_TABLE = "secateur-score-table-1"


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordScores:
    """Scores by spelling; `ids` of the records and `inside`, `[targets, records]`, where known."""

    scores: Mapping[str, Scores]
    ids: NDArray[Any] | None = None
    inside: NDArray[np.bool_] | None = None


def write_score_table(
    path: str | Path,
    scores: Mapping[str, Scores],
    *,
    ids: NDArray[Any] | None = None,
    inside: NDArray[np.bool_] | None = None,
) -> str:
    """Write several attacks' scores of the same targets, by spelling, as an npz file.

    They speak about persons, and `inside` says who was a member: treat the file so.

    Args:
        path: of the file.
        scores: by spelling.
        ids: of the records.
        inside: which target was trained on which record, `[targets, records]`.

    Returns:
        The SHA-256 of the content.

    Raises:
        StoreError: the folder cannot be written.
    """
    known = {"ids": ids, "inside": inside}
    arrays: Arrays = {name: np.asarray(a) for name, a in known.items() if a is not None}
    for i, found in enumerate(scores.values()):
        arrays |= {f"values/{i}": found.values, f"evaluated/{i}": found.evaluated}
        if found.threshold is not None:
            arrays[f"threshold/{i}"] = found.threshold
    fields = {"attacks": list(scores)}
    write_npz(path, form=_SCORE_TABLE, fields=fields, arrays=arrays)
    return digest_npz(_SCORE_TABLE, fields, arrays)


def read_score_table(path: str | Path) -> dict[str, Scores]:
    """Read what `write_score_table` wrote and check it against its digest.

    Raises:
        StoreError: the file is missing, truncated, altered, of another kind, or somebody else's.
    """
    return dict(read_record_scores(path).scores)


def read_record_scores(path: str | Path, *, digest: str | None = None) -> RecordScores:
    """Read scores with what their file says of the records.

    Args:
        path: of the file.
        digest: of the content that is wanted, as a report names it.

    Raises:
        StoreError: as `read_score_table`, or the content is another one.
    """
    fields, arrays = read_npz(path, form=_SCORE_TABLE)
    found = digest_npz(_SCORE_TABLE, fields, arrays)
    if digest is not None and digest != found:
        raise StoreError(
            f"{path} holds other scores (SHA-256 {found[:12]}...) than the report names "
            f"({digest[:12]}...): another audit wrote it; give the report of that audit"
        )
    try:
        scores = {
            name: Scores(
                values=arrays[f"values/{i}"],
                evaluated=arrays[f"evaluated/{i}"],
                threshold=arrays.get(f"threshold/{i}"),
            )
            for i, name in enumerate(fields["attacks"])
        }
    except (KeyError, TypeError, InputError) as error:
        raise damaged(path, what=_SCORE_TABLE, why=error) from error
    return RecordScores(scores=scores, ids=arrays.get("ids"), inside=arrays.get("inside"))
