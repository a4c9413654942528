"""`secateur join`: one result of draws that were swept apart."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from secateur.cli import swept
from secateur.cli.options import limit_options

if TYPE_CHECKING:
    from secateur.types import Sweep

__all__ = ["command"]


@click.command("join")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The joined result.")
@limit_options
@click.option("--html", type=click.Path(path_type=Path), help="Write the page too.")
def command(
    results: tuple[Path, ...],
    out: Path,
    max_leak: float | None,
    min_accuracy: float | None,
    max_bytes: str | None,
    html: Path | None,
) -> None:
    """Put RESULTS of one file's seeds, swept apart, together as one sweep over all of them.

    RESULTS are the sweep.json that `secateur sweep FILE --seed N` wrote, on this machine or on
    others, two or more. Means over seeds, their intervals, the front and the comparisons are
    computed anew from what each seed has, as one sweep of all seeds would have done. With a limit,
    the case to ship is named; where there is none the exit code is 1.

    \b
    Examples:
      secateur sweep big.toml --seed 0 --out runs/big-0
      secateur sweep big.toml --seed 1 --out runs/big-1
      secateur join runs/big-0/sweep.json runs/big-1/sweep.json --out big.json --html big.html
    """
    from secateur.cli.checks import refuse_outputs
    from secateur.report import sweep_page, sweep_table
    from secateur.store import write_sweep, write_text
    from secateur.sweeping import join

    limits = swept.limits_of(max_leak, min_accuracy, max_bytes)
    refuse_outputs(out, html, inputs=results)
    found = join([_read(p) for p in results], limits=limits, names=list(map(str, results)))
    said = click.get_current_context().obj or "secateur join"
    found = replace(found, facts={**found.facts, "command": said})
    write_sweep(out, found)
    click.echo(sweep_table.render_sweep(found))
    click.echo(f"result: {out}")
    if html is not None:
        write_text(html, sweep_page.render_sweep_page(found))
        click.echo(f"page: {html}")
    if limits and found.pick.get("case") is None:
        sys.exit(swept.NONE_FITS)


def _read(path: Path) -> Sweep:
    from secateur.errors import InputError
    from secateur.store import read_result
    from secateur.types import Sweep

    if path.is_dir():
        raise InputError(f"{path} is a folder; name its result, such as {path / 'sweep.json'}")
    found = read_result(path)
    if not isinstance(found, Sweep):
        raise InputError(
            f"{path} is a report of an audit, and what is joined are results of sweeps; several "
            "reports are shown side by side by `secateur report`"
        )
    return found
