"""Checks of what `records()` gives, before a network sees it: each returns a finding or None."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from secateur.data.handed_forms import Raw, label_shape
from secateur.data.handed_forms import lengths as unequal_lengths
from secateur.data.twins import content_keys
from secateur.own.findings import Finding
from secateur.types import Records

__all__ = ["RAW_CHECKS", "changing_records", "duplicates"]

SHARE = 0.01


def nan_inputs(raw: Raw) -> Finding | None:
    """Find inputs that are NaN or infinite."""
    flat = raw.inputs.reshape(len(raw.inputs), -1)
    bad = np.flatnonzero(~np.isfinite(flat.astype(np.float64)).all(axis=1))
    if not bad.size:
        return None
    return Finding(
        id="nan-inputs",
        what=f"{bad.size} of {len(flat)} records have inputs that are NaN or infinite, the first "
        f"is record {bad[0]}",
        mend="fill them in, or leave those records out, in records()",
        values={"records": bad.size},
    )


def float_labels(raw: Raw) -> Finding | None:
    """Find labels that are not whole numbers."""
    kind = raw.labels.dtype
    if raw.labels.ndim != 1 or kind.kind in "iu":
        return None
    seen = ", ".join(map(repr, raw.labels[:3].tolist()))
    return Finding(
        id="float-labels",
        what=f"labels are of the type {kind} ({seen}, ...), not whole numbers",
        mend="give class numbers: labels.astype(int), or np.unique(labels, return_inverse=True)[1]",
    )


def one_hot_labels(raw: Raw) -> Finding | None:
    """Find labels with an axis too many."""
    fault = label_shape(raw)
    if fault is None:
        return None
    return Finding(id="one-hot-labels", what=fault.what, mend=fault.mend)


def one_class(raw: Raw) -> Finding | None:
    """Find labels that are all the same."""
    if raw.labels.ndim != 1 or not len(raw.labels):
        return None
    first = raw.labels[0]
    if (raw.labels != first).any():
        return None
    return Finding(
        id="one-class",
        what=f"all {len(raw.labels)} labels are {first}",
        mend="look for a filter that lost the other classes, or for a column that is no label",
    )


def label_range(raw: Raw, classes: int | None) -> Finding | None:
    """Find labels that are no 0 .. classes - 1: negative, from 1, with gaps, too large."""
    if raw.labels.ndim != 1 or raw.labels.dtype.kind not in "iu" or not len(raw.labels):
        return None
    seen = np.unique(raw.labels)
    low, high = int(seen[0]), int(seen[-1])
    wanted = high + 1 if classes is None else classes
    gaps = low == 1 or (classes is None and len(seen) < (high + 1) / 2)
    if low >= 0 and high < wanted and not (classes is None and gaps):
        return None
    return Finding(
        id="label-range",
        what=f"labels are {low} .. {high}, {len(seen)} different ones"
        + ("" if classes is None else f", with CLASSES = {classes}")
        + "; they must be 0 .. classes - 1",
        mend="number them: np.unique(labels, return_inverse=True)[1]; CLASSES says how many there "
        "are where the records do not show all",
        values={"low": low, "high": high, "different": len(seen)},
    )


def lengths(raw: Raw, classes: int | None) -> Finding | None:
    """Find another number of labels than of inputs, none at all, or inputs without an axis."""
    del classes
    fault = unequal_lengths(raw)
    if fault is not None:
        return Finding(id="lengths", what=fault.what, mend=fault.mend)
    if raw.inputs.ndim >= 2:
        return None
    return Finding(
        id="lengths",
        what=f"inputs have the shape {raw.inputs.shape}, one number each; they need [records, ...]",
        mend="give inputs[:, None]",
    )


RAW_CHECKS: tuple[Callable[[Raw, int | None], Finding | None], ...] = (
    lengths,
    lambda raw, classes: nan_inputs(raw),
    lambda raw, classes: float_labels(raw),
    lambda raw, classes: one_hot_labels(raw),
    lambda raw, classes: one_class(raw),
    label_range,
)


def changing_records(first: Raw | Records, second: Raw | Records) -> Finding | None:
    """Find records that are others on a second call: augmented, shuffled, or drawn by chance."""
    if isinstance(first, Records) and isinstance(second, Records):
        if first.digest == second.digest:
            return None
        saw = "another digest"
    elif isinstance(first, Raw) and isinstance(second, Raw):
        if first.inputs.shape != second.inputs.shape:
            saw = f"inputs of the shape {first.inputs.shape}, then {second.inputs.shape}"
        else:
            n = len(first.inputs)
            same = first.inputs.reshape(n, -1) == second.inputs.reshape(n, -1)
            nan = np.not_equal(first.inputs, first.inputs).reshape(n, -1)
            changed = int((~(same | nan).all(axis=1)).sum())
            others = int((first.labels != second.labels).sum())
            if not changed and not others:
                return None
            saw = f"other inputs in {changed} of {n} records, and {others} other labels"
    else:
        saw = "another type"
    return Finding(
        id="changing-records",
        what=f"records() gives something else on a second call: {saw}",
        mend="leave augmentation and shuffling out of records(): augment by RECIPE's hooks, such "
        "as (RandomCrop(), RandomFlip()), and seed what is drawn by chance",
    )


def duplicates(records: Records) -> Finding | None:
    """Find equal records of different units, which may be in and out of one model at once."""
    n = len(records)
    inputs = records.gather(np.arange(n)).reshape(n, -1)
    which = np.unique(content_keys(inputs), return_inverse=True)[1].reshape(-1)
    assert records.units is not None  # set by Records
    pairs = np.unique(np.stack([which, records.units]), axis=1)[0]
    owners = np.bincount(pairs, minlength=which.max() + 1)
    twins = int((owners[which] > 1).sum())
    if twins <= SHARE * n:
        return None
    return Finding(
        id="duplicates",
        what=f"{twins} of {n} records are equal to one of another unit, so that a record can be "
        "in a pool while its twin is in another: the leak is understated",
        mend="drop the doubles, or give twins one unit: Records.from_arrays(..., units=...)",
        values={"records": twins},
    )
