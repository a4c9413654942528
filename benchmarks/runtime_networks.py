"""The networks of `benchmarks.runtime`: fresh ones, and one pruned by ADMM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from secateur.compress import ADMM, Magnitude
from secateur.deploy import Onnx, Pack
from secateur.models import VGG16, LeNet5, MobileNetV2, ResNet18, tensors_of
from secateur.protocols import Builder
from secateur.train import apply
from secateur.types import Artifact, Provenance, Records

ZEROS = (0.8, 0.9, 0.95, 0.98)
BATCHES = (1, 32)


@dataclass(frozen=True)
class Case:
    """A network at one size of its records."""

    name: str
    build: Builder
    shape: tuple[int, ...]
    zeros: tuple[float, ...] = ZEROS
    batches: tuple[int, ...] = BATCHES
    trained: bool = False  # and pruned by ADMM, its budgets by layer its own


CASES = (
    Case("VGG16", VGG16(), (3, 32, 32)),
    Case("ResNet18", ResNet18(), (3, 32, 32)),
    Case("MobileNetV2", MobileNetV2(), (3, 32, 32)),
    Case("LeNet-5", LeNet5(), (1, 28, 28)),
    Case("LeNet-5 by ADMM", LeNet5(), (1, 28, 28), (0.9,), trained=True),
    Case("VGG16 by ADMM", VGG16(), (3, 32, 32), (0.9,), trained=True),
    Case("VGG16, width 0.7", VGG16(width=0.7), (3, 32, 32), (0.9,)),
    Case("ResNet18, 28x28", ResNet18(), (3, 28, 28), (0.9,)),
    Case("ResNet18, 56x56", ResNet18(), (3, 56, 56), (0.9,)),
    Case("ResNet18, 224x224", ResNet18(), (3, 224, 224), (0.9,), (1,)),
)


@dataclass(frozen=True)
class Files:
    """The two files of one model."""

    packed: bytes
    onnx: bytes
    shape: tuple[int, ...]
    dense: nn.Module | None = None  # what the ONNX file holds, where it was made here


def networks_of(case: Case, zeros: float) -> Iterator[tuple[str, Files]]:
    """Yield networks with so many zeros, by name.

    One that is trained has a pattern that training made. Beside it stands the same network, the
    weights of each layer put in an order at random: as many zeros in each layer, in other places.
    """
    torch.manual_seed(0)
    module = case.build().eval()
    if not case.trained:
        method = Magnitude(sparsity=zeros, retrain_epochs=0)
        pruned = apply(method, module, pictures(case.shape, 16), seed=0)
        assert isinstance(pruned, Artifact)  # of one module
        yield case.name, _files(case, pruned)
        return
    pruned = apply(_admm(zeros), module, patterned(case.shape, 256), seed=0)
    assert isinstance(pruned, Artifact)
    yield case.name, _files(case, pruned)
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.permutation(array.reshape(-1)).reshape(array.shape)
        if name in pruned.masks
        else array
        for name, array in pruned.tensors.items()
    }
    yield f"{case.name}, shuffled", _files(case, replace(pruned, tensors=tensors, masks={}))


def _admm(zeros: float) -> ADMM:
    """Return a short schedule; what layers keep is found by ranking all their weights together."""
    schedule = {"updates": 3, "epochs_per_update": 1, "retrain_epochs": 1}
    return ADMM(sparsity=zeros, scope="global", floor=0.002, **schedule)


def _files(case: Case, pruned: Artifact) -> Files:
    """Return a network as a packed file, and a dense one of fresh weights as an ONNX file."""
    torch.manual_seed(0)
    dense = case.build().eval()
    whole = Artifact(
        tensors=tensors_of(dense),
        builder=repr(case.build),
        provenance=Provenance(key={}),
    )
    packed = Pack(shape=case.shape).converted(pruned, case.build, {}, seed=0).shipped
    onnx = Onnx(shape=case.shape).converted(whole, case.build, {}, seed=0).shipped
    assert packed is not None
    assert onnx is not None
    return Files(packed=packed.data, onnx=onnx.data, shape=case.shape, dense=dense)


def pictures(shape: tuple[int, ...], n: int) -> Records:
    """Return random records of a shape, with ten classes."""
    values = np.random.default_rng(0).random((n, *shape), dtype=np.float32)
    return Records.from_arrays(values, np.arange(n) % 10, name="random pictures")


def patterned(shape: tuple[int, ...], n: int) -> Records:
    """Return records of ten classes that can be learned: a picture of each class, and noise."""
    rng = np.random.default_rng(0)
    classes = np.arange(n) % 10
    values = rng.random((10, *shape), dtype=np.float32)[classes]
    values = (values + rng.random((n, *shape), dtype=np.float32)) / 2
    return Records.from_arrays(values, classes, name="patterned pictures")
