"""`secateur export`: the file that a device gets, and what is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secateur.cli.options import data_dir_option, out_option, workers_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secateur.deploy import Footprint
    from secateur.report.card import Card
    from secateur.store import FleetPlan
    from secateur.train import Conversion
    from secateur.types import Fleet, Records, Report

__all__ = ["command"]


@click.command("export")
@click.argument("fleet", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    required=True,
    help="packed, onnx, onnx-int8, safetensors, or a conversion of `secateur methods`, such as "
    '"OnnxInt8(records=512)".',
)
@click.option(
    "--step",
    "steps",
    multiple=True,
    help='A conversion before that, such as "Shrink()"; may be repeated.',
)
@click.option(
    "--model",
    type=click.IntRange(min=0),
    help="A target, as its row of the fleet's membership, from 0; by default the first.",
)
@click.option("--all", "everyone", is_flag=True, help="Convert all models, for an audit of them.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="Folder of the fleet of such files; by default beside FLEET, named as it and the steps.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="An audit of the file, or of FLEET, that the model card quotes.",
)
@click.option(
    "--digests",
    is_flag=True,
    help="Name in the card the digests of the records and of the report. Whoever knows all records "
    "or members but one tests a guess at it by them.",
)
@data_dir_option
@workers_option
@out_option("The file to write; a note (.json) and a model card (.md) stand beside it.")
def command(**options: Any) -> None:
    """Write one model of FLEET as the file that is shipped; the fleet itself is for audits alone.

    The file holds weights and how they are run: no seed, no digest of members or records, no
    history of the training.

    The same steps make the references of an audit: `secateur audit FILE` audits exactly these
    bytes, `secateur audit DENSE FOLDER` the pipeline that makes such files.

    \b
    Examples:
      secateur export runs/admm --format packed --out model.packed
      secateur export runs/admm --step "Shrink()" --format onnx-int8 --out model.onnx
      secateur export runs/admm --format onnx --all --out model.onnx
    """
    from secateur.report.table import cell

    done = export(**options)
    found = done["size"]
    click.echo(
        f"{options['out']}: model {done['model']}, {found.form}, {found.n_bytes:,} bytes, "
        f"SHA-256 {found.digest}"
    )
    work = found.work
    click.echo(
        f"{found.parameters:,} parameters, {found.nonzero:,} of them not zero; {work.dense:,} "
        f"multiply-adds a record, {work.effective:,} without zeros"
    )
    for name, text in done["about"].facts:
        if name.startswith(("input ", "output ", "runs in ")):
            click.echo(f"{name}: {text}")
    if done["packed"]:
        click.echo(done["packed"])
    for name, row in done["about"].accuracies:
        click.echo(f"{name}: {cell(row, percent=True, digits=1)} % of {row.counts['records']:g}")
    click.echo(f"model card: {done['card']}")
    fleet = done["fleet"]
    there = len(fleet) - len(getattr(fleet.artifacts, "missing", tuple)())
    rest = "" if there == len(fleet) else "; an audit makes the references', --all makes all"
    click.echo(f"such files in {_near(done['folder'])}: {there} of {len(fleet)} models{rest}")
    click.echo(f"next: secateur audit DENSE_FLEET {options['out']} --out report.json")


def _near(folder: Path) -> str:
    """Return the path as seen from here, where it is below here."""
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def export(  # noqa: PLR0913 - one argument per option of the verb
    *,
    fleet: Path,
    form: str,
    steps: tuple[str, ...],
    model: int | None,
    everyone: bool,
    into: Path | None,
    report: Path | None,
    digests: bool,
    data_dir: Path | None,
    workers: int,
    out: Path,
) -> dict[str, Any]:
    """Convert, write the file, its note and its card; return what was written."""
    from secateur import store
    from secateur.cli import checks, converting
    from secateur.cli.spelled import parse_conversion
    from secateur.report import card

    chain = (*(parse_conversion(step) for step in steps), converting.parse_format(form))
    converting.check_chain(chain)
    beside = store.beside(out)
    checks.refuse_outputs(out, *beside, inputs=(fleet, *((report,) if report else ())))
    checks.refuse_inside_fleet(out)
    told = None if report is None else store.read_report(report)
    plan = _plan(fleet)
    row = int(plan.membership.targets[0]) if model is None else model
    converting.refuse_reference(plan.membership, row, what="--model: ")
    if told is not None:
        card.check_speaks(told, (*plan.pipeline, *map(repr, chain)), trained=len(plan.pipeline))
    places = converting.planned(fleet, chain, into)
    _refuse_inside(out, fleet, [folder for _, folder in places])
    with converting.bar(chain, "converting") as bar:
        made, records = converting.converted(
            fleet,
            places,
            data_dir=data_dir,
            models=None if everyone else [row],
            workers=workers,
            progress=bar,
        )
    about, size = _write(
        made, records, row, out=out, parent=fleet, places=places, told=told, digests=digests
    )
    before = places[-2][1] if len(places) > 1 else fleet
    return {
        "model": row,
        "size": size,
        "card": beside[1],
        "about": about,
        "fleet": made,
        "folder": places[-1][1],
        "packed": _packed(chain[-1], before, row),
    }


def _write(
    made: Fleet,
    records: Records,
    row: int,
    *,
    out: Path,
    parent: Path,
    places: Sequence[tuple[Conversion, Path]],
    told: Report | None,
    digests: bool,
) -> tuple[Card, Footprint]:
    """Write the file, its note and its card; return what the card is about, and the size."""
    from secateur import store
    from secateur.cli.carding import card_of
    from secateur.report import card
    from secateur.train.keep import weights_missing

    artifact = made.artifacts[row]
    if artifact.kept is not None:
        raise weights_missing(row)
    assert artifact.shipped is not None  # the chain was looked at
    about, size = card_of(made, records, row, out.name)
    text = card.render(about, told, digests=digests)
    note = store.Export(
        file=out,
        digest=size.digest,
        form=size.form,
        parent=parent,
        steps=tuple((repr(step), folder) for step, folder in places),
        model=row,
    )
    store.write_export(note, artifact.shipped.data)
    store.write_text(store.beside(out)[1], text)
    return about, size


def _refuse_inside(out: Path, fleet: Path, folders: Sequence[Path]) -> None:
    """Refuse folders of files in the fleet's, and the one file in any of them."""
    from secateur.cli.checks import refuse_folder_inside
    from secateur.errors import InputError

    for folder in folders:
        refuse_folder_inside(folder, fleet, option="--into")
        if folder.resolve() in (out.resolve(), *out.resolve().parents):
            raise InputError(
                f"--out {out} is, or is inside, {folder}, the folder of the fleet of such files; "
                "name the file otherwise, or the folder with --into"
            )


def _plan(fleet: Path) -> FleetPlan:
    from secateur import store
    from secateur.errors import InputError

    if fleet.is_file():
        raise InputError(
            f"{fleet} is a file, and what is exported is a model of a fleet; give the folder that "
            "`secateur train`, `prune` or `defend` wrote"
        )
    return store.read_fleet_plan(fleet)


def _packed(conversion: Conversion, folder: Path, row: int) -> str:
    """Say how short a packed file could be, and what the dense file takes; empty for others."""
    from secateur import packed, store
    from secateur.deploy import Pack

    if not isinstance(conversion, Pack):
        return ""
    tensors = store.open_fleet(folder, partial=True).artifacts[row].tensors
    found = packed.sizes(tensors, values=conversion.values, layout=conversion.layout)
    return (
        f"entropy bound {found.bound.total:,.0f} bytes; the same model as safetensors "
        f"{found.n_dense:,}, that by gzip {found.n_gzip:,}"
    )
