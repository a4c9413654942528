"""Packed files: every bit comes back, the bytes are near the bound, no change passes unnoticed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from mutated_packed import check_mutants
from oracles import packed as oracle
from secateur import packed
from secateur.errors import InputError, StoreError
from secateur.packed import entropy_bound, head_of, pack, sizes, unpack
from secateur.packed.container import sealed
from secateur.packed.form import DTYPES, LOSSY, VALUES
from secateur.packed.positions import gaps, of_gaps

Arrays = Mapping[str, np.ndarray]
SHAPES = ((), (0,), (1,), (7,), (3, 0, 2), (5, 4), (3, 2, 3, 3), (300, 20))


def bits_equal(a: Arrays, b: Arrays) -> bool:
    assert list(a) == list(b)
    return all(
        (a[k].dtype, a[k].shape, a[k].tobytes()) == (b[k].dtype, b[k].shape, b[k].tobytes())
        for k in a
    )


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """An array of any type and shape, whose kept numbers are any bits at all."""
    dtype = np.dtype(draw(st.sampled_from(list(DTYPES))))
    shape = draw(st.sampled_from(SHAPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = rng.integers(0, 256, (int(np.prod(shape)), dtype.itemsize), dtype=np.uint8)
    bits = bits & 1 if dtype.kind == "b" else bits
    bits[rng.random(len(bits)) >= draw(st.sampled_from([0.0, 0.001, 0.06, 0.5, 1.0]))] = 0
    return bits.reshape(-1).view(dtype).reshape(shape)


@settings(max_examples=60, deadline=None)
@given(st.lists(arrays(), max_size=6), st.sampled_from(packed.form.LAYOUTS))
def test_every_bit_of_every_type_and_shape_comes_back(found, layout):
    tensors = {f"layer.{i}": a for i, a in enumerate(found)}
    assert bits_equal(unpack(pack(tensors, layout=layout)).tensors, tensors)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(arrays(), max_size=4),
    st.sampled_from(VALUES),
    st.sampled_from(packed.form.LAYOUTS),
)
def test_a_reader_of_single_bits_finds_the_same(found, values, layout):
    finite = [
        np.nan_to_num(a.astype(a.dtype), nan=1, posinf=2, neginf=-2) if a.dtype.kind == "f" else a
        for a in found
    ]
    small = [np.clip(a, -1e4, 1e4) if a.dtype.kind == "f" else a for a in finite]
    tensors = {f"layer.{i}": a for i, a in enumerate(small)}
    surgery = {"w/0": np.array([0, 2, 5]), "w/1": np.arange(0)}
    file = pack(tensors, values=values, layout=layout, surgery=surgery)
    slow, rows = oracle.unpacked(file)
    fast = unpack(file)
    assert bits_equal(fast.tensors, slow)
    assert bits_equal(fast.surgery, rows) and bits_equal(rows, surgery)


def trained(keep: float = 1 / 16, seed: int = 0) -> dict[str, np.ndarray]:
    """A small convolutional network's tensors, pruned by magnitude."""
    rng = np.random.default_rng(seed)
    shapes = {"0": (32, 3, 3, 3), "1": (64, 32, 3, 3), "2": (128, 1024), "3": (10, 128)}
    found: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        w = rng.normal(0, 0.1, shape).astype(np.float32)
        w[np.abs(w) < np.quantile(np.abs(w), 1 - keep)] = 0
        found |= {f"{name}.weight": w, f"{name}.bias": rng.normal(size=len(w)).astype(np.float32)}
    return found | {"num_batches_tracked": np.array(77)}


@pytest.mark.parametrize("values", VALUES)
def test_the_bytes_are_near_the_bound_and_far_below_gzip(values):
    found = sizes(trained(), values=values)
    assert 0.9 < found.over < 1.15
    assert found.n_packed < 0.8 * found.n_gzip < found.n_dense


def test_the_bound_of_positions_and_values_is_that_of_a_hand_calculation():
    tensor = np.zeros(4096, np.uint8)
    tensor[:1024] = np.arange(1024) % 4 + 1
    found = entropy_bound({"w": tensor})
    share = 0.25 * 2 + 0.75 * np.log2(4 / 3)
    assert found.positions == pytest.approx(4096 * share / 8)
    assert found.values == pytest.approx(1024 * 2 / 8)
    assert found.total == found.positions + found.values


def test_the_bound_counts_byte_planes_with_the_sign_behind_the_mantissa():
    signs = np.tile(np.array([1.5, -1.5], np.float32), 500)
    assert entropy_bound({"b": signs}).values == pytest.approx(1000 / 8)  # one bit: the sign


@pytest.mark.parametrize("n", [4095, 4096])
def test_small_tensors_share_a_histogram_and_large_ones_have_their_own(n):
    tensors = {"a": np.full(n, 1, np.uint8), "b": np.full(n, 2, np.uint8)}
    assert entropy_bound(tensors).values == (pytest.approx(2 * n / 8) if n < 4096 else 0)


def test_dense_and_small_tensors_cost_no_positions():
    rng = np.random.default_rng(0)
    tensors = {f"{i}.bias": rng.normal(size=16).astype(np.float32) for i in range(40)}
    head = head_of(pack(tensors))
    assert {entry.layout for entry in head.tensors} == {"dense"}
    assert head.n_bytes["positions"] == 0
    assert head.n_bytes["values"] <= 40 * 16 * 4


def test_the_layout_follows_the_density():
    rng = np.random.default_rng(0)
    drawn, place = rng.normal(size=20_000).astype(np.float32), rng.random(20_000)
    tensors = {str(p): np.where(place < p, drawn, 0) for p in (0.06, 0.4, 1.0)}
    layouts = {entry.name: entry.layout for entry in head_of(pack(tensors)).tensors}
    assert layouts == {"0.06": "gaps", "0.4": "bitmask", "1.0": "dense"}


@pytest.mark.parametrize("layout", ["bitmask", "gaps", "dense"])
@pytest.mark.parametrize("values", VALUES)
def test_a_layout_that_is_asked_for_is_taken(layout, values):
    head = head_of(pack(trained(), layout=layout, values=values))
    layouts = {e.layout for e in head.tensors if e.name.endswith("weight")}
    assert layouts == {layout}


def test_gaps_escape_steps_of_255_and_more():
    for empty in (0, 254, 255, 256, 509, 510, 511, 2000):
        kept = np.zeros(empty + 3, bool)
        kept[[empty, empty + 2]] = True
        code = gaps(kept)
        assert len(code) == 2 + empty // 255
        assert np.concatenate(list(of_gaps(code, len(kept), 2))).tolist() == [empty, empty + 2]


@pytest.mark.parametrize("code", [b"\x00\xff", b"\x09", b"\x00", b"\x00\x00\x00", b"\x00\xff\x08"])
def test_gaps_that_lead_elsewhere_are_refused(code):
    with pytest.raises(StoreError, match=r"gaps|positions"):
        list(of_gaps(code, 9, 2))


def test_half_precision_is_that_of_numpy():
    tensors = trained()
    found = unpack(pack(tensors, values="float16")).tensors
    for name, a in tensors.items():
        lossy = a.ndim > 1
        assert (found[name] == (a.astype(np.float16).astype(np.float32) if lossy else a)).all()


def test_int8_errs_by_half_a_step_of_its_row_at_most():
    tensors = trained()
    found = unpack(pack(tensors, values="int8")).tensors
    for name, a in tensors.items():
        if a.ndim < 2:
            assert (found[name] == a).all()
            continue
        rows, back = a.reshape(len(a), -1), found[name].reshape(len(a), -1)
        top = np.abs(rows).max(axis=1, keepdims=True)
        assert (np.abs(rows - back) <= top / 127 / 2 * (1 + 2**-7)).all()
        assert (back[rows == 0] == 0).all()
        assert np.abs(rows - back).max() > 0
        assert (np.abs(back).max(axis=1) >= 0.98 * top[:, 0]).all()


def test_a_codebook_has_few_entries_and_is_nearer_than_equal_steps():
    rng = np.random.default_rng(0)
    w = rng.standard_t(3, (100, 200)).astype(np.float32)
    w[np.abs(w) < 1] = 0
    back = unpack(pack({"w": w}, values="codebook")).tensors["w"]
    entries = np.unique(back[back != 0])
    assert len(entries) <= 255 and ((back == 0) == (w == 0)).all()
    kept = w != 0
    steps = np.linspace(w.min(), w.max(), 255)
    nearest = steps[np.abs(w[kept][:, None] - steps).argmin(axis=1)]
    assert ((back - w)[kept] ** 2).mean() < 0.5 * ((nearest - w[kept]) ** 2).mean()
    best = np.abs(w[kept][:, None] - entries).min(axis=1)
    assert (np.abs(w[kept] - back[kept]) <= best + 1e-6).all()


def test_a_codebook_is_shorter_than_the_values_that_it_stands_for():
    rng = np.random.default_rng(0)
    for n in (64, 200, 256, 3000):
        w = np.zeros((100, 100), np.float32)
        w.reshape(-1)[rng.permutation(10_000)[:n]] = rng.normal(size=n)
        (entry,) = head_of(pack({"w": w}, values="codebook")).tensors
        assert entry.stored == n and 2 * entry.n_table + n < 2 * n


def test_a_codebook_of_few_distinct_values_loses_nothing():
    w = np.random.default_rng(0).choice(np.array([0, -0.37, 0.11, 2], np.float32), (64, 64))
    assert bits_equal(unpack(pack({"w": w}, values="codebook")).tensors, {"w": w})


def test_the_head_says_what_each_tensor_is_coded_as():
    graph = {"nodes": [["linear", "2.weight"]], "input": [1, 32, 32]}
    file = pack(trained(), values="int8", graph=graph)
    head = unpack(file).head
    coded = {entry.name: entry for entry in head.tensors}
    assert coded["2.weight"].values == "int8" and coded["2.bias"].values == "exact"
    assert coded["2.weight"].stored < 0.07 * coded["2.weight"].size
    assert head.graph == graph == head_of(file).graph
    assert sum(head.n_bytes.values()) == len(file)


def test_a_plain_safetensors_reader_opens_the_file():
    file = pack(trained())
    found = load(file)
    assert sorted(found) == ["head", "positions", "values"]
    assert all(a.dtype == np.uint8 for a in found.values())


def test_another_process_gives_the_same_bytes_and_needs_no_torch(tmp_path):
    path = tmp_path / "model.packed"
    tensors = trained()
    file = pack(tensors, values="codebook")
    path.write_bytes(file)
    code = f"""
import sys, hashlib
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "scipy", "sklearn"):
            raise ImportError(name + " is not here")
sys.meta_path.insert(0, Blocker())
from secateur.packed import read, pack
found = read({str(path)!r}).tensors
again = pack(found, values="codebook")
print(hashlib.sha256(b"".join(found[k].tobytes() for k in found)).hexdigest())
print(hashlib.sha256(again).hexdigest())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    own = unpack(file).tensors
    whole = hashlib.sha256(b"".join(own[k].tobytes() for k in own)).hexdigest()
    again = hashlib.sha256(pack(own, values="codebook")).hexdigest()
    assert done.stdout.split() == [whole, again]


def test_no_changed_file_passes_unnoticed_and_no_resealed_one_crashes():
    check_mutants(1_500, seed=0)


FIELDS = ("name", "dtype", "shape", "layout", "values", "stored", "gaps", "table")


def resealed(**changes: object) -> bytes:
    """Return a file of one tensor whose head states something else, its digest right."""
    row = ["w", "float32", [4], "dense", "exact", 4, 0, 0]
    for name, value in changes.items():
        row[
            ["name", "dtype", "shape", "layout", "values", "stored", "gaps", "table"].index(name)
        ] = value
    segments = {"positions": [], "values": [["s16"]], "tables": []}
    head = {"tensors": [row], "surgery": [], "segments": segments, "graph": None}
    text = json.dumps(head).encode()
    parts = {"head": text, "positions": b"", "values": bytes(16)}
    return sealed({"head": f"s{len(text)}/{len(text)}"}, parts)


def test_the_file_made_by_hand_is_read():
    assert unpack(resealed()).tensors["w"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": [2**40], "stored": 2**40}, r"more than the limit of 4,294,967,296"),
        ({"shape": [2**31], "stored": 0, "layout": "gaps"}, "more than the limit"),
        ({"shape": [0, 2**40], "stored": 0}, "more than the limit"),
        ({"shape": [10**4000], "stored": 4}, "sizes that are none"),
        ({"shape": [2**47] * 33, "stored": 4}, "33 axes"),
        ({"shape": [-4]}, "sizes that are none"),
        ({"shape": [True]}, "sizes that are none"),
        ({"shape": "4"}, "describes a tensor"),
        ({"name": 3}, "describes a tensor"),
        ({"dtype": "object"}, "does not know"),
        ({"layout": "auto"}, "does not know"),
        ({"values": "int8"}, "said to be int8"),
        ({"stored": 5}, "contradict"),
        ({"layout": "bitmask", "gaps": 2}, "contradict"),
        ({"layout": "gaps", "gaps": 6}, "contradict"),
        ({"table": 3}, "contradict"),
        ({"shape": [3], "stored": 3}, "does not give the"),
        ({"dtype": "float64", "shape": [2], "stored": 2, "layout": "dense"}, None),
    ],
)
def test_a_head_that_states_what_is_not_so_is_refused(changes, words):
    if words is None:
        assert unpack(resealed(**changes)).tensors["w"].shape == (2,)
        return
    with pytest.raises(StoreError, match=words):
        unpack(resealed(**changes))


def test_a_bomb_is_refused_before_it_is_unpacked():
    file = pack({"w": np.zeros(50_000_000, np.uint8), "b": np.zeros(9, np.float32)})
    assert len(file) < 2000
    with pytest.raises(StoreError, match=r"50,000,036 bytes, more than the limit of 1,000,000"):
        unpack(file, limit=1_000_000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"\x80\x04pickle", "header is said"),
        (pack({})[:-1], "not those that its header describes"),
        (pack({}) + b"\0", "not those that its header describes"),
        (pack({}).replace(b"packed-1", b"packed-2"), "format is 'secateur-packed-2'"),
        (pack({"a": np.ones(3)}).replace(b'"U8"', b'"I8"'), "not those"),
    ],
)
def test_what_is_no_packed_file_is_refused_in_words(data, words):
    with pytest.raises(StoreError, match=words):
        unpack(data)


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"cannot read the packed file .*none"):
        packed.read(tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"12345678")
    with pytest.raises(StoreError, match=r"bad: this is no whole packed file"):
        packed.read(tmp_path / "bad")


def test_a_file_far_above_the_limit_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**33 + 2**23)  # a hole, which takes no room
    with pytest.raises(StoreError, match=r"huge has 8,598,323,200 bytes"):
        packed.read(tmp_path / "huge")


@pytest.mark.parametrize("values", LOSSY)
def test_lossy_values_refuse_what_they_cannot_hold(values):
    w = np.ones((10, 10))
    w[0, 0] = np.nan
    with pytest.raises(InputError, match=r"1 values of 'w' are NaN or infinite"):
        pack({"w": w}, values=values)
    w = np.linspace(1, 1e300, 900).reshape(30, 30)
    with pytest.raises(InputError, match=r"beyond the 65504|too large"):
        pack({"w": w}, values=values)


def test_what_cannot_be_packed_is_refused_in_words():
    with pytest.raises(InputError, match=r"'w' has the dtype >f4"):
        pack({"w": np.ones(2, ">f4")})
    with pytest.raises(InputError, match=r"'w' has the dtype \|O"):
        pack({"w": np.array([None])})
    with pytest.raises(InputError, match=r"values='int4'"):
        pack({}, values="int4")
    with pytest.raises(InputError, match="not plain JSON"):
        pack({}, graph={"a": float("nan")})
    with pytest.raises(InputError, match="must be ascending"):
        pack({}, surgery={"w/0": np.array([1, 1])})


def test_a_zero_with_a_sign_comes_back_with_it_and_costs_a_bit_at_least():
    w = np.zeros(80_000, np.float32)
    signed = np.where(np.random.default_rng(0).random(80_000) < 0.5, -w, w)
    file = pack({"w": signed})
    assert (np.signbit(unpack(file).tensors["w"]) == np.signbit(signed)).all()
    assert len(pack({"w": signed + 0.0})) < 1000 < 10_000 <= len(file)


def test_arrays_that_are_views_are_packed_as_they_look():
    w = np.arange(60, dtype=np.float32).reshape(6, 10)
    tensors = {"t": w.T, "s": w[::2, ::3]}
    found = unpack(pack(tensors)).tensors
    assert all((found[k] == tensors[k]).all() for k in tensors)
    assert not found["t"].flags.writeable
