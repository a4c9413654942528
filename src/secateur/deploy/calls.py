"""One call of an exported torch program, and what is asked of its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secateur.deploy.graph import Value

__all__ = [
    "Call",
    "Found",
    "Param",
    "Ref",
    "UnsupportedError",
    "first_axis",
    "many",
    "params",
    "value_of",
]


class UnsupportedError(Exception):
    """An operator, or a way to call it, that has no description here; the text says which."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One operator of the exported program, its arguments by name.

    Args:
        name: with its overload.
        arguments: as the operator's schema names them, defaults filled in. A value is a `str`
            behind `Ref`, a parameter or buffer a `Param`, an unknown size `None`.
        values: what is known of each value by now.
        shape: of the output, without its batch axis.
    """

    name: str
    arguments: Mapping[str, Any]
    values: Mapping[str, Value]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Ref:
    """The name of a value."""

    name: str


@dataclass(frozen=True)
class Param:
    """The name of a parameter or buffer, and the shape in which it is used."""

    name: str
    shape: tuple[int, ...]
    size: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a call is: the fields of an operator, and the axis of the output's channels."""

    kind: str
    inputs: tuple[str, ...]
    tensors: Mapping[str, str]
    attributes: Mapping[str, Any]
    axis: int


def value_of(call: Call, name: str) -> str:
    """Return the name of an argument that is an activation."""
    found = call.arguments[name]
    if not isinstance(found, Ref):
        raise UnsupportedError(f"its {name} is no activation")
    return found.name


def params(call: Call, **roles: str) -> dict[str, str]:
    """Return the state-dict names behind arguments that are parameters as they stand."""
    found = {}
    for role, name in roles.items():
        value = call.arguments[name]
        if value is None:
            continue
        if not isinstance(value, Param) or value.shape != value.size:
            raise UnsupportedError(f"its {name} is computed in the forward pass")
        found[role] = value.name
    return found


def many(value: Any, n: int) -> tuple[int, ...]:
    """Return one whole number for each of n axes."""
    numbers = tuple(value) if isinstance(value, Sequence) else (value,)
    if not all(type(v) is int for v in numbers):
        raise UnsupportedError(f"its sizes {numbers} are not fixed numbers")
    return numbers * n if len(numbers) == 1 else numbers


def first_axis(call: Call, name: str) -> str:
    """Return an input whose channels come right behind the batch axis."""
    found = value_of(call, name)
    if call.values[found].axis != 0:
        raise UnsupportedError("the channels of its input are not behind the batch axis")
    return found
