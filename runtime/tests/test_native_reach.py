"""What a layer reads lies within the value that it reads, to the last element."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("secateur_runtime._native", reason="the compiled engine is not built here")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_native_engine import convolutions

from secateur_runtime.assembly import assembled
from secateur_runtime.drafts import Operator
from secateur_runtime.layout import Place, method_of, up
from secateur_runtime.plan import Plan, Step


def reached(step: Step, source: Place, method: str) -> int:
    """Return the furthest element that a weight reads for the first output, by loops."""
    a = step.attributes
    assert step.weight is not None
    _, own, rows, columns = step.weight.shape
    (sh, sw), (dh, dw), (top, left, *_) = a["stride"], a["dilation"], a["padding"]
    reads = []
    for group in range(a["groups"]):
        for c in range(own):
            for i in range(rows):
                for j in range(columns):
                    channel, y, x = group * own + c, i * dh, j * dw
                    if method == "flat":
                        at = channel * source.plane + (y - top) * source.pitch + x - left
                    elif method == "taps":
                        at = ((channel * rows + i) * columns + j) * source.plane
                    else:  # a picture for each remainder of a row and a column that is read
                        down = min(sh, (rows - 1) * dh + 1)
                        across = min(sw, (columns - 1) * dw + 1)
                        plane = (channel * down + y % sh) * across + x % sw
                        at = plane * source.plane + y // sh * source.pitch + x // sw
                    reads.append(source.origin + at)
    return max(reads)


def layers(plan: Plan, lanes: int, way: str) -> list[tuple[Step, Operator, str]]:
    """Return the convolutions of a plan with their operators and how they read."""
    found = []
    for one in assembled(plan, lanes, lambda _: way).operators:
        if one.code in ("sparse", "dense", "depthwise"):
            step = plan.steps[one.step]
            method = method_of(step, plan.shapes[step.output], lanes, dense=way == "dense")
            found.append((step, one, method))
    return found


def lowest_size(step: Step, one: Operator, method: str, lanes: int) -> int:
    """Return how many floats the value must have for whole vectors to be read."""
    assert one.writes is not None
    return reached(step, one.reads[0], method) * lanes + up(one.writes.length() * lanes)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(convolutions(), st.sampled_from([1, 16]), st.sampled_from(["sparse", "dense"]))
def test_a_value_is_as_long_as_its_convolutions_read(plan: Plan, lanes: int, way: str) -> None:
    for step, one, method in layers(plan, lanes, way):
        if one.code == "depthwise":
            if not one.sizes[2]:
                continue  # reads by a table, place for place
            method = "flat"
        assert one.reads[0].size >= lowest_size(step, one, method, lanes), (step, method)


def test_each_way_of_reading_is_drawn() -> None:
    seen: set[Any] = set()

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(convolutions(), st.sampled_from([1, 16]), st.sampled_from(["sparse", "dense"]))
    def draw(plan: Plan, lanes: int, way: str) -> None:
        seen.update((method, lanes) for _, _, method in layers(plan, lanes, way))

    draw()
    assert {("flat", 1), ("flat", 16), ("taps", 1), ("phases", 1)} <= seen
