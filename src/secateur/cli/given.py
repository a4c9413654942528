"""`secateur audit --recipe`: one trained network of a user's, beside references trained like it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secateur.errors import InputError

if TYPE_CHECKING:
    from secateur.cli.progress import Bar
    from secateur.types import Report

__all__ = ["audit_own", "refuse_answers", "refuse_without_recipe"]

NETWORKS = (".safetensors", ".onnx")
OUTPUTS = (".npz", ".npy", ".csv")


def refuse_without_recipe(fleets: Sequence[Path], asked: dict[str, Any]) -> None:
    """Refuse what an audit of fleets does not read, and an audit of nothing.

    Raises:
        InputError: names the options, or says what to give in place of a file that no export wrote.
    """
    if not fleets:
        raise InputError(
            "say what is audited: folders of fleets, a file of `secateur export`, or --recipe "
            "FILE.py, with a network file or alone"
        )
    unread = [f"--{name}" for name, value in asked.items() if value is not None]
    if unread:
        raise InputError(
            f"{', '.join(unread)} belong{'s' * (len(unread) == 1)} to an audit with --recipe "
            "FILE.py; fleets bring their own references and names"
        )
    for file in fleets:
        _refuse_no_export(file)


def refuse_answers(answers: Path | None) -> None:
    """Refuse a folder of answers beside a recipe file, whose models are trained for this audit.

    Raises:
        InputError: there is one.
    """
    if answers is not None:
        raise InputError(
            "--answers is for fleets; an audit with --recipe keeps its models (--folder) and asks "
            "them again: leave it out"
        )


def _refuse_no_export(file: Path) -> None:
    """Say of a file without a note of `secateur export` how it is audited."""
    from secateur import store
    from secateur.auditing.entry import PICKLES

    note, _ = store.beside(file)
    if not file.is_file() or note.is_file():
        return
    if file.suffix == ".py":
        raise InputError(
            f"{file} is a recipe file, no fleet: audit what it trains by --recipe {file}, or a "
            f"network of yours by `secateur audit NETWORK.safetensors --recipe {file}`"
        )
    if file.suffix in NETWORKS:
        raise InputError(
            f"{file} has no note {note.name} beside it, which `secateur export` writes and which "
            "says of which fleet it is. A network that you trained yourself is audited with its "
            f"recipe file: `secateur audit {file} --recipe FILE.py`; `secateur init` writes one, "
            "its MEMBERS say what the network was trained on (docs/own.md). An exported file "
            "needs its note: keep the two together, or export it again"
        )
    if file.suffix in PICKLES:
        raise InputError(
            f"{file.name} is a pickle, which may run code when it is read, and is never read here: "
            "load it yourself (torch.load(path, weights_only=True)), keep its state dict by "
            "safetensors.torch.save_file, and give that file with --recipe FILE.py (docs/own.md)"
        )
    if file.suffix in OUTPUTS:
        raise InputError(
            f"{file} is no network; saved outputs are attacked by `secateur attack --target "
            f"{file}` (docs/signals.md)"
        )
    raise InputError(
        f"{file} is nothing that an audit takes: folders of fleets, files that `secateur export` "
        "wrote with their notes beside them, or, with --recipe FILE.py, a network of your own "
        f"({' or '.join(NETWORKS)})"
    )


def audit_own(  # noqa: PLR0913 - one argument per option of the verb
    *,
    fleets: Sequence[Path],
    recipe: str,
    references: int | None,
    folder: Path | None,
    name: str | None,
    out: Path,
    html: Path | None,
    attacks: Sequence[str],
    queries: str | None,
    workers: int,
    partial: bool,
    data_dir: Path | None,
    command: str,
    **further: Any,
) -> Report:
    """Audit a network file on a recipe file's MEMBERS and NON_MEMBERS, or the recipe itself.

    Args:
        fleets: a safetensors or ONNX file of the recipe's network; none: targets are trained too.
        recipe: path of the recipe file.
        references: how many.
        folder: where models are written as they end; by default beside the report.
        name: what the report calls the network.
        out: the report's path, by which the folder is named.
        html: the page's path.
        attacks: as they are spelled.
        queries: as they are spelled.
        workers: worker processes.
        partial: refused.
        data_dir: of data sets, which a recipe file does not read.
        command: for the report.
        further: as `secateur.audit` takes it.

    Raises:
        InputError: no recipe file, several networks, no MEMBERS, or another kind of file.
    """
    del data_dir  # its environment variable may be set for other verbs
    from secateur import own, store
    from secateur.auditing import audit
    from secateur.cli.checks import refuse_apart, refuse_outputs
    from secateur.cli.runs import processes
    from secateur.cli.spelled import parse_attack, parse_queries
    from secateur.models import check_device

    check_device(further["device"])
    if partial:
        raise InputError("--partial is for fleets; an audit with --recipe goes on by itself")
    if further.pop("pictures"):
        raise InputError("--pictures is for fleets of at least 64 targets; leave it out")
    network = _network_of(fleets)
    _refuse_no_file(recipe)
    further["attacks"] = [parse_attack(a) for a in attacks] or None
    further["queries"] = None if queries is None else parse_queries(queries)
    folder = folder or out.with_name(f"{out.stem}-models")
    scores = further["scores"]
    refuse_apart(scores, out)
    note = None if scores is None else store.note_beside(scores)
    refuse_outputs(out, html, scores, note, inputs=(folder, Path(recipe), *fleets))
    plan, records = own.recipe_of(recipe), own.records_of(recipe)
    if network is not None:
        members, others = own.sides_of(recipe, len(records))
        further |= {"members": members, "non_members": others, "recipe": plan}
    with _told("references" if network else "targets and references", folder) as bar:
        return audit(
            network or plan,
            records,
            references=references,
            folder=folder,
            name=name,
            workers=processes(workers),
            about={"command": command},
            progress=bar,
            **further,
        )


def _told(what: str, folder: Path) -> Bar:
    """Say where models are kept, and return the bar that shows how many there are."""
    from secateur.cli.progress import Bar

    label = f"training {what} into {folder}"
    click.echo(f"{label}; an interrupted run goes on from there", err=True)
    stages = {"references": label, "dense": label, "observe_model": "querying models"}
    return Bar("querying models", **stages)


def _refuse_no_file(recipe: str) -> None:
    from secateur.own import is_recipe_file

    if not is_recipe_file(recipe):
        raise InputError(
            f"--recipe {recipe}: an audit takes a recipe file of `secateur init`, whose records() "
            "are audited; its name ends in .py"
        )


def _network_of(files: Sequence[Path]) -> Path | None:
    if not files:
        return None
    if len(files) > 1:
        raise InputError(
            f"an audit with --recipe is of one network, got {len(files)}: "
            f"{', '.join(map(str, files[:5]))}"
        )
    if not files[0].exists():
        raise InputError(f"there is no file {files[0]}; check the path")
    if not files[0].is_file() or files[0].suffix not in NETWORKS:
        raise InputError(
            f"{files[0]} is no file of a network ({' or '.join(NETWORKS)}), which is what --recipe "
            "goes with; a fleet is audited without it, and what torch.save wrote (a pickle) is not "
            "read: safetensors.torch.save_file(net.state_dict(), 'net.safetensors')"
        )
    return files[0]
