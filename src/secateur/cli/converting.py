"""What `export` and `audit` share: conversions of a fleet, each in a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.errors import InputError

if TYPE_CHECKING:
    from secateur.cli.progress import Bar
    from secateur.protocols import Progress
    from secateur.store import FleetPlan
    from secateur.train import Conversion
    from secateur.types import Fleet, Membership, Records

__all__ = [
    "FORMATS",
    "bar",
    "check_chain",
    "converted",
    "open_files",
    "parse_format",
    "planned",
    "refuse_reference",
]

FORMATS = {
    "packed": "Pack()",
    "onnx": "Onnx()",
    "onnx-int8": "OnnxInt8()",
    "safetensors": "Safetensors()",
}
"""What a format's name stands for."""


def parse_format(text: str) -> Conversion:
    """Read a format's name, or a conversion as its repr spells it.

    Raises:
        InputError: neither.
    """
    from secateur.cli.spelled import parse_conversion
    from secateur.errors import SecateurError

    try:
        return parse_conversion(FORMATS.get(text, text))
    except SecateurError as error:
        raise InputError(f"--format: {error}; formats by name are {', '.join(FORMATS)}") from error


def check_chain(chain: Sequence[Conversion]) -> None:
    """Say before any work that these conversions make no file, or one before the last one.

    Raises:
        InputError: names the conversion.
    """
    *before, last = chain
    if not last.form:
        raise InputError(
            f"--format {last!r}: it changes the model and makes no file; name it with --step, and "
            f"give --format {', '.join(FORMATS)}"
        )
    early = next((step for step in before if step.form), None)
    if early is not None:
        raise InputError(
            f"--step {early!r} makes a file already, which {last!r} cannot change; name one of "
            "them, with --format"
        )


def planned(
    parent: Path, conversions: Sequence[Conversion], into: Path | None
) -> tuple[tuple[Conversion, Path], ...]:
    """Return each conversion with the folder of its fleet.

    Args:
        parent: folder of the trained fleet.
        conversions: in order.
        into: folder of the last one; by default, as those before it, beside the parent, named by
            it and the conversions so far.
    """
    folders = []
    name = parent.resolve().name
    for conversion in conversions:
        name += "." + _slug(conversion)
        folders.append(parent.resolve().with_name(name))
    if into is not None:
        folders[-1] = into
    return tuple(zip(conversions, folders, strict=True))


def _slug(conversion: Conversion) -> str:
    """Name a conversion for a folder: its class, and what is not a default of it."""
    plain = type(conversion)
    name = plain.__name__.lower()
    if repr(conversion) == repr(plain()):
        return name
    inside = repr(conversion).partition("(")[2].rstrip(")")
    defaults = set(repr(plain()).partition("(")[2].rstrip(")").split(", "))
    told = [part for part in inside.split(", ") if part not in defaults]
    return name + "-" + re.sub(r"[^A-Za-z0-9.=]+", "-", "-".join(told)).strip("-")


def converted(
    parent: Path,
    steps: Sequence[tuple[Conversion, Path]],
    *,
    data_dir: Path | None,
    models: Sequence[int] | None,
    workers: int,
    progress: Progress | None = None,
) -> tuple[Fleet, Records]:
    """Convert models of a stored fleet; what an earlier call made is found.

    Args:
        parent: folder of the trained fleet.
        steps: conversions and folders, in order.
        data_dir: where the data set's files lie.
        models: rows of the membership; None for all.
        workers: worker processes.
        progress: called after each model.

    Returns:
        The last fleet, perhaps partly made, and its records.
    """
    from secateur.cli.runs import engine, open_runs
    from secateur.train import apply

    (fleet,), records, seed = open_runs((parent,), data_dir, partial=True)
    name = fleet.name
    for conversion, folder in steps:
        name = f"{name} {_slug(conversion)}"
        made: Any = apply(
            conversion,
            fleet,
            records,
            seed=seed,
            engine=engine("auto", workers),
            folder=folder,
            progress=progress and _named(progress, conversion),
            name=name,
            models=models,
        )
        fleet = made
    return fleet, records


def bar(conversions: Sequence[Conversion], what: str) -> Bar:
    """Return a bar that says by which conversion models are being converted."""
    from secateur.cli.progress import Bar

    names = {type(c).__name__: f"{what} by {type(c).__name__}" for c in conversions}
    return Bar(what, **names)


def _named(progress: Progress, conversion: Conversion) -> Progress:
    def show(done: int, total: int, what: str) -> None:
        del what
        progress(done, total, type(conversion).__name__)

    return show


def open_files(
    paths: Sequence[Path], data_dir: Path | None, *, workers: int, partial: bool = False
) -> tuple[list[Fleet], Records]:
    """Open exported files, and fleets beside them, each as its one model and the references.

    References that are not converted yet are converted in the folder that the export left.

    Args:
        paths: files that `secateur export` wrote, of one model, and folders of fleets.
        data_dir: where the data set's files lie.
        workers: worker processes.
        partial: unfinished fleets beside the files too.

    Raises:
        InputError: files of several models, or of another conversion than the note says.
        StoreError: a file without its note, or that is not the one exported.
    """
    from secateur import store
    from secateur.cli.runs import open_runs
    from secateur.cli.spelled import parse_conversion

    notes = {path: store.read_export(path) for path in paths if path.is_file()}
    rows = sorted({note.model for note in notes.values()})
    if len(rows) > 1:
        raise InputError(
            f"the files are of the models {rows}; audit files of one model together, the others "
            "another time"
        )
    plans = {
        path: store.read_fleet_plan(notes[path].parent if path in notes else path) for path in paths
    }
    _check_one_draw(plans)
    for path, note in notes.items():
        refuse_reference(plans[path].membership, note.model, what=f"{path}: ")
    fleets: dict[Path, Fleet] = {}
    folders = [path for path in paths if path not in notes]
    if folders:
        opened, records, _ = open_runs(folders, data_dir, partial=partial)
        fleets.update(zip(folders, opened, strict=True))
    for path, note in notes.items():
        who = plans[path].membership
        steps = [(parse_conversion(step), folder) for step, folder in note.steps]
        with bar([step for step, _ in steps], "converting references") as shown:
            fleets[path], records = converted(
                note.parent,
                steps,
                data_dir=data_dir,
                models=[note.model, *who.references.tolist()],
                workers=workers,
                progress=shown,
            )
        shipped = fleets[path].artifacts[note.model].shipped
        if shipped is None or shipped.digest != note.digest:
            raise InputError(
                f"{path} is not what {note.steps[-1][0]} makes of model {note.model} here "
                f"({'no file' if shipped is None else shipped.digest} instead of {note.digest}): "
                "other versions of the packages may make other bytes; export it again"
            )
    return [_one(fleets[path], rows[0]) for path in paths], records


def _check_one_draw(plans: Mapping[Path, FleetPlan]) -> None:
    """Say before references are converted that fleets and files are not of one draw."""
    (first, plan), *others = plans.items()
    for path, other in others:
        if other.membership.digest != plan.membership.digest:
            raise InputError(
                f"{first} and {path} are of different draws of members; a file is compared with "
                "the fleet that it was made from, or one that this was made from"
            )


def refuse_reference(membership: Membership, row: int, *, what: str = "") -> None:
    """Refuse a model that is no target: no audit can speak of it.

    Args:
        membership: of the fleet.
        row: of the model.
        what: said the row, such as an option; for the message.

    Raises:
        InputError: there is no such model, or it is one that stands for the attacker's.
    """
    if row >= len(membership):
        raise InputError(f"{what}model {row}: the fleet has the models 0 .. {len(membership) - 1}")
    if row in membership.references:
        raise InputError(
            f"{what}model {row} is a reference: references stand for the attacker's models, and "
            f"no audit is of one; the targets are {membership.targets.tolist()}"
        )


def _one(fleet: Fleet, row: int) -> Fleet:
    refuse_reference(fleet.membership, row)
    return fleet.part([row, *fleet.membership.references.tolist()])
