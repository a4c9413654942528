"""Scoring: how fast, beside what numpy needs for the same data; how much memory; beside slow loops.

    python -m benchmarks.scoring [--quick] [--only PART] [--out results/benchmarks/scoring.json]

- LiRA of 20,000 records x 64 references and one target, beside reading the references' signals
  once (`values.sum()`) and numpy's own mean and variance of each record over the models. In cache:
  the same signals as in the call before. From memory: another copy at each call, of more copies
  than a processor's caches hold.
- RMIA of the same with a population of 10,000.
- These and the other attacks that read in blocks, and a class-wise threshold, which holds one
  number per model and record, from files mapped into memory, 256 models x 50,000 records x 1
  and 10 queries in float32: seconds, and the peak of memory that is not the files' own pages, in
  a process of its own.
- The ratio to the loops that the tests hold the attacks to.
- The bootstrap of targets and units (`benchmarks.bootstrap`).

`--only PART` measures one part on the machine that `--out` was measured on and leaves the others.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bootstrap import bootstrap
from benchmarks.timing import seconds, spread
from secateur import store
from secateur.attack.membership import (
    RMIA,
    AttackR,
    BaVarIA,
    Calibrated,
    HierarchicalLiRA,
    LiRA,
    LossThreshold,
    VectorLiRA,
)
from secateur.context import hardware
from secateur.data import planted_world
from secateur.errors import SecateurError
from secateur.types import Membership, Observations

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from oracles import attacks as loops  # the slow truth lives with the tests

RECORDS, REFERENCES, POPULATION = 20_000, 64, 10_000
LARGE = (256, 50_000)
COLD_BYTES = 300_000_000  # of copies that take turns: far more than the last cache
READING, LIRA = "one reading", "LiRA, scores"
ATTACKS = {"LiRA": LiRA(), "RMIA": RMIA(), "RMIA offline": RMIA(mode="offline")}
IN_BLOCKS = {
    **ATTACKS,
    "HierarchicalLiRA": HierarchicalLiRA(),
    "BaVarIA": BaVarIA(),
    "AttackR": AttackR(smooth=0.0),
    "Calibrated": Calibrated(),
    "VectorLiRA": VectorLiRA(),
    "LiRA released": LiRA(variance="per record", centre="median", compatibility="released"),
    "LossThreshold": LossThreshold(),
}


def members(models: int, records: int, population: int) -> Membership:
    """Return one target, and references in exactly half of which each record is."""
    rng = np.random.default_rng(0)
    inside = np.zeros((models, records + population), dtype=bool)
    inside[0, :records] = rng.random(records) < 0.5
    ranks = rng.random((models - 1, records)).argsort(axis=0)
    inside[1:, :records] = ranks < (models - 1) // 2
    return Membership(
        inside=inside,
        roles=("target", *("reference",) * (models - 1)),
        pools={"audit": np.arange(records), "population": np.arange(records, inside.shape[1])},
        units=np.arange(inside.shape[1]),
        seed=0,
    )


def observed(dtype: type[np.floating[Any]]) -> Observations:
    """Return the signals of the case 20k x 64, with a population."""
    who = members(REFERENCES + 1, RECORDS, POPULATION)
    margins = np.random.default_rng(1).normal(2, 2, size=who.inside.shape) + who.inside
    log_p = -np.logaddexp(0, -margins / 4)
    signals = {"margin": margins.astype(dtype), "log_confidence@4": log_p.astype(dtype)}
    labels = np.arange(who.inside.shape[1]) % 10
    return Observations.from_arrays(signals, labels=labels, membership=who)


def passes() -> dict[str, Callable[[Observations], object]]:
    """Return what is timed, by name: numpy's passes over the references, and the attacks."""

    def references(seen: Observations) -> np.ndarray[Any, np.dtype[Any]]:
        return seen.views["dense"]["margin"][1:, :RECORDS]

    calls: dict[str, Callable[[Observations], object]] = {
        READING: lambda seen: references(seen).sum(),
        "numpy's mean and variance": lambda seen: (
            references(seen).mean(axis=0, dtype=np.float64),
            references(seen).var(axis=0, dtype=np.float64),
        ),
    }
    for name, attack in ATTACKS.items():
        calls[f"{name}, scores"] = lambda seen, attack=attack: attack._values(seen)
        calls[f"{name}, scores and threshold"] = lambda seen, attack=attack: attack(seen)
    return calls


def fast(rounds: int) -> list[dict[str, Any]]:
    """Time the attacks of 20k x 64 in turn with numpy's passes over the same data."""
    rows = []
    for dtype in (np.float32, np.float64):
        seen, calls = observed(dtype), passes()
        n = COLD_BYTES // seen.views["dense"]["margin"].nbytes
        cold = [
            replace(seen, views={"dense": {"margin": seen.views["dense"]["margin"].copy()}})
            for _ in range(n)
        ]
        took: dict[tuple[str, str], list[float]] = {}
        for turn in range(rounds):
            for name, call in calls.items():
                call(seen)
                took.setdefault((name, "cache"), []).append(seconds(partial(call, seen)))
            for i, name in enumerate((READING, LIRA)):
                found = seconds(partial(calls[name], cold[(2 * turn + i) % n]))
                took.setdefault((name, "memory"), []).append(found)
        for (name, place), values in took.items():
            row = {"case": name, "from": place, "dtype": np.dtype(dtype).name}
            beside = [v / r for v, r in zip(values, took[READING, place], strict=True)]
            rows.append({**row, "seconds": spread(values), "readings": spread(beside)})
            print(
                f"{name}, {row['dtype']}, from {place}: {1e3 * statistics.median(values):.2f} ms, "
                f"{statistics.median(beside):.1f} readings"
            )
    return rows


def write_large(folder: Path, queries: int) -> None:
    """Write the signals of the large case, model by model."""
    models, records = LARGE
    rng = np.random.default_rng(0)
    for name in ("margin", "log_confidence@4", "loss"):
        shape = (models, queries, records)
        held = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, shape)
        for model in held:
            z = rng.normal(2, 2, size=model.shape)
            model[:] = {
                "margin": z,
                "log_confidence@4": -np.logaddexp(0, -z / 4),
                "loss": np.logaddexp(0, -z),
            }[name]
        held.flush()


def own_memory() -> float:
    """Return this process's memory that is not pages of files, in MB."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("RssAnon:")[1].split()[0]) / 1024


def one_large(folder: Path, name: str) -> None:
    """Score the large case in this process and print seconds and the peak of memory."""
    models, records = LARGE
    who = members(models, records - POPULATION, POPULATION)
    signals = {p.stem: np.load(p, mmap_mode="r") for p in folder.glob("*.npy")}
    key = IN_BLOCKS[name].needs[0].key
    labels = np.arange(records) % 10
    seen = Observations.from_arrays({key: signals[key]}, labels=labels, membership=who)
    before, peak, done = own_memory(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    IN_BLOCKS[name](seen)
    took = time.perf_counter() - begun
    done.set()
    watcher.join()
    print(json.dumps({"seconds": took, "before_mb": before, "peak_mb": peak[0]}))


def large() -> list[dict[str, Any]]:
    """Score the large cases, each attack in a process of its own."""
    rows = []
    for queries in (1, 10):
        with tempfile.TemporaryDirectory() as folder:
            write_large(Path(folder), queries)
            for name in IN_BLOCKS:
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.scoring", "--large", folder, name],
                    capture_output=True,
                    text=True,
                    check=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
                found = json.loads(done.stdout)
                megabytes = 4e-6 * LARGE[0] * LARGE[1] * queries
                rows.append({"case": name, "queries": queries, "file_mb": megabytes, **found})
                print(rows[-1])
    return rows


def beside_loops(*, quick: bool) -> list[dict[str, Any]]:
    """Time both ways in turn and return the ratios slow / fast."""
    records, references, rounds = (200, 16, 3) if quick else (1000, 32, 5)
    world = planted_world(records=records, targets=1, references=references, shift=1.0, seed=0)
    who = world.membership
    signals = world.views["dense"]
    split = (who.targets.tolist(), who.references.tolist(), who.pools["audit"].tolist())
    population = who.pools["population"].tolist()
    margin, log_p = signals["margin"][:, None], signals["log_confidence@4"][:, None]
    how = {"mode": "online", "variance": "shrunk", "weight": 8.0, "centre": "mean"}
    slow: dict[str, Callable[[], object]] = {
        "LiRA": lambda: loops.lira(margin, who.inside, *split, **how),
        "RMIA": lambda: loops.rmia(
            log_p, who.inside, *split, population, mode="online", gamma=1.0, a=0.3
        ),
    }
    rows = []
    for name, call in slow.items():
        attack = ATTACKS[name]
        attack(world)
        ratios = [
            seconds(call) / max(seconds(lambda attack=attack: attack(world)), 1e-6)
            for _ in range(rounds)
        ]
        case = f"{name}, {len(split[2])} records x {references} references, 1 target"
        rows.append({"case": case, "ratio": spread(ratios), "n": rounds})
        print(f"{case}: loop / vectorised = {statistics.median(ratios):.0f}x")
    return rows


def main(*, quick: bool = False, only: str | None = None, out: Path | None = None) -> None:
    """Run all parts, or one, print them, and write them where asked."""
    rounds = 3 if quick else 15
    parts: dict[str, Callable[[], object]] = {
        "fast": lambda: fast(rounds),
        "large": lambda: [] if quick else large(),
        "loops": lambda: beside_loops(quick=quick),
        "bootstrap": lambda: bootstrap(rounds),
    }
    chosen = list(parts) if only is None else [only]
    about = {"command": "python -m benchmarks.scoring", "machine": hardware(), "rounds": rounds}
    held: dict[str, Any] = {}
    if only is not None and out is not None:
        held = store.read_document(out, what="secateur benchmark")
        for key in ("machine", "rounds"):
            if held[key] != about[key]:
                raise SecateurError(
                    f"{out} has another {key}, {held[key]}, than this run, {about[key]}: "
                    "measure all parts anew, without --only"
                )
    report = {**held, **about, **{name: parts[name]() for name in chosen}}
    if out is not None:
        store.write_document(out, report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["fast", "large", "loops", "bootstrap"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--large", nargs=2, metavar=("FOLDER", "ATTACK"))
    arguments = parser.parse_args()
    if arguments.large:
        one_large(Path(arguments.large[0]), arguments.large[1])
    else:
        main(quick=arguments.quick, only=arguments.only, out=arguments.out)
