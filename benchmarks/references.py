"""What a reference model costs: train, ADMM, retrain, on one and two workers.

    python -m benchmarks.references --data-dir DATA [--references 128] [--few 16] \
        [--out results/benchmarks/references.json]

Location-30 with its default recipe and 1,000 members. The whole number of references runs on all
cores; a few run on one worker and on two, for the gain of the second core. Wall time, the start of
workers and the writing of models included; bytes per model and per record are read off the folder.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from secateur import store
from secateur.auditing import default_attacks, needed_signals
from secateur.cli.runs import default_recipe, keep
from secateur.cli.spelled import parse_recipe
from secateur.compress import ADMM
from secateur.context import hardware
from secateur.data import Queries, draw, load, restrict
from secateur.train import Processes, Stacked, apply, drop_weights, train_fleet

METHOD = ADMM(rate=10, rho=(1e-3, 3.0))


def timed(arguments: argparse.Namespace, references: int, engine: Any) -> dict[str, Any]:
    """Return the wall seconds of a fleet and of its pruning, per model, and its size on disk."""
    everything = load("location30", arguments.data_dir)
    pools = {"audit": 2000, "population": 1000, "utility": 1000}
    who = draw(everything, targets=1, references=references - 1, seed=0, pools=pools)
    records, who = restrict(everything, who)
    recipe = parse_recipe(default_recipe("location30"))
    with tempfile.TemporaryDirectory() as place:
        begun = time.perf_counter()
        dense = train_fleet(
            recipe, records, who, seed=0, engine=engine, folder=Path(place) / "dense"
        )
        middle = time.perf_counter()
        pruned = apply(METHOD, dense, records, seed=0, engine=engine, folder=Path(place) / "admm")
        end = time.perf_counter()
        size = sum(f.stat().st_size for f in (Path(place) / "admm" / "models").iterdir())
        kept = store.open_fleet(Path(place) / "admm")
        assert len(kept) == len(pruned.artifacts) == references  # type: ignore[union-attr]
        whole = store.open_fleet(Path(place) / "admm", recipe=recipe)
        drop_weights(whole, records, keep(Queries()))
        thin = [Path(whole.artifacts.path(i)).stat().st_size for i in who.references]  # type: ignore[attr-defined]
    row = {
        "engine": repr(engine),
        "references": references,
        "dense_seconds_per_reference": (middle - begun) / references,
        "admm_seconds_per_reference": (end - middle) / references,
        "seconds_per_reference": (end - begun) / references,
        "bytes_per_model": size / references,
        "bytes_without_weights": sum(thin) / len(thin),
        "bytes_per_signal_and_record": sum(thin)
        / (len(thin) * len(records) * len(needed_signals(default_attacks()))),
        "members": int(who.inside.sum(axis=1).mean()),
        "records": len(records),
    }
    print(
        f"{row['engine']}: {references} references, {row['seconds_per_reference']:.2f} s each "
        f"({row['dense_seconds_per_reference']:.2f} to train, "
        f"{row['admm_seconds_per_reference']:.2f} for ADMM and retraining)",
        flush=True,
    )
    return row


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--references", type=int, default=128)
    parser.add_argument("--few", type=int, default=16)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    few = [
        timed(arguments, arguments.few, engine)
        for engine in (
            Processes(workers=1),
            Processes(workers=2),
            Stacked(models=4, workers=1),
            Stacked(models=4, workers=2),
        )
    ]
    second = few[0]["seconds_per_reference"] / few[1]["seconds_per_reference"]
    print(f"the second core gains {second:.2f}x")
    rows = [*few, timed(arguments, arguments.references, Processes())]
    if arguments.out:
        store.write_document(
            arguments.out,
            {
                "format": "secateur-benchmark-1",
                "benchmark": "references",
                "command": "python -m benchmarks.references --data-dir DATA",
                "method": repr(METHOD),
                "cores": len(os.sched_getaffinity(0)),
                "second_core": second,
                "machine": hardware(),
                "rows": rows,
            },
        )
        print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
