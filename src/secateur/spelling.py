"""Methods as their repr spells them, `ADMM(rate=10)`: read without evaluating, and written."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from secateur.errors import MethodError, SecateurError, UnknownMethodError
from secateur.kinds import fits, hints, in_words

__all__ = ["Signature", "did_you_mean", "parse", "signature_of", "spelled_without"]

LONGEST = 5_000
DEEPEST = 20


BEGINNING = 3
"""Letters after which the beginning of a name counts as meant."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'? ` for a near miss or a beginning, else an empty string.

    Example:
        >>> did_you_mean("LIRA", ["LiRA", "RMIA"])
        "did you mean 'LiRA'? "
        >>> did_you_mean("noise", ["optimiser", "noise_multiplier"])
        "did you mean 'noise_multiplier'? "
    """
    names = {k.lower(): k for k in known}
    begun = [k for k in names if len(name) >= BEGINNING and k.startswith(name.lower())]
    near = begun or difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f"did you mean {names[near[0]]!r}? " if near else ""


class Signature(NamedTuple):
    """A method's name, its parameters (name, repr of the default or empty), its first line."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    about: str


def signature_of(method: Callable[..., Any]) -> Signature:
    """Return what can be written about a method: its name, parameters and first line.

    Example:
        >>> signature_of(did_you_mean).parameters
        (('name', ''), ('known', ''))
    """
    empty = inspect.Parameter.empty
    parameters = inspect.signature(method).parameters.values()
    return Signature(
        name=getattr(method, "__name__", type(method).__name__),
        parameters=tuple(
            (p.name, "" if p.default is empty else repr(p.default)) for p in parameters
        ),
        about=(inspect.getdoc(method) or "").partition("\n")[0],
    )


def parse(
    text: str,
    names: Mapping[str, Callable[..., Any]],
    *,
    what: str = "method",
    kinds: Mapping[str, Any] | None = None,
) -> Any:
    """Return the object that a spelling stands for.

    Args:
        text: a listed name, with keyword arguments in parentheses where wanted: literals, tuples,
            or further listed names, such as `Recipe(build=MLP(widths=(64, 10)), epochs=5)`.
        names: what may be named.
        what: what is spelled, for the messages.
        kinds: what annotations name beyond their own modules, such as protocols.

    Raises:
        UnknownMethodError: an unknown name or parameter (with the nearest known one), or a text
            that is no such spelling.
        MethodError: the method refuses its parameters.

    Example:
        >>> from fractions import Fraction
        >>> parse("Fraction(numerator=3)", {"Fraction": Fraction})
        Fraction(3, 1)
    """
    reader = _Reader(text=text.strip(), names=names, what=what, kinds=kinds or {})
    if len(text) > LONGEST:
        raise UnknownMethodError(
            f"a {what} is spelled with at most {LONGEST} characters, got {len(text)}"
        )
    try:
        tree = ast.parse(reader.text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        why = error.msg if isinstance(error, SyntaxError) else error or "nested too deep"
        raise UnknownMethodError(
            f"{reader.shown} spells no {what} ({why}); write a name, or a name with "
            "named parameters, like LiRA(mode='offline')"
        ) from error
    if not isinstance(tree, ast.Name | ast.Call):
        raise reader.neither(tree)
    return reader.value(tree, depth=0)


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """One text, and the names that may stand in it."""

    text: str
    names: Mapping[str, Callable[..., Any]]
    what: str
    kinds: Mapping[str, Any]

    @property
    def shown(self) -> str:
        """The text, shortened for messages."""
        return repr(self.text if len(self.text) <= 200 else f"{self.text[:190]}...")

    def neither(self, node: ast.expr) -> UnknownMethodError:
        """Return the error for a piece that is neither a literal nor a listed name."""
        piece = ast.get_source_segment(self.text, node) or ""
        return UnknownMethodError(
            f"{piece[:80]!r} in {self.shown} is neither a literal nor a listed {self.what}; write "
            "numbers, texts, tuples, or further listed names"
        )

    def value(self, node: ast.expr, *, depth: int) -> Any:
        """Return what a node stands for."""
        if depth > DEEPEST:
            raise UnknownMethodError(
                f"{self.shown} is nested more than {DEEPEST} deep; no {self.what} needs that"
            )
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None as literal):
                return literal
            case ast.UnaryOp(
                op=ast.USub(), operand=ast.Constant(value=int() | float() as number)
            ) if not isinstance(number, bool):
                return -number
            case ast.Tuple() | ast.List():
                return tuple(self.value(n, depth=depth + 1) for n in node.elts)
            case ast.Dict() if all(isinstance(k, ast.Constant) for k in node.keys):
                pairs = zip(node.keys, node.values, strict=True)
                return {
                    self.value(k, depth=depth + 1): self.value(v, depth=depth + 1)
                    for k, v in pairs
                    if k is not None
                }
            case ast.Name():
                return self.call(node.id, {})
            case ast.Call(func=ast.Name(id=name)):
                return self.call(name, self.arguments(node, depth=depth))
        raise self.neither(node)

    def arguments(self, node: ast.Call, *, depth: int) -> dict[str, Any]:
        """Return a call's keyword arguments."""
        if node.args or any(k.arg is None for k in node.keywords):
            raise UnknownMethodError(
                f"in {self.shown} every argument needs its name, like ADMM(rate=10)"
            )
        given = [str(k.arg) for k in node.keywords]
        twice = sorted({name for name in given if given.count(name) > 1})
        if twice:
            raise UnknownMethodError(f"in {self.shown} {', '.join(twice)} is given more than once")
        return {
            name: self.value(k.value, depth=depth + 1)
            for name, k in zip(given, node.keywords, strict=True)
        }

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Return the listed method with these arguments."""
        if name not in self.names:
            raise UnknownMethodError(
                f"unknown {self.what} {name!r}; {did_you_mean(name, self.names)}there are "
                f"{', '.join(sorted(self.names))}"
            )
        maker = self.names[name]
        parameters = inspect.signature(maker).parameters
        for argument in arguments:
            if argument not in parameters:
                raise UnknownMethodError(
                    f"{name} has no parameter {argument!r}; {did_you_mean(argument, parameters)}"
                    f"its parameters are {', '.join(parameters) or 'none'}"
                )
        empty = inspect.Parameter.empty
        missing = [p for p in parameters.values() if p.default is empty and p.name not in arguments]
        if missing:
            raise MethodError(
                f"{name} needs {', '.join(p.name for p in missing)}: write "
                f"{name}({', '.join(f'{p.name}=...' for p in missing)})"
            )
        allowed = hints(maker, self.kinds)
        for argument, value in arguments.items():
            if argument in allowed and not fits(value, allowed[argument]):
                raise MethodError(
                    f"{name}: {argument} must be {in_words(allowed[argument])}, got {value!r}; see "
                    f"`secateur methods {name}`"
                )
        try:
            return maker(**arguments)
        except SecateurError:
            raise
        except (TypeError, AttributeError, ValueError, ArithmeticError) as error:
            shown = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
            raise MethodError(
                f"{name}({shown}) cannot be made: {error}; see `secateur methods {name}` for what "
                "its parameters are"
            ) from error


def spelled_without(method: object, defaults: Mapping[str, object]) -> str:
    """Return the repr of a dataclass without the fields that are as named here.

    So that a field that was added later changes no spelling of before.
    """
    parts = [
        f"{f.name}={getattr(method, f.name)!r}"
        for f in fields(method)  # type: ignore[arg-type]
        if f.name not in defaults or getattr(method, f.name) != defaults[f.name]
    ]
    return f"{type(method).__qualname__}({', '.join(parts)})"
