"""Files for a device: bytes, multiply-adds, memory, and latency as ratios to the dense network.

    python -m benchmarks.deploy [--quick] [--only NAME] [--multiple N] [--threads N] [--out FILE]

Each network is taken dense, pruned without structure to a sixteenth of its weights, and pruned by
coupled channels to a half, a quarter and a tenth of its multiply-adds; the structured ones are cut
for real and also quantised to int8. Weights are fresh and pruned by magnitude without training:
neither sizes nor times depend on their values, accuracy does and is not spoken of here. Each round
times all files of a network in turn, by ONNX Runtime on one thread or N; a ratio is of one round.
The ideal speed-up is the ratio of the multiply-adds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.timing import spread
from secateur import store
from secateur.compress import Coupled, Magnitude
from secateur.context import hardware, version_of
from secateur.deploy import (
    Latency,
    Onnx,
    OnnxInt8,
    Run,
    Shrink,
    footprint,
    latency,
    peak_memory,
)
from secateur.models import (
    VGG16,
    LeNet5,
    MobileNetV2,
    OnnxNetwork,
    ResNet18,
    tensors_of,
)
from secateur.packed import sizes
from secateur.protocols import Builder
from secateur.train import Conversion, apply
from secateur.types import Artifact, Provenance, Records, Shipped

BATCHES = (1, 32)
NETWORKS: dict[str, tuple[Builder, tuple[int, ...], int]] = {
    "LeNet-5": (LeNet5(), (1, 28, 28), 1),
    "VGG16": (VGG16(), (3, 32, 32), 16),
    "ResNet18": (ResNet18(), (3, 32, 32), 16),
    "MobileNetV2": (MobileNetV2(), (3, 32, 32), 16),
}
"""The network, its records' shape, and the multiple that channels are kept in: 16 floats are a
vector of AVX-512, and LeNet-5 has layers of 6.
"""
RATE = 16.0
CUTS = (2.0, 4.0, 10.0)


@dataclass(frozen=True)
class Variant:
    """One file of a network: its name, the model in it, and what a perfect runtime would gain."""

    name: str
    artifact: Artifact
    ideal: float

    @property
    def file(self) -> Shipped:
        """The file itself."""
        assert self.artifact.shipped is not None  # every variant has one
        return self.artifact.shipped


def pictures(shape: tuple[int, ...], n: int = 128) -> Records:
    """Return random records of a shape, with ten classes."""
    values = np.random.default_rng(0).random((n, *shape), dtype=np.float32)
    return Records.from_arrays(values, np.arange(n) % 10, name="random pictures")


def fresh(build: Builder) -> tuple[nn.Module, Artifact]:
    """Return a network with its first weights, and the same as an artifact."""
    torch.manual_seed(0)
    module = build().eval()
    tensors = tensors_of(module)
    return module, Artifact(tensors=tensors, builder=repr(build), provenance=Provenance(key={}))


def converted(step: Conversion, artifact: Artifact, build: Builder, records: Records) -> Artifact:
    """Return a model in another form; every pool is these records."""
    return step.converted(artifact, build, dict.fromkeys(step.pools, records), seed=0)


def variants(
    build: Builder, records: Records, shape: tuple[int, ...], multiple: int
) -> Iterator[Variant]:
    """Yield the files of one network, the dense one first."""
    module, whole = fresh(build)
    forms: dict[str, Conversion] = {"": Onnx(shape=shape), ", int8": OnnxInt8()}
    for more, form in forms.items():
        yield Variant(f"dense{more}", converted(form, whole, build, records), 1.0)
    sparse = apply(Magnitude(rate=RATE, retrain_epochs=0), module, records, seed=0)
    assert isinstance(sparse, Artifact)  # of one module
    yield Variant(f"unstructured {RATE:g}x", converted(forms[""], sparse, build, records), 1.0)
    work = footprint(whole, build, shape=shape).work.dense
    for times in CUTS:
        method = Magnitude(
            pattern=Coupled(shape=shape, multiple=multiple),
            multiply_adds=times,
            retrain_epochs=0,
        )
        pruned = apply(method, module, records, seed=0)
        assert isinstance(pruned, Artifact)
        small = converted(Shrink(shape=shape), pruned, build, records)
        ideal = work / footprint(small, build, shape=shape).work.dense
        for more, form in forms.items():
            yield Variant(
                f"structured {times:g}x{more}", converted(form, small, build, records), ideal
            )


def measured(
    name: str, rounds: int, seconds: float, blocks: int | None, threads: int
) -> list[dict[str, Any]]:
    """Return the rows of one network."""
    build, shape, multiple = NETWORKS[name]
    multiple = blocks or multiple
    records = pictures(shape)
    found = list(variants(build, records, shape, multiple))
    runs = {v.name: runner(v.file, threads) for v in found}
    inputs = records.gather(np.arange(len(records)))
    timed = {
        batch: latency(runs, inputs, batch=batch, rounds=rounds, seconds=seconds)
        for batch in BATCHES
    }
    rows = []
    for variant in found:
        size = footprint(variant.artifact, build, shape=shape)
        data = variant.file.data
        row: dict[str, Any] = {
            "network": name,
            "case": variant.name,
            "channels_in_multiples_of": multiple,
            "bytes": size.n_bytes,
            "parameters": size.parameters,
            "nonzero": size.nonzero,
            "multiply_adds": size.work.dense,
            "effective_multiply_adds": size.work.effective,
            "ideal": variant.ideal,
            "peak_memory": {str(b): peak_memory(data, shape, batch=b) for b in BATCHES},
            "latency": {str(b): told(timed[b][variant.name]) for b in BATCHES},
        }
        if not variant.name.endswith("int8"):
            row["files"] = files(variant.artifact, build, records)
        rows.append(row)
        print(line(row), flush=True)
    return rows


def runner(file: Shipped, threads: int) -> Run:
    """Return what runs a file on so many threads."""
    return OnnxNetwork(file.data, threads=threads).run


def told(one: Latency) -> dict[str, Any]:
    """Return a latency as the result states it."""
    return {
        "median_ms": one.median,
        "p95_ms": one.p95,
        "calls": one.calls,
        "ratio": spread(list(one.speed_up)),
    }


def files(artifact: Artifact, build: Builder, records: Records) -> dict[str, Any]:
    """Return the bytes of a model's other files, and the bound of each packed one."""
    found: dict[str, Any] = {}
    plain = replace(artifact, shipped=None)
    for values in ("float32", "float16", "int8", "codebook"):
        size = sizes(plain.tensors, values=values)
        found["safetensors"], found["safetensors, gzip -6"] = size.n_dense, size.n_gzip
        found[f"packed {values}"] = size.n_packed
        found[f"packed {values}, bound"] = size.bound.total
    return found


def line(row: dict[str, Any]) -> str:
    """Return what is printed of a row."""
    one, many = (row["latency"][str(b)] for b in BATCHES)
    return (
        f"{row['network']:12s} {row['case']:22s} {row['bytes']:12,} B  ideal {row['ideal']:5.2f}x  "
        f"1: {one['median_ms']:8.3f} ms {one['ratio']['median']:5.2f}x "
        f"({one['ratio']['min']:.2f} to {one['ratio']['max']:.2f})  "
        f"32: {many['median_ms']:8.2f} ms {many['ratio']['median']:5.2f}x"
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds, LeNet-5 alone")
    parser.add_argument("--only", help="one network")
    parser.add_argument("--multiple", type=int, help="of channels, instead of each network's own")
    parser.add_argument("--threads", type=int, default=1, help="of one inference")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rounds, seconds = (2, 0.05) if arguments.quick else (5, 0.3)
    report: dict[str, Any] = {
        "format": "secateur-benchmark-1",
        "benchmark": "deploy",
        "command": "python -m benchmarks.deploy"
        + (f" --multiple {arguments.multiple}" if arguments.multiple else "")
        + (f" --threads {arguments.threads}" if arguments.threads > 1 else ""),
        "rounds": rounds,
        "machine": hardware(),
        "runtime": f"ONNX Runtime {version_of('onnxruntime')}, {arguments.threads} "
        f"thread{'s' if arguments.threads > 1 else ''}",
        "rows": [],
    }
    for name in NETWORKS:
        wanted = arguments.only or ("LeNet-5" if arguments.quick else "")
        if name.startswith(wanted):
            report["rows"] += measured(name, rounds, seconds, arguments.multiple, arguments.threads)
            if arguments.out:  # what is there so far
                store.write_document(arguments.out, report)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
