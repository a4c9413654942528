"""`secateur data`: which data sets there are, and whether their files are found."""

from __future__ import annotations

from pathlib import Path

import click

from secateur.cli.options import data_dir_option

__all__ = ["command"]


@click.group("data")
def command() -> None:
    """List data sets and whether their files are found.

    \b
    Examples:
      secateur data list
      secateur data list --data-dir DATA
    """


@command.command("list")
@data_dir_option
def list_(data_dir: Path | None) -> None:
    """List data sets, their files, where they come from, and whether they are there.

    \b
    Example:
      secateur data list --data-dir DATA
    """
    from secateur.data import DATA_SETS

    for data_set in DATA_SETS:
        if not data_set.files:
            state = "ready"
        elif data_dir is None:
            state = "no folder named (--data-dir or SECATEUR_DATA)"
        else:
            missing = data_set.missing(data_dir)
            state = (
                f"not at the usual place: {', '.join(missing)}"
                if missing
                else f"found in {data_dir}"
            )
        lines = [f"{data_set.name}: {data_set.about}", state, data_set.origin, data_set.terms]
        click.echo("\n  ".join(line for line in lines if line))
