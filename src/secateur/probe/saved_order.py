"""The order of saved records: references brought to the target's by ids, or taken on trust."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import DataError, SecateurWarning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.store import SavedSignals
    from secateur.types import Role

    Parts = Sequence[tuple[SavedSignals, Sequence[int], Role]]

__all__ = ["aligned", "arrays_at", "said_otherwise", "taken_on_trust"]

ABOUT = ("labels", "population", "units", "ids")


def aligned(parts: Parts) -> list[tuple[SavedSignals, Sequence[int], Role]]:
    """Bring every file whose records have ids to the order of the first one, where that has too.

    Records that the first file lacks are left out, with a warning.

    Args:
        parts: (what a file holds, which of its models, their role); the target first.

    Raises:
        DataError: a file lacks records of the first one.
    """
    first = parts[0][0]
    return [
        (_ordered(part, first), models, role) if part.ids is not None else (part, models, role)
        for part, models, role in parts
    ]


def _ordered(part: SavedSignals, first: SavedSignals) -> SavedSignals:
    if part is first or first.ids is None or part.ids is None:
        return part
    if np.array_equal(part.ids, first.ids):
        return part
    sorter = np.argsort(part.ids)
    found = np.searchsorted(part.ids, first.ids, sorter=sorter).clip(max=len(sorter) - 1)
    order = sorter[found]
    absent = first.ids[part.ids[order] != first.ids]
    if absent.size:
        raise DataError(
            f"{part.path} lacks {absent.size} of the {len(first.ids)} records of {first.path}, the "
            f"first has the id {absent[0]}; ask its models about all of them, or leave those out "
            "of the other file"
        )
    more = len(part.ids) - len(first.ids)
    if more:
        warnings.warn(
            f"{more} of the {len(part.ids)} records of {part.path} are not in {first.path}, by "
            "their ids, and are left out",
            SecateurWarning,
            stacklevel=2,
        )
    about: dict[str, Any] = {
        name: None if getattr(part, name) is None else getattr(part, name)[order] for name in ABOUT
    }
    inside = None if part.inside is None else part.inside[:, order]
    return replace(part, order=order, inside=inside, **about)


def arrays_at(part: SavedSignals, model: int) -> dict[str, NDArray[Any]]:
    """Return one model's arrays, `[query, record(, class)]`, its records in their order.

    Models are brought to it one at a time: arrays may be mapped into memory, and larger than it.
    """
    arrays = {name: models[model] for name, models in part.arrays.items()}
    if part.order is None:
        return arrays
    return {name: array[:, part.order] for name, array in arrays.items()}


def said_otherwise(
    name: str, part: SavedSignals, said: NDArray[Any], first: SavedSignals
) -> DataError:
    """Return the error for a file that says something else of the records than another one.

    Args:
        name: what differs, such as `labels`.
        part: the file.
        said: what the other one says.
        first: the other one.
    """
    own = getattr(part, name)
    differ = (
        f"{part.path} says other {name} than {first.path} of {int((own != said).sum())} of "
        f"{len(own)} records"
    )
    if part.ids is not None and first.ids is not None:
        return DataError(
            f"{differ}, though both were brought to one order by their ids; an id must name the "
            "same record in both files"
        )
    if np.array_equal(np.sort(own), np.sort(said)):
        return DataError(
            f"{differ}, and they are the same {name} in another order: the order of the records "
            "differs; targets and references must be asked about the same records in the same "
            "order: save both anew, or give both files an array `ids`, the number of each record, "
            "by which they are put into one order"
        )
    return DataError(
        f"{differ}: targets and references must be asked about the same records in the same order"
    )


def taken_on_trust(parts: Parts) -> list[str]:
    """Return one sentence per file of which nothing shows that its records stand in one order.

    Args:
        parts: as of `aligned`.
    """
    first = parts[0][0]
    found = []
    for part, _, _ in parts[1:]:
        if part is first or any(
            getattr(part, name) is not None and getattr(first, name) is not None
            for name in ("ids", "labels")
        ):
            continue
        found.append(
            f"That the records of {part.path.name} stand in the order of those of "
            f"{first.path.name} was taken on trust: the two do not both hold `ids` or `labels`. In "
            "another order references say nothing, and attacks that read them look weaker than "
            "they are."
        )
    return found
