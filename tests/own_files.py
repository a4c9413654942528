"""Recipe files for tests, written into a folder."""

from __future__ import annotations

from pathlib import Path

GOOD = """
import numpy as np
import torch
from torch import nn

RECIPE = {"epochs": 2, "batch_size": 16}


def build():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def records():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    return x, x[:, :3].argmax(axis=1)
"""
TRAIN = """

def train(records, *, seed):
    torch.manual_seed(seed)
    network = build()
    steps = torch.optim.SGD(network.parameters(), lr=0.1)
    inputs = torch.from_numpy(np.array(records.gather(np.arange(len(records)))))
    labels = torch.from_numpy(np.array(records.labels))
    for _ in range(3):
        steps.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        steps.step()
    return network
"""
SMALL = (
    *("--members", "40", "--population", "30", "--utility", "50"),
    *("--targets", "1", "--references", "2"),
)


def written(folder: Path, text: str = GOOD, name: str = "mine.py") -> Path:
    """Write a recipe file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
