"""Machine code made for layers: can be left out or refused, is never written and run at once."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_plans import Draft

from secateur_runtime.errors import EngineError
from secateur_runtime.network import Network

native: Any = pytest.importorskip(
    "secateur_runtime.native", reason="no compiled engine", exc_type=ImportError
)
GENERATES = native.instruction_sets()[0] == "avx512" and native._native.generates()
here = pytest.mark.skipif(not GENERATES, reason="no code is made here: no AVX-512, or refused")

RUN = """
import ctypes, sys
sys.path.insert(0, sys.argv[1])
def refuse():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
        print("kernel")
        raise SystemExit
if sys.argv[2] == "refused":
    refuse()
import numpy as np
from native_plans import Draft
from secateur_runtime import reference
from secateur_runtime.errors import EngineError
from secateur_runtime.network import Network
made = Draft((8, 9, 9))
made.convolution(0, 24)
plan = made.plan()
x = np.random.default_rng(0).standard_normal((20, 8, 9, 9)).astype(np.float32)
network = Network(plan, engine="native")
if sys.argv[2] == "late":
    refuse()
apart = float(np.abs(network(x) - reference.run(plan, x)[plan.output]).max())
both = [line for line in open("/proc/self/maps") if "rwx" in line.split()[1]]
code = [line for line in open("/proc/self/maps") if "r-x" in line and len(line.split()) == 5]
try:
    Network(plan, generate=True)
    asked = "made"
except EngineError as error:
    asked = "system that lets memory become executable" in str(error)
print(network.engine, apart < 1e-4, len(both), len(code) > 0, asked, sep=";")
"""


def ran(how: str) -> list[str]:
    folder = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", RUN, folder, how], capture_output=True, text=True, check=True
    )
    return done.stdout.strip().split(";")


@here
def test_no_memory_is_writable_and_executable_at_once():
    engine, equal, both, code, asked = ran("free")
    assert engine == "compiled, avx512 and generated code"
    assert (equal, both, code, asked) == ("True", "0", "True", "made")


@here
def test_where_the_system_refuses_executable_memory_kernels_stand_in():
    found = ran("refused")
    if found == ["kernel"]:
        pytest.skip("this kernel cannot refuse it: before Linux 6.3")
    assert found == ["compiled, avx512", "True", "0", "False", "True"]


@here
def test_where_the_system_refuses_it_only_after_loading_kernels_stand_in_too():
    found = ran("late")
    if found == ["kernel"]:
        pytest.skip("this kernel cannot refuse it: before Linux 6.3")
    assert found[:4] == ["compiled, avx512", "True", "0", "False"]


def pair() -> Network:
    made = Draft((8, 9, 9))
    made.convolution(0, 24)
    return Network(made.plan(), generate=False)


def test_code_can_be_left_out():
    network = pair()
    assert "generated code" not in network.engine
    assert "code" not in network.explain().partition("choices")[2]
    x = np.random.default_rng(0).standard_normal((20, 8, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(network(x), Network(network.plan)(x), atol=1e-5)


@pytest.mark.parametrize("isa", native.instruction_sets())
def test_instructions_are_chosen_by_name(isa):
    made = Draft((3, 5, 5))
    made.convolution(0, 4)
    assert Network(made.plan(), isa=isa).engine.startswith(f"compiled, {isa}")


@pytest.mark.parametrize("asked", [{"isa": "avx2"}, {"generate": True}])
def test_what_the_slow_engine_lacks_is_refused(asked):
    made = Draft((3, 5, 5))
    made.convolution(0, 4)
    with pytest.raises(EngineError, match="of the compiled engine"):
        Network(made.plan(), engine="numpy", **asked)
    with pytest.raises(EngineError, match="sse9"):
        Network(made.plan(), isa="sse9")
