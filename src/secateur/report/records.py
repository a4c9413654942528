"""Risk of single records as CSV: one line a record, under the strongest attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError
from secateur.measure import RECORD_COLUMNS, record_columns
from secateur.report.lookup import label, strongest, subjects
from secateur.store import record_table
from secateur.types import Report, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["COLUMNS", "records_csv"]

COLUMNS = ("record", "model", "attack", *RECORD_COLUMNS)


def records_csv(
    report: Report,
    scores: Mapping[str, Scores],
    *,
    ids: NDArray[Any] | None = None,
    inside: NDArray[np.bool_] | None = None,
) -> str:
    """Return one line per record that the strongest attack judged, in the order of the records.

    Args:
        report: of these scores.
        scores: by attack, `[targets, records]`; larger is more like a member.
        ids: of the records; by default their numbers from 0.
        inside: which target was trained on which record, `[targets, records]`, where known.

    Returns:
        CSV with the header `COLUMNS`: how many models were asked about a record, how many of them
        call it a member (empty where the attack has no threshold), the mean score; the same of
        models with and without it where that is known, else empty; the balanced accuracy.

    Raises:
        InputError: the scores are not of the report's strongest attack, or shapes differ.
    """
    names = subjects(report)
    if len(names) != 1:
        raise InputError(f"scores are of one model family, the report is of {len(names)}")
    method = strongest(report, names[0])
    if method not in scores:
        raise InputError(
            f"the file of scores holds {', '.join(scores) or 'no attack'}, and not {method}, the "
            "strongest attack of the report"
        )
    found = scores[method]
    if ids is not None and ids.shape != found.values.shape[1:]:
        raise InputError(f"ids has the shape {ids.shape}, the scores need {found.values.shape[1:]}")
    judged, columns = record_columns(found, inside)
    about = (label(report, names[0]), method)
    return record_table(
        {
            "record": (judged if ids is None else ids[judged]).tolist(),
            **{k: [v] * len(judged) for k, v in zip(("model", "attack"), about, strict=True)},
            **columns,
        }
    )
