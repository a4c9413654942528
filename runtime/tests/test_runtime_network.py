"""A packed file as a function of arrays, from Python, from a shell, and without torch."""

from __future__ import annotations

import ast
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_networks import file_of, settled
from small_networks import packed_lenet, records, truth

import secateur_runtime
from secateur.models import VGG16, SmallCNN
from secateur_runtime import (
    EngineError,
    FileError,
    InputError,
    Network,
    SlowEngineWarning,
    load,
)

SOURCE = Path(secateur_runtime.__file__).parent
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    return packed_lenet(tmp_path_factory.mktemp("lenet") / "m.packed")


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    net = settled(SmallCNN(widths=(4, 4))(), zeros=0.5)
    (tmp_path / "model.packed").write_bytes(file_of(net, (3, 32, 32)))
    monkeypatch.chdir(tmp_path)
    text = (HERE.parent / "README.md").read_text()
    told: dict = {}
    exec(text.split("```python")[1].split("```")[0], told)
    expected = truth(net, np.zeros((8, 3, 32, 32), np.float32))
    assert np.abs(told["answers"] - expected).max() < 1e-4
    assert "convolution + relu" in capsys.readouterr().out


def test_a_packed_file_is_a_function_of_arrays(lenet):
    net, path = lenet
    network = load(path, threads=1)
    assert network.input_shape == (1, 28, 28) and network.output_shape == (10,)
    x = records(5)
    assert np.abs(network(x) - truth(net, x)).max() < 1e-4


def test_an_array_in_any_order_of_memory_gives_the_same(lenet):
    network = load(lenet[1])
    x = records(4)
    expected = network(x)
    assert np.array_equal(network(np.asfortranarray(x)), expected)
    assert np.array_equal(network(np.repeat(x, 2, axis=0)[::2]), expected)


def test_the_input_is_left_as_it_is(lenet):
    x = records(3)
    before = x.copy()
    load(lenet[1])(x)
    assert np.array_equal(x, before)


def test_threads_that_call_at_once_get_their_own_answers(lenet):
    network = load(lenet[1])
    parts = [records(8)[i : i + 2] + i for i in range(6)]
    alone = [network(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, expected in zip(pool.map(network, parts), alone, strict=True):
                assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 1, 28, 28)), r"reads float32, got float64; convert it: x.astype"),
        (np.zeros((1, 1, 28, 28), np.uint8), "got uint8"),
        (np.zeros((1, 28, 28), np.float32), r"of shape \(n, 1, 28, 28\).*batch: x\[None\]"),
        (np.zeros((1, 1, 32, 32), np.float32), r"give load the shape \(1, 32, 32\)"),
        (np.zeros((2, 784), np.float32), r"got \(2, 784\).* x.reshape\(-1, 1, 28, 28\)"),
        (np.zeros((2, 28, 28, 1), np.float32), r"channels come first: x.transpose\(0, 3, 1, 2\)"),
        (np.zeros((2, 3, 28, 28), np.float32), r"it reads 1 channel\(s\), not 3$"),
        (np.float32(1), r"got \(\)"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_in_words(lenet, array, words):
    with pytest.raises(InputError, match=words):
        load(lenet[1])(array)


def test_an_engine_or_a_size_that_is_not_there_is_refused_in_words(lenet):
    with pytest.raises(EngineError, match="one of auto, native, numpy"):
        load(lenet[1], engine="torch")
    for threads in (0, -1, 257, 1.5):
        words = rf"threads={threads}: .* from 1 to 256; leave it out for one, or give as many as"
        with pytest.raises(EngineError, match=words) as caught:
            load(lenet[1], threads=threads)
        assert "engine" not in str(caught.value)
    words = r"m.packed, for records of \(1, 40, 40\), .*: the network .* of \(1, 28, 28\) alone"
    with pytest.raises(FileError, match=words):
        load(lenet[1], shape=(1, 40, 40))
    with pytest.raises(EngineError, match="generate='no': it is True, False, or left out"):
        load(lenet[1], generate="no")


@pytest.mark.parametrize(
    "shape", [28, "abc", (1, 28.0, 28.0), (), (1, 0, 28), (1, -28, 28), (5, 1, 28, 28), (1, None)]
)
def test_a_shape_that_is_none_is_refused_with_what_it_is(lenet, shape):
    with pytest.raises(InputError) as caught:
        load(lenet[1], shape=shape)
    words = f"shape={shape!r}: it is that of one record, without the batch axis, in whole numbers"
    assert str(caught.value).startswith(words)


def test_a_shape_of_any_whole_numbers_is_taken(lenet):
    asked = [np.int64(1), np.int32(28), 28]
    shape = load(lenet[1], shape=asked).input_shape
    assert shape == (1, 28, 28) and {type(n) for n in shape} == {int}


def test_a_network_says_what_it_is_and_that_processes_load_their_own(lenet):
    network = load(lenet[1], engine="numpy")
    assert repr(network) == "<Network of (1, 28, 28) to (10,), numpy>"
    for carry in (pickle.dumps, deepcopy):
        with pytest.raises(TypeError, match="give other processes the file's path"):
            carry(network)


def test_a_folder_in_place_of_a_file_is_told_how_a_fleet_gives_one(tmp_path):
    with pytest.raises(FileError) as caught:
        load(tmp_path)
    words = f"{tmp_path} is a folder, .*`secateur export {tmp_path} --format packed --out"
    assert re.match(words, str(caught.value))


def test_explain_says_zeros_work_and_how_each_step_runs(lenet):
    network = load(lenet[1], engine="numpy")
    lines = network.explain().splitlines()
    assert lines[0] == "engine: numpy, threads: 1"
    assert lines[1] == "choices: there are none"
    assert lines[2].split("  ")[0] == "layer"
    assert len(lines) == 3 + len(network.plan.steps) + 1
    layers = [step for step in network.plan.steps if step.weight is not None]
    total, size = sum(s.weight.n_nonzero for s in layers), sum(s.weight.size for s in layers)
    places = {"0": 28 * 28, "3": 10 * 10}  # a linear layer's weights are used once
    work = sum(s.weight.n_nonzero * places.get(s.layer, 1) for s in layers)
    assert lines[-1].split() == [
        "in",
        "all",
        f"{size:,}",
        f"{100 - 100 * total / size:.1f}",
        f"{work:,}",
    ]
    step = next(s for s in network.plan.steps if s.layer == "3")
    (line,) = [line for line in lines if line.startswith("3 ")]
    assert "convolution + relu" in line and "16x10x10" in line and line.endswith("dense")
    assert f"{step.weight.n_nonzero * 100:,}" in line
    assert f"{100 * (1 - step.weight.n_nonzero / 2400):.1f}" in line


def check_without_torch(build, tmp_path, engine):
    torch.manual_seed(0)
    net = settled(build(), zeros=0.9, shape=(3, 32, 32))
    x = records(2, (3, 32, 32))
    (tmp_path / "m").write_bytes(file_of(net, (3, 32, 32)))
    np.save(tmp_path / "x.npy", x)
    done = subprocess.run(
        [sys.executable, HERE / "without_torch.py", "m", "x.npy", "y.npy", engine],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = truth(net, x)
    assert np.abs(np.load(tmp_path / "y.npy") - expected).max() < 1e-4 * max(1, expected.max())
    assert len([line for line in done.stdout.splitlines() if "convolution" in line]) == 13
    strangers = ast.literal_eval(done.stdout.splitlines()[-1])
    assert not set(strangers) & {"torch", "secateur", "scipy", "safetensors", "sklearn"}


def test_a_process_without_torch_runs_a_packed_vgg16(tmp_path):
    check_without_torch(VGG16(width=0.125), tmp_path, "auto")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_process_without_torch_runs_a_packed_vgg16_of_full_width(tmp_path):
    check_without_torch(VGG16(), tmp_path, "auto")


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.py")), ids=lambda path: path.name)
def test_the_runtime_imports_numpy_and_the_standard_library_alone(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert names <= {"numpy", "secateur_runtime", *sys.stdlib_module_names}


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.py")), ids=lambda path: path.name)
def test_nothing_of_the_environment_changes_what_runs(path):
    nodes = list(ast.walk(ast.parse(path.read_text())))
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    read |= {
        alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert not read & {"environ", "environb", "getenv", "getenvb"}


def test_without_a_compiled_engine_numpy_runs_and_says_so(lenet, monkeypatch):
    monkeypatch.setitem(sys.modules, "secateur_runtime.native", None)
    with pytest.warns(SlowEngineWarning) as told:
        network = load(lenet[1])
        Network(network.plan)
    for one in told:
        assert one.filename == __file__  # where it was asked for
        assert str(one.message).startswith("numpy runs this network, many times more slowly: ")
    assert len(told) == 2
    assert network.engine == "numpy"
    assert np.array_equal(network(records(2)), load(lenet[1], engine="numpy")(records(2)))
    with pytest.raises(EngineError, match="no compiled engine here"):
        load(lenet[1], engine="native")
