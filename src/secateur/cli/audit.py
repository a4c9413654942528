"""`secateur audit`: attack fleets of one membership and write a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secateur.types import Fleet, Membership, Records

__all__ = ["command"]


@click.command("audit")
@click.argument("fleets", nargs=-1, type=click.Path(path_type=Path))
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
@click.option(
    "--recipe",
    help="A recipe file of `secateur init`: FLEETS is then one network of its build() that was "
    "trained on its MEMBERS; or nothing, and targets are trained too.",
)
@click.option(
    "--references",
    type=click.IntRange(min=0),
    help="With --recipe: how many models of the attacker's to train.  [default: 16]",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --recipe: where trained models are kept, and found again by an interrupted run.  "
    "[default: OUT-models]",
)
@click.option(
    "--name", help="With --recipe and a network: what the report calls it.  [default: given]"
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep in this folder what models answer around records: an interrupted audit of fleets "
    "then goes on, and one with a fleet or an attack more asks for what is new.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write the page too.")
@click.option(
    "--latency",
    "timed",
    is_flag=True,
    help="Time models too, in turn, on one thread and all; measure memory.",
)
@click.option(
    "--scores",
    type=click.Path(path_type=Path),
    help="Write the risk of every record too, CSV, beside --out, with a note on keeping it.",
)
@click.option(
    "--pictures",
    is_flag=True,
    help="Show the ten most exposed records as pictures in the page: training data.",
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

    With --recipe one network that you trained yourself is audited, beside references that the
    recipe trains; docs/own.md says more.

    \b
    Examples:
      secateur audit runs/dense runs/admm --out report.json --html report.html
      secateur audit runs/dense model.onnx --out report.json
      secateur audit runs/dense --group class --scores risk.csv --out report.json
      secateur audit runs/dense --attack "LiRA(variance='shared')" --attack RMIA --out report.json
      secateur audit runs/dense runs/cross-fit --attack "WhiteBox(around=(Recombinations(),))"
        --answers runs/answers --out report.json
      secateur audit net.safetensors --recipe mine.py --references 16 --out report.json
    """
    from secateur.cli.tracking import parse_trackers, send
    from secateur.report import table

    typed: str | None = click.get_current_context().obj
    trackers = parse_trackers(options.pop("trackers"))
    report = _audited(options, command=typed or "secateur audit")
    click.echo(table.render_text(report))
    click.echo(f"report: {options['out']}")
    if options["html"]:
        click.echo(f"page: {options['html']}")
    if options["scores"]:
        note = f"{options['scores']}.txt"
        click.echo(f"records: {options['scores']}; keep it no longer than needed, see {note}")
    send(report, trackers)


def _audited(options: dict[str, Any], *, command: str) -> Any:
    """Audit fleets, or what a recipe file goes with."""
    from secateur.cli.given import audit_own, refuse_answers, refuse_without_recipe

    given = {name: options.pop(name) for name in ("recipe", "references", "folder", "name")}
    if given["recipe"] is None:
        refuse_without_recipe(options["fleets"], given)
        return audit(**options, command=command)
    refuse_answers(options.pop("answers"))
    report = audit_own(command=command, **given, **options)
    _write(report, options["out"], options["html"])
    return report


def _write(
    report: Any, out: Path, html: Path | None, *, pictures: Mapping[int, str] | None = None
) -> None:
    from secateur import store
    from secateur.report import html as page

    store.write_report(out, report)
    if html is not None:
        store.write_text(html, page.render(report, pictures=pictures))


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
    scores: Path | None = None,
    pictures: bool = False,
    answers: Path | None = None,
) -> Any:
    """Open fleets, audit them, write the report and the page."""
    from secateur.auditing import audit_fleets
    from secateur.auditing.pictures import pictures_of
    from secateur.cli.checks import refuse_without_references
    from secateur.cli.progress import Bar
    from secateur.cli.runs import processes
    from secateur.cli.spelled import parse_attack, parse_queries
    from secateur.models import check_device
    from secateur.report.exposed import exposed_ids

    check_device(device)
    chosen = [parse_attack(a) for a in attacks] or None
    given = None if queries is None else parse_queries(queries)
    _refuse_paths(fleets, out, html, scores)
    opened, records = _opened(fleets, data_dir, workers=workers, partial=partial)
    refuse_without_references(chosen or (), opened[0].membership)
    if pictures:
        _refuse_no_pictures(html, opened[0].membership, records)
    with Bar("querying models", **_stages()) as bar:
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
            scores=scores,
            answers=answers,
        )
    shown = pictures_of(records, exposed_ids(report)) if pictures else None
    _write(report, out, html, pictures=shown)
    return report


def _refuse_paths(
    fleets: tuple[Path, ...], out: Path, html: Path | None, scores: Path | None
) -> None:
    """Refuse what is not there, is given twice, or would be written over."""
    from secateur import store
    from secateur.cli.checks import refuse_apart, refuse_outputs, refuse_same_fleet

    refuse_same_fleet(fleets)
    _refuse_absent(fleets)
    refuse_apart(scores, out)
    note = None if scores is None else store.note_beside(scores)
    beside = [p for path in fleets if path.is_file() for p in store.beside(path)]
    refuse_outputs(out, html, scores, note, inputs=(*fleets, *beside))


def _opened(
    fleets: tuple[Path, ...], data_dir: Path | None, *, workers: int, partial: bool
) -> tuple[list[Fleet], Records]:
    """Open fleets, and files of released models, with their records."""
    from secateur.cli.checks import common_part
    from secateur.cli.converting import open_files
    from secateur.cli.runs import open_runs

    if any(path.is_file() for path in fleets):
        opened, records = open_files(fleets, data_dir, workers=workers, partial=partial)
    else:
        opened, records, _ = open_runs(fleets, data_dir, partial=partial)
    return (common_part(opened) if partial else opened), records


def _stages() -> dict[str, str]:
    """Return what the bar says of each stage."""
    return {
        "observe_model": "querying models",
        "choose_attack": "choosing attacks on references",
        "attack_family": "attacking",
        "train_and_score": "training the neural attack, target by target",
        **{f"timing, {n} at once": f"timing the models, batches of {n}" for n in (1, 32)},
    }


def _refuse_absent(fleets: tuple[Path, ...]) -> None:
    from secateur.errors import InputError

    for path in fleets:
        if not path.exists():
            raise InputError(
                f"{path} is neither the folder of a fleet nor a file that `secateur export` "
                "wrote: there is nothing of this name; check the path"
            )


def _refuse_no_pictures(html: Path | None, membership: Membership, records: Records) -> None:
    """Say before long work why no picture could be shown."""
    from secateur.auditing.pictures import check_pictured
    from secateur.errors import InputError
    from secateur.measure import FEWEST_MODELS

    if html is None:
        raise InputError("--pictures is for the page; give --html too")
    targets = len(membership.targets)
    if targets < FEWEST_MODELS:
        raise InputError(
            f"--pictures shows the most exposed records, which are named from {FEWEST_MODELS} "
            f"models under audit on; there are {targets}; leave it out, or train more targets"
        )
    check_pictured(records)
