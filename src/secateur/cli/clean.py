"""`secateur clean`: keep of a fleet's references their signals alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from secateur.cli.options import data_dir_option, workers_option

__all__ = ["command"]


@click.command("clean")
@click.argument("fleets", nargs=-1, required=True, type=click.Path(path_type=Path))
@data_dir_option
@workers_option
def command(**options: Any) -> None:
    """Replace the weights of the references of FLEETS by what audits read of them.

    The targets stay whole. Such a fleet can be audited with the default attacks, asked as it was
    trained, but no longer pruned: prune it first.

    \b
    Examples:
      secateur clean runs/dense runs/admm
    """
    for path, freed, left in clean(**options):
        size = f"{left / 1e6:,.1f} MB left"
        if freed is None:
            click.echo(f"{path}: already clean, nothing to do, {size}")
        else:
            click.echo(f"{path}: {freed / 1e6:,.1f} MB freed, {size}")


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
