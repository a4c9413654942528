"""Who of saved outputs is a member: from two files, or from indices and masks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.chosen import chosen_rows
from secateur.data.handed_both import on_both_sides
from secateur.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from secateur.store import SavedSignals

__all__ = ["joined", "sided", "taken"]


def joined(members: SavedSignals, non_members: SavedSignals) -> SavedSignals:
    """Return one set of records: all members in their order, then all non-members in theirs.

    Args:
        members: outputs of the same models for records that all of these were trained on.
        non_members: for records that none of them saw.

    Raises:
        DataError: other arrays, models, queries or classes on one side; labels, units or ids on one
            alone; an `inside` that says otherwise; a record on both sides, by its id or, for over
            1 % of the members, by logits or probabilities that are the same value by value.
    """
    sides = (members, non_members)
    _refuse_unlike(members, non_members)
    counts = [side.shape[1] for side in sides]
    for side, inside in zip(sides, (True, False), strict=True):
        if side.inside is not None and (side.inside != inside).any():
            raise DataError(
                f"{side.path} holds an array `inside` that names "
                f"{'non-members among the members' if inside else 'members among the others'}; a "
                "file that says itself who was trained on is given as the target"
            )
    ids = _both(sides, "ids")
    if ids is not None and len(np.unique(ids)) < len(ids):
        doubled = np.intersect1d(ids[: counts[0]], ids[counts[0] :])
        raise DataError(
            f"{doubled.size} ids stand in {members.path} and in {non_members.path}, the first is "
            f"{doubled[0]}; a record is either in the training set or not: remove them from one of "
            "the two"
        )
    labels = _both(sides, "labels")
    _refuse_same_outputs(sides, labels)
    populations = [
        np.zeros(n, np.bool_) if s.population is None else s.population
        for s, n in zip(sides, counts, strict=True)
    ]
    arrays = {
        key: tuple(
            np.concatenate(pair, axis=1)
            for pair in zip(models, non_members.arrays[key], strict=True)
        )
        for key, models in members.arrays.items()
    }
    return replace(
        members,
        path=members.path.with_name(f"{members.path.name} + {non_members.path.name}"),
        arrays=arrays,
        inside=np.tile(np.repeat([True, False], counts), (members.shape[0], 1)),
        labels=labels,
        units=_both(sides, "units"),
        ids=ids,
        population=np.concatenate(populations),
    )


def _both(sides: Sequence[SavedSignals], name: str) -> NDArray[Any] | None:
    found = [getattr(side, name) for side in sides]
    silent = [str(s.path) for s, f in zip(sides, found, strict=True) if f is None]
    if len(silent) == 1:
        raise DataError(
            f"{silent[0]} has no {name}, and the other file has; give both files an array `{name}`"
            ", one number per record, or neither"
        )
    return None if silent else np.concatenate(found)


def _refuse_unlike(members: SavedSignals, non_members: SavedSignals) -> None:
    """Refuse files of other arrays, models, queries or classes, and one file as both sides."""
    first, second = members.arrays, non_members.arrays
    if set(first) != set(second):
        raise DataError(
            f"{members.path} holds {', '.join(sorted(first))}, {non_members.path} "
            f"{', '.join(sorted(second))}; save the same of members and non-members"
        )
    for name in first:
        one, other = (_sizes(arrays[name]) for arrays in (first, second))
        if one != other:
            raise DataError(
                f"{name} is of {one} in {members.path}, of {other} in {non_members.path}; ask the "
                "same models about members and non-members in the same way"
            )
    pairs = (p for name in first for p in zip(first[name], second[name], strict=True))
    if all(np.array_equal(a, b) for a, b in pairs):
        raise DataError(
            f"{members.path} and {non_members.path} hold the same outputs, value by value: members "
            "and non-members are other records; give the file of the others"
        )


def _refuse_same_outputs(sides: Sequence[SavedSignals], labels: NDArray[Any] | None) -> None:
    """Refuse sides that share records: over 1 % of members with the very outputs of a non-member.

    Where outputs repeat on each side too, such as a forest's, they say nothing.
    """
    name = next((k for k in ("logits", "probabilities") if k in sides[0].arrays), None)
    if name is None:
        return
    counts = [side.shape[1] for side in sides]
    outputs = np.concatenate([np.moveaxis(s.arrays[name][0], 1, 0) for s in sides])
    said = np.zeros(len(outputs), np.int64) if labels is None else labels
    both = on_both_sides(outputs, said, np.repeat([True, False], counts))
    if both > 0.01 * counts[0]:
        raise DataError(
            f"{both} of {counts[0]} members in {sides[0].path} have the very {name} of a "
            f"non-member in {sides[1].path}: the two files share records; a record is either in "
            "the training set or not: remove them from one of the two"
        )


def _sizes(models: Sequence[NDArray[Any]]) -> str:
    """Return in words what both sides must have alike."""
    queries, _, *classes = models[0].shape
    told = f"{len(models)} models and {queries} queries"
    return told + (f" of {classes[0]} classes" if classes else "")


def sided(own: SavedSignals, members: Any, non_members: Any) -> tuple[SavedSignals, Any]:
    """Return the target with `inside`, and which of its records are spoken of; None: all.

    Raises:
        InputError: members beside an array `inside`; non_members without members.
        DataError: nothing says who is a member; no record is left on a side, or one is on both.
    """
    if members is None:
        if non_members is not None:
            raise InputError("non_members= goes with members=, what the target was trained on")
        if own.inside is None:
            raise DataError(
                f"{own.path} does not say who is a member; give members=, a mask or indices of the "
                "records that the target was trained on, or an array `inside`"
            )
        return own, None
    if own.inside is not None:
        raise InputError(
            f"{own.path} says by its array `inside` who is a member, and members= says it again; "
            "leave one of the two out"
        )
    models, n = own.shape
    inside, beyond = _mask("members", members, n), np.zeros(n, np.bool_)
    beyond = beyond if own.population is None else own.population
    outside = ~inside & ~beyond if non_members is None else _mask("non_members", non_members, n)
    if not outside.any():
        raise DataError(f"members names all {n} records, so that none is left as a non-member")
    for side, what in ((outside, "non-members"), (beyond, "the population")):
        both = int((inside & side).sum())
        if both:
            raise DataError(
                f"{both} records are members and {what} at once; remove them from one of the two"
            )
    kept = np.flatnonzero(inside | outside | beyond)
    # all models of a stack, such as checkpoints, were trained on these members
    named = replace(own, inside=np.tile(inside, (models, 1)))
    return named, None if len(kept) == n else kept


def taken(saved: SavedSignals, kept: NDArray[np.int64]) -> SavedSignals:
    """Return saved outputs of these records alone."""
    about = {
        name: None if value is None else value[..., kept]
        for name in ("inside", "labels", "population", "units", "ids")
        for value in [getattr(saved, name)]
    }
    arrays = {k: tuple(a[:, kept] for a in models) for k, models in saved.arrays.items()}
    return replace(saved, arrays=arrays, **about)  # type: ignore[arg-type]


def _mask(what: str, value: Any, n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, dtype=np.bool_)
    mask[chosen_rows(what, value, n)] = True
    return mask
