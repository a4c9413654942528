"""What of a sweep is still to be made, and what that will take, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from secateur.cli import swept

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.sweeping.reading import SweepPlan
    from secateur.sweeping.run import Draw
    from secateur.sweeping.tree import Node
    from secateur.train import Engine
    from secateur.types import Membership, Records

__all__ = ["Left", "cost", "left_of"]


@dataclass(frozen=True, kw_only=True)
class Left:
    """The nodes whose cases are still looked at, and of how many seeds the fleet of a node is to
    be made.
    """

    nodes: Sequence[Node]
    fleets: Callable[[Node], int]
    dropped: bool = False

    @property
    def any(self) -> bool:
        """Whether a fleet is missing."""
        from secateur.sweeping import made

        return any(map(self.fleets, made(self.nodes)))


def left_of(plan: SweepPlan, nodes: Sequence[Node], draw: Draw, out: Path | None) -> Left:
    """Return which fleets are to be made: not those that are there, nor those of cases that the
    funnel has left out.

    Args:
        plan: what is asked for.
        nodes: of `tree_of`.
        draw: gives a seed's world.
        out: the sweep's folder; None is a new one.

    Raises:
        StoreError: the folder holds another fleet where one of these belongs.
    """
    from secateur.sweeping import fleets_there, without_dropped

    seeds = len(plan.seeds)
    if out is None:
        return Left(nodes=nodes, fleets=lambda _: seeds)
    found = fleets_there(plan, nodes, draw, out)
    kept = without_dropped(plan, nodes, out)
    return Left(
        nodes=kept,
        fleets=lambda node: seeds - found[node.steps],
        dropped=list(kept) != list(nodes),
    )


def cost(
    left: Left,
    plan: SweepPlan,
    world: tuple[Records, Membership],
    out: Path | None,
    *,
    route: Engine,
    attacks: Sequence[MembershipAttack] | None,
) -> str:
    """Return the number of trainings, and what they will take.

    The time of audits is not foretold: by which attacks, and of how many models and records, it
    differs more than a few timed steps could say.

    Args:
        left: which fleets are to be made.
        plan: what is asked for.
        world: of one seed.
        out: the sweep's folder.
        route: the engine that will make the models; what is timed is kept for it.
        attacks: that audit; None are those of every audit.
    """
    from secateur.cli.amounts import duration
    from secateur.sweeping import cost_of
    from secateur.train import Auto

    seeds = len(plan.seeds)
    costs = cost_of(
        left.nodes,
        *world,
        fleets=left.fleets,
        workers=getattr(route, "workers", 1),
        timings=route.timings if isinstance(route, Auto) else None,
    )
    models, fleets = costs[0].models, sum(c.fleets for c in costs)
    there = len(costs) * seeds - fleets
    each = f"{len(costs)} fleets of {models} models a seed"
    before = f"; {there} {'is' if there == 1 else 'are'} there already" if there else ""
    before += "; cases that the funnel left out are not counted" if left.dropped else ""
    lines = [f"trainings: {fleets * models} ({each}{before})"]
    answers = swept.disk_of_answers(plan, left.nodes, world[1], out, attacks=attacks)
    if not fleets:
        return "\n".join([*lines, *answers])
    if plan.funnel:
        lines.append(
            f"the funnel {list(plan.funnel)} adds {plan.targets} models a fleet in the first "
            "seed, and takes off what it leaves out"
        )
    known = sum(c.seconds * c.fleets for c in costs if c.seconds is not None)
    unknown = [f"{c.name} ({c.why})" if c.why else c.name for c in costs if c.seconds is None]
    lines.append(
        f"time: trainings about {duration(known)}, from a few timed steps of each; audits come on "
        "top, and take longer than the trainings where these are short"
    )
    lines += [*swept.disk(left.nodes, *world, out), *answers]
    if unknown:
        lines.append(f"not known before they run: {'; '.join(unknown)}")
    return "\n".join(lines)
