"""`secateur defend`: the same defence on every model of a fleet, trained anew."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from secateur.cli.options import (
    budget_option,
    cache_option,
    data_dir_option,
    engine_option,
    keep_option,
    out_option,
    workers_option,
)

__all__ = ["command"]


@click.command("defend")
@click.argument("fleet", type=click.Path(path_type=Path))
@click.option("--method", required=True, help="A defence of `secateur methods`.")
@click.option("--name", help="What the report calls it; default the method's name.")
@data_dir_option
@engine_option
@budget_option
@keep_option
@cache_option
@workers_option
@out_option("Folder of the defended fleet; an unfinished one is resumed.")
def command(**options: Any) -> None:
    """Train the models of FLEET anew under a defence: same members, same seeds, references too.

    The defence stays in the recipe: `secateur prune` on the new fleet prunes and retrains with it.

    \b
    Examples:
      secateur defend runs/dense --method "WeightDecay(strength=3.0)" --out runs/decay
    """
    fleet = defend(**options)
    before, out = (shlex.quote(str(options[name])) for name in ("fleet", "out"))
    click.echo(f"{len(fleet)} models in {options['out']}, made by: {fleet.engine}")
    click.echo(f"next: secateur audit {before} {out} --out report.json --html report.html")


def defend(**options: Any) -> Any:
    """Open a fleet, train it anew in another folder; see `applied` for the options."""
    from secateur.cli.applying import applied
    from secateur.cli.runs import parse_defence

    return applied(parse_defence, "training", **options)
