"""How many records to ask at once: seconds of a forward pass a record, by the size of the batch.

    python -m benchmarks.forward [--out results/benchmarks/forward.json]

One thread. Networks of convolutions with their pictures' channels last and max pools as the
largest of four views, as `logits_of` asks them; each size of batch in turn, and 64 at once by
torch's own max pools, several rounds, process time. Ratios are to the batch of 64 of the same
round.
"""

from __future__ import annotations

import argparse
import os
import statistics
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import seconds, spread
from secateur import store
from secateur.context import hardware
from secateur.models import MLP, VGG16, LeNet5, MobileNetV2, ResNet18, SmallCNN
from secateur.models.layout import PICTURES, RECORDS, channels_last, takes_channels_last
from secateur.models.pooling import quick_pools

NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "MLP 446-512-256-128-30": (MLP(widths=(446, 512, 256, 128, 30)), (446,)),
    "LeNet-5": (LeNet5(), (1, 28, 28)),
    "SmallCNN": (SmallCNN(), (3, 32, 32)),
    "VGG16, width 0.125": (VGG16(width=0.125), (3, 32, 32)),
    "ResNet18, width 0.125": (ResNet18(width=0.125), (3, 32, 32)),
    "MobileNetV2, width 0.125": (MobileNetV2(width=0.125), (3, 32, 32)),
}
SIZES = (16, PICTURES, 256, RECORDS)
OWN = "torch's own pools"


def ask(module: nn.Module, inputs: Tensor, size: int, *, quick: bool = True) -> None:
    """Ask about all inputs, so many at once."""
    with torch.inference_mode(), quick_pools(module) if quick else nullcontext():
        for part in torch.split(inputs, size):
            module(part)


def timed(name: str, rounds: int) -> dict[str, Any]:
    """Return the milliseconds a record and the ratios to the batch of 64, by size."""
    build, shape = NETWORKS[name]
    module = build().eval()
    inputs = torch.rand(RECORDS, *shape, generator=torch.Generator().manual_seed(0))
    if takes_channels_last(module, inputs):
        inputs = channels_last(inputs)
    ask(module, inputs[:PICTURES], PICTURES)
    took: dict[str, list[float]] = {str(size): [] for size in SIZES}
    pools = any(isinstance(part, nn.MaxPool2d) for part in module.modules())
    took |= {OWN: []} if pools else {}
    for _ in range(rounds):
        for size in SIZES:
            took[str(size)].append(seconds(partial(ask, module, inputs, size)))
        if pools:
            took[OWN].append(seconds(partial(ask, module, inputs, PICTURES, quick=False)))
    ratios = {
        size: [a / b for a, b in zip(values, took[str(PICTURES)], strict=True)]
        for size, values in took.items()
    }
    print(
        f"{name}: " + ", ".join(f"{n} {statistics.median(r):.2f}" for n, r in ratios.items()),
        flush=True,
    )
    return {
        "network": name,
        "milliseconds": {n: spread([1e3 * t / RECORDS for t in v]) for n, v in took.items()},
        "ratio": {n: spread(r) for n, r in ratios.items()},
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [timed(name, arguments.rounds) for name in NETWORKS]
    if arguments.out:
        store.write_document(
            arguments.out,
            {
                "format": "secateur-benchmark-1",
                "benchmark": "forward",
                "command": f"python -m benchmarks.forward --rounds {arguments.rounds}",
                "rounds": arguments.rounds,
                "records": RECORDS,
                "cores": len(os.sched_getaffinity(0)),
                "machine": hardware(),
                "rows": rows,
            },
        )
        print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
