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
    """Show REPORT (JSON) as a table, or write it as one HTML page.

    \b
    Examples:
      secateur report report.json
      secateur report report.json --html report.html --table
    """
    from secateur import store
    from secateur.cli.checks import refuse_outputs
    from secateur.report import table

    refuse_outputs(html, inputs=(report,))
    found = store.read_report(report)
    if as_table or html is None:
        click.echo(table.render_text(found))
    if html is None:
        return
    from secateur.report import html as page

    store.write_text(html, page.render(found))
    click.echo(f"page: {html}")
