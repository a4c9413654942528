"""A long call of the compiled engine is cut into slices, between which a signal is heard."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_native_threads import native, records, skewed

from secateur_runtime import slices
from secateur_runtime.slices import ABREAST, SLICE, in_a_slice


@pytest.mark.parametrize("groups", [1, 2, 3, 100])
def test_no_cut_of_the_records_changes_a_byte(groups: int, monkeypatch: Any) -> None:
    plan = skewed()
    engine = native.NativeEngine(plan)
    x = records(plan, 203)  # of which the last 11 are run side by side, and 16 lanes lie empty
    y = records(plan, 197)  # of which the last five run one by one
    wanted = [np.concatenate([engine.run(one[None], 1) for one in z]) for z in (x[-5:], y[-5:])]
    whole = [engine.run(z, 1) for z in (x, y)]
    assert np.allclose(whole[0][-5:], wanted[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(whole[1][-5:], wanted[1])
    monkeypatch.setattr(slices, "in_a_slice", lambda lanes, n, pace: groups * lanes * n)
    for threads in (1, 2, 5):
        for z, expected in zip((x, y), whole, strict=True):
            np.testing.assert_array_equal(engine.run(z, threads), expected)


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 7, 256])
@pytest.mark.parametrize("lanes", [1, 16])
def test_a_slice_is_what_threads_take_at_once_as_often_as_fits_into_its_time(
    lanes: int, threads: int
) -> None:
    whole = lanes * max(ABREAST // threads * threads, threads)
    assert in_a_slice(lanes, threads, 0.0) == whole
    for pace in (1e-9, 1e-6, 1e-3, 1e-1, 10):
        n = in_a_slice(lanes, threads, pace)
        assert n % (lanes * threads) == 0
        assert n * pace <= SLICE or n == whole or whole * pace > 5 * SLICE
        if whole * pace <= 5 * SLICE:
            assert n % whole == 0 and (n + whole) * pace > SLICE


def test_a_call_of_one_record_a_thread_is_one_slice_and_a_long_one_is_several(
    monkeypatch: Any,
) -> None:
    plan = skewed()
    engine = native.NativeEngine(plan)
    cuts: list[int] = []

    class Watched:
        def run(self, given: Any, made: Any, n: int, threads: int) -> None:
            cuts.append(n)

    monkeypatch.setattr(native.NativeEngine, "program", lambda self, lanes: Watched())
    monkeypatch.setattr(slices, "in_a_slice", lambda lanes, threads, pace: 2 * lanes * threads)
    for n, threads, wanted in (
        *((1, 1, [1]), (16, 1, [16]), (32, 1, [32]), (35, 1, [32, 2, 1]), (5, 5, [5])),
        *((163, 2, [64, 64, 32, 3]), (160, 3, [96, 64])),
    ):
        cuts.clear()
        engine.run(records(plan, n), threads)
        assert cuts == wanted


_INTERRUPTED = """
import os, signal
import numpy as np
from secateur_runtime.slices import run_in_slices
from test_native_threads import native, records, skewed
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored
plan = skewed()
engine = native.NativeEngine(plan)
ran = []
class Interrupted:
    # the engine's own program, to which somebody presses Ctrl-C in its first slice
    def run(self, given, made, n, threads):
        engine.program(16).run(given, made, n, threads)
        ran.append(n)
        os.kill(os.getpid(), signal.SIGINT)
x = np.repeat(records(plan, 16), 64, axis=0)
right = engine.run(x, 1)
try:
    run_in_slices(Interrupted(), 16, x, np.empty_like(right), 2, {})
except KeyboardInterrupt:
    print(len(ran), sum(ran) < len(x))
print(np.array_equal(engine.run(x, 2), right))
"""


def test_ctrl_c_is_heard_before_the_next_slice_and_leaves_the_engine_whole() -> None:
    here = Path(__file__).parent
    paths = [str(here), str(Path(native.__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.splitlines() == ["1 True", "True"], done.stdout + done.stderr
