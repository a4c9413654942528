"""Every membership attack side by side, and what each gets from how many references.

    python -m tools.attacks --fleets DIR --data-dir DATA --out results/attacks.json

DIR holds location/dense, location/admm, fashion/dense and fashion/admm, which `secateur train` and
`secateur prune` made (the commands stand in the result, and in results/README.md). Observations and
every single result lie in `--work` and are found again: an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

from secateur import store
from secateur.attack.learned import SAMIA
from secateur.cli.spelled import parse_transform
from secateur.context import hardware
from secateur.errors import SecateurError
from tools.attack_rows import (
    METRICS,
    NOT_SWEPT,
    about,
    agreement,
    aim,
    curve,
    learned_rows,
    line,
    precision,
    spelled,
)
from tools.attack_runs import (
    LEARNED,
    REFERENCES,
    SUBJECTS,
    WITH_REFERENCES,
    WITHOUT_REFERENCES,
    WORLDS,
    Cache,
    World,
    audit_counts,
    open_world,
    run_attack,
)

PRUNE = {"location": "ADMM(rate=10, rho=(0.001, 3.0))", "fashion": "ADMM(rate=10)"}
ONE_BY_ONE = "one model, one thread"


def measured(
    cache: Cache, world: World, subject: str, arguments: argparse.Namespace
) -> dict[str, list[Any]]:
    """Return everything about one subject of one world."""
    samia = SAMIA(epochs=arguments.samia_epochs)
    curves = [row for attack in WITH_REFERENCES for row in curve(cache, world, subject, attack)]
    rows = [row for row in curves if row["references"] == max(REFERENCES)]
    for attack in WITHOUT_REFERENCES:
        found = run_attack(cache, world, subject, attack, models=[])
        told = {**about(world, subject, attack), "threat": "no references"}
        rows.append(line([found], **told, references=0, reference_seconds=0.0))
    print(f"{world.name}, {subject}: attacks on signals are done", flush=True)
    learned, stable = learned_rows(cache, world, subject, samia, arguments.samia_seeds)
    ran = {row["attack"] for row in learned if "not_run" not in row}
    others = [
        (attack, int(getattr(attack, "shadows", 0)))
        for attack in (LEARNED, samia)
        if repr(attack) in ran
    ]
    return {
        "rows": rows + learned,
        "curves": curves,
        "stability": stable,
        "agreement": agreement(cache, world, subject, others),
        "precision": [precision(cache, world, subject)],
        "aim": aim(cache, world, subject),
    }


def commands(world: World) -> list[str]:
    """Return the commands that make a world's fleets."""
    data = store.read_fleet_plan(world.folder / "dense").data
    method, made = PRUNE[world.name], world.fleets[-1].pipeline[-1]
    if repr(parse_transform(method)) != made:
        method = made
    engine = ["", " --engine processes"][world.fleets[0].engine == ONE_BY_ONE]
    curve = "" if world.fleets[0].snapshot_epochs else " --snapshots none"
    return [
        f"secateur train --data {data['data']} --targets {data['targets']} "
        f"--references {data['references']}{curve}{engine} --out {world.name}/dense",
        f'secateur prune {world.name}/dense --method "{method}" --name admm{engine} '
        f"--out {world.name}/admm",
    ]


def described(world: World) -> dict[str, Any]:
    """Return what a page says of a world and its fleets."""
    return {
        "name": WORLDS[world.name],
        "n": audit_counts(world),
        "commands": commands(world),
        "pipelines": {fleet.name: list(fleet.pipeline) for fleet in world.fleets},
        "engines": {fleet.name: fleet.engine for fleet in world.fleets},
        "cpu_seconds_per_model": {
            fleet.name: float(np.mean(fleet.costs)) if fleet.costs else None
            for fleet in world.fleets
        },
        "records": world.records.digest,
        "membership": world.fleets[0].membership.digest,
        "membership_seed": int(world.fleets[0].membership.seed),
        "fleets": world.digest,
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every attack on every subject of every world."""
    parts: dict[str, list[Any]] = {}
    worlds = {}
    samia = SAMIA(epochs=arguments.samia_epochs)
    every = (*WITH_REFERENCES, *WITHOUT_REFERENCES, LEARNED, samia)
    for name in arguments.worlds:
        world = open_world(name, arguments.fleets, arguments.data_dir, arguments.work)
        cache = Cache(folder=arguments.work / "results")
        worlds[name] = described(world)
        for subject in SUBJECTS:
            for what, found in measured(cache, world, subject, arguments).items():
                parts.setdefault(what, []).extend(found)
    return {
        "experiment": "attacks",
        "command": shlex.join(["python", "-m", "tools.attacks", *arguments.shown]),
        "seed": 0,
        "metrics": list(METRICS),
        "labels": {repr(a): spelled(a) for a in every},
        "not_swept": {
            repr(SAMIA(epochs=arguments.samia_epochs)): NOT_SWEPT.format(SAMIA().shadows)
        },
        "worlds": worlds,
        "machine": hardware(),
        **parts,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--fleets", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--worlds", nargs="+", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--samia-epochs", type=int, default=100)
    parser.add_argument("--samia-seeds", type=int, default=2, help="0 leaves SAMIA out")
    parser.add_argument("--work", type=Path, default=Path("runs/attacks"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    changed = [
        piece
        for name in ("samia_epochs", "samia_seeds")
        if getattr(arguments, name) != parser.get_default(name)
        for piece in (f"--{name.replace('_', '-')}", str(getattr(arguments, name)))
    ]
    shown = ["--fleets", "DIR", "--data-dir", "DATA", *changed]
    arguments.shown = [*shown, "--out", f"results/{arguments.out.name}"]
    try:
        found = run(arguments)
    except SecateurError as error:
        print(f"attacks: error: {error}", file=sys.stderr)
        sys.exit(2)
    store.write_document(arguments.out, {"format": "secateur-experiment-1", **found})
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
