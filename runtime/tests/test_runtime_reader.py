"""The runtime's reader reads what `secateur.packed` writes, and refuses what its reader refuses."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from drawn_networks import engines_here
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mutants import check_mutants
from safetensors.numpy import save
from small_networks import network_files

from mutated_packed import files
from secateur.packed import VALUES, pack
from secateur.packed import unpack as unpack_all
from secateur_runtime.errors import FileError, InputError
from secateur_runtime.packed import read, unpack

TYPES = ("bool", "uint8", "int16", "int64", "float16", "float32", "float64")


def assert_same(file):
    found, expected = unpack(file), unpack_all(file)
    assert list(found.tensors) == list(expected.tensors)
    assert found.graph == expected.head.graph
    for name, tensor in found.tensors.items():
        array, right = tensor.array(), expected.tensors[name]
        assert array.dtype == right.dtype and array.shape == right.shape
        assert array.tobytes() == right.tobytes()


def test_files_of_every_coding_and_layout_are_read_alike():
    for file in files():
        assert_same(file)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.sampled_from(TYPES).flatmap(
            lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=4, max_side=6))
        ),
        max_size=4,
    ),
    st.sampled_from(["auto", "bitmask", "gaps", "dense"]),
)
def test_any_tensors_are_read_alike(tensors, layout):
    assert_same(pack(tensors, layout=layout))


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("layout", ["auto", "bitmask", "gaps", "dense"])
def test_rows_of_non_zeros_are_those_of_the_whole_tensor(values, layout):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(7, 300, 3, 3)).astype(np.float32)
    weight[rng.random(weight.shape) < 0.9] = 0
    weight[3] = 0
    weight[5, 0, 0, :2] = -0.0
    file = pack({"w": weight, "small": weight[:2, :2]}, values=values, layout=layout)
    for name, tensor in unpack(file).tensors.items():
        found, expected = tensor.weight(), unpack_all(file).tensors[name]
        assert found.is_sparse == (layout != "dense")
        assert np.array_equal(found.dense().values, expected)
        assert found.n_nonzero == np.count_nonzero(expected)
        if found.is_sparse:
            assert found.n_nonzero == len(found.values)  # a zero with a sign is none here
            again = found.dense().sparse()
            assert np.array_equal(again.indptr, found.indptr)
            assert np.array_equal(again.columns, found.columns)


def test_a_missing_file_and_one_that_is_too_large_are_refused_in_words(tmp_path):
    with pytest.raises(FileError, match=r"cannot read the packed file .*none: No such file"):
        read(tmp_path / "none")
    with pytest.raises(FileError, match="is a folder, and a packed file is read"):
        read(tmp_path)
    (tmp_path / "m").write_bytes(pack({"w": np.zeros((1000, 1000), np.float32)}))
    with pytest.raises(FileError, match=r"would take 4,000,000 bytes.*give a higher `limit`"):
        read(tmp_path / "m", limit=10**6)
    assert read(tmp_path / "m", limit=4 * 10**6).tensors["w"].entry.shape == (1000, 1000)
    (tmp_path / "m").write_bytes(b"\x02" + bytes(5 * 2**20 - 1))
    with pytest.raises(FileError, match=r"has 5,242,880 bytes, and tensors of at most 10 are"):
        read(tmp_path / "m", limit=10)


def test_what_has_no_end_is_not_read_without_bound():
    with pytest.raises(FileError):
        read("/dev/zero", limit=10**6)


def test_a_file_that_has_more_than_its_size_says_is_refused(tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(pack({"w": np.zeros(3, np.float32)}))
    told = SimpleNamespace(st_size=10)
    monkeypatch.setattr("secateur_runtime.packed.os.fstat", lambda _: told)
    with pytest.raises(FileError, match="more than the 10 bytes that its size says"):
        read(tmp_path / "m")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_a_small_file_asks_for_little_memory_at_the_default_limit(tmp_path):
    """Asked for is more than taken: a buffer of `limit` bytes fails where memory is bounded."""
    (tmp_path / "m").write_bytes(pack({"w": np.zeros(3, np.float32)}))
    code = (
        "import resource, sys\n"
        "from secateur_runtime.packed import read\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "most = pages * resource.getpagesize() + 2**28\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "print(sorted(read(sys.argv[1]).tensors))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "['w']\n", done.stderr


def test_what_counting_rows_takes_does_not_grow_with_chunks_times_rows(monkeypatch):
    counted = []

    def bincount(values, **more):
        counted.append(plain(values, **more))
        return counted[-1]

    plain = np.bincount
    held = (np.random.default_rng(0).random((4096, 1)) < 0.3).astype(np.uint8)
    tensor = unpack(pack({"w": held})).tensors["w"]
    monkeypatch.setattr("secateur_runtime.tensors._CHUNK", 64)
    monkeypatch.setattr(np, "bincount", bincount)
    found = tensor.weight().sparse()
    assert len(counted) > 30 and sum(map(len, counted)) <= 2 * len(held)
    assert np.array_equal(np.flatnonzero(np.diff(found.indptr)), np.flatnonzero(held))


@pytest.mark.parametrize("data", [b"\x02" + bytes(9), b"\xff" * 4000])
def test_what_is_of_no_format_is_refused_as_damaged(data):
    with pytest.raises(FileError, match="no whole packed file"):
        unpack(data)


def onnx_model(**how):
    values = [onnx.helper.make_tensor_value_info(name, 1, [1, 3]) for name in ("x", "y")]
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    return onnx.helper.make_model(graph, **how).SerializeToString()


def saved(write, name):
    def make(folder):
        write(folder / name)
        return (folder / name).read_bytes()

    return make


TENSOR = {"w": np.ones((2, 2), np.float32)}
OTHERS = [
    (lambda _: b"", "it is empty"),
    (lambda _: onnx_model(), "it is an ONNX model"),
    (lambda _: onnx_model(producer_name="pytorch"), "it is an ONNX model"),
    (saved(lambda p: torch.save({"w": torch.ones(2)}, p), "m.pt"), r"of PyTorch \(torch.save\)"),
    (
        saved(
            lambda p: torch.save({}, p, _use_new_zipfile_serialization=False),
            "old.pt",
        ),
        "a Python pickle, such as torch.save writes",
    ),
    (saved(lambda p: np.savez(p, **TENSOR), "m.npz"), "a zip archive of numpy"),
    (saved(lambda p: np.save(p, TENSOR["w"]), "m.npy"), "an array of numpy"),
    (lambda _: zipped(), "a zip archive;"),
    (lambda _: save(TENSOR), "a safetensors file of another kind;"),
    (lambda _: save(TENSOR, {"format": "pt"}), "its format is 'pt', not 'secateur-packed-1'"),
    (lambda _: save({str(i): TENSOR["w"] for i in range(2000)}), "a safetensors file of another"),
    (lambda _: b' {"layers": []}', "text in JSON"),
    (lambda _: b"[1, 2, 3, 4, 5, 6]", "text in JSON"),
    (lambda _: gzip.compress(b"x" * 100), "compressed by gzip"),
    (lambda _: b"<!DOCTYPE html><html>", "an error page of a download"),
]


def zipped():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("readme.txt", "x")
    return made.getvalue()


@pytest.mark.parametrize(("make", "words"), OTHERS)
def test_a_file_of_another_format_is_named_and_how_to_make_a_packed_one(make, words, tmp_path):
    data = make(tmp_path)
    (tmp_path / "m").write_bytes(data)
    for use in (lambda: unpack(data), lambda: read(tmp_path / "m", limit=1)):
        with pytest.raises(FileError, match=words) as caught:
            use()
        assert "this is no packed file, it is " in str(caught.value)
        assert "`secateur export FLEET --format packed --out" in str(caught.value)
        assert "truncated" not in str(caught.value)


def test_a_packed_file_that_was_cut_is_no_file_of_another_format():
    file = pack({"w": np.ones((5, 5), np.float32)})
    for length in (4, 60, 200, len(file) - 1):
        with pytest.raises(FileError, match="no whole packed file, it was truncated or altered"):
            unpack(file[:length])


@pytest.mark.parametrize("limit", [-1, 0, 1.5, True])
def test_a_limit_that_is_none_is_refused_with_the_mend(limit, tmp_path):
    (tmp_path / "m").write_bytes(pack(TENSOR))
    with pytest.raises(InputError, match=r"limit=.* a whole number of bytes, at least 1; leave it"):
        read(tmp_path / "m", limit=limit)


@pytest.mark.parametrize("engine", engines_here())
def test_changed_files_are_refused_or_are_what_the_other_reader_reads(engine):
    check_mutants(400, network_files(), seed=0, engine=engine)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(1, 11))
def test_ten_thousand_changed_files_are_refused_or_read_alike(seed):
    check_mutants(10_000, network_files(), seed=seed, engine=engines_here()[-1])
