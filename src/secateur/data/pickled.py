"""CIFAR's pickled batches, read as data: nothing in them is imported, called or made.

The opcodes are walked one by one with the standard library's disassembler, which runs nothing.
Those that build plain values are interpreted here; the few globals that arrays of numpy need are
names, compared with a list, and stay names. Every step costs a bounded amount of time and memory.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
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
LATIN = ("latin1", "latin-1")
MOST_OPCODES = 2_000_000  # a batch of CIFAR-100 has some 400,000
SHOWN = 80  # characters of a name in a message


@dataclass(frozen=True, kw_only=True)
class _Name:
    """A global by its name; it stays a name."""

    name: str


@dataclass(frozen=True, kw_only=True)
class _Type:
    """A dtype by its code."""

    code: str


@dataclass(kw_only=True, eq=False)
class PickledArray:
    """An array as the batch describes it; `values` looks at whether it can be one of bytes."""

    shape: Any = ()
    code: str = ""
    fortran: Any = False
    content: Any = b""

    def values(self, what: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return the array.

        Args:
            what: names it in errors.
            shape: the shape that it must have.

        Raises:
            DataFileError: not of the type uint8 in C order, of another shape, or its content has
                another length.
        """
        code = self.code
        if code not in ("u1", "|u1") or self.fortran or not isinstance(self.content, bytes):
            raise DataFileError(f"{what} is not an array of bytes in C order, but {code[:20]!r}")
        if self.shape != shape:
            raise DataFileError(f"{what} has the shape {_shown(self.shape)}, expected {shape}")
        found = np.frombuffer(self.content, np.uint8)
        if found.size != np.prod(shape):
            raise DataFileError(f"{what} has the shape {shape}, but {found.size} bytes")
        return found.reshape(shape)


def _shown(shape: Any) -> str:
    """Return a shape in words; what is none may be huge, nested or hold itself."""
    plain = isinstance(shape, tuple) and len(shape) < 9 and all(type(n) is int for n in shape)
    return str(shape) if plain and all(abs(n) < 2**63 for n in shape) else "of no array"


class _Reader:
    """A stack and a memo of plain values."""

    def __init__(self, path: Path, most_encoded: int) -> None:
        self.path = path
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.encodable = most_encoded

    def refuse(self, why: str) -> DataFileError:
        return DataFileError(
            f"{self.path} is not a batch of CIFAR: {why}; pickled files are never loaded, and this "
            "one holds more than the plain values of a batch"
        )

    def walk(self, data: bytes) -> None:
        """Do what each opcode asks for, up to the end of the pickle."""
        for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if opcode.name == "STOP":
                return
            if number >= MOST_OPCODES:
                raise self.refuse(f"it has more than {MOST_OPCODES} steps")
            if opcode.name not in STEPS:
                raise self.refuse(f"it asks for {opcode.name}")
            STEPS[opcode.name](self, argument)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def above(self, start: int) -> list[Any]:
        """Take what stands above a place off the stack."""
        if start < 0:
            raise IndexError("the stack is too short")
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def above_mark(self) -> list[Any]:
        return self.above(self.marks.pop())

    def tuple_of(self, n: int) -> None:
        self.push(tuple(self.above(len(self.stack) - n)))

    def named(self, name: str) -> None:
        if name not in GLOBALS:
            raise self.refuse(f"it names {name[:SHOWN]!r}")
        self.push(_Name(name=name))

    def put_all(self, pairs: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise self.refuse("it sets an item of what is no dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, bytes | str):
                raise self.refuse(f"a key is of the type {type(key).__name__}")
            self.stack[-1][key] = value

    def add_all(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise self.refuse("it appends to what is no list")
        self.stack[-1].extend(values)

    def reduce(self) -> None:
        """Stand in for the three calls that a pickled array needs."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise self.refuse("it calls what is no name")
        first = arguments[0] if arguments else None
        if function.name in RECONSTRUCT and first == _Name(name=NDARRAY):
            self.push(PickledArray())
        elif function.name == DTYPE and isinstance(first, bytes | str):
            self.push(_Type(code=_text(first)))
        elif function.name == ENCODE and len(arguments) == 2 and isinstance(first, str):
            self.push(self.encoded(first, arguments[1]))
        else:
            raise self.refuse(f"it calls {function.name!r} with other arguments than an array's")

    def encoded(self, text: str, encoding: Any) -> bytes:
        if encoding not in LATIN:
            raise self.refuse("it encodes bytes in another way than latin1")
        self.encodable -= len(text)
        if self.encodable < 0:  # one text, remembered and encoded again and again
            raise self.refuse("it encodes more bytes than the file has")
        return text.encode("latin1")

    def build(self) -> None:
        state, value = self.stack.pop(), self.stack[-1]
        if isinstance(value, _Type):
            return  # byte order and alignment, which bytes do not have
        if not isinstance(value, PickledArray) or not isinstance(state, tuple) or len(state) != 5:
            raise self.refuse("it sets a state that no array has")
        _, value.shape, kind, value.fortran, value.content = state
        value.code = kind.code if isinstance(kind, _Type) else ""

    def put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]


def _text(value: bytes | str) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value


def _stack_global(reader: _Reader) -> None:
    name, module = reader.stack.pop(), reader.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise reader.refuse("it names something by what is no text")
    reader.named(f"{module} {name}")


def _bytes(reader: _Reader, argument: Any) -> None:
    reader.push(argument.encode("latin1") if isinstance(argument, str) else argument)


def _dict(reader: _Reader) -> None:
    pairs = reader.above_mark()
    reader.push({})
    reader.put_all(pairs)


def _set_item(reader: _Reader) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    reader.put_all([key, value])


Step = Callable[[_Reader, Any], None]
# What each opcode does, given its argument. One that is not here is refused: all that import, make
# objects, call in other ways, or refer to things outside the file.
STEPS: dict[str, Step] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda r, a: None),
    "MARK": lambda r, a: r.marks.append(len(r.stack)),
    "NONE": lambda r, a: r.push(None),
    "NEWTRUE": lambda r, a: r.push(True),
    "NEWFALSE": lambda r, a: r.push(False),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"), _Reader.push),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE"), _Reader.push),
    **dict.fromkeys(("SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES"), _bytes),
    "EMPTY_DICT": lambda r, a: r.push({}),
    "EMPTY_LIST": lambda r, a: r.push([]),
    "EMPTY_TUPLE": lambda r, a: r.push(()),
    "TUPLE": lambda r, a: r.push(tuple(r.above_mark())),
    "TUPLE1": lambda r, a: r.tuple_of(1),
    "TUPLE2": lambda r, a: r.tuple_of(2),
    "TUPLE3": lambda r, a: r.tuple_of(3),
    "LIST": lambda r, a: r.push(r.above_mark()),
    "DICT": lambda r, a: _dict(r),
    "SETITEM": lambda r, a: _set_item(r),
    "SETITEMS": lambda r, a: r.put_all(r.above_mark()),
    "APPEND": lambda r, a: r.add_all([r.stack.pop()]),
    "APPENDS": lambda r, a: r.add_all(r.above_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda r, a: r.put(int(a))),
    "MEMOIZE": lambda r, a: r.put(len(r.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda r, a: r.push(r.memo[int(a)])),
    "GLOBAL": lambda r, a: r.named(str(a)),
    "STACK_GLOBAL": lambda r, a: _stack_global(r),
    "REDUCE": lambda r, a: r.reduce(),
    "BUILD": lambda r, a: r.build(),
}


def plain_values(path: Path, data: bytes) -> dict[str, Any]:
    r"""Return the mapping that a pickled batch holds: texts, numbers, lists and byte arrays.

    Args:
        path: named in errors.
        data: the whole file's content.

    Returns:
        Values by key, keys as text, byte strings as bytes, arrays as `PickledArray`.

    Raises:
        DataFileError: truncated or damaged, or it holds anything else than such values: another
            opcode, another global, another call.

    Example:
        >>> plain_values(Path("batch"), b"}U\x06labels]K\x07as.")
        {'labels': [7]}
    """
    reader = _Reader(path, len(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in the arguments of what is refused
            reader.walk(data)
        (found,) = reader.stack
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(
            f"{path} is truncated or damaged: it is no pickled batch ({str(error)[:120]})"
        ) from error
    if not isinstance(found, dict):
        raise reader.refuse(f"it holds a {type(found).__name__}")
    named = {_text(key): value for key, value in found.items()}
    if len(named) != len(found):
        raise reader.refuse("it holds a key both as text and as bytes")
    return named
