"""Read a method as its repr spells it: `ADMM(rate=10)`; names are looked up, nothing is evaluated.
"""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from secateur.errors import UnknownMethodError

__all__ = ["did_you_mean", "parse"]

LONGEST = 5_000
DEEPEST = 20


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'? ` for a near miss, else an empty string.

    Example:
        >>> did_you_mean("LIRA", ["LiRA", "RMIA"])
        "did you mean 'LiRA'? "
    """
    names = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f"did you mean {names[near[0]]!r}? " if near else ""


def parse(text: str, names: Mapping[str, Callable[..., Any]]) -> Any:
    """Return the object that a spelling stands for.

    Args:
        text: a listed name, with keyword arguments in parentheses where wanted: literals, tuples,
            or further listed names, such as `Recipe(build=MLP(widths=(64, 10)), epochs=5)`.
        names: what may be named.

    Raises:
        UnknownMethodError: an unknown name or parameter (with the nearest known one), or a text
            that is no such spelling.

    Example:
        >>> from fractions import Fraction
        >>> parse("Fraction(numerator=3)", {"Fraction": Fraction})
        Fraction(3, 1)
    """
    if len(text) > LONGEST:
        raise UnknownMethodError(
            f"a method's spelling has at most {LONGEST} characters, got {len(text)}"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise UnknownMethodError(
            f"{text!r} is not the spelling of a method ({error}); write it like "
            f"LiRA(mode='offline')"
        ) from error
    return _value(tree, names, text, top=True, depth=0)


def _value(
    node: ast.expr, names: Mapping[str, Callable[..., Any]], text: str, *, top: bool, depth: int
) -> Any:
    if depth > DEEPEST:
        raise UnknownMethodError(f"{text!r} is nested more than {DEEPEST} deep")
    if isinstance(node, ast.Name):
        return _call(node.id, {}, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.args or any(k.arg is None for k in node.keywords):
            raise UnknownMethodError(
                f"in {text!r} arguments need their names, like {node.func.id}(rate=10)"
            )
        arguments = {
            str(k.arg): _value(k.value, names, text, top=False, depth=depth + 1)
            for k in node.keywords
        }
        return _call(node.func.id, arguments, names)
    if isinstance(node, ast.Tuple | ast.List) and not top:
        return tuple(_value(n, names, text, top=False, depth=depth + 1) for n in node.elts)
    if not top:
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            pass
    raise UnknownMethodError(
        f"{ast.unparse(node)!r} in {text!r} is neither a literal nor a listed method"
    )


def _call(name: str, arguments: dict[str, Any], names: Mapping[str, Callable[..., Any]]) -> Any:
    if name not in names:
        raise UnknownMethodError(
            f"unknown method {name!r}; {did_you_mean(name, names)}there are {', "
            f"'.join(sorted(names))}"
        )
    maker = names[name]
    known = list(inspect.signature(maker).parameters)
    for argument in arguments:
        if argument not in known:
            raise UnknownMethodError(
                f"{name} has no parameter {argument!r}; {did_you_mean(argument, known)}"
                f"its parameters are {', '.join(known) or 'none'}"
            )
    try:
        return maker(**arguments)
    except TypeError as error:
        raise UnknownMethodError(f"{name}({arguments}): {error}") from error
