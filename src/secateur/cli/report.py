"""`secateur report`: a report as a table or as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command("report")
@click.argument("report", type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), help="Write one self-contained page.")
@click.option("--table", "as_table", is_flag=True, help="Show the table beside --html too.")
def command(report: Path, html: Path | None, as_table: bool) -> None:
    """Show REPORT (JSON, of an audit or a sweep) as a table, or write it as one HTML page.

    \b
    Examples:
      secateur report report.json
      secateur report report.json --html report.html --table
    """
    from secateur import store
    from secateur.cli.checks import refuse_outputs
    from secateur.errors import InputError
    from secateur.report import sweep_table, table
    from secateur.types import Sweep

    refuse_outputs(html, inputs=(report,))
    inside = [name for name in ("sweep.json", "report.json") if (report / name).is_file()]
    if inside:
        raise InputError(f"{report} is a folder; give the file in it: {report / inside[0]}")
    found = store.read_result(report)
    if as_table or html is None:
        if isinstance(found, Sweep):
            click.echo(sweep_table.render_sweep(found))
        else:
            click.echo(table.render_text(found))
    if html is None:
        return
    from secateur.report import html as page
    from secateur.report import sweep_page

    if isinstance(found, Sweep):
        store.write_text(html, sweep_page.render_sweep_page(found))
    else:
        store.write_text(html, page.render(found))
    click.echo(f"page: {html}")
