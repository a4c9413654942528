"""Which networks a packed file describes, and that the runtime agrees about it."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from command_line import secateur, train
from secateur.deploy import Pack, Shrink, portable, write_packed
from secateur.deploy.graph import graph_to_json
from secateur.deploy.portable import hindrances
from secateur.deploy.tracing import describe
from secateur.models import MLP, SmallCNN, rebuild, tensors_of
from secateur.packed import head_of, pack, unpack
from secateur.types import Artifact, Provenance
from secateur_runtime.errors import FileError, SlowEngineWarning
from secateur_runtime.lower import lowered
from secateur_runtime.network import load
from secateur_runtime.packed import unpack as unpack_for_device


class Forward(nn.Module):
    """A network whose forward pass is one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.function(x, self.weight)


PICTURE, FLAT = (3, 6, 6), (3,)
RUNS = {
    "constant per channel": (Forward(lambda x, w: x * w[:, None, None]), PICTURE),
    "number": (Forward(lambda x, w: x / 2 - 1), FLAT),
    "softmax": (Forward(lambda x, w: x.softmax(1)), FLAT),
    "mean": (Forward(lambda x, w: x.mean((2, 3))), PICTURE),
    "adaptive": (nn.AdaptiveAvgPool2d((3, 2)), PICTURE),
    "adaptive maxima": (nn.AdaptiveMaxPool2d((3, 2)), PICTURE),
    "global maximum": (nn.AdaptiveMaxPool2d(1), PICTURE),
    "same": (nn.Conv2d(3, 2, (4, 3), padding="same", bias=False), PICTURE),
    "clamp": (Forward(lambda x, w: x.clamp(max=0.5)), FLAT),
    "sum with itself": (Forward(lambda x, w: x + x), FLAT),
    "dead code": (Forward(lambda x, w: (torch.tanh(x), x * 2)[1]), FLAT),
}
DOES_NOT = {
    "tanh": (nn.Tanh(), FLAT, "the network's own forward: tanh does not run there"),
    "gelu": (nn.Sequential(nn.Linear(3, 2), nn.GELU()), FLAT, "layer '1': gelu does not run"),
    "group norm": (nn.Sequential(nn.GroupNorm(1, 3)), PICTURE, "layer '0': group_norm does not"),
    "sequence": (nn.Linear(6, 2), (4, 6), "linear runs on (features,) alone, not on (4, 6)"),
    "one axis": (nn.Conv1d(3, 2, 3), (3, 9), "not on (3, 9)"),
    "windows": (nn.AdaptiveAvgPool2d(4), PICTURE, "has windows of several sizes"),
    "windows of maxima": (nn.AdaptiveMaxPool2d(4), PICTURE, "has windows of several sizes"),
    "amax": (Forward(lambda x, w: x.amax((2, 3))), PICTURE, "amax.default does not run there: for"),
    "max of rows": (Forward(lambda x, w: x.max(3).values), PICTURE, "max.dim does not run there"),
    "rows": (Forward(lambda x, w: x.softmax(3)), PICTURE, "softmax runs along channels"),
    "mean of a row": (Forward(lambda x, w: x.mean(3)), PICTURE, "over height and width alone"),
    "product": (Forward(lambda x, w: x * x), FLAT, "own forward: mul.Tensor does not run"),
    "sequence sum": (Forward(lambda x, w: x + 1), (4, 6), "alone, not on (4, 6)"),
}


def artifact_of(net):
    return Artifact(tensors=tensors_of(net), builder="", provenance=Provenance(key={}))


@pytest.mark.parametrize("name", RUNS)
def test_what_hinders_nothing_runs(name, tmp_path):
    net, shape = RUNS[name]
    found = portable(artifact_of(net), lambda: net, shape)
    assert found.hindrances == ()
    (tmp_path / "m").write_bytes(pack(tensors_of(net), graph=graph_to_json(found.graph)))
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    for engine in ("numpy", "auto"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlowEngineWarning)  # where no compiler was
            made = load(tmp_path / "m", engine=engine)(x)
        assert np.abs(made - expected).max() < 1e-5


@pytest.mark.parametrize("follows", [False, True])
def test_a_graph_says_whether_it_holds_for_pictures_of_other_sizes(follows):
    average = Forward(lambda x, w: functional.avg_pool2d(x, x.shape[2:]))
    net = nn.Sequential(average if follows else nn.AdaptiveAvgPool2d(1), nn.Flatten())
    file = Pack(shape=PICTURE).converted(artifact_of(net), lambda: net, {}, seed=0).shipped.data
    packed = unpack_for_device(file)
    assert packed.graph["any_size"] is not follows
    if follows:
        with pytest.raises(FileError, match="alone: it takes no others, or what it does follows"):
            lowered(packed, shape=(PICTURE[0], 11, 12))
    else:
        assert lowered(packed, shape=(PICTURE[0], 11, 12)).shapes[-1] == PICTURE[:1]


@pytest.mark.parametrize("name", DOES_NOT)
def test_what_hinders_is_named_and_the_runtime_refuses_it(name):
    net, shape, words = DOES_NOT[name]
    found = portable(artifact_of(net), lambda: net, shape)
    assert found.graph is None
    assert words in "; ".join(found.hindrances)
    graph = describe(net, shape, opaque=True)
    assert hindrances(graph) == found.hindrances
    with pytest.raises(FileError, match="cannot be run"):
        lowered(unpack_for_device(pack(tensors_of(net), graph=graph_to_json(graph))))


def test_a_network_that_torch_cannot_export_is_packed_without_a_graph():
    net = Forward(lambda x, w: x if x.sum() > 0 else -x)
    found = portable(artifact_of(net), lambda: net, FLAT)
    assert found.graph is None and "torch.export cannot follow" in found.hindrances[0]
    made = Pack(shape=FLAT).converted(artifact_of(net), lambda: net, {}, seed=0)
    assert head_of(made.shipped.data).graph is None
    assert unpack(made.shipped.data).tensors["weight"].tolist() == [1, 1, 1]


def test_a_graph_that_gives_other_outputs_is_not_packed():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            if torch.compiler.is_exporting():
                return self.layer(x)
            return self.layer(x) + 1

    net = Hidden()
    found = portable(artifact_of(net), Hidden, FLAT)
    assert found.graph is None and "differ by" in found.hindrances[0]


def test_packs_of_a_network_that_was_cut_describe_what_is_left(tmp_path):
    build = MLP(widths=(16, 8, 4))
    net = build()
    with torch.no_grad():
        net[1].weight[2:5] = 0
    small = Shrink().converted(artifact_of(net), build, {}, seed=0)
    assert small.tensors["1.weight"].shape == (5, 16)
    made = Pack().converted(small, build, {}, seed=0)
    (tmp_path / "m").write_bytes(made.shipped.data)
    x = np.random.default_rng(0).random((3, 16), dtype=np.float32)
    with torch.no_grad():
        expected = rebuild(small, build)(torch.from_numpy(x)).numpy()
    assert np.abs(load(tmp_path / "m", engine="numpy")(x) - expected).max() < 1e-5


def test_a_graph_costs_little_and_can_be_left_out(tmp_path):
    build = SmallCNN()
    model = artifact_of(build())
    plain = Pack(graph=False).converted(model, build, {}, seed=0).shipped.data
    whole = Pack().converted(model, build, {}, seed=0).shipped.data
    assert head_of(plain).graph is None
    assert len(plain) < len(whole) < len(plain) + 1500
    assert write_packed(tmp_path / "m", model, build=build).data == whole
    assert write_packed(tmp_path / "m", model).data == plain


@pytest.mark.slow
def test_the_export_says_whether_its_file_runs_on_a_device(tmp_path):
    assert train(tmp_path / "dense").code == 0
    out = tmp_path / "m.packed"
    done = secateur("export", tmp_path / "dense", "--format", "packed", "--out", out)
    assert done.code == 0, done.err
    assert "runs in secateur-runtime: yes, for records of (1, 8, 8)" in done.out
    assert "runs in secateur-runtime | yes" in (tmp_path / "m.packed.md").read_text()
    assert json.loads((tmp_path / "m.packed.json").read_text())
    network = load(out, engine="numpy")
    assert network.input_shape == (1, 8, 8)
    plain = tmp_path / "n.packed"
    form = "Pack(graph=False)"
    done = secateur("export", tmp_path / "dense", "--format", form, "--out", plain)
    assert "runs in secateur-runtime: no: no graph was asked for" in done.out
