"""What a small file asks for is refused before it takes more memory than `limit` allows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from drawn_networks import engines_here, file_of, settled
from written_files import convolution, plain, written

import secateur_runtime
from secateur.models import ResNet18
from secateur_runtime import LimitError, Network, load
from secateur_runtime.lower import lowered
from secateur_runtime.packed import unpack
from secateur_runtime.room import ENGINE, HELD, PLANNING

MIB = 2**20
LIMIT = 4 * MIB
ALWAYS = 48 * MIB  # of chunks, modules that are imported late, and threads
STATUS = Path("/proc/self/status")
native = pytest.mark.skipif("native" not in engines_here(), reason="no compiled engine")
pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="memory is told where Linux tells it")

CHILD = """
import json, sys
from pathlib import Path
import numpy as np
import secateur_runtime, secateur_runtime.network

def of(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])

file, limit, engine, n, threads, measure = json.loads(sys.argv[1])
np.ones((2, 2), np.float32) @ np.ones((2, 2), np.float32)
before, told = of("VmRSS"), ""
try:
    how = {"engine": engine, "threads": threads, "measure": measure}
    network = secateur_runtime.load(file, limit=limit, **how)
    network(np.ones((n, *network.input_shape), np.float32))
except secateur_runtime.FileError as error:
    told = f"{type(error).__name__}: {error}"
print(json.dumps([of("VmHWM") - before, told]))
"""


def used(tmp_path, file, engine, *, n=1, threads=1, measure=False, limit=LIMIT):
    """Return the bytes that loading and running took at their highest, and what was refused."""
    path = tmp_path / "m.packed"
    path.write_bytes(file)
    given = [str(path), limit, engine, n, threads, measure]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(given)],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(secateur_runtime.__file__).parents[1]),
            "OPENBLAS_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    taken, told = json.loads(done.stdout)
    return taken, told


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def wide_rows():
    """Three values whose rows are as far apart as the padding of one of them asks for."""
    far = [convolution("x", "a", "far", (0, 1000)), convolution("a", "b", "many")]
    tensors = {"far": zeros(1, 1, 1, 2001), "many": zeros(256, 1, 1, 1)}
    return written(
        (1, 512, 1), [*far, convolution("b", "c", "one")], tensors | {"one": zeros(1, 256, 1, 1)}
    )


def huge_kernel():
    return written(
        (1, 4, 8), [convolution("x", "a", "w", (0, 2**16))], {"w": zeros(1, 1, 1, 2**17)}
    )


def padding_alone():
    """The copies for a stride of a padded input, and the padded input."""
    ops = [convolution("x", "a", "w", (1000, 1000), stride=(999, 999))]
    return written((8, 4, 4), ops, {"w": zeros(4, 8, 3, 3)})


def rows_of_bytes():
    """A tensor of one byte a row, which becomes rows of eight bytes and more."""
    ops = [plain("linear", ["x"], "a", tensors={"weight": "w"})]
    return written((1,), ops, {"w": zeros(LIMIT, 1, dtype=np.uint8)}, layout="gaps")


def dense_bytes():
    """A dense tensor of bytes becomes one of four bytes, is copied, and is checked."""
    ops = [plain("linear", ["x"], "a", tensors={"weight": "w"})]
    w = np.ones((2, LIMIT // 2), np.uint8)
    return written((LIMIT // 2,), ops, {"w": w})


def empty_squares():
    """One tensor without a number, read by many layers, which the dense way would write out."""
    names = ["x", *(f"v{i}" for i in range(24))]
    ops = [plain("linear", [a], b, tensors={"weight": "w"}) for a, b in pairwise(names)]
    return written((1024,), ops, {"w": zeros(1024, 1024)}, layout="gaps")


def scale_of_one_number():
    ops = [plain("arithmetic", ["x"], "a", operation="multiply", value=2.0)]
    return written((2**20 - 2**17,), ops)


REFUSED = [
    (wide_rows, "native", 1),
    (huge_kernel, "native", 1),
    (padding_alone, "numpy", 1),
    (padding_alone, "native", 20),
    (rows_of_bytes, "numpy", 1),
    (dense_bytes, "numpy", 1),
    (scale_of_one_number, "numpy", 1),
]


@native
@pytest.mark.parametrize(("make", "engine", "n"), REFUSED)
def test_what_asks_for_too_much_is_refused_before_it_is_taken(make, engine, n, tmp_path):
    file = make()
    assert len(file) < 100_000
    taken, told = used(tmp_path, file, engine, n=n)
    assert told.startswith(f"LimitError: {tmp_path / 'm.packed'}: ")
    assert "bytes, more than" in told and "give a higher `limit`" in told
    assert taken < PLANNING * LIMIT + 8 * MIB


@native
@pytest.mark.parametrize(
    ("engine", "measure"), [("native", False), ("native", True), ("numpy", False)]
)
def test_the_dense_way_is_not_tried_where_it_has_no_room(engine, measure, tmp_path):
    taken, told = used(tmp_path, empty_squares(), engine, n=20, measure=measure)
    assert not told
    assert taken < 2 * ENGINE * LIMIT + ALWAYS


def test_the_windows_of_one_record_are_copied_piece_by_piece(tmp_path):
    file = written((1, 200, 200), [convolution("x", "a", "w")], {"w": zeros(1, 1, 40, 40)})
    taken, told = used(tmp_path, file, "numpy")  # 166 MB, at once
    assert not told and taken < 100 * MIB


@native
def test_records_run_one_by_one_where_sixteen_side_by_side_have_no_room(tmp_path):
    ops = [convolution("x", "a", "w", (1, 1)), convolution("a", "b", "w", (1, 1))]
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
    weight[rng.random(weight.shape) < 0.8] = 0
    file = written((16, 64, 64), ops, {"w": weight})
    x = rng.standard_normal((16, 16, 64, 64)).astype(np.float32)
    plan = lowered(unpack(file))
    roomy, narrow = Network(plan, engine="native"), Network(plan, engine="native", limit=LIMIT)
    assert " from 6 records on" in roomy.explain() and " from 6 " not in narrow.explain()
    np.testing.assert_allclose(narrow(x), roomy(x), atol=1e-4)
    assert {lanes for lanes, _ in narrow._engine.options()} == {1}
    taken, told = used(tmp_path, file, "native", n=16)
    assert not told and taken < ENGINE * LIMIT + ALWAYS


@native
def test_the_memory_of_all_threads_counts():
    file = written((4, 256, 256), [convolution("x", "a", "w")], {"w": np.ones((4, 4, 1, 1), "f4")})
    plan = lowered(unpack(file), limit=LIMIT)
    Network(plan, engine="native", threads=2, limit=LIMIT)
    with pytest.raises(LimitError, match=r"of 64 thread\(s\), would take .* higher `limit`"):
        Network(plan, engine="native", threads=64, limit=LIMIT)


@native
def test_a_choice_that_has_no_room_is_not_used(tmp_path):
    path = tmp_path / "m.packed"
    path.write_bytes(empty_squares())
    load(path, measure=True)
    record = path.with_name("m.packed.choices.json")
    found = json.loads(record.read_text())
    for row in found["measured"][0]["ways"].values():
        row.update(dict.fromkeys(row, "dense"))
    record.write_text(json.dumps(found))
    assert "(measured)" in load(path).explain()
    network = load(path, limit=LIMIT)
    assert "no room within `limit`" in network.choices and "(measured)" not in network.explain()


@pytest.mark.parametrize("engine", engines_here())
def test_a_network_runs_within_a_limit_of_its_own_tensors(engine, tmp_path):
    net = settled(ResNet18(width=0.25)(), zeros=0.0)
    limit = sum(4 * value.numel() for value in net.state_dict().values()) + 4096
    taken, told = used(tmp_path, file_of(net, (3, 32, 32)), engine, n=20, limit=limit)
    assert not told and taken < (HELD + PLANNING + 2 * ENGINE) * limit + ALWAYS
