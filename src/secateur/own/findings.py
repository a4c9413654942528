"""What a check of a recipe file found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Finding"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A mistake: what was seen, in numbers too, and how to mend it; `id` is its place in
    docs/own.md.
    """

    id: str
    what: str
    mend: str
    values: Mapping[str, float] = field(default_factory=dict)
