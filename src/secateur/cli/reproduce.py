"""`secateur reproduce`: the paper's grid and our own worlds, one recipe each, run as sweeps."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from secateur.cli.options import (
    cache_option,
    data_dir_option,
    device_option,
    engine_option,
    seeds_option,
    workers_option,
)

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["OWN", "SCALES", "cells", "command", "recipe_of"]

OWN = ("adult-mlp", "cifar10-cnn", "fashion-mnist-lenet5", "location30-mlp")
"""Cells that are not the paper's: this project's own worlds."""

SCALES = ("smoke", "small", "full")


@click.command("reproduce")
@click.argument("cell", required=False)
@click.option("--scale", type=click.Choice(SCALES), help="How large; needed with a CELL.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of fleets, reports, result.")
@click.option("--show", is_flag=True, help="Print the cell's recipe, to be changed and swept.")
@click.option("--dry-run", is_flag=True, help="Say the cases and what they will take, and end.")
@click.option(
    "--budget",
    help="Stop after 600s, 20m or 2h with an audit of what is there; the same command goes on.",
)
@seeds_option
@click.option("--html", type=click.Path(path_type=Path), help="Write the page too.")
@data_dir_option
@engine_option
@device_option
@cache_option
@workers_option
def command(cell: str | None, scale: str | None, show: bool, **options: Any) -> None:
    """Run one CELL, of the paper's grid or a world of our own, with the paper's five rows and their
    controls; without one, list them.

    What its trainings will take is said first; audits come on top. An interrupted run goes on when
    the same command is given again. Every cell is the file of a sweep: print it with --show, change
    it, and run it by `secateur sweep`.

    \b
    Examples:
      secateur reproduce
      secateur reproduce location30-mlp --scale smoke --data-dir DATA --out runs/location30
      secateur reproduce mnist-lenet5 --scale small --data-dir DATA --out runs/mnist
      secateur reproduce imagenet-resnet18 --show > mine.toml
    """
    if cell is None:
        from secateur.cli.listing import listing

        _refuse_without_cell()
        click.echo(listing(cells(), [scale] if scale else SCALES))
        return
    found = recipe_of(cell)
    if show:
        click.echo(found.read_text(encoding="utf-8"), nl=False)
        return
    if scale is None:
        raise click.MissingParameter(
            message=f"choose {', '.join(SCALES)}; without a CELL their costs are listed",
            param_hint="'--scale'",
            param_type="option",
        )
    from secateur.cli import sweep

    with as_file(found) as file:
        click.get_current_context().invoke(sweep.command, file=file, scale=scale, **options)


def _refuse_without_cell() -> None:
    """Refuse what runs a cell where none is named: a list would look like a run that succeeded."""
    context = click.get_current_context()
    given = [
        option.opts[-1]
        for option in context.command.params
        if isinstance(option, click.Option)
        and option.name != "scale"
        and context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.MissingParameter(
            message=f"{', '.join(given)} asks for one; there are {', '.join(cells())}",
            param_hint="'CELL'",
            param_type="argument",
        )


def cells() -> dict[str, Traversable]:
    """Return the recipes that come with the package, by the names of their cells, sorted.

    Example:
        >>> "mnist-lenet5" in cells()
        True
    """
    folder = files("secateur") / "recipes" / "paper"
    found = {p.name.removesuffix(".toml"): p for p in folder.iterdir() if p.name.endswith(".toml")}
    return dict(sorted(found.items()))


def recipe_of(cell: str) -> Traversable:
    """Return a cell's recipe.

    Raises:
        InputError: there is no such cell; the message says which there are.
    """
    from secateur.errors import InputError
    from secateur.spelling import did_you_mean

    known = cells()
    if cell not in known:
        raise InputError(
            f"unknown cell {cell!r}; {did_you_mean(cell, known)}there are {', '.join(known)}"
        )
    return known[cell]
