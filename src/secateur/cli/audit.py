"""`secateur audit`: attack fleets of one membership and write a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from secateur.cli.options import (
    data_dir_option,
    device_option,
    out_option,
    partial_option,
    seed_option,
    workers_option,
)
from secateur.cli.tracking import track_option

__all__ = ["command"]


@click.command("audit")
@click.argument("fleets", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    help="An attack of `secateur methods`; may be repeated. "
    "Default: LiRA, RMIA, thresholds and a neural attack.",
)
@click.option(
    "--queries",
    help='How records are asked about, such as "Queries(flip=True)". Default: as in training.',
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    help="Measure within each group of this column too, or of `class`; may be repeated.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write the page too.")
@click.option(
    "--latency",
    "timed",
    is_flag=True,
    help="Time models too, in turn, on one thread and all; measure memory.",
)
@track_option
@partial_option
@data_dir_option
@seed_option
@workers_option
@device_option
@out_option("The report, JSON.")
def command(**options: Any) -> None:
    """Attack FLEETS (the first is the baseline) and write a report with intervals and controls.

    A file that `secateur export` wrote stands for itself: exactly these bytes are audited, by
    references that went through the same steps, and the report is of this one model.

    \b
    Examples:
      secateur audit runs/dense runs/admm --out report.json --html report.html
      secateur audit runs/dense model.onnx --out report.json
      secateur audit runs/dense --attack "LiRA(variance='shared')" --attack RMIA --out report.json
    """
    from secateur.cli.tracking import parse_trackers, send
    from secateur.report import table

    typed: str | None = click.get_current_context().obj
    trackers = parse_trackers(options.pop("trackers"))
    report = audit(**options, command=typed or "secateur audit")
    click.echo(table.render_text(report))
    click.echo(f"report: {options['out']}")
    if options["html"]:
        click.echo(f"page: {options['html']}")
    send(report, trackers)


def audit(  # noqa: PLR0913 - one argument per option of the verb
    *,
    fleets: tuple[Path, ...],
    attacks: tuple[str, ...],
    html: Path | None,
    data_dir: Path | None,
    seed: int,
    workers: int,
    out: Path,
    command: str,
    queries: str | None = None,
    groups: tuple[str, ...] = (),
    partial: bool = False,
    device: str = "cpu",
    timed: bool = False,
) -> Any:
    """Open fleets, audit them, write the report and the page."""
    from secateur import store
    from secateur.auditing import audit as audit_fleets
    from secateur.cli.checks import (
        common_part,
        refuse_outputs,
        refuse_same_fleet,
        refuse_without_references,
    )
    from secateur.cli.converting import open_files
    from secateur.cli.progress import Bar
    from secateur.cli.runs import open_runs, processes
    from secateur.cli.spelled import parse_attack, parse_queries
    from secateur.cli.stamp import stamped
    from secateur.errors import InputError
    from secateur.models import check_device
    from secateur.report import html as page

    check_device(device)
    chosen = [parse_attack(a) for a in attacks] or None
    given = None if queries is None else parse_queries(queries)
    refuse_same_fleet(fleets)
    files = [path for path in fleets if path.is_file()]
    for path in fleets:
        if not path.exists():
            raise InputError(
                f"{path} is neither the folder of a fleet nor a file that `secateur export` "
                "wrote: there is nothing of this name; check the path"
            )
    refuse_outputs(out, html, inputs=(*fleets, *(n for f in files for n in store.beside(f))))
    if files:
        opened, records = open_files(fleets, data_dir, workers=workers, partial=partial)
    else:
        opened, records, _ = open_runs(fleets, data_dir, partial=partial)
    if partial:
        opened = common_part(opened)
    refuse_without_references(chosen or (), opened[0].membership)
    with Bar(
        "querying models",
        observe_model="querying models",
        train_and_score="training the neural attack, target by target",
        **{f"timing, {n} at once": f"timing the models, batches of {n}" for n in (1, 32)},
    ) as bar:
        report = audit_fleets(
            opened,
            records,
            attacks=chosen,
            queries=given or parse_queries(str(records.origin.get("queries", "Queries()"))),
            groups=groups,
            seed=seed,
            workers=processes(workers),
            about={"command": command},
            progress=bar,
            device=device,
            timed=timed,
        )
    report = stamped(report)
    store.write_report(out, report)
    if html is not None:
        store.write_text(html, page.render(report))
    return report
