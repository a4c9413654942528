"""CIFAR's pickled batches, read as data: nothing in them is imported, called or made.

The opcodes are walked one by one with the standard library's disassembler, which runs nothing.
Those that build plain values are interpreted here; the few globals that arrays of numpy need are
names, compared with a list, and stay names.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PickledArray", "plain_values"]

RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
NDARRAY, DTYPE, ENCODE = "numpy ndarray", "numpy dtype", "_codecs encode"
GLOBALS = (*RECONSTRUCT, NDARRAY, DTYPE, ENCODE)
MOST_OPCODES = 2_000_000  # a batch of CIFAR-100 has some 400,000


@dataclass(frozen=True, kw_only=True)
class _Name:
    """A global by its name; it stays a name."""

    name: str


@dataclass(kw_only=True)
class _Type:
    """A dtype by its code."""

    code: str


@dataclass(kw_only=True)
class PickledArray:
    """An array of bytes as the batch describes it; `values` looks at whether it can be."""

    shape: Any = ()
    code: str = ""
    fortran: Any = False
    content: Any = b""

    def values(self, what: str) -> NDArray[np.uint8]:
        """Return the array.

        Raises:
            DataFileError: not of the type uint8, or its content has another length than its shape.
        """
        shape = self.shape
        whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
        size = int(np.prod(shape, dtype=object)) if whole else -1
        if self.code not in ("u1", "|u1") or self.fortran or not isinstance(self.content, bytes):
            raise DataFileError(f"{what} is no array of bytes in C order, but {self.code[:20]!r}")
        if size != len(self.content):
            raise DataFileError(
                f"{what} has the shape {str(shape)[:60]}, but {len(self.content)} bytes"
            )
        return np.frombuffer(self.content, np.uint8).reshape(shape)


class _Reader:
    """A stack and a memo of plain values."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def refuse(self, why: str) -> DataFileError:
        return DataFileError(
            f"{self.path} is not a batch of CIFAR: {why}; pickled files are never loaded, and this "
            "one holds more than the plain values of a batch"
        )

    def above_mark(self) -> list[Any]:
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def named(self, name: str) -> None:
        if name not in GLOBALS:
            raise self.refuse(f"it names {name[:80]!r}")
        self.stack.append(_Name(name=name))

    def tuple_of(self, n: int) -> None:
        if len(self.stack) < n:
            raise IndexError("the stack is too short")
        found = tuple(self.stack[len(self.stack) - n :])
        del self.stack[len(self.stack) - n :]
        self.stack.append(found)

    def put_all(self, pairs: list[Any]) -> None:
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, bytes | str):
                raise self.refuse(f"a key is {type(key).__name__}")
            self.stack[-1][key] = value

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise self.refuse("it calls what is no name")
        if function.name in RECONSTRUCT and arguments[:1] == (_Name(name=NDARRAY),):
            self.stack.append(PickledArray())
        elif function.name == DTYPE and arguments and isinstance(arguments[0], bytes | str):
            self.stack.append(_Type(code=_text(arguments[0])))
        elif function.name == ENCODE and len(arguments) == 2 and isinstance(arguments[0], str):
            self.stack.append(arguments[0].encode("latin1"))
        else:
            raise self.refuse(f"it calls {function.name!r} with {str(arguments)[:60]}")

    def build(self) -> None:
        state, value = self.stack.pop(), self.stack[-1]
        if isinstance(value, _Type):
            return  # byte order and alignment, which bytes do not have
        if not isinstance(value, PickledArray) or not isinstance(state, tuple) or len(state) != 5:
            raise self.refuse("it sets a state that no array has")
        _, value.shape, kind, value.fortran, value.content = state
        value.code = kind.code if isinstance(kind, _Type) else ""


def _text(value: bytes | str) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value


def _put(reader: _Reader, argument: Any) -> None:
    reader.memo[int(argument)] = reader.stack[-1]


def _stack_global(reader: _Reader) -> None:
    name, module = reader.stack.pop(), reader.stack.pop()
    reader.named(f"{module} {name}")


def _value(reader: _Reader, argument: Any) -> None:
    reader.stack.append(argument)


def _bytes(reader: _Reader, argument: Any) -> None:
    reader.stack.append(argument.encode("latin1") if isinstance(argument, str) else argument)


def _dict(reader: _Reader) -> None:
    pairs = reader.above_mark()
    reader.stack.append({})
    reader.put_all(pairs)


def _set_item(reader: _Reader) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    reader.put_all([key, value])


def _append(reader: _Reader, values: list[Any]) -> None:
    if not isinstance(reader.stack[-1], list):
        raise reader.refuse("it appends to what is no list")
    reader.stack[-1].extend(values)


Step = Callable[[_Reader, Any], None]
STEPS: dict[str, Step] = {
    "PROTO": lambda r, a: None,
    "FRAME": lambda r, a: None,
    "MARK": lambda r, a: r.marks.append(len(r.stack)),
    "NONE": lambda r, a: r.stack.append(None),
    "NEWTRUE": lambda r, a: r.stack.append(True),
    "NEWFALSE": lambda r, a: r.stack.append(False),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"), _value),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "UNICODE"), _value),
    **dict.fromkeys(("SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES"), _bytes),
    "EMPTY_DICT": lambda r, a: r.stack.append({}),
    "EMPTY_LIST": lambda r, a: r.stack.append([]),
    "EMPTY_TUPLE": lambda r, a: r.stack.append(()),
    "TUPLE": lambda r, a: r.stack.append(tuple(r.above_mark())),
    "TUPLE1": lambda r, a: r.tuple_of(1),
    "TUPLE2": lambda r, a: r.tuple_of(2),
    "TUPLE3": lambda r, a: r.tuple_of(3),
    "LIST": lambda r, a: r.stack.append(r.above_mark()),
    "DICT": lambda r, a: _dict(r),
    "SETITEM": lambda r, a: _set_item(r),
    "SETITEMS": lambda r, a: r.put_all(r.above_mark()),
    "APPEND": lambda r, a: _append(r, [r.stack.pop()]),
    "APPENDS": lambda r, a: _append(r, r.above_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    "MEMOIZE": lambda r, a: _put(r, len(r.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda r, a: r.stack.append(r.memo[int(a)])),
    "GLOBAL": lambda r, a: r.named(str(a)),
    "STACK_GLOBAL": lambda r, a: _stack_global(r),
    "REDUCE": lambda r, a: r.reduce(),
    "BUILD": lambda r, a: r.build(),
}


def plain_values(path: Path, data: bytes) -> dict[str, Any]:
    """Return the mapping that a pickled batch holds: texts, numbers, lists and byte arrays.

    Args:
        path: named in errors.
        data: the whole file's content.

    Returns:
        Values by key, keys as text, byte strings as bytes, arrays as `PickledArray`.

    Raises:
        DataFileError: truncated or damaged, or it holds anything else than such values: another
            opcode, another global, another call.

    Example:
        >>> plain_values(Path("batch"), b"\\x80\\x02}U\\x05labels"[:3] + b"}U\\x06labels]K\\x07as.")
        {'labels': [7]}
    """
    reader = _Reader(path)
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if opcode.name == "STOP":
                break
            if number >= MOST_OPCODES:
                raise reader.refuse(f"it has more than {MOST_OPCODES} steps")
            if opcode.name not in STEPS:
                raise reader.refuse(f"it asks for {opcode.name}")
            STEPS[opcode.name](reader, argument)
        (found,) = reader.stack
    except DataFileError:
        raise
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        struct.error,
    ) as error:
        raise DataFileError(
            f"{path} is truncated or damaged: it is no pickled batch ({str(error)[:120]})"
        ) from error
    if not isinstance(found, dict):
        raise reader.refuse(f"it holds a {type(found).__name__}")
    return {_text(key): value for key, value in found.items()}
