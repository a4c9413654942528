"""What the arguments of an audit must be: refused in words before anything is asked or trained."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from secateur.data import Queries
from secateur.errors import InputError
from secateur.types import canonical_json

__all__ = [
    "check_arguments",
    "check_table_path",
    "checked_name",
    "checked_path",
    "reference_count",
    "whole_number",
]


def check_arguments(*, attacks: object = None, seed: object = 0, **further: object) -> None:
    """Refuse arguments of another kind, before they fail far from here.

    Args:
        attacks: None, or a list of at least one attack.
        seed: a whole number.
        further: of `queries`, `groups`, `workers`, `about`, `progress`, `device`, `timed`,
            `scores` and `answers`, those that were given.

    Raises:
        InputError: names the argument, what was given, and what is expected.

    Example:
        >>> check_arguments(attacks=None, seed=3, groups=("class",), workers=2)
    """
    _check_attacks(attacks)
    whole_number("seed", seed, "such as 0")
    for name, value in further.items():
        _CHECKS[name](value)


def whole_number(name: str, value: object, words: str, *, least: int | None = None) -> int:
    """Return a whole number, numpy's as Python's.

    Args:
        name: the argument.
        value: what was given; True is no number.
        words: what is expected, after `must be a whole number, `.
        least: the smallest that is allowed; None: any.

    Raises:
        InputError: it is none, or too small.

    Example:
        >>> whole_number("workers", 2, "such as 4")
        2
    """
    if not isinstance(value, bool):
        try:
            found = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
        else:
            if least is None or found >= least:
                return found
    raise InputError(f"{name} must be a whole number, {words}, got {value!r}")


def reference_count(value: object) -> int:
    """Return how many references are asked for.

    Raises:
        InputError: no whole number, one, or fewer than none.
    """
    found = whole_number("references", value, "0 or at least 2, such as 16", least=0)
    if found == 1:
        raise InputError(
            "references must be 0 or at least 2, such as 16: a record must be in some and out of "
            "others; got 1"
        )
    return found


def checked_name(name: object) -> str:
    """Return what the one model is called for people, by default `given`.

    Raises:
        InputError: no printable text.
    """
    if name is None:
        return "given"
    if not (isinstance(name, str) and name.strip() and name.isprintable()):
        raise InputError(f"name must be a printable text that is not empty, got {name!r}")
    return name


def checked_path(name: str, value: object, example: str) -> None:
    """Refuse what is no path.

    Args:
        name: the argument.
        value: what was given; None is allowed.
        example: a path for the message.

    Raises:
        InputError: no text or path, or an empty one.
    """
    if value is None or (isinstance(value, str | PathLike) and fspath(value)):
        return
    raise InputError(f"{name} must be a path, such as {example!r}, got {value!r}")


def check_table_path(path: str | Path | None) -> Path | None:
    """Return where a table of single records shall lie.

    Raises:
        InputError: another suffix than .csv.
    """
    if path is None:
        return None
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise InputError(
            f"scores of an audit are a table, and {path.name!r} is no name of one; give a name "
            "that ends in .csv"
        )
    return path


def _check_attacks(attacks: object) -> None:
    if attacks is None:
        return
    wrong = isinstance(attacks, str) or not isinstance(attacks, Sequence)
    if wrong or any(map(_no_attack, attacks)):  # type: ignore[call-overload]
        raise InputError(f"attacks must be a list of attacks, such as [LiRA()], got {attacks!r}")
    if not attacks:
        raise InputError(
            "attacks is an empty list; name at least one attack, such as [LiRA()], or leave it out "
            "for the default ones"
        )


def _no_attack(value: object) -> bool:
    return isinstance(value, type) or not callable(value) or not hasattr(value, "needs")


def _check_groups(groups: object) -> None:
    if isinstance(groups, str):
        raise InputError(f"groups must be a list of columns, such as [{groups!r}], got a text")
    if not isinstance(groups, Sequence):
        raise InputError(f"groups must be a list of columns, such as ['class'], got {groups!r}")
    twice = next((g for g in groups if list(groups).count(g) > 1), None)
    if twice is not None:
        raise InputError(f"groups names {twice!r} more than once; name each column once")


def _check_queries(queries: object) -> None:
    if queries is not None and not isinstance(queries, Queries):
        raise InputError(f"queries must be such as Queries(flip=True), got {queries!r}")


def _check_workers(workers: object) -> None:
    whole_number("workers", workers, "0 (this process) or more, such as 2", least=0)


def _check_about(about: object) -> None:
    if about is None:
        return
    expected = (
        "about must be a dictionary of further facts, texts, numbers and lists by name, such as "
        "{'title': 'Our first audit'}"
    )
    if not isinstance(about, Mapping) or not all(isinstance(key, str) for key in about):
        raise InputError(f"{expected}, got {about!r}")
    if not isinstance(about.get("labels", {}), Mapping):
        raise InputError(
            "about['labels'] must be a dictionary of what subjects are called, such as "
            f"{{'dense': 'as trained'}}, got {about['labels']!r}"
        )
    try:
        canonical_json(dict(about))
    except (TypeError, ValueError) as error:
        raise InputError(f"{expected}; a report cannot hold {about!r}: {error}") from error


def _check_progress(progress: object) -> None:
    if progress is not None and (isinstance(progress, type) or not callable(progress)):
        raise InputError(
            "progress must be a function (done, all, what) -> None, such as "
            f"lambda *now: print(now), got {progress!r}"
        )


def _check_device(device: object) -> None:
    from secateur.models.forward import check_device  # loads torch

    check_device(device)  # type: ignore[arg-type]


def _check_timed(timed: object) -> None:
    if not isinstance(timed, bool):
        raise InputError(f"timed must be True or False, got {timed!r}")


def _check_scores(scores: object) -> None:
    checked_path("scores", scores, "records.csv")
    check_table_path(scores)  # type: ignore[arg-type]


def _check_answers(answers: object) -> None:
    checked_path("answers", answers, "runs/answers")


_CHECKS: dict[str, Callable[[Any], None]] = {
    "queries": _check_queries,
    "groups": _check_groups,
    "workers": _check_workers,
    "about": _check_about,
    "progress": _check_progress,
    "device": _check_device,
    "timed": _check_timed,
    "scores": _check_scores,
    "answers": _check_answers,
}
