"""ONNX files: equal to torch at every size of batch, and silent about who made them."""

from __future__ import annotations

import os
import sys

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from onnx_files import weights_of
from secateur.data import digits
from secateur.deploy import Onnx, OnnxInt8, onnx_difference, to_onnx
from secateur.errors import MethodError, MissingExtraError
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
from secateur.train import Conversion, apply
from secateur.types import Artifact, Provenance, Shipped

RECORDS = digits()
NARROW = MLP(widths=(64, 16, 10))


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
