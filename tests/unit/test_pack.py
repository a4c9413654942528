"""Packing a model: the file and a builder give the network again, logits bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from secateur import store
from secateur.compress import Magnitude
from secateur.data import digits, draw
from secateur.deploy import Pack, load_packed, write_packed
from secateur.errors import InputError, MethodError, StoreError
from secateur.models import MLP, SmallCNN, cut, logits_of, rebuild, runnable, tensors_of
from secateur.packed import VALUES, unpack
from secateur.probe.run import observe
from secateur.train import Conversion, Recipe, apply, train_fleet
from secateur.types import AUDIT, Artifact, Provenance, Shipped, Signal

RECORDS = digits()
WHO = draw(RECORDS, targets=2, references=0, pools={AUDIT: 800}, seed=0)
BUILD = SmallCNN(widths=(8, 16), channels=1)
RECIPE = Recipe(build=BUILD, epochs=1)
LOSSY = [v for v in VALUES if v != "float32"]


@pytest.fixture(scope="module")
def pruned():
    dense = train_fleet(RECIPE, RECORDS, WHO, seed=0, engine="serial")
    return apply(Magnitude(rate=8.0, retrain_epochs=1), dense, RECORDS, seed=0, engine="serial")


def test_a_packed_file_gives_the_same_logits_bit_for_bit(pruned, tmp_path):
    model = pruned.artifacts[0]
    shipped = write_packed(tmp_path / "m.packed", model)
    loaded = load_packed(tmp_path / "m.packed", BUILD)
    assert not loaded.training
    before = logits_of(rebuild(model, BUILD), RECORDS)
    assert before.tobytes() == logits_of(loaded, RECORDS).tobytes()
    assert (tmp_path / "m.packed").read_bytes() == shipped.data
    assert len(shipped.data) < sum(a.nbytes for a in model.tensors.values()) / 3


@pytest.mark.parametrize("values", VALUES)
def test_what_is_shipped_is_what_stands_beside_it_and_what_is_queried(pruned, values):
    small = apply(Pack(values=values), pruned, RECORDS, seed=0, engine="serial")
    assert isinstance(Pack(), Conversion)
    for before, after in zip(pruned.artifacts, small.artifacts, strict=True):
        held = unpack(after.shipped.data).tensors
        assert all((held[k] == a).all() for k, a in after.tensors.items())
        assert after.shipped.form == "packed"
        assert all((after.masks[k] == m).all() for k, m in before.masks.items())
        assert all((after.tensors[k][~m] == 0).all() for k, m in after.masks.items())
        run = logits_of(runnable(after, BUILD), RECORDS)
        assert (run == logits_of(rebuild(after, BUILD), RECORDS)).all()
        same = (run == logits_of(rebuild(before, BUILD), RECORDS)).all()
        assert same == (values == "float32")


def test_a_packed_fleet_is_stored_and_audited_from_its_files(pruned, tmp_path):
    small = apply(
        Pack(values="int8"), pruned, RECORDS, seed=0, engine="serial", folder=tmp_path / "f"
    )
    again = store.open_fleet(tmp_path / "f", recipe=RECIPE)
    assert again.artifacts[0].digest == small.artifacts[0].digest
    seen = observe(again, RECORDS, signals=[Signal(name="margin")])
    assert np.isfinite(seen.views[seen.primary]["margin"]).all()


def test_surgery_is_inside_the_file(tmp_path):
    build = MLP(widths=(64, 16, 10))
    rows = np.array([0, 3, 4, 15])
    surgery = {"1.weight/0": rows, "1.bias/0": rows, "3.weight/1": rows}
    small = Artifact(
        tensors=cut(tensors_of(build()), surgery),
        surgery=surgery,
        builder="MLP",
        provenance=Provenance(key={}),
    )
    made = Pack().converted(small, build, {}, seed=0)
    assert all((made.surgery[k] == v).all() for k, v in surgery.items())
    write_packed(tmp_path / "m", made)
    loaded = load_packed(tmp_path / "m", build)
    assert loaded[1].out_features == 4
    x = torch.rand(5, 64)
    with torch.no_grad():
        assert torch.equal(loaded(x), rebuild(small, build)(x))
        assert torch.equal(runnable(made, build)(x), loaded(x))
    with pytest.raises(InputError, match=r"has there \(10, 64\); give the builder"):
        load_packed(tmp_path / "m", MLP(widths=(64, 10)))


def test_batch_statistics_and_counters_come_back_in_every_coding(pruned):
    for values in LOSSY:
        small = Pack(values=values).converted(pruned.artifacts[0], BUILD, {}, seed=0)
        for name, before in pruned.artifacts[0].tensors.items():
            after = small.tensors[name]
            assert after.dtype == before.dtype and after.shape == before.shape
            if before.ndim < 2:
                assert after.tobytes() == before.tobytes()


def test_a_file_that_was_altered_is_not_run(pruned):
    small = Pack().converted(pruned.artifacts[0], BUILD, {}, seed=0)
    data = bytearray(small.shipped.data)
    data[-1] ^= 1
    with pytest.raises(StoreError, match="it states the digest"):
        runnable(replace(small, shipped=Shipped(form="packed", data=bytes(data))), BUILD)


def test_what_was_shipped_already_is_not_packed_again(pruned):
    other = replace(pruned.artifacts[0], shipped=Shipped(form="onnx", data=b"graph"))
    with pytest.raises(MethodError, match=r"has a file \(onnx\) already; pack the model"):
        Pack().converted(other, BUILD, {}, seed=0)
    with pytest.raises(InputError, match=r"'packed' or 'safetensors', got 'tape'"):
        runnable(replace(other, shipped=Shipped(form="tape", data=b"")), BUILD)


def test_words_that_are_no_choice_are_refused():
    with pytest.raises(MethodError, match=r"Pack: values='int4'.*float32, float16, int8, codebook"):
        Pack(values="int4")
