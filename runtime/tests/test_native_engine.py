"""The compiled engine equals the slow one, whatever the network, the instructions, the threads."""

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_plans import Draft, compare

from secateur_runtime.errors import EngineError, InputError, PlanError
from secateur_runtime.network import Network
from secateur_runtime.plan import Plan

native: Any = pytest.importorskip(
    "secateur_runtime.native", reason="no compiled engine", exc_type=ImportError
)
ISAS = native.instruction_sets()
WAYS = ["sparse", "dense", "code", None]


PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw: Any) -> Plan:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    made = Draft((groups * draw(st.integers(1, 4)), *draw(st.tuples(*[st.integers(5, 21)] * 2))))
    source = 0
    for _ in range(draw(st.integers(1, 3))):
        kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        a = {
            "kernel": kernel,
            "stride": draw(PAIR),
            "padding": tuple(draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))),
            "dilation": draw(PAIR),
            "groups": groups,
            "zeros": draw(st.sampled_from([0.0, 0.5, 0.95, 1.0])),
            "activation": draw(st.sampled_from(["none", "relu", "relu6"])),
        }
        out = groups * draw(st.integers(1, 9))
        try:
            source = made.convolution(source, out, **a)
        except PlanError:  # a window that does not fit
            continue
        if draw(st.booleans()):
            near = {"kernel": (3, 3), "groups": groups, "other": source, "padding": (1, 1, 1, 1)}
            source = made.convolution(source, out, **near)
    if not made.steps:
        made.convolution(0, groups, kernel=(1, 1), padding=(0, 0, 0, 0))
    return made.plan()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(convolutions(), st.sampled_from([1, 2, 6, 17]), st.sampled_from(WAYS))
def test_convolutions_of_any_form_equal_the_reference(plan: Plan, n: int, way: str | None) -> None:
    compare(plan, n, way=way)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.tuples(st.integers(1, 4), st.integers(3, 19), st.integers(3, 19)),
    st.sampled_from(["max_pool", "average_pool"]),
    PAIR,
    PAIR,
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 7]),
)
def test_pools_of_any_form_equal_the_reference(
    shape: Any, kind: str, kernel: Any, stride: Any, ceil: bool, padded: bool, n: int
) -> None:
    made = Draft(shape)
    padding = (kernel[0] // 2, kernel[1] // 2) * 2
    a = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
    more = {"dilation": (1, 1)} if kind == "max_pool" else {"count_include_pad": padded}
    source = made.convolution(0, 5, kernel=(3, 3))
    made.convolution(made.add(kind, [source], **a, **more), 3)
    compare(made.plan(), n)


def every_kind() -> Plan:
    made = Draft((3, 12, 10))
    a = made.convolution(0, 8)
    b = made.convolution(0, 8, kernel=(1, 1), padding=(0, 0, 0, 0), activation="relu6")
    joined = made.add("concatenate", [a, b, a], axis=0)
    scaled = made.add("affine", [joined], made.weight((24,), 0.0))
    depthwise = made.convolution(scaled, 24, groups=24, stride=(2, 2), zeros=0.3)
    same = made.convolution(depthwise, 24)
    total = made.add("add", [same, depthwise])
    clipped = made.add("clip", [made.add("copy", [total])], low=-0.5, high=float("inf"))
    soft = made.add("softmax", [clipped], axis=0)
    around = made.convolution(made.add("relu", [soft]), 5, padding=(2, 0, 1, 3))
    shape = made.shapes[around]
    turned = made.add("reshape", [around], shape=(shape[0] * 2, shape[1], shape[2] // 2))
    flat = made.add("flatten", [made.convolution(turned, 4)])
    hidden = made.add(
        "linear", [flat], made.weight((9, made.shapes[flat][0]), 0.7), activation="relu"
    )
    whole = made.add("flatten", [made.add("global_average_pool", [total])])
    last = made.add("concatenate", [hidden, whole], axis=0)
    made.add(
        "softmax",
        [made.add("linear", [last], made.weight((7, 33), 0.2), activation="none")],
        axis=0,
    )
    return made.plan()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n", [1, 3, 16, 23])
def test_every_kind_of_step_equals_the_reference(n: int, way: str | None) -> None:
    compare(every_kind(), n, way=way)


@pytest.mark.parametrize("n", [1, 5, 40, 100])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_byte(n: int, threads: int) -> None:
    plan = every_kind()
    x = np.random.default_rng(0).standard_normal((n, *plan.shapes[0])).astype(np.float32)
    engine = native.NativeEngine(plan)
    np.testing.assert_array_equal(engine.run(x, 1), engine.run(x, threads))


def test_one_engine_serves_several_threads_at_once() -> None:
    plan = every_kind()
    engine = native.NativeEngine(plan)
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((n, *plan.shapes[0])).astype(np.float32) for n in (1, 2, 17, 20)]
    wanted = [native.NativeEngine(plan).run(x) for x in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(20):
            if not np.array_equal(engine.run(inputs[k], 1 + k % 2), wanted[k]):
                wrong.append(k)

    crowd = [threading.Thread(target=work, args=(k,)) for k in range(len(inputs))]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert not wrong


def test_a_record_gives_the_same_alone_and_in_company() -> None:
    plan = every_kind()
    engine = native.NativeEngine(plan)
    x = np.random.default_rng(0).standard_normal((19, *plan.shapes[0])).astype(np.float32)
    alone = np.concatenate([engine.run(one[None]) for one in x])
    np.testing.assert_allclose(engine.run(x), alone, atol=1e-5)


def test_the_measured_choice_computes_the_same() -> None:
    plan = every_kind()
    engine = native.NativeEngine(plan)
    tuned = engine.measure(rounds=1)
    assert set(tuned.ways.values()) <= {"sparse", "dense", "code"}
    assert {i for _, i in tuned.ways} == {i for i, way in enumerate(engine.choices()) if way}
    for n in (1, 16):
        x = np.random.default_rng(0).standard_normal((n, *plan.shapes[0])).astype(np.float32)
        np.testing.assert_allclose(tuned.run(x), engine.run(x), atol=1e-5)


def test_no_records_give_no_outputs() -> None:
    plan = every_kind()
    assert native.NativeEngine(plan).run(np.zeros((0, *plan.shapes[0]))).shape == (0, 7)


def test_what_cannot_run_is_refused_in_words() -> None:
    plan = every_kind()
    with pytest.raises(InputError, match="the network takes"):
        native.NativeEngine(plan).run(np.zeros((1, 3, 12, 11)))
    with pytest.raises(InputError, match="threads"):
        native.NativeEngine(plan).run(np.zeros((1, 3, 12, 10)), threads=0)
    with pytest.raises(EngineError, match="sse9"):
        native.NativeEngine(plan, isa="sse9")


@pytest.mark.parametrize("isa", ISAS)
def test_the_instructions_are_those_that_are_asked_for(isa: str) -> None:
    plan = every_kind()
    x = np.ones((17, *plan.shapes[0]), np.float32)
    wanted = native.NativeEngine(plan, isa=isa)
    found = Network(plan, isa=isa)
    assert found.engine == wanted.name and found.engine.startswith(f"compiled, {isa}")
    assert Network(plan).engine.startswith(f"compiled, {ISAS[0]}")
    np.testing.assert_array_equal(found(x), wanted.run(x))


def test_instructions_that_are_not_here_are_refused_with_those_that_are() -> None:
    for engine in ("auto", "native"):
        words = f"'sse9' are not here, only {', '.join(ISAS)}; name one of these, or leave isa out"
        with pytest.raises(EngineError, match=words):
            Network(every_kind(), engine=engine, isa="sse9")


def test_a_program_that_would_leave_its_memory_is_refused_or_stays_inside() -> None:
    """Numbers of real programs are changed one by one; none may be believed."""
    rng = np.random.default_rng(0)
    good = native.NativeEngine(every_kind()).assembly(1)
    refused = 0
    for _ in range(600):
        drafts = [(kind, *(np.array(a) for a in arrays)) for kind, *arrays in good.drafts()]
        at = int(rng.integers(len(drafts)))
        kind, *arrays = drafts[at]
        fields = [a for a in (arrays[0], arrays[3], arrays[4]) if len(a)]
        field = fields[int(rng.integers(len(fields)))]
        values = [-1, 0, 1, 17, 4096, 2**31 - 1, int(field[-1]) + 1]
        field[int(rng.integers(len(field)))] = values[int(rng.integers(len(values)))]
        drafts[at] = (kind, *arrays)
        try:
            program = native._native.Program(ISAS[0], 1, good.floats, drafts)
        except EngineError:
            refused += 1
            continue
        except OverflowError:
            continue
        sizes = 3 * 12 * 10, 7
        try:
            program.run(np.zeros(sizes[0], np.float32), np.zeros(sizes[1], np.float32), 1, 1)
        except EngineError:
            refused += 1
    assert refused > 100


def test_without_the_extension_the_import_says_why() -> None:
    code = (
        "import sys; sys.modules['secateur_runtime._native'] = None\n"
        "try: import secateur_runtime.native\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True
    )
    assert "the compiled part of secateur-runtime was not built; install it anew" in done.stdout


@pytest.mark.parametrize("side", [*range(1, 17), 28, 33])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("maker", ["input", "max_pool", "clip"])
def test_what_a_convolution_adds_may_come_from_anywhere(side, kernel, maker) -> None:
    draft = Draft((3, side, side))
    source = 0
    if maker == "max_pool":
        window = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1)}
        source = draft.add("max_pool", [0], **window)
    elif maker == "clip":
        source = draft.add("clip", [0], low=-0.5, high=0.5)
    pad = (kernel // 2,) * 4
    draft.convolution(source, 3, kernel=(kernel, kernel), padding=pad, other=source)
    for n in (1, 7, 17):
        compare(draft.plan(), n)


@pytest.mark.parametrize("n", [1, 16])
def test_pools_of_large_maps_keep_their_digits(n) -> None:
    side = 512
    x = np.full((n, 1, side, side), 0.1, np.float32)
    window = {"kernel": (side, side), "stride": (1, 1), "padding": (0, 0, 0, 0)}
    for kind, attributes in (("global_average_pool", {}), ("average_pool", window)):
        draft = Draft((1, side, side))
        more = {"ceil_mode": False, "count_include_pad": True} if attributes else {}
        draft.add(kind, [0], **attributes, **more)
        found = native.NativeEngine(draft.plan()).run(x)
        assert np.abs(found - 0.1).max() < 1e-6


def test_no_record_cannot_be_timed() -> None:
    draft = Draft((2, 4, 4))
    draft.convolution(0, 2)
    with pytest.raises((EngineError, InputError, ValueError, RuntimeError), match="no record"):
        native.NativeEngine(draft.plan()).seconds(np.zeros((0, 2, 4, 4), np.float32), rounds=1)


FORKS = """
import os, sys, threading
import numpy as np
from secateur_runtime.native import NativeEngine
from secateur_runtime.plan import Plan, Step, Weight
step = Step(kind="linear", inputs=(0,), output=1, attributes={"activation": "none"},
            weight=Weight.of(np.ones((3, 4), np.float32)), bias=None)
engine = NativeEngine(Plan(steps=(step,), shapes=((4,), (3,)), input=0, output=1))
x = np.ones((1, 4), np.float32)
engine.run(x, 1)
done = False
def loop():
    while not done:
        engine.run(x, 1)
threads = [threading.Thread(target=loop) for _ in range(2)]
[t.start() for t in threads]
for _ in range(60):
    child = os.fork()
    if not child:
        engine.run(x, 1)
        os._exit(0)
    os.waitpid(child, 0)
done = True
[t.join() for t in threads]
print("forked")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_of_a_fork_runs_while_other_threads_ran_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.strip() == "forked", done.stderr
