"""What `prune` and `defend` share: one method on every model of a fleet, into another folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["applied"]


def applied(  # noqa: PLR0913 - one argument per option of the verbs
    parse: Callable[[str], Any],
    doing: str,
    *,
    fleet: Path,
    method: str,
    name: str | None,
    data_dir: Path | None,
    workers: int,
    out: Path,
    engine: str = "auto",
    budget: str | None = None,
    partial: bool = False,
    keep: str = "all",
    cache: Path | None = None,
) -> Any:
    """Open a fleet, apply the method that `parse` reads, and return the new fleet.

    `doing` stands before the method's name while it works; the rest is as typed.
    """
    from secateur.cli.checks import refuse_folder_inside
    from secateur.cli.progress import Bar
    from secateur.cli.runs import engine as engine_of
    from secateur.cli.runs import keep as keeping
    from secateur.cli.runs import open_runs
    from secateur.cli.spelled import parse_queries
    from secateur.train import Limit, apply

    found = parse(method)
    refuse_folder_inside(out, fleet)
    (before,), records, seed = open_runs((fleet,), data_dir, partial=partial)
    label = type(found).__name__.lower() if name is None else name
    if not label.strip():
        raise click.BadParameter("a name needs at least one letter", param_hint="--name")
    asked = parse_queries(str(records.origin.get("queries", "Queries()")))
    with Bar(f"{doing} with {type(found).__name__}") as bar:
        return apply(
            found,
            before,
            records,
            seed=seed,
            engine=engine_of(engine, workers),
            folder=out,
            progress=bar,
            limit=None if budget is None else Limit.of(budget),
            name=label,
            keep=keeping(asked) if keep == "targets" else None,
            cache=cache,
        )
