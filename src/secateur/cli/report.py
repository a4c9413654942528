"""`secateur report`: a report as a table or as one HTML page; several side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from secateur.cli.tracking import track_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secateur.types import Report

__all__ = ["command"]

Rendered = tuple[Callable[[], str], Callable[[], str]]
"""How the text and the page are made, each when it is asked for."""


def _schema(context: click.Context, option: click.Parameter, asked: bool) -> None:
    """Print the schema and leave, before an argument is missed."""
    del option
    if asked:
        from secateur.report.schema import report_schema

        click.echo(report_schema(), nl=False)
        context.exit()


@click.command("report")
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), help="Write one self-contained page.")
@click.option("--table", "as_table", is_flag=True, help="Show the table beside --html too.")
@click.option(
    "--records",
    type=click.Path(path_type=Path),
    help="Write the risk of every record, CSV, and a note on keeping it.",
)
@track_option
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_schema,
    help="Print the JSON schema of reports and leave.",
)
def command(
    reports: tuple[Path, ...],
    html: Path | None,
    as_table: bool,
    records: Path | None,
    trackers: tuple[str, ...],
) -> None:
    """Show one of REPORTS (JSON, of an audit or a sweep), or several of audits side by side.

    Several are compared with the first: where they share a membership, target by target. A table
    of single records (.csv) becomes a page that sorts and filters.

    \b
    Examples:
      secateur report report.json
      secateur report report.json --html report.html --table
      secateur report before.json after.json --html both.html
      secateur report report.json --records risk.csv
      secateur report risk.csv --html risk.html
      secateur report report.json --track "MLflow(experiment='audits')"
    """
    from secateur import store
    from secateur.cli.checks import refuse_outputs
    from secateur.cli.tracking import parse_trackers, send
    from secateur.errors import InputError

    chosen = parse_trackers(trackers)
    note = None if records is None else records.with_name(f"{records.name}.txt")
    refuse_outputs(html, records, note, inputs=reports)
    for path in reports:
        inside = [name for name in ("sweep.json", "report.json") if (path / name).is_file()]
        if inside:
            raise InputError(f"{path} is a folder; give the file in it: {path / inside[0]}")
    if any(path.suffix.lower() == ".csv" for path in reports):
        _records_page(reports, html, other=as_table or records is not None or bool(trackers))
        return
    if records is not None and len(reports) > 1:
        raise InputError("--records is of one report; give that one alone")
    if trackers and len(reports) > 1:
        raise InputError("--track sends one report; give that one alone")
    tracked = None if not trackers else _tracked(reports[0])
    risks = None if records is None or note is None else _risks(reports[0], records, note)
    text, page = _one(reports[0]) if len(reports) == 1 else _several(reports)
    if as_table or (html is None and records is None and not trackers):
        click.echo(text())
    if html is not None:
        store.write_text(html, page())
        click.echo(f"page: {html}")
    if risks is not None:
        for path, content in risks.items():
            store.write_text(path, content)
        click.echo(f"records: {records}; keep it no longer than needed, see {note}")
    if tracked is not None:
        send(tracked, chosen)


def _tracked(path: Path) -> Report:
    """Return the report that is sent; a sweep's result is none."""
    return next(iter(_read((path,)).values()))


def _records_page(paths: Sequence[Path], html: Path | None, *, other: bool) -> None:
    """Write the page of one table of single records."""
    from secateur import store
    from secateur.errors import InputError
    from secateur.report.records_page import render_records_page

    if len(paths) > 1 or html is None or other:
        raise InputError(
            "a table of single records is shown alone, as a page: secateur report risk.csv --html "
            "risk.html"
        )
    text = store.read_text(paths[0], what="table of single records")
    store.write_text(html, render_records_page(text, name=paths[0].name))
    click.echo(
        f"page: {html}; keep it no longer than needed, it holds single records; `secateur clean` "
        "does not delete it"
    )


def _one(path: Path) -> Rendered:
    from secateur import store
    from secateur.report import sweep_table, table
    from secateur.types import Sweep

    found = store.read_result(path)

    def page() -> str:
        from secateur.report import html, sweep_page

        return (
            sweep_page.render_sweep_page(found) if isinstance(found, Sweep) else html.render(found)
        )

    if isinstance(found, Sweep):
        return lambda: sweep_table.render_sweep(found), page
    return lambda: table.render_text(found), page


def _several(paths: Sequence[Path]) -> Rendered:
    from secateur.report.releases import render_releases

    found = _read(paths)

    def page() -> str:
        from secateur.report.releases_page import render_releases_page

        return render_releases_page(found)

    return lambda: render_releases(found), page


def _read(paths: Sequence[Path]) -> dict[str, Report]:
    """Return reports by the shortest names that tell their files apart."""
    from secateur import store
    from secateur.errors import InputError
    from secateur.types import Sweep

    places = [path.resolve() for path in paths]
    if len(set(places)) < len(places):
        raise InputError("a report is named twice; name each report once, the older one first")
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else list(map(str, paths))
    found = {}
    for name, path in zip(names, paths, strict=True):
        report = store.read_result(path)
        if isinstance(report, Sweep):
            raise InputError(
                f"{path} is a sweep's result, which already compares its cases; show it alone, or "
                "give reports of its seeds, such as seed-0/report.json beside it"
            )
        found[name] = report
    return found


def _risks(path: Path, records: Path, note: Path) -> dict[Path, str]:
    """Return the note and the table of a report's single records, by the files that they become."""
    from secateur import store
    from secateur.cli.beside import is_table, scores_beside
    from secateur.cli.checks import refuse_outputs
    from secateur.errors import StoreError
    from secateur.report.records import records_csv
    from secateur.types import Sweep

    report = store.read_result(path)
    sides = [] if isinstance(report, Sweep) else scores_beside(path, report)
    tables = [file for file, _ in sides if is_table(file)]
    files = [(file, digest) for file, digest in sides if file not in tables]
    if tables and not files:
        raise StoreError(
            f"the risk of every record is a table already: {tables[0]}; `secateur audit --scores` "
            "wrote it"
        )
    if isinstance(report, Sweep) or not files:
        raise StoreError(
            f"{path} has no scores of single records beside it; `secateur audit --scores "
            "risk.csv` and `secateur attack --scores scores.npz` write them"
        )
    refuse_outputs(records, note, inputs=[path, *(file for file, _ in files)])
    file, digest = files[0]
    found = store.read_record_scores(file, digest=digest)
    table = records_csv(report, found.scores, ids=found.ids, inside=found.inside)
    return {note: store.retention_note(report.title, records.name), records: table}
