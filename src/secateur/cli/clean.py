"""`secateur clean`: of references keep signals, of a report drop scores, of a sweep teachers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from secateur.cli.options import data_dir_option, workers_option

__all__ = ["command"]

ABSENT = "not there, nothing was deleted; wherever it was moved or copied, delete it by hand"


@click.command("clean")
@click.argument("fleets", nargs=-1, required=True, type=click.Path(path_type=Path))
@data_dir_option
@workers_option
def command(**options: Any) -> None:
    """Replace the weights of the references of FLEETS by what audits read of them.

    The targets stay whole. Such a fleet can be audited with the default attacks, asked as it was
    trained, but no longer pruned: prune it first. Of a report's file, the scores of single records
    beside it are deleted, tables too; the report stays, and a page that was made of a table. Of a
    sweep's folder, the teachers that it kept to go on with, what they said, and what models
    answered to audits are deleted; its fleets stay as they are: name them too. So is a folder of
    answers that `secateur audit --answers` keeps.

    \b
    Examples:
      secateur clean runs/dense runs/admm
      secateur clean report.json
      secateur clean runs/stopped-sweep
    """
    from secateur.cli.beside import is_table
    from secateur.store import is_answers, remove_answers

    reports = [path for path in options["fleets"] if path.is_file()]
    for file, was_there in drop_scores(reports):
        said = "deleted" if was_there else ABSENT
        more = "; a page made of it is not deleted: delete that by hand" if is_table(file) else ""
        click.echo(f"{file}: {said}{more}", err=not was_there)
    sweeps = [path for path in options["fleets"] if is_sweep(path)]
    for folder, gone in drop_kept(sweeps):
        click.echo(f"{folder}: deleted, {gone / 1e6:,.1f} MB freed")
    for path in sweeps:
        click.echo(
            f"{path}: no teachers, nor what they said, nor answers to audits, are left in this "
            "sweep's folder"
        )
    answers = [path for path in options["fleets"] if is_answers(path)]
    for path in answers:
        click.echo(f"{path}: deleted, {remove_answers(path) / 1e6:,.1f} MB freed")
    done = (*reports, *sweeps, *answers)
    fleets = tuple(path for path in options["fleets"] if path not in done)
    if not fleets:
        return
    for path, freed, left in clean(**{**options, "fleets": fleets}):
        size = f"{left / 1e6:,.1f} MB left"
        if freed is None:
            click.echo(f"{path}: already clean, nothing to do, {size}")
        else:
            click.echo(f"{path}: {freed / 1e6:,.1f} MB freed, {size}")


def drop_scores(reports: Sequence[Path]) -> list[tuple[Path, bool]]:
    """Delete the scores of single records beside reports; return each file, and if it was there.

    Raises:
        StoreError: a file that is no report, or holds other scores than a report names: nothing is
            deleted then.
    """
    from secateur import store
    from secateur.cli.beside import is_table, scores_beside

    found = [side for path in reports for side in scores_beside(path, store.read_report(path))]
    there = [file for file, _ in found if file.exists()]
    for file, digest in found:
        if file in there:
            if is_table(file):
                store.check_record_table(file, digest=digest)
            else:
                store.read_record_scores(file, digest=digest)
    for file in there:
        file.unlink()
    for file, _ in found:
        if is_table(file):
            store.note_beside(file).unlink(missing_ok=True)
    return [(file, file in there) for file, _ in found]


def is_sweep(path: Path) -> bool:
    """Tell whether a folder is one of a sweep, and no fleet's."""
    from secateur.store import FleetFolder

    seeds = any(seed.is_dir() for seed in path.glob("seed-*"))
    return seeds and not FleetFolder(path).manifest.exists()


def drop_kept(sweeps: Sequence[Path]) -> list[tuple[Path, int]]:
    """Delete the teachers of sweeps, what they said, and what models answered; return each folder
    and the bytes freed.

    Raises:
        StoreError: a sweep runs there, or something cannot be deleted.
    """
    from secateur import store

    done = []
    for path in sweeps:
        with store.only_run_in(path):
            done += [(f, store.remove_lessons(f)) for f in store.lesson_folders(path)]
            done += [(f, store.remove_answers(f)) for f in store.answer_folders(path)]
    return done


def clean(
    *, fleets: tuple[Path, ...], data_dir: Path | None, workers: int
) -> list[tuple[Path, int | None, int]]:
    """Drop weights; return for each fleet its path, bytes freed (None: was clean) and left."""
    from secateur.cli.progress import Bar
    from secateur.cli.runs import keep, open_runs, processes
    from secateur.cli.spelled import parse_queries
    from secateur.train import drop_weights
    from secateur.train.keep import is_clean

    opened, records, _ = open_runs(fleets, data_dir)
    asked = parse_queries(str(records.origin.get("queries", "Queries()")))
    done: list[tuple[Path, int | None, int]] = []
    for path, fleet in zip(fleets, opened, strict=True):
        freed = None
        if not is_clean(fleet):
            with Bar("keeping signals") as bar:
                freed = drop_weights(
                    fleet, records, keep(asked), workers=processes(workers), progress=bar
                )
        left = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        done.append((path, freed, left))
    return done
