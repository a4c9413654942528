"""What an audit of fleets says of single records: a table in its own file, the most exposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import store
from secateur.auditing.contents import Found
from secateur.auditing.exposed import exposed_series_of
from secateur.measure import column_of, record_columns
from secateur.types import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import Records, Series

__all__ = ["exposed_series", "table_of_records", "write_table"]


def write_table(
    path: Path | None,
    state: Found,
    records: Records,
    groups: Sequence[str],
    *,
    title: str,
    labels: Mapping[str, str],
) -> dict[str, str]:
    """Write the table of single records, and its note; return its name with its digest.

    Nothing is written, and the answer is empty, without a path.
    """
    if path is None:
        return {}
    text = table_of_records(state, records, groups, labels=labels)
    return {path.name: store.write_record_table(path, text, title=title)}


def table_of_records(
    state: Found,
    records: Records,
    groups: Sequence[str] = (),
    *,
    labels: Mapping[str, str],
) -> str:
    """Return one line per model family and record that its strongest attack judged, as CSV.

    Early-stopped views are left out: they are no model that is shipped.

    Args:
        state: what the attacks found.
        records: whose ids, units (where they are named), classes and groups stand in the table.
        groups: columns of the records that stand in it too.
        labels: what the report calls a family, where that is not its name.
    """
    columns: dict[str, list[Any]] = {}
    units = _named_units(records)
    kept = ["class", *(name for name in dict.fromkeys(groups) if name != "class")]
    for subject in state.subjects:
        best = state.best(subject.name)
        if subject.kind == "stopped" or best is None or not isinstance(best.scores, Scores):
            continue
        membership = subject.observations.membership
        judged, found = record_columns(best.scores, membership.inside[membership.targets])
        part: dict[str, list[Any]] = {
            "record": _ids(records)[judged].tolist(),
            **({} if units is None else {"unit": units[judged].tolist()}),
            "model": [labels.get(subject.name, subject.name)] * len(judged),
            "attack": [best.method] * len(judged),
            **found,
            **{
                name if name == "class" else f"group {name}": _texts(column_of(records, name))[
                    judged
                ].tolist()
                for name in kept
            },
        }
        for name, values in part.items():
            columns.setdefault(name, []).extend(values)
    return store.record_table(columns)


def _texts(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column of numbers as it is, of anything else as texts."""
    return column if column.dtype.kind in "iuf" else column.astype(str)


def _ids(records: Records) -> NDArray[np.int64]:
    assert records.ids is not None  # set by Records
    return records.ids


def _named_units(records: Records) -> NDArray[np.int64] | None:
    """Return whose each record is; None where every record is its own unit."""
    units, ids = records.units, _ids(records)
    return None if units is None or np.array_equal(units, ids) else units


def exposed_series(state: Found, records: Records, *, seed: int) -> list[Series]:
    """Return the most exposed records of every model family that is no early-stopped view.

    Empty below 64 models under audit: chosen and reported on the same ones, records would look
    more exposed than they are.
    """
    found = []
    for subject in state.subjects:
        best = state.best(subject.name)
        if subject.kind == "stopped" or best is None or not isinstance(best.scores, Scores):
            continue
        found += exposed_series_of(
            best.scores,
            subject.observations.membership,
            subject=subject.name,
            method=best.method,
            ids=_ids(records),
            about={"class": np.asarray(records.labels)},
            seed=seed,
        )
    return found
