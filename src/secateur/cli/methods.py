"""`secateur methods`: what there is, without loading torch."""

from __future__ import annotations

import textwrap

import click

__all__ = ["command"]


@click.command("methods")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List methods, or show one: NAME.

    A method is written on the command line as it is listed: LiRA, or LiRA(mode='offline').

    \b
    Examples:
      secateur methods
      secateur methods ADMM
    """
    from secateur.cli.catalogue import catalogue
    from secateur.errors import UnknownMethodError
    from secateur.spelling import did_you_mean

    entries = catalogue()
    if name is not None:
        chosen = [e for e in entries if e.name == name]
        if not chosen:
            names = [e.name for e in entries]
            raise UnknownMethodError(
                f"unknown method {name!r}; {did_you_mean(name, names)}there are {', '.join(names)}"
            )
        entry = chosen[0]
        click.echo(f"{entry.spelling}\n\n{entry.document}\n")
        facts = {"kind": entry.kind, "threat": entry.threat, "reference": entry.reference}
        click.echo("\n".join(f"{k}: {v}" for k, v in facts.items() if v))
        return
    for kind in dict.fromkeys(e.kind for e in entries):
        click.echo(f"\n{kind}")
        for entry in entries:
            if entry.kind != kind:
                continue
            tail = f" [{entry.threat}]" if entry.threat else ""
            click.echo(f"  {entry.spelling}{tail}")
            source = f" ({entry.reference})" if entry.reference else ""
            click.echo(textwrap.indent(textwrap.fill(entry.about + source, 92), "      "))
