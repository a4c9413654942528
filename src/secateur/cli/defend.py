"""`secateur defend`: the same defence on every model of a fleet, trained anew."""

from __future__ import annotations

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
    click.echo(f"{len(fleet)} models in {options['out']}, made by: {fleet.engine}")


def defend(  # noqa: PLR0913 - one argument per option of the verb
    *,
    fleet: Path,
    method: str,
    name: str | None,
    data_dir: Path | None,
    workers: int,
    out: Path,
    engine: str = "auto",
    budget: str | None = None,
    keep: str = "all",
    cache: Path | None = None,
) -> Any:
    """Open a fleet, train it anew in another folder."""
    from secateur.cli.checks import refuse_folder_inside
    from secateur.cli.progress import Bar
    from secateur.cli.runs import engine as engine_of
    from secateur.cli.runs import keep as keeping
    from secateur.cli.runs import open_runs, parse_defence, parse_queries
    from secateur.train import Limit, apply

    defence = parse_defence(method)
    refuse_folder_inside(out, fleet)
    (plain,), records, seed = open_runs((fleet,), data_dir)
    label = type(defence).__name__.lower() if name is None else name
    if not label.strip():
        raise click.BadParameter("a name needs at least one letter", param_hint="--name")
    asked = parse_queries(str(records.origin.get("queries", "Queries()")))
    with Bar(f"training with {type(defence).__name__}") as bar:
        return apply(
            defence,
            plain,
            records,
            seed=seed,
            engine=engine_of(engine, workers),
            folder=out,
            progress=bar,
            limit=None if budget is None else Limit.of(budget),
            name=label,
            keep=keeping(asked) if keep == "targets" else None,
            cache=cache,
        )
