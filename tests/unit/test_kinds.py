"""Whether a value is of an annotated kind, and what the kind is called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from secateur import protocols
from secateur.cli.catalogue import catalogue
from secateur.cli.spelled import names_of
from secateur.kinds import fits, hints, in_words
from secateur.models import MLP
from secateur.protocols import Builder
from secateur.train import Adam, RandomFlip, hooks, recipe, steps
from secateur.train.hooks import Hook
from secateur.train.recipe import Optimiser


@pytest.mark.parametrize(
    ("value", "kind", "yes"),
    [
        (3, int, True),
        (3.0, int, False),
        (True, int, False),
        (3, float, True),
        (True, float, False),
        ("x", str, True),
        (None, float | None, True),
        ("x", float | None, False),
        ("a", Literal["a", "b"], True),
        ("c", Literal["a", "b"], False),
        (1, Literal[True], False),
        ((1, 2), tuple[int, ...], True),
        ([1, 2], tuple[int, ...], False),
        ((1, "x"), tuple[int, ...], False),
        ((0.1, 3), tuple[float, float], True),
        ((0.1,), tuple[float, float], False),
        ((("a", 0.5),), tuple[tuple[str, float], ...], True),
        ((("a", "b"),), tuple[tuple[str, float], ...], False),
        ({"a": 1}, Mapping[str, int], True),
        ({"a": "b"}, Mapping[str, int], False),
        (Adam(), Optimiser, True),
        (Adam, Optimiser, False),
        (3, Optimiser, False),
        (MLP(widths=(2, 2)), Builder, True),
        (MLP, Builder, False),
        (RandomFlip(), Hook, True),
        (Adam(), Hook, False),
        (object(), Any, True),
    ],
)
def test_a_value_fits_its_kind_or_not(value, kind, yes):
    assert fits(value, kind) is yes


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "a whole number"),
        (float | None, "a number or None"),
        (Literal["a", "b"], "'a' or 'b'"),
        (tuple[int, ...], "a tuple of whole numbers"),
        (tuple[float, float], "a tuple (a number, a number)"),
        (tuple[tuple[str, float], ...], "a tuple of pairs (a text, a number)"),
        (tuple[Hook, ...], "a tuple of Hooks"),
        (Mapping[str, int], "a dictionary of texts and whole numbers"),
        (Builder, "a network, such as MLP(widths=(64, 10))"),
        (Hook, "a Hook"),
    ],
)
def test_a_kind_has_words(kind, words):
    assert in_words(kind) == words


def test_every_listed_method_says_what_its_parameters_are():
    from torch import nn

    known = {**vars(protocols), **vars(hooks), **vars(recipe), **vars(steps), "nn": nn}
    kinds = {entry.kind for entry in catalogue()}
    for name, method in names_of(*kinds).items():
        found = hints(method, known)
        assert set(inspect.signature(method).parameters) <= set(found), name


def test_a_class_of_a_stranger_whose_annotations_do_not_resolve_has_no_hints():
    def method(x: Unknown) -> None:  # noqa: F821
        del x

    assert hints(method, {}) == {}
