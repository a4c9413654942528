"""ADMM on LeNets over all of MNIST, as `tools/lenet_mnist.py` runs it; up to half an hour each.

SECATEUR_DATA=DATA make paper
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tools.lenet_mnist import run  # noqa: E402 - found by the line above

pytestmark = pytest.mark.paper


def rows_of(network: str, folder: Path) -> dict[str, dict[str, float]]:
    """Run every step for one seed; SECATEUR_WORK names a folder that keeps models."""
    data = os.environ.get("SECATEUR_DATA")
    assert data, "name the folder with MNIST/raw: SECATEUR_DATA=DATA make paper"
    work = Path(os.environ.get("SECATEUR_WORK", folder))
    found = run(
        argparse.Namespace(data_dir=Path(data), network=network, seeds=1, work=work, shown=[])
    )
    return {row["step"]: row for row in found["rows"]}


@pytest.mark.parametrize(
    ("network", "rate", "points"), [("LeNet5", 15.78, 0.3), ("LeNet20", 71.0, 0.5)]
)
def test_admm_keeps_the_accuracy_at_the_rate_of_the_literature(network, rate, points, tmp_path):
    rows = rows_of(network, tmp_path)
    dense, pruned = rows["dense"], rows["admm, retrained"]
    assert pruned["prunable"] / pruned["kept"] == pytest.approx(rate, rel=2e-3)
    assert dense["test_accuracy"] - pruned["test_accuracy"] <= points / 100
    assert rows["admm, hard pruned"]["train_loss"] < rows["magnitude, hard pruned"]["train_loss"]
    assert pruned["train_loss"] < rows["magnitude, retrained"]["train_loss"]
