"""Audit a network of your own that was trained on a table in a CSV file.

Run it: python examples/table_in_csv.py
It writes a small table first, in place of yours. It needs pandas.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

import secateur


def make_table(path: Path, *, rows: int = 400) -> None:
    """Write a table of made people: three numbers each, and whether they came back."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows),
            "stay": rng.exponential(5, rows).round(1),
            "visits": rng.poisson(3, rows),
        }
    )
    chance = 1 / (1 + np.exp(-(table["stay"] / 5 + table["age"] / 40 - 2.5)))
    table["came_back"] = (rng.random(rows) < chance).astype(int)
    table.to_csv(path, index=False)


def main() -> None:
    """Read the table, train a network on half of it, audit the network."""
    with tempfile.TemporaryDirectory() as place:
        make_table(Path(place) / "people.csv")
        table = pd.read_csv(Path(place) / "people.csv")
    table = table.sample(frac=1, random_state=0)  # who is in is left to chance
    inside, outside = table[:200], table[200:]

    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 256), nn.ReLU(), nn.Linear(256, 2))
    x = torch.tensor(inside.drop(columns="came_back").to_numpy(dtype=np.float32))
    y = torch.tensor(inside["came_back"].to_numpy())
    steps = torch.optim.Adam(net.parameters(), lr=2e-2)
    for _ in range(300):
        steps.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        steps.step()

    report = secateur.audit(net, members=inside, non_members=outside, label="came_back")
    print(secateur.render_text(report))


if __name__ == "__main__":
    main()
