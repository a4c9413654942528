"""Conversions: another form of every model, by the same road as pruning."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

import secateur_runtime
from secateur import store
from secateur.auditing.accounted import after_training
from secateur.compress import Magnitude
from secateur.data import Queries, digits, draw
from secateur.deploy import Onnx, Pack, Safetensors
from secateur.errors import InputError, MethodError, MissingExtraError
from secateur.models import MLP, SmallCNN, cut, logits_of, operate_, rebuild, runnable
from secateur.models.mobilenet import MobileNetV2
from secateur.probe import SignalProbe
from secateur.probe.run import observe
from secateur.train import Conversion, Keep, Recipe, Stacked, apply, drop_weights, train_fleet
from secateur.types import AUDIT, POPULATION, Artifact, Provenance, Records, Shipped, Signal

RECORDS = digits()
WHO = draw(RECORDS, targets=2, references=2, pools={AUDIT: 800, POPULATION: 100}, seed=0)
RECIPE = Recipe(build=MLP(widths=(64, 16, 10)), epochs=1)


@dataclass(frozen=True, kw_only=True)
class First:
    """Keep the first units of the hidden layer; a calibration adds the pool's size to a bias."""

    units: int = 4
    pools: tuple[str, ...] = ()

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ()
    form: ClassVar[str] = ""

    def converted(
        self, artifact: Artifact, build: MLP, pools: Mapping[str, Records], *, seed: int
    ) -> Artifact:
        rows = np.arange(self.units)
        surgery = {"1.weight/0": rows, "1.bias/0": rows, "3.weight/1": rows}
        tensors = cut(artifact.tensors, surgery)
        tensors["3.bias"] = tensors["3.bias"] + np.float32(sum(map(len, pools.values())))
        return replace(artifact, tensors=tensors, masks={}, surgery=surgery)


@pytest.fixture(scope="module")
def dense():
    return train_fleet(RECIPE, RECORDS, WHO, seed=0, engine="serial")


def test_a_conversion_keeps_membership_and_changes_every_model(dense):
    small = apply(First(), dense, RECORDS, seed=0, engine=Stacked(models=2, workers=1))
    assert small.membership.digest == dense.membership.digest
    assert small.pipeline == (*dense.pipeline, repr(First()))
    for before, after in zip(dense.artifacts, small.artifacts, strict=True):
        assert after.tensors["1.weight"].shape == (4, 64)
        assert (after.tensors["1.weight"] == before.tensors["1.weight"][:4]).all()
        assert after.provenance.key["parent"] == [before.provenance.digest, before.model_digest]


def test_a_cut_model_is_rebuilt_stored_and_queried(dense, tmp_path):
    small = apply(First(), dense, RECORDS, seed=0, engine="serial", folder=tmp_path / "small")
    again = store.open_fleet(tmp_path / "small", recipe=RECIPE)
    module = rebuild(again.artifacts[1], RECIPE.build)
    whole = rebuild(dense.artifacts[1], RECIPE.build)
    whole[1].weight.data[4:] = 0
    whole[1].bias.data[4:] = 0
    assert np.allclose(logits_of(module, RECORDS), logits_of(whole, RECORDS), atol=1e-6)
    seen = observe(again, RECORDS, signals=[Signal(name="margin")])
    assert seen.views["first"]["margin"].shape == (4, len(RECORDS))
    assert again.artifacts[0].digest == small.artifacts[0].digest


def test_a_conversion_gets_the_pools_that_it_names_and_no_others(dense):
    alone = apply(First(pools=(POPULATION,)), dense, RECORDS, seed=0, engine="serial")
    own = apply(First(pools=("members",)), dense, RECORDS, seed=0, engine="serial")
    for m, artifact in enumerate(dense.artifacts):
        before = artifact.tensors["3.bias"]
        assert np.allclose(alone.artifacts[m].tensors["3.bias"] - before, 100, atol=1e-3)
        members = len(WHO.members(m))
        assert np.allclose(own.artifacts[m].tensors["3.bias"] - before, members, atol=1e-3)
    assert POPULATION in alone.artifacts[0].provenance.key["streams"]


@pytest.mark.parametrize("pool", ["audit", "utility"])
def test_no_conversion_reads_a_pool_that_the_audit_is_measured_on(dense, pool):
    with pytest.raises(MethodError, match=rf"reads records of the pool '{pool}'.*'population'"):
        apply(First(pools=(pool,)), dense, RECORDS, seed=0, engine="serial")


def test_a_step_that_reads_the_whole_audit_pool_voids_an_accounted_epsilon():
    step = "OnnxInt8(pool='audit')"
    assert "read the members without noise" in after_training([step], RECIPE)


def test_converted_models_are_found_again_once_weights_were_dropped(tmp_path):
    dense = train_fleet(RECIPE, RECORDS, WHO, seed=0, engine="serial", folder=tmp_path / "dense")
    keep = Keep(probe=SignalProbe(signals=(Signal(name="margin"),)), queries=Queries())
    place = {"seed": 0, "engine": "serial", "folder": tmp_path / "small"}
    target, reference = int(WHO.targets[0]), int(WHO.references[0])
    before = apply(First(), dense, RECORDS, models=[target], **place).artifacts[target]
    drop_weights(dense, RECORDS, keep)
    clean = store.open_fleet(tmp_path / "dense", recipe=RECIPE)
    again = apply(First(), clean, RECORDS, models=[target], **place)
    assert again.artifacts[target].digest == before.digest
    other = apply(First(), clean, RECORDS, models=[int(WHO.targets[1])], **place)
    assert other.artifacts[int(WHO.targets[1])].surgery
    with pytest.raises(InputError, match=f"weights of model {reference} were not kept"):
        apply(First(), clean, RECORDS, models=[reference], **place)


def test_signals_of_converted_references_suffice(dense, tmp_path):
    place = {"seed": 0, "engine": "serial", "folder": tmp_path / "small"}
    small = apply(First(), dense, RECORDS, **place)
    keep = Keep(probe=SignalProbe(signals=(Signal(name="margin"),)), queries=Queries())
    drop_weights(small, RECORDS, keep)
    again = apply(First(), dense, RECORDS, **place)
    kept = [again.artifacts[m].kept is not None for m in range(len(again))]
    assert kept == [role == "reference" for role in WHO.roles]


def test_a_conversion_whose_package_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setattr(Safetensors, "libraries", ("onnxscript-that-is-not-there",))
    with pytest.raises(MissingExtraError, match="needs onnxscript-that-is-not-there"):
        apply(Safetensors(), MLP(widths=(64, 10))(), RECORDS, seed=0)


def test_a_file_is_not_made_into_another_one(dense):
    net = MLP(widths=(64, 10))()
    once = apply(Safetensors(), net, RECORDS, seed=0)
    with pytest.raises(MethodError, match="form 'safetensors' already"):
        Safetensors().converted(once, MLP(widths=(64, 10)), {}, seed=0)


def test_a_conversion_of_a_module_reads_the_records_that_are_given():
    net = MLP(widths=(64, 16, 10))()
    assert isinstance(First(), Conversion)
    made = apply(First(pools=("population",)), net, RECORDS.take(np.arange(7)), seed=0)
    assert np.allclose(made.tensors["3.bias"] - net[3].bias.detach().numpy(), 7, atol=1e-4)


def test_the_versions_of_what_makes_a_file_are_part_of_its_key():
    made = apply(Safetensors(), MLP(widths=(64, 10))(), RECORDS, seed=0)
    assert made.provenance.key["versions"] == {"safetensors": version("safetensors")}


def test_what_was_cut_is_not_trained_on(dense):
    small = apply(First(), dense, RECORDS, seed=0, engine="serial")
    with pytest.raises(MethodError, match=r"smaller tensors already; train first"):
        apply(Magnitude(rate=2.0), small, RECORDS, seed=0, engine="serial")


def test_a_depthwise_convolution_is_cut_with_its_channels():
    net = MobileNetV2(classes=10, width=0.25)().eval()
    name, conv = next(
        (n, m)
        for n, m in net.named_modules()
        if isinstance(m, torch.nn.Conv2d) and m.groups == m.in_channels > 1
    )
    rows = np.arange(0, conv.out_channels, 2)
    operate_(net, {f"{name}.weight/0": rows})
    assert (conv.groups, conv.in_channels, conv.out_channels) == (len(rows),) * 3


@pytest.mark.parametrize(
    ("surgery", "words"),
    [
        ({"9.weight/0": np.array([0])}, "no such tensor"),
        ({"0.weight/7": np.array([0])}, r"has there \(16, 3, 3, 3\)"),
        ({"0.weight/0": np.array([16])}, r"has there \(16, 3, 3, 3\)"),
    ],
)
def test_surgery_that_does_not_fit_is_refused(surgery, words):
    with pytest.raises(InputError, match=words):
        operate_(SmallCNN(widths=(16, 32))(), surgery)


def test_an_artifact_refuses_surgery_that_contradicts_its_tensors():
    made = {"tensors": {"w": np.ones((2, 3))}, "builder": "", "provenance": Provenance(key={})}
    for rows in (np.arange(3), np.array([1, 1]), np.array([-1, 0]), np.array([0.0, 1.0])):
        with pytest.raises(InputError, match="surgery 'w/0'"):
            Artifact(**made, surgery={"w/0": rows})


def test_a_shipped_file_is_stored_and_part_of_the_digest(tmp_path):
    made = Artifact(
        tensors={"w": np.ones(2)},
        builder="",
        provenance=Provenance(key={}),
        shipped=Shipped(form="onnx", data=b"some bytes"),
    )
    store.write_artifact(tmp_path / "m.safetensors", made)
    again = store.read_artifact(tmp_path / "m.safetensors")
    assert again.shipped == made.shipped
    assert replace(made, shipped=Shipped(form="onnx", data=b"other")).digest != made.digest


@pytest.mark.slow
def test_a_file_takes_records_of_the_fleet_where_the_network_would_take_others():
    records = digits()
    who = draw(records, targets=1, references=2, seed=0, pools={"audit": 60, "utility": 40})
    net = SmallCNN(channels=1, widths=(4, 4))  # ends in a global pool
    fleet = train_fleet(Recipe(build=net, epochs=1), records, who, seed=0, engine="serial")
    for step in (Onnx(), Pack()):
        made = apply(step, fleet, records, seed=0, engine="serial")
        dense, own = (
            logits_of(runnable(f.artifacts[0], net), records, indices=np.arange(20))
            for f in (fleet, made)
        )
        np.testing.assert_allclose(own, dense, atol=1e-4)
    graph = network_of(made.artifacts[0].shipped.data)
    assert graph.input_shape == (1, 8, 8)


def network_of(data):
    """Return what the runtime makes of a packed file's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.packed"
        file.write_bytes(data)
        return secateur_runtime.load(file, engine="numpy")
