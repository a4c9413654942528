"""What a parameter's annotation allows, in words, and whether a value is of that kind."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

__all__ = ["fits", "in_words"]

_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}
_ROLES = {  # of the protocols that a parameter may ask for
    "Builder": "a network, such as MLP(widths=(64, 10))",
    "Optimiser": "an optimiser, such as Adam(lr=0.001)",
    "Pattern": "a pattern, such as Filters()",
    "Perturbation": "a perturbation, such as Noise(sd=0.5)",
}
_PLURALS = {int: "whole numbers", float: "numbers", bool: "True or False", str: "texts"}


def fits(value: object, kind: Any) -> bool:
    """Return whether a value is of an annotated kind.

    Stricter than Python: True is no number. A whole number fits `float`.

    Args:
        value: what was given.
        kind: a resolved annotation: plain types, `Literal`, unions, tuples, mappings, classes and
            runtime-checkable protocols; what it does not know allows everything.

    Example:
        >>> fits((64, 10), tuple[int, ...]), fits((64, 10.5), tuple[int, ...]), fits(True, int)
        (True, False, False)
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any or kind is object:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in inner)
    if kind is None or kind is type(None):
        return value is None
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in inner)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is tuple:
        return isinstance(value, tuple) and _fits_tuple(value, inner)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items()
        )
    if origin is not None:
        return callable(value) if origin is Callable else True
    return not isinstance(kind, type) or _is_instance(value, kind)


def _fits_tuple(value: tuple[object, ...], inner: tuple[Any, ...]) -> bool:
    if len(inner) == 2 and inner[1] is ...:
        return all(fits(one, inner[0]) for one in value)
    return len(value) == len(inner) and all(map(fits, value, inner))


def _is_instance(value: object, kind: type) -> bool:
    if getattr(kind, "_is_protocol", False):
        if isinstance(value, type) or not getattr(kind, "_is_runtime_protocol", False):
            return not isinstance(value, type)
        # by the class, since a protocol that is only callable would take any class
        return isinstance(value, kind)
    return isinstance(value, kind)


def in_words(kind: Any) -> str:
    """Return what an annotated kind allows, for a message.

    Example:
        >>> in_words(tuple[int, ...]), in_words(float | None)
        ('a tuple of whole numbers', 'a number or None')
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is None or kind is type(None):
        return "None"
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(part) for part in inner))
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple and len(inner) == 2 and inner[1] is ...:
        return f"a tuple of {_plural(inner[0])}"
    if origin is tuple:
        return f"a tuple ({', '.join(in_words(part) for part in inner)})"
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a dictionary of {_plural(inner[0])} and {_plural(inner[1])}"
    if kind in _WORDS:
        return _WORDS[kind]
    name = getattr(kind, "__name__", str(kind))
    if name in _ROLES:
        return _ROLES[name]
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"


def _plural(kind: Any) -> str:
    if kind in _PLURALS:
        return _PLURALS[kind]
    if get_origin(kind) is tuple:
        return f"pairs ({', '.join(in_words(part) for part in get_args(kind))})"
    return f"{getattr(kind, '__name__', kind)}s"


def hints(maker: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resolved annotations of a class or function; those that do not resolve are left
    out.

    Args:
        maker: whose parameters.
        more: names that its module imports for type checkers only.
    """
    try:
        return typing.get_type_hints(maker, localns=dict(more))
    except (NameError, TypeError, AttributeError):  # a stranger's class
        return {}
