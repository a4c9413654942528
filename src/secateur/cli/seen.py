"""What `secateur data check` prints of an inspection."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.data.fetch import is_published

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.data import DataSet
    from secateur.data.inspection import Inspection
    from secateur.types import Records

__all__ = ["parts_of", "published", "render_inspection"]

WIDTH = 96
PART = "part"  # the group in which readers say where a record is published
MOST_VALUES = 20  # of one column are listed, the largest first


def parts_of(data_set: DataSet, records: Records) -> NDArray[np.str_] | None:
    """Return the part in which each record is published: a column of the records says so, or the
    data set does, if the records are all that it holds.
    """
    if PART in records.groups:
        return np.asarray(records.groups[PART]).astype(str)
    sizes = [size for _, size in data_set.parts]
    if not sizes or sum(sizes) != len(records):
        return None
    return np.repeat([name for name, _ in data_set.parts], sizes)


def published(data_set: DataSet, folder: Path | None) -> list[str]:
    """Say of each file at its usual place whether its bytes are those that were published."""
    lines = []
    for file in data_set.files:
        path = (folder or Path()) / file.path
        if not file.checksum or not path.is_file():
            continue
        same = is_published(path, file)
        kind = file.checksum.partition(":")[0].upper()
        lines.append(f"{path}: {'as published' if same else 'not the published bytes'} ({kind})")
    return lines


def render_inspection(seen: Inspection, *, files: list[str]) -> str:
    """Return an inspection as text: one fact a line, names in front."""
    low, high = seen.values
    majority = int(np.argmax(seen.classes))
    lines = [
        *(f"file: {line}" for line in files),
        _wrapped("records", f"{seen.records:,}"),
        _wrapped("input", f"{' x '.join(map(str, seen.input_shape))}, values {low:g} .. {high:g}"),
        _wrapped("digest", seen.digest),
        _wrapped(
            "classes", f"{len(seen.classes)}; {_listed(dict(enumerate(seen.classes)), all_=True)}"
        ),
        _wrapped("largest class", f"{majority}, {seen.majority:.1%} of the records"),
        *(_wrapped(f"group {n}", _listed(c)) for n, c in seen.groups.items() if n != PART),
        *([_wrapped("parts", _listed(seen.parts))] if seen.parts else []),
        _wrapped("units", _units(seen)),
        *_equal(seen),
        *_near(seen),
    ]
    return "\n".join(lines)


def _wrapped(name: str, text: str) -> str:
    return textwrap.fill(
        f"{name}: {text}",
        WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _listed(counts: Mapping[int, int] | Mapping[str, int], *, all_: bool = False) -> str:
    pairs = list(counts.items())
    if not all_:
        pairs.sort(key=lambda pair: -pair[1])
    shown = pairs if all_ else pairs[:MOST_VALUES]
    more = f", and {len(pairs) - len(shown)} values more" if len(shown) < len(pairs) else ""
    return ", ".join(f"{value}={count:,}" for value, count in shown) + more


def _units(seen: Inspection) -> str:
    if not seen.shared_units:
        return f"{seen.units:,}, each with one record"
    return (
        f"{seen.units:,}, of which {seen.shared_units:,} own more than one record "
        f"(at most {seen.most_per_unit:,})"
    )


def _equal(seen: Inspection) -> Iterator[str]:
    found = seen.equal
    if not found.records:
        yield _wrapped("equal records", f"none among all {seen.records:,}")
        return
    yield _wrapped(
        "equal records",
        f"{found.records:,} of {seen.records:,} ({found.records / seen.records:.2%}) equal another "
        f"one, in {found.sets:,} sets; {found.other_labels:,} sets hold different labels; "
        f"{found.other_units:,} of these records have a twin of another unit",
    )
    if seen.parts:
        yield from _across("equal records", found.across, seen.parts)


def _near(seen: Inspection) -> Iterator[str]:
    found = seen.near
    yield _wrapped(
        "nearly equal records",
        f"{found.records:,} of a sample of {found.sample:,}, "
        f"{found.other_units:,} with a twin of another unit (nearer than a thousandth of the "
        f"median distance to the nearest other, {found.typical:.4g}; equal ones not counted)",
    )
    if seen.parts and found.records:
        yield from _across("nearly equal records", found.across, {})


def _across(
    what: str, across: Mapping[tuple[str, str], int], sizes: Mapping[str, int]
) -> Iterator[str]:
    for (a, b), count in across.items():
        of = f" of {sizes[a]:,}" if a in sizes else ""
        where = f"within {a}" if a == b else f"of {a} with a twin in {b}"
        yield _wrapped(f"  {what} {where}", f"{count:,}{of}")
