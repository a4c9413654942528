"""ONNX files: equal to torch, the same bytes everywhere, and what 8-bit integers cost."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from secateur.attack.membership import LossThreshold
from secateur.auditing import audit
from secateur.auditing.accounted import after_training
from secateur.compress import ADMM, QuantisationAware
from secateur.data import digits, draw
from secateur.deploy import Onnx, OnnxInt8, onnx_difference, to_onnx
from secateur.errors import InputError, MethodError, MissingExtraError
from secateur.models import (
    MLP,
    VGG16,
    LeNet5,
    MobileNetV2,
    OnnxNetwork,
    ResNet18,
    SmallCNN,
    logits_of,
    operate_,
)
from secateur.train import Conversion, Recipe, apply, train_fleet
from secateur.types import AUDIT, POPULATION, Artifact, Provenance, Records, Shipped

RECORDS = digits()
NARROW = MLP(widths=(64, 16, 10))
RECIPE = Recipe(build=NARROW, epochs=6)


def lived_in(build, seed=0):
    """A network whose normalisation is that of a trained one: no mean 0, no variance 1."""
    torch.manual_seed(seed)
    net = build().eval()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            for value in (part.running_var, part.weight.data):
                value.uniform_(0.5, 1.5)
            for value in (part.running_mean, part.bias.data):
                value.uniform_(-0.5, 0.5)
    return net


def weights_of(data):
    """The tensors in a file, by name."""
    graph = onnx.load_from_string(data).graph
    return {w.name: numpy_helper.to_array(w) for w in graph.initializer}


def agrees(net, data, shape):
    for batch in (1, 3, 33):
        x = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            expected = net(x)
        found = OnnxNetwork(data)(x)
        assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (LeNet5(), (1, 28, 28)),
        (ResNet18(width=0.05), (3, 32, 32)),
        pytest.param(VGG16(width=0.05), (3, 32, 32), marks=pytest.mark.slow),
        pytest.param(MobileNetV2(width=0.1), (3, 32, 32), marks=pytest.mark.slow),
        pytest.param(VGG16(), (3, 32, 32), marks=pytest.mark.slow),
        pytest.param(ResNet18(), (3, 32, 32), marks=pytest.mark.slow),
    ],
    ids=["LeNet5", "narrow ResNet18", "narrow VGG16", "narrow MobileNetV2", "VGG16", "ResNet18"],
)
def test_a_file_gives_torchs_logits_at_every_size_of_batch_and_says_nothing(build, shape, capfd):
    net = lived_in(build)
    agrees(net, to_onnx(net, shape), shape)
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def small():
    """A network that went through surgery, and its file."""
    net = lived_in(SmallCNN(channels=1, widths=(8, 12)))
    rows = np.array([0, 2, 3, 7])
    convs = [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d)]
    norm = next(n for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d))
    surgery = {f"{convs[0]}.weight/0": rows, f"{convs[1]}.weight/1": rows}
    if net.get_submodule(convs[0]).bias is not None:
        surgery[f"{convs[0]}.bias/0"] = rows
    for what in ("weight", "bias", "running_mean", "running_var"):
        surgery[f"{norm}.{what}/0"] = rows
    operate_(net, surgery)
    return net, to_onnx(net, (1, 8, 8))


def test_a_network_that_went_through_surgery_is_exported_as_it_is_now(small):
    net, data = small
    agrees(net, data, (1, 8, 8))
    assert weights_of(data)["0.weight"].shape == (4, 1, 3, 3)


def test_normalisation_is_folded_and_weights_keep_their_names(small):
    net, data = small
    model = onnx.load_from_string(data)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert {
        n for n in net.state_dict() if n.endswith("weight") and net.state_dict()[n].dim() > 1
    } <= {w.name for w in model.graph.initializer}
    assert [v.name for v in (*model.graph.input, *model.graph.output)] == ["input", "logits"]


def test_a_file_tells_nothing_of_the_machine_that_made_it(small):
    _, data = small
    for word in (b"pytorch", b"torch", os.sep.encode() + b"usr", b"site-packages", b".py"):
        assert word not in data


def test_a_difference_beyond_the_tolerance_is_refused_with_its_figure(small):
    net, _ = small
    with pytest.raises(MethodError, match=r"differs from torch by [\d.]+e-0\d of the largest"):
        to_onnx(net, (1, 8, 8), tolerance=0.0)


class Twice(nn.Module):
    def forward(self, x):
        return 2 * x


def test_the_difference_is_a_share_of_the_largest_logit(small):
    net, data = small
    found = onnx_difference(data, nn.Sequential(net, Twice()), (1, 8, 8))
    assert found == pytest.approx(0.5, rel=1e-4)
    only = np.full((2, 1, 8, 8), 100, np.float32)  # larger logits than those of random inputs
    assert onnx_difference(data, nn.Sequential(net, Clipped()), (1, 8, 8), inputs=only) > 1


class Clipped(nn.Module):
    def forward(self, x):
        return x.clamp(-1, 1)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else self.layer(-x)


@pytest.mark.parametrize(
    ("last", "shape", "words"),
    [
        (nn.Sequential(nn.ReLU(), Branching()), (8,), r"its layer '1\.1', a Branching, is why"),
        (nn.ReLU(), (9,), r"does not take a batch of shape \(2, 9\)"),
        pytest.param(Outer(), (8,), r"layer '1', a Outer, is why", marks=pytest.mark.slow),
    ],
)
def test_a_layer_that_cannot_be_exported_is_named(last, shape, words, capfd):
    with pytest.raises(MethodError, match=words):
        to_onnx(nn.Sequential(nn.Linear(8, 8), last), shape)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    for conversion in (Onnx(), OnnxInt8(pool="members")):
        with pytest.raises(MissingExtraError, match=rf"{name}.*secateur\[onnx\]"):
            apply(conversion, nn.Linear(64, 10), RECORDS, seed=0)


def test_what_is_a_file_already_is_not_made_into_another():
    made = Artifact(
        tensors={},
        builder="",
        provenance=Provenance(key={}),
        shipped=Shipped(form="packed", data=b""),
    )
    for conversion in (Onnx(), OnnxInt8()):
        assert isinstance(conversion, Conversion)
        with pytest.raises(MethodError, match="'packed' already"):
            conversion.converted(made, NARROW, {}, seed=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"records": 0}, "records must be at least 1, got 0"),
        ({"method": "mean"}, "method must be one of .*got 'mean'"),
    ],
)
def test_parameters_out_of_range_are_refused(change, words):
    with pytest.raises(MethodError, match=words):
        OnnxInt8(**change)
    with pytest.raises(MethodError, match="shape must be that of one record"):
        Onnx(shape=(3, 0, 32))


def who(**pools):
    pools = {AUDIT: 800, POPULATION: 150, **pools}
    return draw(RECORDS, targets=2, references=0, pools=pools, seed=0)


@pytest.fixture(scope="module")
def fleets():
    """A dense fleet, and its two kinds of file."""
    dense = train_fleet(RECIPE, RECORDS, who(), seed=0, engine="serial")
    made = [apply(c, dense, RECORDS, seed=0, engine="serial") for c in (Onnx(), OnnxInt8())]
    return [dense, *made]


def test_an_audit_of_files_finds_what_an_audit_of_their_parents_finds(fleets):
    report = audit(fleets, RECORDS, attacks=[LossThreshold(class_wise=False)], seed=0)
    found = {}
    for row in report.rows:
        if row.metric == "auc" and row.method.startswith("LossThreshold"):
            found.setdefault(row.subject, row.value)  # rows after it are differences to the first
    dense, onnx_file, int8 = (found[fleet.name] for fleet in fleets)
    assert onnx_file == pytest.approx(dense, abs=1e-4)
    assert int8 == pytest.approx(dense, abs=0.03)
    assert int8 != dense
    assert dense > 0.5


def test_the_shape_of_a_users_own_network_is_found():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    made = apply(Onnx(), net, RECORDS, seed=0)
    known = apply(Onnx(pools=("members",)), net, RECORDS, seed=0)
    expected = logits_of(net, RECORDS)
    for artifact in (made, known):
        found = logits_of(OnnxNetwork(artifact.shipped.data), RECORDS)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert artifact.shipped.form == "onnx"
        assert 0 < artifact.history["onnx/difference"][0] < 1e-5


def test_a_file_of_flat_records_refuses_other_sizes_by_their_shape(fleets):
    network = OnnxNetwork(fleets[1].artifacts[0].shipped.data)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(InputError, match=r"does not take inputs of shape \(2, 1, 8, 9\)"):
        network(torch.zeros(2, 1, 8, 9))


def test_a_pool_without_records_is_named(fleets):
    empty = replace(fleets[0], membership=who(**{POPULATION: 0}))
    with pytest.raises(MethodError, match="reads the pool 'population', which holds no records"):
        apply(OnnxInt8(), empty, RECORDS, seed=0, engine="serial")


def test_the_history_says_how_well_integers_agree(fleets):
    dense, _, int8 = fleets
    for before, after in zip(dense.artifacts, int8.artifacts, strict=True):
        assert after.shipped.form == "onnx-int8"
        assert (after.tensors["1.weight"] == before.tensors["1.weight"]).all()
        assert after.history["int8/records"].tolist() == [150.0]
        public = RECORDS.take(int8.membership.pool(POPULATION))
        net = NARROW()
        net.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in before.tensors.items()})
        expected, found = logits_of(net, public), logits_of(OnnxNetwork(after.shipped.data), public)
        difference = np.abs(found - expected)
        assert after.history["int8/largest"][0] == pytest.approx(difference.max(), rel=1e-4)
        assert after.history["int8/mean"][0] == pytest.approx(difference.mean(), rel=1e-4)
        equal = (found.argmax(1) == expected.argmax(1)).mean()
        assert after.history["int8/equal"][0] == pytest.approx(equal)
        assert equal > 0.9
        right = [(v.argmax(1) == public.labels).mean() for v in (expected, found)]
        assert after.history["int8/accuracy"] == pytest.approx(right)


def test_calibration_on_public_records_keeps_an_epsilon_and_on_members_voids_it():
    assert after_training([repr(OnnxInt8()), repr(Onnx())], RECIPE) == ""
    voided = after_training([repr(OnnxInt8(pool="members"))], RECIPE)
    assert "read the members without noise" in voided


def test_weights_in_integers_leave_room_for_sums_of_16_bits(fleets):
    data = fleets[2].artifacts[0].shipped.data
    codes = [v for n, v in weights_of(data).items() if n.endswith("weight_quantized")]
    assert len(codes) == 2
    for code in codes:
        assert code.dtype == np.int8
        assert (np.abs(code.astype(int)).max(axis=1) == 64).all()
        assert 2 * 255 * np.abs(code.astype(int)).max() < 2**15


def test_the_same_model_gives_the_same_bytes_in_another_process(fleets, tmp_path):
    code = (
        "import hashlib, sys\n"
        "import test_onnx as t\n"
        "fleet = t.train_fleet(t.RECIPE, t.RECORDS, t.who(), seed=0, engine='serial').part([0])\n"
        "made = t.apply(t.OnnxInt8(), fleet, t.RECORDS, seed=0, engine='serial').artifacts[0]\n"
        "print(hashlib.sha256(made.shipped.data).hexdigest())\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *(p for p in sys.path if p)])
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=tmp_path
    )
    assert done.stderr == ""
    expected = fleets[2].artifacts[0].shipped.data  # made of the float32 file, so both are the same
    assert done.stdout.strip() == hashlib.sha256(expected).hexdigest()


def wide_range(n=120):
    """Pictures of bytes, 0 .. 255, whose steps are far larger than a bias."""
    rng = np.random.default_rng(0)
    x = np.floor(rng.random((n, 8), dtype=np.float32) * 256)
    return Records.from_arrays(x, rng.integers(0, 3, n), n_classes=3, name="bytes")


def test_a_channel_without_weights_keeps_its_bias_and_no_file_is_left(tmp_path, monkeypatch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        net[0].weight[:3] = 0
        net[0].weight[3] /= 255
        net[0].bias[:] = torch.tensor([0.45, 0.3, 0.2, 0.1])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = apply(OnnxInt8(pool="members", records=60), net, wide_range(), seed=0)
    assert list(tmp_path.iterdir()) == []
    assert made.history["int8/largest"][0] < 0.02
    assert not weights_of(made.shipped.data)["0.weight_quantized"][:3].any()


def test_what_was_trained_on_the_grid_is_found_on_it(fleets):
    dense = fleets[0].part([0])
    steps = (
        ADMM(rate=4.0, updates=2, epochs_per_update=1, retrain_epochs=1),
        QuantisationAware(epochs=1),
    )
    for step in steps:
        dense = apply(step, dense, RECORDS, seed=0, engine="serial")
    made = apply(OnnxInt8(), dense, RECORDS, seed=0, engine="serial").artifacts[0]
    stored = weights_of(made.shipped.data)
    for name, mask in made.masks.items():
        shipped = stored[f"{name}_quantized"] * stored[f"{name}_scale"][:, None]
        np.testing.assert_allclose(shipped, made.tensors[name], rtol=1e-6)
        assert not shipped[~mask].any()
