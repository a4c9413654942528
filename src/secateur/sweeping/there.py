"""What of a sweep is in its folder already; fleets of other records or methods are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from secateur import store
from secateur.errors import StoreError
from secateur.sweeping.names import names_of
from secateur.sweeping.tree import Node, chain, made
from secateur.sweeping.world import stored
from secateur.types import Sweep

if TYPE_CHECKING:
    from secateur.sweeping.reading import SweepPlan
    from secateur.sweeping.run import Draw

__all__ = ["fleets_there", "without_dropped"]


def fleets_there(
    plan: SweepPlan, nodes: Sequence[Node], draw: Draw, folder: Path
) -> Counter[tuple[str, ...]]:
    """Return of how many seeds each fleet is there with all its models, by its steps.

    Args:
        plan: what is asked for.
        nodes: of `tree_of`.
        draw: gives a seed's world; asked for those alone of which something is there.
        folder: of the sweep; may be missing.

    Raises:
        StoreError: a fleet's folder holds another fleet, over which the sweep would stop.
    """
    found: Counter[tuple[str, ...]] = Counter()
    for number, seed in enumerate(plan.seeds):
        places = [(node, folder / f"seed-{seed}" / node.name) for node in made(nodes)]
        begun = [(node, place) for node, place in places if place.exists()]
        if not begun:
            continue
        screening = plan.screening(number)
        records, membership = draw(seed, plan.targets + screening)
        for node, place in begun:
            try:
                store.refuse_other_fleet(
                    place,
                    pipeline=_pipeline(nodes, node),
                    records_digest=records.digest,
                    data=records.origin,
                    membership=membership,
                    seed=seed,
                )
            except StoreError as error:
                raise StoreError(f"{error}{_apart(folder, plan.scale)}") from error
            found[node.steps] += stored(place)
    return found


def without_dropped(plan: SweepPlan, nodes: Sequence[Node], folder: Path) -> tuple[Node, ...]:
    """Return the nodes without the cases that the funnel has left out, as the result in the folder
    says: no more of their models are made.

    Args:
        plan: what is asked for.
        nodes: of `tree_of`.
        folder: of the sweep; may be missing.
    """
    try:
        result = store.read_result(folder / names_of(folder, plan.scale).result)
    except StoreError:  # none yet, or not whole: it is written anew
        return tuple(nodes)
    dropped = result.dropped if isinstance(result, Sweep) else ()
    out = {d["case"] for d in dropped if d["references"] in plan.funnel}
    return tuple(
        replace(n, case=None) if n.case is not None and n.label in out else n for n in nodes
    )


def _pipeline(nodes: Sequence[Node], node: Node) -> list[str]:
    """Return the reprs of recipe and methods in order, as a fleet of this node has them."""
    anew, *after = chain(nodes, node)
    return [repr(anew.recipe), *(repr(n.method) for n in after)]


def _apart(folder: Path, scale: str) -> str:
    """Return the advice where the folder's files are of another scale."""
    end = names_of(folder, scale).end
    if not end:
        return ""
    return (
        ". The folder is of another scale or file: those with other records, models or recipe "
        f"need a folder each, such as --out {folder if folder.name else 'sweep'}{end}"
    )
