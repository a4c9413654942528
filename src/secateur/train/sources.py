"""What code makes a model, as digests: an edit of it is never met by a stale result.

Of a user's own code whole files count, with those that they take anything from; of this package and
of installed ones the versions do, and the source of each method.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType

from torch import nn

from secateur.errors import InputError, MethodError
from secateur.user_code import is_installed

__all__ = ["files_of", "refuse_addresses", "sources_of"]

_HOUSE = "secateur"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def refuse_addresses(spelling: str) -> None:
    """Refuse a spelling with an address of memory: it differs in each process, or is used again.

    Raises:
        MethodError: names it.
    """
    found = _ADDRESS.search(spelling)
    if found:
        about = spelling[max(0, found.start() - 80) : found.end() + 1]
        raise MethodError(
            f"...{about}... is spelled by its place in memory, so its models cannot be told from "
            "those of another one; make it a frozen dataclass whose fields are its parameters"
        )


def sources_of(values: Iterable[object]) -> dict[str, str]:
    """Return digests by name of the code behind methods, functions and modules.

    Args:
        values: methods with methods in their fields, functions, networks.

    Raises:
        MethodError: a function that captures values of another one.
        InputError: a file that was edited after it was loaded.
    """
    found: dict[str, str] = {}
    for value in values:
        for kind in _kinds(value, set()):
            found.update(_digests(kind))
    return found


def _kinds(value: object, seen: set[int]) -> Iterator[type | FunctionType]:
    """Yield the classes and functions that a value is made of."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, FunctionType):
        if value.__closure__:
            raise MethodError(
                f"{value.__qualname__} captures values of the function that made it, which no name "
                "tells; make it a frozen dataclass whose fields are those values"
            )
        yield value
        parts: Iterable[object] = (
            *(value.__defaults__ or ()),
            *(value.__kwdefaults__ or {}).values(),
        )
    elif isinstance(value, functools.partial):
        parts = (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, nn.Module):
        yield from dict.fromkeys(c for part in value.modules() for c in _bases(type(part)))
        parts = ()
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, tuple | list | set | frozenset):
        parts = value
    elif isinstance(value, type):
        yield from _bases(value)
        parts = ()
    else:
        named = dataclasses.is_dataclass(value) or hasattr(value, "__dict__")
        if type(value).__module__ == "builtins" or not named:
            return
        yield from _bases(type(value))
        fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        held = {f.name: getattr(value, f.name) for f in fields} | dict(
            getattr(value, "__dict__", {})
        )
        parts = held.values()
    for part in parts:
        yield from _kinds(part, seen)


def _bases(kind: type) -> Iterator[type]:
    return (c for c in kind.__mro__ if c.__module__ not in ("builtins", "typing", "abc"))


@functools.cache
def _digests(kind: type | FunctionType) -> dict[str, str]:
    name = kind.__module__
    module = sys.modules.get(name)
    if name.partition(".")[0] != _HOUSE:
        if module is not None and _installed(module):
            return {}  # by its version
        files = files_of(name)
        if files:
            return files
    try:
        text = inspect.getsource(kind)
    except (OSError, TypeError):
        text = repr(kind)
        refuse_addresses(text)
    return {f"{name}.{kind.__qualname__}": hashlib.sha256(text.encode()).hexdigest()}


def _installed(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ in sys.builtin_module_names
    return is_installed(file)


def files_of(name: str) -> dict[str, str]:
    """Return digests of the file of a user's module and of its neighbours that it takes anything
    from.

    Args:
        name: of a module that is loaded.

    Raises:
        InputError: a file that was edited after it was loaded.
    """
    waiting, found = [name], {}
    seen = set()
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        if name in seen or module is None or name.partition(".")[0] == _HOUSE:
            continue
        seen.add(name)
        file = getattr(module, "__file__", None)
        if file is None or _installed(module) or not Path(file).is_file():
            continue
        _refuse_edited(module, Path(file))
        found[f"file {name}"] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        for value in list(vars(module).values()):
            owner = value.__name__ if isinstance(value, ModuleType) else None
            owner = owner or getattr(value, "__module__", None)
            if isinstance(owner, str):
                waiting.append(owner)
    return found


def _refuse_edited(module: ModuleType, file: Path) -> None:
    """Refuse a file that is newer than what was loaded of it, as far as its compiled form tells."""
    cached = getattr(module, "__cached__", None)
    if not cached or sys.dont_write_bytecode or not Path(cached).is_file():
        return
    if not os.access(Path(cached).parent, os.W_OK):
        return  # it may be an old one that could not be replaced
    head = Path(cached).read_bytes()[:16]
    if len(head) < 16 or int.from_bytes(head[4:8], "little"):
        return
    stat = file.stat()
    now = int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF
    loaded = int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little")
    if now != loaded:
        raise InputError(
            f"{file} was edited after it was loaded; start Python anew, so that models are made by "
            "the code that their keys name"
        )
