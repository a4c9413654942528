"""How often intervals hold the truth, in made worlds of scores (`tools/coverage_worlds.py`).

    python -m tools.coverage --processes 2 --work build/coverage \
        --out results/experiments/coverage.json

The truth is conditional on the records of the pool where an interval speaks of this pool (t over
targets), an average over records where it speaks of others too (two-way bootstrap), and conditional
on the target for one model (unit bootstrap). A case fails where a binomial test rejects, at 0.001,
that its coverage is nominal or more. Costly cases take a half, a quarter or less of the worlds;
each line says how many were counted.

Each case is written into the folder `--work` when it is done; the same command goes on where it
was stopped. A case that was counted by other code is counted again.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from secateur import measure, store
from secateur.context import hardware
from tools import coverage_cases as cases_of
from tools.coverage_cases import Count, Size

WORLDS = 2000
FORMAT = "secateur-coverage-case-1"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What to count, at which size; a `part`-th of the worlds; `used` or only for comparison."""

    count: Count
    targets: int
    records: int
    name: str = ""
    part: int = 1
    used: bool = True

    @property
    def file(self) -> str:
        """The name of the file of its counts."""
        where = f"{self.targets}-{self.records}-{self.name or 'ordinary'}"
        return f"{self.count.__name__}-{where}.json"

    def size(self, worlds: int, seed: int) -> Size:
        """Return the size at which to count."""
        return Size(
            targets=self.targets,
            records=self.records,
            worlds=max(1, worlds // self.part),
            seed=seed,
            name=self.name,
        )


def _part(targets: int, records: int) -> int:
    """Return by how much fewer worlds a bootstrap of 1,000 replicates takes."""
    if targets >= 8:
        return 1 if records <= 1000 else 2
    return {200: 2, 1000: 2}.get(records, 4 if records > 1000 else 2)


def cases() -> Iterator[Case]:
    """Yield the cases in the order of the table."""
    of = cases_of
    for t in (1, 4, 8, 16):
        for n in (200, 1000, 5000):
            yield Case(count=of.metrics, targets=t, records=n, part=_part(t, n))
    others = {"strong": [200, 1000], "null": [200, 1000], "canaries": [40, 120]}
    for name, sizes in others.items():
        for t in (1, 4, 8, 16):
            for n in sizes if t >= 8 else sizes[:1]:
                yield Case(count=of.metrics, targets=t, records=n, name=name, part=_part(t, n))
    paired = {"": [200, 1000, 5000], "strong": [200], "null": [200]}
    for name, sizes in paired.items():
        for t in (4, 8, 16):
            for n in sizes:
                part = 4 if n > 1000 else 1
                yield Case(count=of.differences, targets=t, records=n, name=name, part=part)
    for t in (8, 48):
        yield Case(count=of.differences, targets=t, records=200, name="unequal", part=t // 8)
    for t, part in ((4, 8), (8, 1)):
        yield Case(count=of.groups, targets=t, records=1000, part=part)
    yield Case(count=of.groups, targets=8, records=1000, name="strong", part=2)
    for count, few in ((of.bands, 4), (of.information, 4), (of.agreement, 4)):
        for name in ("", "strong", "null"):
            for t in (1, 4, 8):
                part = few if t < 8 else 2
                yield Case(count=count, targets=t, records=200, name=name, part=part)
        yield Case(count=count, targets=8, records=1000, part=4)
    for t in (2, 8):
        for name in ("", "strong"):
            yield Case(count=of.accuracies, targets=t, records=400, name=name)
    for n, p in ((50, 0.02), (500, 0.01), (500, 0.3)):
        yield Case(count=of.rates, targets=1, records=n, name=f"{p:g}")
    for t, n, name in ((64, 200, ""), (128, 1000, ""), (64, 200, "strong"), (64, 200, "null")):
        yield Case(count=of.exposure, targets=t, records=n, name=name)
    for t, n in ((2, 1000), (4, 200), (4, 1000), (4, 5000)):
        yield Case(count=of.textbook, targets=t, records=n, used=False, part=2)


def counted_by() -> str:
    """Return the digest of the code that counts: what is measured, and the worlds."""
    here, room = Path(__file__).parent, Path(measure.__file__).parent
    files = [*sorted(room.glob("*.py")), *sorted(here.glob("coverage_[cw]*.py"))]
    return hashlib.sha256(b"\0".join(f.read_bytes() for f in files)).hexdigest()


def counted(case: Case, worlds: int, seed: int, work: Path) -> dict[str, Any]:
    """Return a case's counts from its file, or count and write it."""
    wanted = {"worlds": worlds, "seed": seed, "counted_by": counted_by()}
    place = work / case.file
    if place.exists():
        held = store.read_document(place, what="coverage case")
        if {k: held.get(k) for k in wanted} == wanted:
            return held
    start = time.process_time()
    rows = case.count(case.size(worlds, seed))
    made = {"format": FORMAT, **wanted, "rows": rows, "cpu_seconds": time.process_time() - start}
    store.write_document(place, made)
    return made


def count_all(
    wanted: list[Case], worlds: int, seed: int, work: Path, processes: int = 1
) -> list[dict[str, Any]]:
    """Count the cases and return them in their order, saying each as it is done."""
    work.mkdir(parents=True, exist_ok=True)
    found: dict[Case, dict[str, Any]] = {}
    pool = ProcessPoolExecutor(max_workers=processes, mp_context=get_context("spawn"))
    with pool:
        waiting = {pool.submit(counted, case, worlds, seed, work): case for case in wanted}
        for done in as_completed(waiting):
            case = waiting[done]
            found[case] = done.result()
            print(f"{case.file} ({found[case]['cpu_seconds']:.0f} s)", flush=True)
            for line in found[case]["rows"]:
                print("   ", said(line), flush=True)
    return [found[case] for case in wanted]


def said(line: dict[str, Any]) -> str:
    """Return one line of the table as text."""
    return (
        f"{line['interval']}, {line['metric']}: {line['targets']} targets, {line['records']} "
        f"records: {100 * line['coverage']:.1f} % of {line['worlds']} worlds"
        f"{'  TOO LOW' if line['p'] < 0.001 else ''}"
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--work", type=Path, help="where cases are kept; default: nowhere")
    parser.add_argument(
        "--only", default="", help="cases whose file name holds this; writes no --out"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    wanted = [case for case in cases() if arguments.only in case.file]
    with tempfile.TemporaryDirectory() as nowhere:
        work = arguments.work or Path(nowhere)
        found = count_all(wanted, arguments.worlds, arguments.seed, work, arguments.processes)
    if arguments.only or arguments.out is None:
        return
    shown = ["--worlds", str(arguments.worlds), "--seed", str(arguments.seed)]
    shown += ["--out", f"results/experiments/{arguments.out.name}"]
    lines: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for case, one in zip(wanted, found, strict=True):
        lines[case.used] += one["rows"]
    store.write_document(
        arguments.out,
        {
            "format": "secateur-experiment-1",
            "experiment": "coverage",
            "command": shlex.join(["python", "-m", "tools.coverage", *shown]),
            "worlds": arguments.worlds,
            "seed": arguments.seed,
            "cpu_seconds": round(sum(one["cpu_seconds"] for one in found)),
            "machine": hardware(),
            "rows": lines[True],
            "not_used": lines[False],
        },
    )
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
