"""What members and non-members must not share: records, units; and what both must have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.twins import content_keys
from secateur.errors import DataError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import Records

__all__ = ["of_records", "of_units", "on_both_sides", "refuse_both"]


def of_records(sides: Sequence[Records | None]) -> dict[str, Any]:
    """Return ids, units and groups; units of separate sets are taken for different people.

    Raises:
        InputError: one side alone is Records.
        DataError: their groups differ.
    """
    first, second = sides
    if first is None and second is None:
        return {}
    if first is None or second is None:
        raise InputError("give members and non-members both as Records, or neither")
    if set(first.groups) != set(second.groups):
        raise DataError(
            f"members have the groups {sorted(first.groups)}, non-members "
            f"{sorted(second.groups)}; give both the same columns"
        )
    assert first.ids is not None and second.ids is not None  # set by Records
    assert first.units is not None and second.units is not None
    groups = {k: np.concatenate([v, second.groups[k]]) for k, v in first.groups.items()}
    if np.intersect1d(first.ids, second.ids).size:  # numbered apart from each other
        apart = second.units - second.units.min() + first.units.max() + 1
        return {"units": np.concatenate([first.units, apart]), "groups": groups}
    return {
        "ids": np.concatenate([first.ids, second.ids]),
        "units": np.concatenate([first.units, second.units]),
        "groups": groups,
    }


def of_units(sides: Sequence[NDArray[Any] | None], column: str | None) -> dict[str, Any]:
    """Return the units of both sides' rows; an owner of rows on both is refused by name.

    Raises:
        DataError: names the first such owner.
    """
    first, second = sides
    if first is None or second is None:
        return {}
    names = [[_owner(v) for v in side] for side in sides if side is not None]
    both = sorted({*names[0]} & {*names[1]})
    if both:
        raise DataError(
            f"{len(both)} units of the column {column!r} have rows among the members and among the "
            f"non-members, the first is {both[0]!r}; a person is in the training set or not: leave "
            "the rows of these out of one of the two"
        )
    return {"units": np.unique(np.concatenate(names), return_inverse=True)[1].reshape(-1)}


def _owner(value: Any) -> str:
    """Return an owner's name: pandas makes 7 a 7.0 where another row of the column lacks one."""
    whole = isinstance(value, float | np.floating) and value.is_integer()
    return str(int(value) if whole else value)


def refuse_both(inputs: NDArray[Any], labels: NDArray[Any], inside: NDArray[np.bool_]) -> None:
    """Refuse records that stand on both sides, unless the data repeats itself on each side too.

    Raises:
        DataError: counts them.
    """
    both = on_both_sides(inputs, labels, inside)
    if both:
        raise DataError(
            f"{both} of {int(inside.sum())} members are also among the {int((~inside).sum())} "
            "non-members, input and label alike; a record is either in the training set or not: "
            "remove them from one of the two"
        )


def on_both_sides(inputs: NDArray[Any], labels: NDArray[Any], inside: NDArray[np.bool_]) -> int:
    """Return how many members are non-members too; 0 where the data repeats itself on each side."""
    flat = np.ascontiguousarray(inputs.reshape(len(inputs), -1), dtype=np.float32)
    seen: dict[tuple[bytes, str], int] = {}
    keys = zip((k.tobytes() for k in content_keys(flat)), map(str, labels), strict=True)
    which = np.array([seen.setdefault(key, len(seen)) for key in keys])
    counts = np.stack([np.bincount(which[s], minlength=len(seen)) for s in (inside, ~inside)])
    both = int(counts[0][counts[1] > 0].sum())
    # side by side: many others of which few repeat would hide how much the members do
    repeated = max(side[side > 1].sum() / max(side.sum(), 1) for side in counts)
    return both if both > 2 * repeated * int(inside.sum()) else 0
