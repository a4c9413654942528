"""Scoring: the vectorised attacks against the slow loops that the tests hold them to."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from secateur.attack.membership import RMIA, LiRA
from secateur.context import hardware
from secateur.data import planted_world

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from oracles import attacks as loops  # the slow truth lives with the tests


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def main(*, quick: bool = False) -> None:
    """Time both ways in turn, five rounds, and print the ratios slow / fast."""
    records, references, rounds = (200, 16, 3) if quick else (1000, 32, 5)
    world = planted_world(records=records, targets=1, references=references, shift=1.0, seed=0)
    who = world.membership
    signals = world.views["dense"]
    split = (who.targets.tolist(), who.references.tolist(), who.pools["audit"].tolist())
    population = who.pools["population"].tolist()
    margin, log_p = signals["margin"][:, None], signals["log_confidence@4"][:, None]
    lira, rmia = LiRA(), RMIA()
    cases = {
        "LiRA": (
            lambda: lira(world),
            lambda: loops.lira(
                margin,
                who.inside,
                *split,
                mode="online",
                variance="shrunk",
                weight=8.0,
                centre="mean",
            ),
        ),
        "RMIA": (
            lambda: rmia(world),
            lambda: loops.rmia(
                log_p, who.inside, *split, population, mode="online", gamma=1.0, a=0.3
            ),
        ),
    }
    rows = []
    for name, (fast, slow) in cases.items():
        fast()
        ratios = [seconds(slow) / max(seconds(fast), 1e-6) for _ in range(rounds)]
        case = f"{name}, {len(split[2])} records x {references} references, 1 target"
        row = {
            "case": case,
            "ratio": {
                "min": min(ratios),
                "median": statistics.median(ratios),
                "max": max(ratios),
            },
            "n": rounds,
        }
        rows.append(row)
        print(
            f"{case}: loop / vectorised = {statistics.median(ratios):.0f}x "
            f"({min(ratios):.0f} to {max(ratios):.0f}, {rounds} rounds)"
        )
    print(json.dumps({"benchmark": "scoring", "machine": hardware(), "rows": rows}))


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
