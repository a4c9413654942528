"""`secateur prune`: the same transform on every model of a fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from secateur.cli.options import (
    budget_option,
    cache_option,
    data_dir_option,
    engine_option,
    keep_option,
    out_option,
    partial_option,
    workers_option,
)

__all__ = ["command"]


@click.command("prune")
@click.argument("fleet", type=click.Path(path_type=Path))
@click.option(
    "--method",
    default="ADMM(rate=10)",
    show_default=True,
    help="A pruning method of `secateur methods`.",
)
@click.option("--name", help="What the report calls it; default the method's name.")
@data_dir_option
@engine_option
@budget_option
@keep_option
@cache_option
@partial_option
@workers_option
@out_option("Folder of the pruned fleet; an unfinished one is resumed.")
def command(**options: Any) -> None:
    """Prune every model of FLEET in the same way: targets and references alike.

    The attacker's references go through the identical pipeline, with the same members and seeds.

    \b
    Examples:
      secateur prune runs/dense --method "ADMM(rate=10)" --out runs/admm
      secateur prune runs/dense --method "Magnitude(sparsity=0.9, scope='global')" --out runs/mag
      secateur prune runs/dense --method "RandomMask(rate=10)" --name random --out runs/random
    """
    from secateur.cli.checks import made_part

    pruned = prune(**options)
    pruned = made_part(pruned)
    kept, total = _counted(pruned.artifacts[0], pruned.recipe)
    click.echo(f"{len(pruned)} models in {options['out']}, {kept} of {total} weights kept in each")
    click.echo(f"made by: {pruned.engine}")
    warn_of_convergence(pruned)


def _counted(artifact: Any, recipe: Any) -> tuple[int, int]:
    """Return how many of the weights that were to be pruned are kept, and how many there were."""
    from secateur.models import prunable
    from secateur.models.blank import blank

    names = prunable(blank(recipe.build))
    masks = [mask for name, mask in artifact.masks.items() if name in names]
    return sum(int(m.sum()) for m in masks), sum(m.size for m in masks)


def prune(**options: Any) -> Any:
    """Open a fleet, prune it into another folder; see `applied` for the options."""
    from secateur.cli.applying import applied
    from secateur.cli.spelled import parse_transform

    return applied(parse_transform, "pruning", **options)


def warn_of_convergence(fleet: Any) -> None:
    """Warn of layers whose ADMM residual is not small, over all models whose weights are there."""
    import warnings

    from secateur.compress import CONVERGED, convergence
    from secateur.errors import ConvergenceWarning

    worst: dict[str, float] = {}
    for artifact in (a for a in fleet.artifacts if a.kept is None):
        for layer, value in convergence(artifact).items():
            worst[layer] = max(worst.get(layer, 0.0), value)
    for layer, value in worst.items():
        if value > CONVERGED:
            warnings.warn(
                f"ADMM has not converged in {layer}: ||W - Z|| / ||W|| is up to {value:.3f} (above "
                f"{CONVERGED}); raise the last rho (3 by default) or the updates, such as "
                "ADMM(rho=(0.01, 10), updates=20)",
                ConvergenceWarning,
                stacklevel=2,
            )
