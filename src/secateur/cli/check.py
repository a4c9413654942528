"""`secateur check`: find the usual mistakes of a recipe file, and say what its audit will take."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secateur.cli.options import seed_option, workers_option

if TYPE_CHECKING:
    from secateur.own import Checked, Finding

__all__ = ["command"]

FOUND = 1
LIKELY_AUC = 0.6


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--members", type=click.IntRange(min=1), help="Expected training records per model.")
@click.option("--population", type=click.IntRange(min=0), help="Records for RMIA; never members.")
@click.option("--utility", type=click.IntRange(min=0), help="Records for test accuracy alone.")
@click.option("--targets", type=click.IntRange(min=1), default=8, show_default=True,
              help="Models under audit.")  # fmt: skip
@click.option("--references", type=click.IntRange(min=0),
              help="The attacker's models.  [default: 32; 16 beside MEMBERS]")  # fmt: skip
@click.option(
    "--fpr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="The false-positive rate that the audit is to speak of.",
)
@seed_option
@workers_option
def command(file: Path, **options: Any) -> None:
    """Look for the usual mistakes in the recipe FILE before hours are spent.

    Each finding says what was seen and how to mend it. The exit code is 0 where nothing is wrong,
    1 where something is, 2 where FILE cannot be read. What the audit will take is estimated from
    a few timed steps. Where FILE names MEMBERS, it is that of `secateur audit --recipe`.

    \b
    Examples:
      secateur check mine.py
      secateur check mine.py --fpr 0.001 --targets 16
    """
    from secateur.own import Wanted, check_recipe

    workers = options.pop("workers")
    checked = check_recipe(file, Wanted(**options))
    for finding in checked.findings:
        click.echo(_said(finding))
    if checked.left:
        click.echo(f"not looked at: {checked.left}\n")
    unread = _unread(checked)
    if unread:
        click.echo(
            f"not read: {', '.join(unread)}, since MEMBERS is named: the audit is that of one "
            "network, on its members and non-members\n"
        )
    for line in _table(checked, workers):
        click.echo(line)
    n = len(checked.findings)
    if n:
        click.echo(f"{n} finding{'s' if n > 1 else ''}; docs/own.md says more of each")
        sys.exit(FOUND)
    name = shlex.quote(str(file))
    what = f"train --recipe {name} --out NEW"
    if checked.one:
        what = f"audit NETWORK.safetensors --recipe {name} --out report.json"
    click.echo(f"nothing found\nnext: secateur {what}")


def _unread(checked: Checked) -> list[str]:
    """Return the options that were given and say nothing of an audit of one network."""
    asked = click.get_current_context().get_parameter_source
    default = click.core.ParameterSource.DEFAULT
    names = ("members", "population", "utility", "targets")
    return [f"--{name}" for name in names if checked.one and asked(name) is not default]


def _said(finding: Finding) -> str:
    return f"{finding.id}\n  saw:  {finding.what}\n  mend: {finding.mend}\n"


def _table(checked: Checked, workers: int) -> list[str]:
    """Return the lines that say what the audit takes and resolves, as far as that is known."""
    lines = []
    if checked.records is not None and checked.membership is not None and not checked.left:
        lines += _costs(checked, workers)
    size = checked.size
    if size is not None:
        from secateur.errors import MethodError
        from secateur.measure import auc_half_width, resolvable_fpr

        lowest = resolvable_fpr(size)
        try:
            half = f"{auc_half_width(size, auc=LIKELY_AUC):.3f} around {LIKELY_AUC:g}, or wider"
        except MethodError as error:
            half = f"none: {error}"
        lines += [
            f"  {'audit':22} {_of(checked)}, {size.members:,} members and "
            f"{size.non_members:,} non-members{'' if checked.one else ' each'}"
            f"{', counted in persons (units)' if checked.owned else ''}",
            f"  {'lowest resolvable FPR':22} {'none' if lowest is None else f'{100 * lowest:g} %'}",
            f"  {'AUC, half-width':22} {half}",
        ]
    return ["what the audit takes and resolves", *lines, ""] if lines else []


def _of(checked: Checked) -> str:
    assert checked.size is not None  # the caller looked
    return "one network" if checked.one else f"{checked.size.targets} targets"


def _costs(checked: Checked, workers: int) -> list[str]:
    from secateur.auditing import default_attacks, needed_signals
    from secateur.cli.runs import log_spaced
    from secateur.own import estimate
    from secateur.probe import SignalProbe

    assert checked.records is not None and checked.membership is not None  # the caller looked
    found = estimate(
        checked.recipe,
        checked.records,
        checked.membership,
        probe=SignalProbe(signals=needed_signals(default_attacks(), perturbed=False)),
        snapshots=0 if checked.one else len(log_spaced(checked.recipe.epochs)),
        seconds_per_record=checked.seconds_per_record,
        workers=workers,
    )
    how = "a few timed steps" if checked.recipe.train is None else "train() on few records"
    trained = "not known" if found.training_s is None else _about(found.training_s)
    return [
        f"  {'models':22} {found.models}{' references' if checked.one else ''}",
        f"  {'time, training':22} {trained}, from {how}",
        f"  {'time, queries':22} {_about(found.querying_s)}; attacks come on top",
        f"  {'memory, records':22} {_size(found.records_bytes)}",
        f"  {'memory, each worker':22} {_size(found.worker_bytes)} of weights and their optimiser; "
        "a batch's layers come on top",
        f"  {'disk':22} {_size(found.disk_bytes)}",
    ]


def _about(seconds: float) -> str:
    from secateur.cli.amounts import duration

    return duration(seconds) if seconds < 1 else f"about {duration(seconds)}"


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            return f"{n_bytes:.0f} {unit}" if n_bytes >= 10 else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    raise AssertionError  # the loop ends with GB
