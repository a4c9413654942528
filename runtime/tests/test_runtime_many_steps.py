"""A network of very many operators is planned in proportion to them, however they are joined."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from written_files import convolution, plain, written

import secateur_runtime
from secateur_runtime import FileError, allot, description, fuse
from secateur_runtime.assembly import assembled
from secateur_runtime.description import MAX_OPERATORS, MAX_READS
from secateur_runtime.lower import lowered
from secateur_runtime.packed import unpack

SOURCE = str(Path(secateur_runtime.__file__).parent)


def chain(n):
    """Values each of which is read by the next alone."""
    names = ["x", *(f"v{i}" for i in range(n))]
    return [
        plain("clip", [names[i]], names[i + 1], low=-1.0 - i % 3, high=1.0 + i % 3)
        for i in range(n)
    ]


def scales(n):
    """A convolution that is scaled again and again."""
    made = [convolution("x", "v", "w")]
    for i in range(n - 1):
        last = made[-1]["output"]
        made.append(plain("arithmetic", [last], f"v{i}", operation="multiply", value=1.001))
    return made


def fan(n):
    """Values all of which live until the end."""
    made = [plain("clip", ["x"], f"v{i}", low=-1.0, high=1.0 + i) for i in range(n - 1)]
    return [*made, plain("concatenate", [op["output"] for op in made], "all", axis=0)]


def sums(n):
    """Sums with a value from the beginning."""
    made, last = [plain("relu", ["x"], "first")], "first"
    for i in range(n - 1):
        made.append(plain("add", [last, "first"], f"v{i}"))
        last = f"v{i}"
    return made


def lines_run(make, n):
    """Return how many lines of the package run while n operators are planned and laid out."""
    count = 0

    def inside(frame, event, argument):
        nonlocal count
        count += event == "line"
        return inside

    def watch(frame, event, argument):
        return inside if frame.f_code.co_filename.startswith(SOURCE) else None

    weight = np.ones((4, 4, 1, 1), np.float32)
    packed = unpack(written((4, 3, 3), make(n), {"w": weight}))
    before = sys.gettrace()
    sys.settrace(watch)
    try:
        made = assembled(lowered(packed), 1, lambda number: "sparse")
    finally:
        sys.settrace(before)
    assert made.floats > 0
    return count


@pytest.mark.parametrize("make", [chain, scales, fan, sums])
def test_planning_takes_lines_in_proportion_to_the_operators(make):
    few, many = lines_run(make, 500), lines_run(make, 5_000)
    assert many < 12 * few
    assert many < 1_000 * 5_000


@pytest.mark.parametrize(
    ("operators", "words"),
    [
        (chain(MAX_OPERATORS + 1), "it has 10,001 operators, and networks of at most 10,000 run"),
        (
            [plain("concatenate", ["x"] * (MAX_READS + 1), "all", axis=0)],
            "its operators read 40,001 values, and at most 40,000 run here",
        ),
    ],
)
def test_a_short_file_of_very_many_operators_is_refused_before_it_is_planned(
    operators, words, monkeypatch
):
    data = written((4, 3, 3), operators)
    assert len(data) < 30_000
    monkeypatch.setattr(description, "_operator", None)  # nothing is made of any of them
    with pytest.raises(FileError, match=words):
        lowered(unpack(data))


def test_as_many_operators_as_are_taken_run():
    plan = lowered(unpack(written((4, 3, 3), chain(MAX_OPERATORS))))
    assert len(plan.steps) == MAX_OPERATORS
    wide = [plain("concatenate", ["x"] * MAX_READS, "all", axis=0)]
    assert lowered(unpack(written((1, 1, 1), wide))).shapes[1] == (MAX_READS, 1, 1)


def test_the_weights_of_a_layer_are_scaled_once(monkeypatch):
    scaled, real = [], fuse._rows_times
    monkeypatch.setattr(
        fuse, "_rows_times", lambda weight, scale: scaled.append(weight.size) or real(weight, scale)
    )
    weight = np.random.default_rng(0).random((4, 64, 1, 1), np.float32) + 1
    plan = lowered(unpack(written((64, 3, 3), scales(5_000), {"w": weight})))
    assert [step.kind for step in plan.steps] == ["convolution"]
    assert scaled.count(weight.size) == 1 and sum(scaled) == weight.size + 4 * 4_998
    expected = weight * 1.001**4_999
    assert np.abs(plan.steps[0].weight.values / expected - 1).max() < 1e-3


def slowly(lives):
    """Return places as the first version found them: every value looks at every other."""
    found, done, whole = np.zeros(len(lives), np.int64), [], 0
    for i in np.argsort(-lives[:, 0], kind="stable"):
        size, first, last = lives[i]
        at = 0
        others = [j for j in done if lives[j, 1] <= last and first <= lives[j, 2]]
        for j in sorted(others, key=lambda j: found[j]):
            if at + size <= found[j]:
                break
            at = max(at, found[j] + lives[j, 0])
        found[i] = at
        done.append(i)
        whole = max(whole, at + size)
    return found, whole


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("most", [allot.MOST_PAIRS, 3])
def test_no_value_lies_where_another_does_at_the_same_time(seed, most, monkeypatch):
    monkeypatch.setattr(allot, "MOST_PAIRS", most)
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 40, 60)
    lives = np.stack([rng.integers(1, 9, 60) * 16, first, first + rng.integers(0, 12, 60)], axis=1)
    found, whole = allot.starts(lives)
    for i in range(60):
        assert found[i] + lives[i, 0] <= whole
        for j in range(i):
            apart = found[i] + lives[i, 0] <= found[j] or found[j] + lives[j, 0] <= found[i]
            assert apart or lives[i, 2] < lives[j, 1] or lives[j, 2] < lives[i, 1]
    if most > 3:
        expected, floats = slowly(lives)
        assert whole == floats and np.array_equal(found, expected)
    else:
        assert whole == lives[:, 0].sum()
