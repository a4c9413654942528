"""The graph of a packed file, read from plain JSON; nothing in it is believed unread."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secateur_runtime.errors import PlanError
from secateur_runtime.shapes import Shape

__all__ = ["MAX_OPERATORS", "MAX_READS", "Description", "NamedError", "Operator", "described"]

_MAX_NAME = 1000
MAX_OPERATORS = 10_000
"""Of one network: some times those of the deepest published, and about a second to plan."""
MAX_READS = 40_000
"""Values that all operators read together."""


class NamedError(PlanError):
    """A plan error that names the operator."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator as the file describes it; its attributes are checked where they are used."""

    kind: str
    output: str
    inputs: tuple[str, ...]
    tensors: Mapping[str, str]
    attributes: Mapping[str, Any]
    layer: str

    @property
    def place(self) -> str:
        """The layer for messages."""
        return f"layer {self.layer[:80]!r}" if self.layer else "the network's own forward"

    def refused(self, why: str) -> NamedError:
        """Return the error that names this operator."""
        return NamedError(f"{self.kind[:40]!r} in {self.place}: {why}")

    def whole(self, name: str, length: int) -> tuple[int, ...]:
        """Return an attribute of so many whole numbers.

        Raises:
            PlanError: it is none.
        """
        return self._whole(name, self.attributes.get(name), length)

    def pairs(self, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return an attribute of two pairs of whole numbers.

        Raises:
            PlanError: it is none.
        """
        found = self.attributes.get(name)
        if not isinstance(found, list | tuple) or len(found) != 2:
            raise self.refused(f"its {name} is {str(found)[:60]}, not two pairs of numbers")
        return self._whole(name, found[0], 2), self._whole(name, found[1], 2)

    def _whole(self, name: str, found: Any, length: int) -> tuple[int, ...]:
        if not isinstance(found, list | tuple) or len(found) != length:
            raise self.refused(f"its {name} is {str(found)[:60]}, not {length} numbers")
        if not all(type(n) is int and 0 <= n < 2**31 for n in found):
            raise self.refused(f"its {name} is {str(found)[:60]}")
        return tuple(found)

    def flag(self, name: str) -> bool:
        """Return an attribute that is true or false.

        Raises:
            PlanError: it is none.
        """
        found = self.attributes.get(name)
        if not isinstance(found, bool):
            raise self.refused(f"its {name} is {str(found)[:60]}, neither true nor false")
        return found

    def number(self, name: str, *, absent: float | None = None) -> float:
        """Return an attribute that is a number, or what stands for none.

        Raises:
            PlanError: it is none.
        """
        found = self.attributes.get(name)
        if found is None and absent is not None:
            return absent
        try:
            if isinstance(found, int | float) and not isinstance(found, bool):
                number = float(found)
                if math.isfinite(number):
                    return number
        except OverflowError:
            pass
        raise self.refused(f"its {name} is {str(found)[:60]}, no number")


@dataclass(frozen=True, kw_only=True)
class Description:
    """Operators in an order in which they can run; `shape` is that of one record.

    With `any_size` they are the same for pictures of other heights and widths.
    """

    operators: tuple[Operator, ...]
    input: str
    output: str
    shape: Shape
    any_size: bool = False


def described(found: Any) -> Description:
    """Return the graph that a packed file holds.

    Raises:
        PlanError: fields are missing, operators read what was not made, or there are too many.
    """
    try:
        _refuse_many(found["operators"])
        operators = tuple(_operator(op) for op in found["operators"])
        given, returned = _name(found["input"]), _name(found["output"])
        shape = tuple(found["values"][given]["shape"])
        any_size = found.get("any_size") is True
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise PlanError(f"the graph is none that this version reads ({error!r:.200})") from error
    if not 1 <= len(shape) <= 3 or not all(type(n) is int and 1 <= n < 2**31 for n in shape):
        raise PlanError(f"its records have the shape {str(shape)[:60]}")
    made = {given}
    for op in operators:
        if op.output in made or not set(op.inputs) <= made:
            raise op.refused("it reads what is not made before it, or makes it again")
        made.add(op.output)
    if returned not in made:
        raise PlanError(f"no operator makes the output {returned[:80]!r}")
    return Description(
        operators=operators, input=given, output=returned, shape=shape, any_size=any_size
    )


def _refuse_many(operators: Any) -> None:
    """Refuse what takes long to plan; entropy coding makes a short file of it."""
    if len(operators) > MAX_OPERATORS:
        raise PlanError(
            f"it has {len(operators):,} operators, and networks of at most {MAX_OPERATORS:,} run "
            "here; join some, such as constants that follow one another, and export it again"
        )
    reads = sum(len(op["inputs"]) for op in operators)
    if reads > MAX_READS:
        raise PlanError(
            f"its operators read {reads:,} values, and at most {MAX_READS:,} run here; "
            "concatenate fewer at once, and export it again"
        )


def _operator(found: Any) -> Operator:
    attributes = {_name(k): v for k, v in found["attributes"].items()}
    if not isinstance(found["inputs"], list | tuple):
        raise TypeError("inputs")
    return Operator(
        kind=_name(found["kind"]),
        output=_name(found["output"]),
        inputs=tuple(_name(name) for name in found["inputs"]),
        tensors={_name(k): _name(v) for k, v in found["tensors"].items()},
        attributes=attributes,
        layer=_name(found["layer"]),
    )


def _name(found: Any) -> str:
    if not isinstance(found, str) or len(found) > _MAX_NAME:
        raise TypeError(f"{str(found)[:40]!r} is no name")
    return found
