"""`secateur init`: write a recipe file to fill in."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

__all__ = ["KINDS", "command"]

KINDS = ("images", "tables", "sequences", "hugging-face")


@click.command("init")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def command(kind: str, file: Path, force: bool) -> None:
    """Write a commented recipe for KIND into FILE: your network, your records, your training.

    It runs as written, on made-up data, until you put in your own.

    \b
    Examples:
      secateur init images mine.py
      secateur init hugging-face text.py
      secateur check mine.py
    """
    write(kind, file, force=force)
    name = shlex.quote(str(file))
    click.echo(f"{file} is written; fill in records() and build()\nnext: secateur check {name}")


def write(kind: str, file: Path, *, force: bool) -> None:
    """Write the recipe of a kind into a file, whole or not at all."""
    from importlib.resources import files

    from secateur.errors import InputError
    from secateur.store import write_text

    if file.suffix != ".py":
        raise InputError(
            f"{file} must end in .py: a recipe file is Python, and is known by that; write "
            f"{file.with_suffix('.py')}"
        )
    if file.exists() and not force:
        raise InputError(f"{file} is there already; choose another name, or write over it: --force")
    templates = files("secateur") / "own" / "templates"  # the room itself would load torch
    text = (templates / f"{kind}.py.txt").read_text(encoding="utf-8")
    write_text(file, text)
