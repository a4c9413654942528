"""What a sweep found, put together: points over seeds, front, pick, what is missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from secateur.context import hardware, made_by
from secateur.sweeping.compare import comparisons
from secateur.sweeping.front import Limits, pick, with_front
from secateur.sweeping.names import Names
from secateur.sweeping.points import over_seeds
from secateur.types import RAISED, Point, Provenance, Series, Sweep

if TYPE_CHECKING:
    from secateur.sweeping.reading import SweepPlan
    from secateur.sweeping.tree import Node

__all__ = ["State", "comparable", "missing_of", "raised_in", "result_of"]

STATEMENTS = (
    "Each point is one pipeline: the mean over models that it trains on draws from this pool of "
    "records. The leak is the AUC of the attack that was the strongest on references, an empirical "
    "lower bound, never a guarantee.",
    "Cases are compared on the same targets. The best of many cases looks better than it is, all "
    "the more the more cases there are: measure the chosen one on a new seed before you claim it.",
)


@dataclass(kw_only=True)
class State:
    """What is known by now; `keys` and `contexts` are those of the audits' reports, `raised` the
    ids and subjects of the controls that a seed's audit raised.
    """

    points: list[Point] = field(default_factory=list)
    curves: list[Series] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[tuple[str, int], str] = field(default_factory=dict)
    broken: dict[tuple[tuple[str, ...], int], str] = field(default_factory=dict)
    spent: bool = False
    keys: dict[str, Any] = field(default_factory=dict)
    contexts: list[Mapping[str, Any]] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    raised: dict[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def result_of(
    plan: SweepPlan,
    nodes: Sequence[Node],
    alive: Sequence[Node],
    state: State,
    limits: Limits,
    facts: dict[str, Any],
) -> Sweep:
    """Return the sweep, with front and pick, from what is known.

    Args:
        plan: what was asked for.
        nodes: all fleets, the dense one first.
        alive: the cases that no round left out.
        state: points and reasons.
        limits: which case to pick.
        facts: further facts.
    """
    labels = [nodes[0].label, *(n.label for n in alive)]
    failing = {name for name, _ in state.failed}
    there = {*((p.case, p.seed) for p in state.points), *state.failed}
    whole = with_front(comparable(labels, state.points, plan.seeds, failing=failing))
    return Sweep(
        title=plan.title,
        points=(*state.points, *whole),
        series=tuple(state.curves),
        dropped=tuple(state.dropped),
        failed=tuple({"case": c, "seed": s, "why": w} for (c, s), w in state.failed.items()),
        missing=missing_of(labels, plan.seeds, there),
        pick=pick(whole, limits) if limits else {},
        comparisons=comparisons(whole, plan.compare),
        provenance=Provenance(
            key={"audits": state.keys}, context={**hardware(), **made_by(state.contexts)}
        ),
        facts={
            "data": plan.data,
            "sizes": dict(plan.sizes),
            "attacks": list(plan.attacks),
            "canaries": list(plan.canaries),
            "targets": plan.targets,
            "references": plan.references,
            "seeds": list(plan.seeds),
            "recipe": repr(nodes[0].recipe),
            "queries": plan.queries,
            "funnel": list(plan.funnel),
            "scale": plan.scale,
            "statements": list(STATEMENTS),
            RAISED: raised_in(state.raised),
            **facts,
        },
    )


def raised_in(raised: Mapping[int, Collection[tuple[str, str]]]) -> list[dict[str, Any]]:
    """Return the controls that were raised, each with its subject and the seeds in which it was.

    Example:
        >>> raised_in({0: [("convergence", "admm")], 1: [("convergence", "admm")]})
        [{'id': 'convergence', 'subject': 'admm', 'seeds': [0, 1]}]
    """
    every = sorted({both for of_seed in raised.values() for both in of_seed})
    return [
        {
            "id": name,
            "subject": subject,
            "seeds": [s for s in raised if (name, subject) in raised[s]],
        }
        for name, subject in every
    ]


def missing_of(
    labels: Sequence[str],
    seeds: Sequence[int],
    there: Collection[tuple[str, int | None]],
    *,
    also: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return which cases of which seeds are neither there nor failed, as a sweep spells them.

    Args:
        labels: of all cases, the dense one first.
        seeds: of all draws.
        there: case and seed of what is there or failed.
        also: further ones, spelled; what both say is said once.
    """
    found = [f"{n}, seed {seed}" for seed in seeds for n in labels if (n, seed) not in there]
    return tuple(dict.fromkeys([*found, *also]))


def comparable(
    labels: Sequence[str],
    points: Sequence[Point],
    seeds: Sequence[int],
    *,
    failing: Collection[str],
) -> list[Point]:
    """Return one point per case over the same seeds: those in which every case is that has any.

    Where there is no such seed, over the first one, of the cases that are in it.
    """
    by_case = {n: [p for p in points if p.case == n] for n in labels if n not in failing}
    known = {name: own for name, own in by_case.items() if own}
    common = [s for s in seeds if all(any(p.seed == s for p in ps) for ps in known.values())]
    chosen = (
        common or [s for s in seeds if any(p.seed == s for ps in known.values() for p in ps)][:1]
    )
    found = []
    for own in known.values():
        same = [p for p in own if p.seed in chosen]
        found += [over_seeds(same)] if same else []
    return found
