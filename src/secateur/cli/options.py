"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = [
    "budget_option",
    "cache_option",
    "data_dir_option",
    "device_option",
    "engine_option",
    "keep_option",
    "limit_options",
    "out_option",
    "partial_option",
    "seed_option",
    "seeds_option",
    "workers_option",
]

data_dir_option = click.option(
    "--data-dir",
    envvar="SECATEUR_DATA",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="Folder with the data sets' files.",
)
seed_option = click.option(
    "--seed", default=0, show_default=True, help="Everything derives from it."
)
seeds_option = click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    show_default="all",
    help="One of the file's seeds, to make it alone; can be repeated. See `secateur join`.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    show_default="one per core",
    help="Worker processes, one thread each; 1 works in this process.",
)


device_option = click.option(
    "--device", default="cpu", show_default=True, help="Where models are queried, such as cuda:0."
)
engine_option = click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="serial, processes, stacked, ray, or one with its parameters: Stacked(models=8).",
)


budget_option = click.option(
    "--budget",
    help="Stop after 600s, 20m, 2h or '12 models', at the end of a model or of a stack; the same "
    "command goes on another time.",
)
partial_option = click.option(
    "--partial", is_flag=True, help="Take the models that are there of an unfinished fleet."
)


keep_option = click.option(
    "--keep",
    type=click.Choice(["all", "targets"]),
    default="all",
    show_default=True,
    help="Whose weights: `targets` keeps of references what audits read; it cannot be pruned then.",
)


cache_option = click.option(
    "--cache",
    envvar="SECATEUR_CACHE",
    show_envvar=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of models that runs share: equal ones are taken from there, new ones left there.",
)


def out_option(what: str) -> Callable[[Any], Any]:
    """Return a required --out option for a new folder or file."""
    return click.option("--out", type=click.Path(path_type=Path), required=True, help=what)


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the limits that the case to ship must keep."""
    for option in (
        click.option("--max-bytes", help="Bytes that its weights may take, such as 100k or 2M."),
        click.option("--min-accuracy", type=float, help="Test accuracy that it must have, 0 to 1."),
        click.option("--max-leak", type=float, help="AUC that the case may have, 0 to 1."),
    ):
        command = option(command)
    return command
