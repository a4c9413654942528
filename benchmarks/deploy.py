"""Files for a device: bytes, multiply-adds, memory, and latency as ratios to the dense network.

    python -m benchmarks.deploy [--quick] [--only NAME] [--out FILE]

Each network is taken dense, pruned without structure to a sixteenth of its weights, and pruned by
coupled channels to a half, a quarter and a tenth of its multiply-adds; the structured ones are cut
for real and also quantised to int8. Weights are fresh and pruned by magnitude without training:
neither sizes nor times depend on their values, accuracy does and is not spoken of here. Each round
times all files of a network in turn, by ONNX Runtime on one thread; a ratio is that of one round.
The ideal speed-up is the ratio of the multiply-adds.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.timing import spread
from secateur import store
from secateur.compress import Coupled, Magnitude
from secateur.context import hardware, version_of
from secateur.deploy import Onnx, OnnxInt8, Pack, Safetensors, Shrink, footprint, latency
from secateur.deploy.memory import peak_memory
from secateur.models import VGG16, LeNet5, MobileNetV2, OnnxNetwork, ResNet18
from secateur.packed import entropy_bound
from secateur.protocols import Builder
from secateur.train import Conversion, apply
from secateur.types import Artifact, Provenance, Records

BATCHES = (1, 32)
NETWORKS: dict[str, tuple[Builder, tuple[int, ...]]] = {
    "LeNet-5": (LeNet5(), (1, 28, 28)),
    "VGG16": (VGG16(), (3, 32, 32)),
    "ResNet18": (ResNet18(), (3, 32, 32)),
    "MobileNetV2": (MobileNetV2(), (3, 32, 32)),
}
RATE = 16.0
CUTS = (2.0, 4.0, 10.0)


@dataclass(frozen=True)
class Variant:
    """One file of a network: its name, the model in it, and what a perfect runtime would gain."""

    name: str
    artifact: Artifact
    ideal: float


def pictures(shape: tuple[int, ...], n: int = 128) -> Records:
    """Return random records of a shape, with ten classes."""
    random = np.random.default_rng(0)
    values = random.random((n, *shape), dtype=np.float32)
    return Records.of(values, np.arange(n) % 10, name="random pictures")


def model(build: Builder, records: Records, *steps: Any) -> Artifact:
    """Return a fresh network after these steps."""
    torch.manual_seed(0)
    made: Any = Artifact(tensors={}, builder="", provenance=Provenance(key={}))
    module = build().eval()
    from secateur.models import tensors_of

    made = Artifact(tensors=tensors_of(module), builder=repr(build), provenance=Provenance(key={}))
    for step in steps:
        if isinstance(step, Conversion):
            pools = dict.fromkeys(step.pools, records)
            made = step.converted(made, build, pools, seed=0)
        else:
            made = apply(step, module, records, seed=0)
    return made


def variants(build: Builder, records: Records, shape: tuple[int, ...]) -> Iterator[Variant]:
    """Yield the files of one network, the dense one first."""
    dense = model(build, records, Onnx(shape=shape))
    whole = footprint(dense, build, shape=shape).work.dense
    yield Variant("dense", dense, 1.0)
    yield Variant("dense, int8", model(build, records, OnnxInt8(shape=shape)), 1.0)
    sparse = Magnitude(rate=RATE, retrain_epochs=0)
    yield Variant(f"unstructured {RATE:g}x", model(build, records, sparse, Onnx(shape=shape)), 1.0)
    for cut in CUTS:
        pruned = Magnitude(pattern=Coupled(shape=shape), multiply_adds=cut, retrain_epochs=0)
        small = model(build, records, pruned, Shrink(shape=shape))
        ideal = whole / footprint(small, build, shape=shape).work.dense
        for name, form in (
            (f"structured {cut:g}x", Onnx),
            (f"structured {cut:g}x, int8", OnnxInt8),
        ):
            step = form(shape=shape)
            pools = dict.fromkeys(step.pools, records)
            yield Variant(name, step.converted(small, build, pools, seed=0), ideal)


def measured(name: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return the rows of one network."""
    build, shape = NETWORKS[name]
    records = pictures(shape)
    found = list(variants(build, records, shape))
    nets = {v.name: OnnxNetwork(v.artifact.shipped.data) for v in found}
    runs = {key: (lambda batch, net=net: net(torch.from_numpy(batch))) for key, net in nets.items()}
    inputs = records.gather(np.arange(len(records)))
    timed = {
        batch: latency(runs, inputs, batch=batch, rounds=rounds, seconds=seconds)
        for batch in BATCHES
    }
    rows = []
    for variant in found:
        size = footprint(variant.artifact, build, shape=shape)
        row: dict[str, Any] = {
            "network": name,
            "case": variant.name,
            "bytes": size.n_bytes,
            "parameters": size.parameters,
            "nonzero": size.nonzero,
            "multiply_adds": size.work.dense,
            "effective_multiply_adds": size.work.effective,
            "ideal": variant.ideal,
            "peak_memory": {
                str(b): peak_memory(variant.artifact.shipped.data, shape, batch=b) for b in BATCHES
            },
            "latency": {},
        }
        for batch, by_name in timed.items():
            one = by_name[variant.name]
            row["latency"][str(batch)] = {
                "median_ms": one.median,
                "p95_ms": one.p95,
                "calls": one.calls,
                "ratio": spread(list(one.speed_up)),
            }
        if not variant.name.endswith("int8"):
            row["files"] = packed(variant.artifact, build, records)
        rows.append(row)
        print(line(row), flush=True)
    return rows


def packed(artifact: Artifact, build: Builder, records: Records) -> dict[str, Any]:
    """Return the bytes of the other files of a model, and the bounds beside them."""
    from dataclasses import replace

    plain = replace(artifact, shipped=None)
    pools: dict[str, Records] = {}
    dense = Safetensors().converted(plain, build, pools, seed=0).shipped
    found: dict[str, Any] = {
        "safetensors": len(dense.data),
        "safetensors, gzip -6": len(gzip.compress(dense.data, 6, mtime=0)),
    }
    for values in ("float32", "float16", "int8", "codebook"):
        file = Pack(values=values).converted(plain, build, pools, seed=0).shipped
        found[f"packed {values}"] = len(file.data)
        found[f"packed {values}, bound"] = entropy_bound(plain.tensors, values=values).n_bytes
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
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rounds, seconds = (2, 0.05) if arguments.quick else (5, 0.3)
    report: dict[str, Any] = {
        "format": "secateur-benchmark-1",
        "benchmark": "deploy",
        "command": "python -m benchmarks.deploy",
        "rounds": rounds,
        "machine": hardware(),
        "runtime": f"ONNX Runtime {version_of('onnxruntime')}, 1 thread",
        "rows": [],
    }
    for name in NETWORKS:
        wanted = arguments.only or ("LeNet-5" if arguments.quick else "")
        if name.startswith(wanted):
            report["rows"] += measured(name, rounds, seconds)
            if arguments.out:  # what is there so far
                store.write_document(arguments.out, report)
    print(
        store.canonical(report) if hasattr(store, "canonical") else __import__("json").dumps(report)
    )


if __name__ == "__main__":
    main()
