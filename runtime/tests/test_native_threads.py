"""Threads of the compiled engine: what they share, how long they live, and what a fork leaves."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_runtime.plan import Plan, Step, Weight

native: Any = pytest.importorskip(
    "secateur_runtime.native", reason="no compiled engine", exc_type=ImportError
)
TASKS = Path("/proc/self/task")
linux = pytest.mark.skipif(not TASKS.exists(), reason="threads are counted where Linux lists them")


def skewed(channels: int = 70, side: int = 6) -> Plan:
    """Three convolutions and a linear layer, all of whose non-zeros lie in few channels."""
    rng = np.random.default_rng(0)
    steps, shapes = [], [(3, side, side)]
    for i, activation in enumerate(("relu", "none", "relu6")):
        weight = rng.standard_normal((channels, shapes[-1][0], 3, 3)).astype(np.float32)
        weight[2 + i :] *= rng.random(weight[2 + i :].shape) < 0.02
        attributes = {
            "stride": (1, 1),
            "padding": (1, 1, 1, 1),
            "dilation": (1, 1),
            "groups": 1,
            "activation": activation,
        }
        steps.append(
            Step(
                kind="convolution",
                inputs=(i,),
                output=i + 1,
                attributes=attributes,
                weight=Weight.of(weight),
            )
        )
        shapes.append((channels, side, side))
    steps.append(Step(kind="flatten", inputs=(3,), output=4))
    matrix = rng.standard_normal((20, channels * side * side)).astype(np.float32)
    matrix[1:] *= rng.random(matrix[1:].shape) < 0.01
    last = {"activation": "none"}
    weight = Weight.of(matrix)
    steps.append(Step(kind="linear", inputs=(4,), output=5, attributes=last, weight=weight))
    found = (*shapes, (matrix.shape[1],), (20,))
    return Plan(steps=tuple(steps), shapes=found, input=0, output=5)


def records(plan: Plan, n: int) -> Any:
    shape = (n, *plan.shapes[0])
    return np.random.default_rng(n).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("way", ["sparse", "dense", "code"])
@pytest.mark.parametrize("isa", native.instruction_sets())
def test_no_number_of_threads_changes_a_byte(isa: str, way: str) -> None:
    plan = skewed()
    ways = {(lanes, i): way for lanes in (1, 16) for i in (0, 1, 2, 4)}
    engine = native.NativeEngine(plan, isa=isa, ways=ways)
    for n in (1, 4, 16, 33, 80):
        x = records(plan, n)
        alone = engine.run(x, 1)
        for threads in (2, 3, 7):
            np.testing.assert_array_equal(engine.run(x, threads), alone)


def tasks() -> int:
    return len(list(TASKS.iterdir()))


@linux
def test_threads_are_kept_between_calls_and_end_with_their_engine() -> None:
    plan = skewed()
    before = tasks()
    engine = native.NativeEngine(plan)
    for n in (1, 16):
        for _ in range(50):
            engine.run(records(plan, n), 3)
    assert tasks() == before + 4  # two for one picture at a time, two for sixteen
    del engine
    gc.collect()
    assert tasks() == before


@linux
def test_an_idle_engine_takes_no_time() -> None:
    plan = skewed()
    engine = native.NativeEngine(plan)
    engine.run(records(plan, 1), 4)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


def test_callers_at_once_share_an_engine_and_its_threads() -> None:
    plan = skewed()
    engine = native.NativeEngine(plan)
    inputs = [records(plan, n) for n in (1, 5, 16, 40)]
    wanted = [engine.run(x, 1) for x in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for i in range(25):
            if not np.array_equal(engine.run(inputs[k], 2 + (i + k) % 3), wanted[k]):
                wrong.append(k)

    crowd = [threading.Thread(target=work, args=(k,)) for k in range(len(inputs))]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert not wrong


_FORKS = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import numpy as np
from test_native_threads import native, records, skewed
plan = skewed()
engine = native.NativeEngine(plan)
x, y = records(plan, 1), records(plan, 40)
wanted = engine.run(x, 1), engine.run(y, 1)
assert np.array_equal(engine.run(x, 3), wanted[0])
done = threading.Event()
def busy():
    while not done.is_set():
        engine.run(y, 3)
others = [threading.Thread(target=busy) for _ in range(2)]
for one in others: one.start()
for turn in range(20):
    child = os.fork()
    if not child:
        same = np.array_equal(engine.run(x, 3), wanted[0])
        same = same and np.array_equal(engine.run(y, 2), wanted[1])
        del engine
        os._exit(0 if same else 3)
    assert os.waitpid(child, 0)[1] == 0
done.set()
for one in others: one.join()
assert np.array_equal(engine.run(y, 3), wanted[1])
print("right")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_child_of_a_fork_runs_with_threads_of_its_own() -> None:
    here = Path(__file__).parent
    paths = [str(here), str(Path(native.__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", _FORKS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.strip() == "right", done.stderr


_HELD = """
import os, signal, sys, threading
import numpy as np
from test_native_threads import native, records, skewed
plan = skewed()
engine = native.NativeEngine(plan)
x = records(plan, 1)
wanted = native.NativeEngine(plan).run(x)
building, go_on, own = threading.Event(), threading.Event(), native.NativeEngine.assembly
def slowly(self, lanes):
    if threading.current_thread() is not threading.main_thread():
        building.set()
        go_on.wait()
    return own(self, lanes)
native.NativeEngine.assembly = slowly
other = threading.Thread(target=engine.run, args=(x,))
other.start()
building.wait()
child = os.fork()
if not child:
    signal.alarm(20)
    os._exit(0 if np.array_equal(engine.run(x), wanted) else 3)
status = os.waitpid(child, 0)[1]
go_on.set()
other.join()
print("right" if status == 0 and np.array_equal(engine.run(x), wanted) else status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_a_program_is_built_leaves_the_child_no_lock_that_is_held() -> None:
    here = Path(__file__).parent
    paths = [str(here), str(Path(native.__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _HELD],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.strip() == "right", done.stdout + done.stderr
