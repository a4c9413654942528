"""Say in words where two plans differ."""

from __future__ import annotations

import re
from typing import Any

from secateur.types import AUDIT

__all__ = ["difference"]

LONGEST = 160
OF_MODEL = re.compile(r"^keys\[(\d+)\]\.")
DERIVED = "key_digests"
"""Follows from the rest, and would say nothing."""
POOL = re.compile(r"^data\.pools\.(\w+)$")
"""Asked for by the pools' names, but for the audit pool: it holds twice the members."""


def difference(old: Any, new: Any) -> str:
    """Return the first field in which two plans differ, with both values.

    Long values are shown from a little before the place where they part.

    Args:
        old: a plan as JSON gives it back.
        new: another one, which differs.

    Example:
        >>> difference({"keys": [{"method": "A"}]}, {"keys": [{"method": "B"}]})
        "model 0's method is 'A' there and 'B' now"
        >>> difference({"data": {"pools": {"audit": 120}}}, {"data": {"pools": {"audit": 140}}})
        'members (half of data.pools.audit) is 60 there and 70 now'
    """
    field = ""
    while isinstance(old, dict | list) and type(old) is type(new):
        inner = _first(old, new)
        if inner is None:
            break
        name, old, new = inner
        field = f"{field}{name}"
    there, now = _apart(old, new)
    name = OF_MODEL.sub(r"model \1's ", field.removeprefix("."))
    pool = POOL.match(name)
    if pool is not None and all(isinstance(n, int) for n in (old, new)):
        if pool[1] != AUDIT:
            return f"{pool[1]} ({name}) is {there} there and {now} now"
        if old % 2 == new % 2 == 0:
            return f"members (half of {name}) is {old // 2} there and {new // 2} now"
    return f"{name or 'its plan'} is {there} there and {now} now"


def _first(old: Any, new: Any) -> tuple[str, Any, Any] | None:
    if isinstance(old, dict):
        for name in dict.fromkeys([*old, *new]):
            if name != DERIVED and old.get(name) != new.get(name):
                return f".{name}", old.get(name), new.get(name)
        return None
    if len(old) != len(new):
        return ".length", len(old), len(new)
    return next((f"[{i}]", a, b) for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b)


def _apart(old: Any, new: Any) -> tuple[str, str]:
    one, other = repr(old), repr(new)
    if max(len(one), len(other)) <= LONGEST:
        return one, other
    pairs = enumerate(zip(one, other, strict=False))
    parted = next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
    first = max(0, parted - LONGEST // 2)

    def cut(text: str) -> str:
        last = first + LONGEST
        return f"{'...' if first else ''}{text[first:last]}{'...' if len(text) > last else ''}"

    return cut(one), cut(other)
