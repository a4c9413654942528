"""Networks that are not ours are pruned, shrunk, exported and audited as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from secateur.attack.membership import LossThreshold
from secateur.auditing import audit
from secateur.compress import Magnitude
from secateur.data import draw
from secateur.deploy import Onnx, Shrink, footprint
from secateur.models import logits_of, rebuild, runnable
from secateur.train import Recipe, apply, train_fleet
from secateur.types import Records

pytestmark = pytest.mark.slow

N, CLASSES = 240, 3


class Encoder(nn.Module):
    """A Transformer encoder over a sequence, with learned places."""

    def __init__(self):
        super().__init__()
        self.into = nn.Linear(6, 16)
        self.places = nn.Parameter(0.02 * torch.randn(1, 10, 16))
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.head(self.body(self.into(x) + self.places).mean(dim=1))


class Waves(nn.Module):
    """A 1-D convolutional net with dilation, functional pooling and a flatten of fixed size."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(2, 12, 5, padding=2)
        self.norm = nn.BatchNorm1d(12)
        self.two = nn.Conv1d(12, 16, 3, padding=2, dilation=2)
        self.head = nn.Linear(16 * 8, CLASSES)

    def forward(self, x):
        x = nn.functional.max_pool1d(torch.relu(self.norm(self.one(x))), 2)
        x = nn.functional.max_pool1d(torch.relu(self.two(x)), 2)
        return self.head(torch.flatten(x, 1))


class Remembering(nn.Module):
    """An LSTM whose last step is classified through a hidden layer."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 12, batch_first=True)
        self.hidden, self.head = nn.Linear(12, 16), nn.Linear(16, CLASSES)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.head(torch.relu(self.hidden(out[:, -1])))


class Table(nn.Module):
    """A table with two columns of categories, embedded, beside four of numbers."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(5, 3), nn.Embedding(7, 4)])
        self.norm = nn.BatchNorm1d(4)
        self.body = nn.Sequential(nn.Linear(11, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU())
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x):
        sizes = [e.num_embeddings for e in self.embeddings]
        codes = [x[:, i].long().clamp(0, n - 1) for i, n in enumerate(sizes)]
        found = [e(c) for e, c in zip(self.embeddings, codes, strict=True)]
        return self.head(self.body(torch.cat([*found, self.norm(x[:, 2:])], dim=1)))


class Block(nn.Module):
    """A bottleneck in the style of timm: named downsample, activation as a layer of its own."""

    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inplanes, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2, self.act = nn.BatchNorm2d(planes), nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(planes, 2 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * planes)
        self.downsample = None
        if stride != 1 or inplanes != 2 * planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, 2 * planes, 1, stride, bias=False), nn.BatchNorm2d(2 * planes)
            )

    def forward(self, x):
        shortcut = x
        x = self.act(self.bn1(self.conv1(x)))
        x = self.act(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        if self.downsample is not None:
            shortcut = self.downsample(shortcut)
        x += shortcut
        return self.act(x)


class Residual(nn.Module):
    """Two stages of bottlenecks."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.act1 = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Block(8, 8), Block(16, 8))
        self.layer2 = nn.Sequential(Block(16, 12, stride=2))
        self.global_pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(24, CLASSES)

    def forward(self, x):
        x = self.layer2(self.layer1(self.act1(self.bn1(self.conv1(x)))))
        return self.fc(self.global_pool(x).flatten(1))


# functions, not lambdas: their names are the fleets' provenance
def encoder():
    return Encoder()


def waves():
    return Waves()


def remembering():
    return Remembering()


def table():
    return Table()


def residual():
    return Residual()


SHAPES = {
    encoder: (10, 6),
    waves: (2, 32),
    remembering: (10, 6),
    table: (6,),
    residual: (3, 12, 12),
}


def records(shape):
    rng = np.random.default_rng(0)
    labels = np.arange(N) % CLASSES
    values = rng.random((N, *shape), dtype=np.float32) + 0.3 * labels.reshape(-1, *[1] * len(shape))
    if shape == (6,):
        values[:, 0], values[:, 1] = rng.integers(0, 5, N), rng.integers(0, 7, N)
    return Records.from_arrays(values.astype(np.float32), labels, name="noise")


@pytest.mark.parametrize("build", SHAPES, ids=lambda build: build.__name__)
def test_a_network_that_is_not_ours_goes_all_the_way(build):
    shape = SHAPES[build]
    known = records(shape)
    pools = {"audit": 160, "population": 40, "utility": 40}
    who = draw(known, targets=2, references=2, pools=pools, seed=0)
    place = {"seed": 0, "engine": "serial"}
    dense = train_fleet(Recipe(build=build, epochs=2), known, who, **place)
    pruned = apply(Magnitude(rate=8.0, retrain_epochs=1), dense, known, **place)
    small = apply(Shrink(shape=shape), pruned, known, **place)
    files = apply(Onnx(shape=shape, pools=("population",)), small, known, **place)
    for before, after, file in zip(pruned.artifacts, small.artifacts, files.artifacts, strict=True):
        sizes = [footprint(a, build, shape=shape) for a in (before, after)]
        assert sizes[1].parameters <= sizes[0].parameters
        assert sizes[1].work.dense <= sizes[0].work.dense
        expected = logits_of(rebuild(before, build), known)
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(logits_of(rebuild(after, build), known) - expected).max() < 1e-4 * scale
        assert np.abs(logits_of(runnable(file, build), known) - expected).max() < 1e-4 * scale
    report = audit([dense, files], known, attacks=[LossThreshold()])
    assert len(report.facts["files"][files.name]) == 2
    aucs = {r.subject for r in report.rows if r.metric == "auc" and r.value is not None}
    assert {dense.name, files.name} <= aucs
