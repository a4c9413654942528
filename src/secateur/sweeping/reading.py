"""Read a sweep's file: what is trained, by which methods, in which variations."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from secateur.errors import InputError
from secateur.spelling import did_you_mean

__all__ = ["DENSE", "Case", "SweepPlan", "read_plan"]

DENSE = "dense"
MOST_CASES = 500
SIZES = ("members", "population", "utility", "attack_pool")
TEXTS = ("title", "data", "recipe", "queries")
COUNTS = ("targets", "references")
LISTS = ("seeds", "funnel", "attacks", "canaries", "compare", "only")
KEYS = (*TEXTS, *SIZES, *COUNTS, *LISTS, "method")
METHOD_KEYS = ("name", "steps", "over")
AXIS = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,79}")
LEAST: Mapping[str, int] = {"members": 1, "utility": 1, "targets": 1}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One variation of a method: its steps are spelled out, its axes say what was filled in.

    `source` holds the steps as the file has them, with the axes' names in braces.
    """

    name: str
    method: str
    axes: Mapping[str, Any]
    steps: tuple[str, ...]
    source: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What a sweep's file asks for; None stands for the default of `secateur train`.

    `funnel` is empty where every case is measured with all references from the start. `compare`
    names methods whose cases are set beside every other method at equal accuracy.
    """

    title: str
    data: str
    cases: tuple[Case, ...]
    sizes: Mapping[str, int]
    targets: int = 8
    references: int = 32
    seeds: tuple[int, ...] = (0,)
    recipe: str | None = None
    queries: str = "Queries()"
    funnel: tuple[int, ...] = ()
    attacks: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    scale: str = ""

    def screening(self, number: int) -> int:
        """Return how many targets serve the funnel's rounds alone, in the seed of this number."""
        return self.targets if self.funnel and number == 0 else 0

    def of_seeds(self, asked: Sequence[int]) -> SweepPlan:
        """Return the plan with these of its seeds alone, in its own order; `join` puts what they
        find together.

        Args:
            asked: some of its seeds; empty for all.

        Raises:
            InputError: a seed that it has not, or some seeds of a plan with a funnel.
        """
        unknown = [seed for seed in asked if seed not in self.seeds]
        if unknown:
            raise InputError(
                f"seed {', '.join(map(str, unknown))} is not among the file's, which are "
                f"{', '.join(map(str, self.seeds))}; take some of these, or add it to the file"
            )
        if self.funnel and asked and set(asked) != set(self.seeds):
            raise InputError(
                "a funnel chooses in the file's first seed which cases the others make, so that "
                "its seeds cannot be swept apart; leave out the funnel, or sweep all seeds"
            )
        return replace(self, seeds=tuple(s for s in self.seeds if s in asked or not asked))


def read_plan(text: str, *, scale: str | None = None, where: str = "the file") -> SweepPlan:
    """Return what a sweep's TOML text asks for; spellings of methods are not looked at.

    Args:
        text: TOML: keys of `secateur train`, `[[method]]` tables, `[scale.NAME]` tables.
        scale: the table whose keys replace those above.
        where: the file's name, for the messages.

    Raises:
        InputError: what is wrong, where, and how to mend it.

    Example:
        >>> plan = read_plan('data = "digits"\\n[[method]]\\nname = "admm"\\n'
        ...                  'steps = ["ADMM(rate={rate})"]\\nover = { rate = [2, 4] }')
        >>> [case.name for case in plan.cases]
        ['admm rate=2', 'admm rate=4']
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is no TOML: {error}") from error
    scales = found.pop("scale", {})
    if not isinstance(scales, dict) or not all(isinstance(v, dict) for v in scales.values()):
        raise InputError(f"{where}: write scales as tables, such as [scale.smoke]")
    for name, changed in scales.items():
        _refuse_unknown(changed, KEYS, f"{where}, [scale.{name}]")
    _refuse_unknown(found, (*KEYS, "scale"), where)
    if scale is not None:
        if scale not in scales:
            there = f"there are {', '.join(scales)}" if scales else "the file has none"
            raise InputError(
                f"{where} has no scale {scale!r}; {did_you_mean(scale, scales)}{there}"
            )
        found = {**found, **scales[scale]}
    return _plan(found, where, scale or "")


def _plan(found: Mapping[str, Any], where: str, scale: str) -> SweepPlan:
    for key in TEXTS:
        if key in found and not (isinstance(found[key], str) and found[key].strip()):
            raise InputError(f"{where}: {key} must be a text, got {found[key]!r}")
    for key in (*SIZES, *COUNTS):
        if key in found and (not _whole(found[key]) or found[key] < LEAST.get(key, 0)):
            raise InputError(
                f"{where}: {key} must be a whole number of at least {LEAST.get(key, 0)}, got "
                f"{found[key]!r}"
            )
    references = found.get("references", 32)
    if references == 1:
        raise InputError(f"{where}: references must be 0 or at least 2, got 1")
    seeds = _list(found, "seeds", where, default=[0])
    if not seeds or not all(map(_whole, seeds)) or len(set(seeds)) < len(seeds):
        raise InputError(
            f"{where}: seeds must be at least one whole number, none twice, got {seeds}"
        )
    attacks, canaries = (_spellings(found, key, where) for key in ("attacks", "canaries"))
    cases = _kept(_cases(found.get("method", []), where), _spellings(found, "only", where), where)
    return SweepPlan(
        title=found.get("title", "Sweep"),
        data=found.get("data", "digits"),
        cases=cases,
        sizes={key: found[key] for key in SIZES if key in found},
        targets=found.get("targets", 8),
        references=references,
        seeds=tuple(seeds),
        recipe=found.get("recipe"),
        queries=found.get("queries", "Queries()"),
        funnel=_funnel(_list(found, "funnel", where), references, where),
        attacks=attacks,
        canaries=canaries,
        compare=_compared(_spellings(found, "compare", where), cases, where),
        scale=scale,
    )


def _kept(cases: tuple[Case, ...], only: Sequence[str], where: str) -> tuple[Case, ...]:
    """Return the cases that `only` names, by their own names or their methods'; all if it is
    empty.
    """
    known = dict.fromkeys([*(c.method for c in cases), *(c.name for c in cases)])
    _refuse_unnamed(only, known, f"{where}: only", "method or case")
    return tuple(c for c in cases if not only or {c.name, c.method} & {*only})


def _compared(names: Sequence[str], cases: Sequence[Case], where: str) -> tuple[str, ...]:
    known = dict.fromkeys(case.method for case in cases)
    _refuse_unnamed(names, known, f"{where}: compare", "method")
    return tuple(names)


def _funnel(rounds: Sequence[Any], references: int, where: str) -> tuple[int, ...]:
    fits = all(_whole(n) and n >= 2 and n % 2 == 0 for n in rounds)
    rising = all(a < b for a, b in itertools.pairwise([*rounds, references])) if fits else False
    if rounds and not rising:
        fitting = sorted({max(2, references // part // 2 * 2) for part in (4, 2)})
        raise InputError(
            f"{where}: funnel must be rising even numbers of references below {references}, "
            + (f"such as {fitting}" if references > 2 else "of which there are none; leave it out")
            + f", got {list(rounds)}"
        )
    return tuple(rounds)


def _cases(methods: Any, where: str) -> tuple[Case, ...]:
    if not isinstance(methods, list) or not all(isinstance(m, dict) for m in methods):
        raise InputError(f"{where}: write methods as [[method]] tables, with double brackets")
    if not methods:
        raise InputError(
            f"{where} names no method; add a [[method]] table with a name and its steps"
        )
    cases: list[Case] = []
    for number, method in enumerate(methods, 1):
        place = f"{where}, [[method]] {number}"
        _refuse_unknown(method, METHOD_KEYS, place)
        cases += itertools.islice(_variations(method, place), MOST_CASES + 1)
        if len(cases) > MOST_CASES:
            raise InputError(f"{place}: more than {MOST_CASES} cases; ask for fewer variations")
    seen: dict[str, Case] = {}
    for case in cases:
        if case.name in seen:
            raise InputError(f"{where}: two cases are named {case.name!r}; give methods own names")
        seen[case.name] = case
    return tuple(cases)


def _variations(method: Mapping[str, Any], place: str) -> Iterator[Case]:
    name, steps, over = method.get("name"), method.get("steps"), method.get("over", {})
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(
            f"{place}: name must be letters, digits, spaces and . _ + - (at most 80), got {name!r}"
        )
    if name.strip().lower() == DENSE or name.lower().startswith(f"{DENSE}, "):
        raise InputError(f"{place}: {name!r} is the fleet that is always there; choose another")
    if not isinstance(steps, list) or not steps or not all(isinstance(s, str) for s in steps):
        raise InputError(
            f'{place} ({name}): steps must be a list of spellings, such as ["ADMM(rate={{rate}})"]'
            f", got {steps!r}"
        )
    if not isinstance(over, dict):
        raise InputError(f"{place} ({name}): write over = {{ rate = [2, 4] }}, got {over!r}")
    used = dict.fromkeys(axis for step in steps for axis in AXIS.findall(step))
    for axis in used:
        if axis not in over:
            raise InputError(
                f"{place} ({name}): steps hold {{{axis}}}, but over has no {axis!r}; "
                f"{did_you_mean(axis, over)}add it, such as over = {{ {axis} = [2, 4] }}"
            )
    for axis, values in over.items():
        if axis not in used:
            raise InputError(
                f"{place} ({name}): over has {axis!r}, which no step uses; "
                f"{did_you_mean(axis, used)}write {{{axis}}} where its value belongs, or leave it "
                "out"
            )
        if not isinstance(values, list) or not values or not all(map(_value, values)):
            raise InputError(
                f"{place} ({name}): over.{axis} must be a list of numbers, texts or lists of them, "
                f"got {values!r}"
            )
        if len({tuple(v) if isinstance(v, list) else v for v in values}) < len(values):
            raise InputError(f"{place} ({name}): over.{axis} holds a value twice: {values}")
    for chosen in itertools.product(*over.values()):
        axes = dict(zip(over, chosen, strict=True))
        filled = tuple(_filled(step, axes) for step in steps)
        label = " ".join([name, *(f"{k}={_spelled(v)}" for k, v in axes.items())])
        yield Case(name=label, method=name, axes=axes, steps=filled, source=tuple(steps))


def _filled(step: str, axes: Mapping[str, Any]) -> str:
    return AXIS.sub(lambda found: _spelled(axes[found[1]]), step)


def _spelled(value: Any) -> str:
    """Return a value as it stands in a spelling: a text as it is, a list as a tuple."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [repr(v) if isinstance(v, str) else _spelled(v) for v in value]
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    return repr(value)


def _value(value: Any) -> bool:
    return isinstance(value, int | float | str) or (
        isinstance(value, list) and all(isinstance(v, int | float | str) for v in value)
    )


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _list(
    found: Mapping[str, Any],
    key: Literal["seeds", "funnel", "attacks", "canaries", "compare", "only"],
    where: str,
    default: Any = (),
) -> list[Any]:
    value = found.get(key, default)
    if not isinstance(value, list | tuple):
        raise InputError(f"{where}: {key} must be a list, such as [{value!r}], got {value!r}")
    return list(value)


def _spellings(found: Mapping[str, Any], key: Any, where: str) -> tuple[str, ...]:
    texts = _list(found, key, where)
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{where}: {key} must be spelled as texts, got {texts}")
    return tuple(texts)


def _refuse_unnamed(names: Sequence[str], known: Iterable[str], key: str, what: str) -> None:
    """Refuse names under a key that no method of the file has."""
    known = list(known)
    for name in names:
        if name not in known:
            raise InputError(
                f"{key} names {name!r}, which is no {what} of the file; "
                f"{did_you_mean(name, known)}there are {', '.join(known)}"
            )


def _refuse_unknown(found: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in found:
        if key not in known:
            raise InputError(
                f"{where}: unknown key {key!r}; {did_you_mean(key, known)}there are "
                f"{', '.join(known)}"
            )
