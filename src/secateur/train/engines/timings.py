"""What a step takes, kept for other fleets of the same run whose steps take as long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

__all__ = ["Timed", "Timings", "bare", "hashable"]

NUMBERS = frozenset({"alpha", "epochs", "lr", "rate", "rho", "share", "strength", "weight_decay"})
"""Fields of methods on which no step's time depends, but for whether they are 0."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What one kind of step takes: seconds of one model's, and by size of stack the model steps per
    second, as far as sizes were tried; and the bytes that each took, None where nobody says.
    """

    alone: float
    stacks: Mapping[int, float]
    took: Mapping[int, int | None] = field(default_factory=dict)


class Timings:
    """What was timed before, for other fleets of the same run.

    Methods that differ in epochs, rate, strength and the like alone (`NUMBERS`) are timed once.
    """

    def __init__(self) -> None:
        self._found: dict[Any, Timed] = {}

    def of(self, key: Any, measure: Callable[[], Timed]) -> Timed:
        """Return what is known of such a step, or measure it."""
        if key not in self._found:
            self._found[key] = measure()
        return self._found[key]


def bare(value: Any) -> Any:
    """Return what of a method decides how long a step takes, as something that can be compared."""
    if is_dataclass(value) and not isinstance(value, type):
        shown = [
            (f.name, not getattr(value, f.name))
            if f.name in NUMBERS
            else (f.name, bare(getattr(value, f.name)))
            for f in fields(value)
        ]
        return type(value), *shown
    if isinstance(value, list | tuple):
        return tuple(map(bare, value))
    if isinstance(value, Mapping):
        return tuple((key, bare(value[key])) for key in sorted(value))
    return hashable(value)


def hashable(value: Any) -> Any:
    """Return the value, or where it has no hash something that equals itself alone."""
    try:
        hash(value)
    except TypeError:
        return _Itself(value)
    return value


class _Itself:
    """Keeps a value, so that no other one takes its place in memory."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
