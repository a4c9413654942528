"""`secateur defend`: the same defence on every model of a fleet, trained anew."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
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

    A defence stays in the recipe: `secateur prune` on the new fleet prunes and retrains with it.
    One whose models learn from teachers' answers holds the pruning inside, as those are forgotten.
    The folder is for audits, not for release: its files hold seeds and digests of members, from
    which folds can be told. `secateur export` writes what is shipped.

    \b
    Examples:
      secateur defend runs/dense --method "WeightDecay(strength=3.0)" --out runs/decay
      secateur defend runs/dense --method "CrossFit(prune=ADMM(rate=10))" --out runs/cross-fit
    """
    fleet = defend(**options)
    before, out = (shlex.quote(str(options[name])) for name in ("fleet", "out"))
    click.echo(f"{len(fleet)} models in {options['out']}, made by: {fleet.engine}")
    for sentence in of_teachers(fleet.artifacts[0].history):
        click.echo(sentence)
    click.echo(f"next: secateur audit {before} {out} --out report.json --html report.html")


def of_teachers(history: Mapping[str, Any]) -> list[str]:
    """Return what is said of the teachers that a model learned from, if it did.

    Args:
        history: of one of the models.
    """
    if not int(history.get("taught/teachers", 0)):
        return []
    kept = "their answers and splits are kept in each model's file, and tell members from others"
    gone = "their answers and who was taught what were never written"
    agreed = history.get("taught/agreement")
    on = (
        "they were asked of inputs that are no member's, and the models learned on these alone"
        if agreed is None
        else f"they named the class of {float(agreed):.1%} of what the first model learned on"
    )
    return [
        f"each learned from {int(history['taught/teachers'])} teachers of its own, which are "
        f"forgotten; {kept if 'taught/answers' in history else gone}",
        on,
    ]


def defend(**options: Any) -> Any:
    """Open a fleet, train it anew in another folder; see `applied` for the options."""
    from secateur.cli.applying import applied
    from secateur.cli.spelled import parse_defence

    return applied(parse_defence, "training", **options)
