"""`secateur train`: a fleet of dense models."""

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
    seed_option,
    workers_option,
)

__all__ = ["command"]


@click.command("train")
@click.option(
    "--data",
    show_default="digits, or the recipe file's",
    help="See `secateur data list`; or a recipe file, whose records() it is.",
)
@data_dir_option
@click.option("--members", type=click.IntRange(min=1), help="Expected training records per model.")
@click.option("--population", type=click.IntRange(min=0), help="Records for RMIA; never members.")
@click.option("--utility", type=click.IntRange(min=0), help="Records for test accuracy alone.")
@click.option(
    "--attack-pool",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Non-members that a defence reads (Min-Max); apart from all other pools.",
)
@click.option("--targets", default=8, show_default=True, help="Models under audit.")
@click.option("--references", default=32, show_default=True, help="The attacker's models.")
@click.option(
    "--recipe",
    help='Such as "Recipe(build=LeNet5(), epochs=20)", or a file of `secateur init`; default by '
    "data set.",
)
@click.option(
    "--snapshots",
    default="log",
    show_default=True,
    help='"log" (12 log-spaced epochs), "none", or epochs such as 1,2,5.',
)
@click.option(
    "--queries",
    default="Queries()",
    show_default=True,
    help='How records are asked about, such as "Queries(flip=True, shift=2)"; audits do the same.',
)
@click.option(
    "--columns",
    type=click.Path(path_type=Path),
    help="CSV with one row per record: `unit` says whose it is, the others are groups for audits.",
)
@click.option(
    "--canaries",
    multiple=True,
    help='Records to memorise, planted first, such as "Mislabelled(count=100)"; may be repeated.',
)
@seed_option
@engine_option
@budget_option
@keep_option
@cache_option
@workers_option
@out_option("Folder of the fleet; an unfinished one is resumed.")
def command(**options: Any) -> None:
    """Train a fleet of dense models, each on its own draw of members.

    Half of the audit pool is a member of each model. An interrupted run goes on where it stopped
    when the same command is given again, and ends with the same bytes. The folder is for audits,
    not for release: it says who was trained on what. `secateur export` writes what is shipped.

    \b
    Examples:
      secateur train --out runs/digits
      secateur train --canaries "Mislabelled(count=100)" --out runs/canaries
      secateur train --recipe mine.py --out runs/mine
      secateur train --data location30 --data-dir DATA --members 1000 --out runs/location
      secateur train --data image-folder --data-dir SCANS --columns patients.csv --out runs/scans \\
        --recipe "Recipe(build=SmallCNN(classes=2))"
      secateur train --data fashion-mnist --data-dir DATA \\
        --recipe "Recipe(build=LeNet5(), optimiser=Adam(lr=0.003), epochs=25)" --out runs/fashion
    """
    fleet = train(**options)
    click.echo(f"{len(fleet)} models in {options['out']}, made by: {fleet.engine}")
    source = click.get_current_context().get_parameter_source("data_dir")
    typed = source == click.core.ParameterSource.COMMANDLINE
    where = f"--data-dir {shlex.quote(str(options['data_dir']))} " if typed else ""
    if options["keep"] == "targets":
        return
    click.echo(
        f"next: secateur prune {shlex.quote(str(options['out']))} "
        f'--method "ADMM(rate=10)" {where}--out NEW_FOLDER'
    )


def train(  # noqa: PLR0913 - one argument per option of the verb
    *,
    data: str | None,
    data_dir: Path | None,
    members: int | None,
    population: int | None,
    utility: int | None,
    targets: int,
    references: int,
    recipe: str | None,
    snapshots: str,
    seed: int,
    workers: int,
    out: Path,
    engine: str = "auto",
    budget: str | None = None,
    queries: str = "Queries()",
    columns: Path | None = None,
    keep: str = "all",
    cache: Path | None = None,
    canaries: tuple[str, ...] = (),
    attack_pool: int = 0,
) -> Any:
    """Draw a world and train its fleet."""
    from secateur.auditing import default_attacks, needed_signals
    from secateur.cli.checks import check_fit
    from secateur.cli.progress import Bar
    from secateur.cli.runs import default_recipe, origin_of, pools_of, read_data, world
    from secateur.cli.runs import engine as engine_of
    from secateur.cli.runs import keep as keeping
    from secateur.cli.spelled import parse_canaries, parse_queries, parse_recipe
    from secateur.probe import SignalProbe
    from secateur.train import Limit, Snapshots, train_fleet

    limit = None if budget is None else Limit.of(budget)
    asked = parse_queries(queries)
    planted = [repr(parse_canaries(text)) for text in canaries]
    data = _data_of(data, recipe)
    everything = read_data(data, data_dir)
    plan = parse_recipe(default_recipe(data, everything) if recipe is None else recipe)
    epochs = _epochs("none" if plan.train and snapshots == "log" else snapshots, plan.epochs)
    origin = origin_of(
        plan,
        data,
        models=(targets, references),
        seed=seed,
        pools=pools_of(data, (members, population, utility), everything, attack=attack_pool),
        queries=asked,
        columns=columns,
        canaries=planted,
    )
    records, membership = world(origin, everything)
    check_fit(plan, records, asked)
    probe = SignalProbe(signals=needed_signals(default_attacks()))
    with Bar("training dense models") as bar:
        return train_fleet(
            plan,
            records,
            membership,
            seed=seed,
            engine=engine_of(engine, workers),
            snapshots=Snapshots(epochs=epochs, probe=probe, queries=asked) if epochs else None,
            keep=keeping(asked) if keep == "targets" else None,
            cache=cache,
            folder=out,
            progress=bar,
            limit=limit,
        )


def _data_of(data: str | None, recipe: str | None) -> str:
    """Return what gives the records: by default the recipe file, where one is named."""
    from secateur.cli.runs import whole_name

    own = recipe is not None and recipe.strip().endswith(".py")
    return whole_name(data or (str(recipe) if own else "digits"))


def _epochs(text: str, epochs: int) -> tuple[int, ...]:
    from secateur.cli.runs import log_spaced

    if text == "none":
        return ()
    if text == "log":
        return log_spaced(epochs)
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(
            f'{text!r} is not "log", "none" or numbers with commas', param_hint="--snapshots"
        ) from error
    if found and max(found) > epochs:
        raise click.BadParameter(
            f"epoch {max(found)} is beyond the recipe's {epochs}", param_hint="--snapshots"
        )
    return found
