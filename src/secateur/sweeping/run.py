"""Many audits: fleets made once where they begin alike, seed by seed, within a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur import store
from secateur.auditing import audit_fleets, audit_key
from secateur.errors import BudgetSpentError, MethodError, StoreError
from secateur.report.lookup import subjects
from secateur.sweeping.front import Limits
from secateur.sweeping.kept import lessons_of, room_for_answers
from secateur.sweeping.names import claim, names_of, settle
from secateur.sweeping.points import curve_of, point_of
from secateur.sweeping.reading import DENSE
from secateur.sweeping.result import State, result_of
from secateur.sweeping.screen import dropped
from secateur.sweeping.tree import Node, chain, made
from secateur.sweeping.world import Place, World
from secateur.types import Membership, Point, Provenance, Records, Report, Sweep

if TYPE_CHECKING:
    from secateur.sweeping.kept import Lessons
    from secateur.sweeping.reading import SweepPlan

__all__ = ["Draw", "sweep"]

Draw = Callable[[int, int], tuple[Records, Membership]]
"""(seed, targets) -> that seed's records and membership."""


def sweep(
    plan: SweepPlan,
    nodes: Sequence[Node],
    draw: Draw,
    place: Place,
    *,
    limits: Limits | None = None,
    facts: dict[str, Any] | None = None,
) -> Sweep:
    """Make every fleet of a tree for every seed, audit them, and say which cases are worth it.

    What is found finished is not made again, so an interrupted sweep goes on when it is called
    again, to the same result (but for measured times). With a budget, the dense fleet and the first
    case of the first seed are audited before the rest is made, and before a funnel's rounds, with
    the references and targets of the reported numbers. Where the budget ends, in a round too, those
    of the remaining cases that are there with all of these are audited.

    Args:
        plan: what the file asks for.
        nodes: of `tree_of`.
        draw: gives a seed's world.
        place: where and how; the sweep is written into its folder, by the name of `names_of`.
        limits: which case to pick.
        facts: further facts for the result.

    Returns:
        The sweep; `missing` says what a budget left for another time.

    Raises:
        InterruptedRunError: stopped by the user.
        StoreError: the folder holds fleets of another sweep.
    """
    state = State()
    with store.only_run_in(place.folder):
        store.clean_temporaries(place.folder)
        alive = [node for node in made(nodes) if node.case is not None]
        lessons = lessons_of(nodes)
        state.names = names_of(place.folder, plan.scale)
        for number, seed in enumerate(plan.seeds):
            screening = plan.screening(number)
            world = _world(plan, seed, screening, draw, place.folder, lessons)
            if number == 0 and _unanswered(alive, world, place, state):
                _measure(nodes, alive[:1], world, place, state, coming=alive)
            if screening and not state.spent:
                alive = _screened(plan, nodes, alive, world, place, state)
            _measure(nodes, alive, world, place, state, coming=alive)
            if state.spent:
                break
            world.forget_lessons()
        result = result_of(plan, nodes, alive, state, limits or Limits(), facts or {})
        store.write_sweep(place.folder / state.names.result, result)
        settle(place.folder)
    return result


def _world(
    plan: SweepPlan,
    seed: int,
    screening: int,
    draw: Draw,
    folder: Path,
    lessons: Lessons,
) -> World:
    records, membership = draw(seed, plan.targets + screening)
    return World(
        seed=seed,
        records=records,
        membership=membership,
        folder=folder / f"seed-{seed}",
        screening=screening,
        lessons=lessons,
    )


def _screened(
    plan: SweepPlan,
    nodes: Sequence[Node],
    alive: Sequence[Node],
    world: World,
    place: Place,
    state: State,
) -> list[Node]:
    """Return the cases that no round left out."""
    left = list(alive)
    for references in plan.funnel:
        rows = world.rows(references)
        there = _make(nodes, left, world, place, state, rows=rows, coming=left)
        if state.spent:
            break
        left = [n for n in left if n in there]
        path = world.folder / state.names.screening(references)
        report = _audited(there, world, place, rows, path, state)
        points = [_point(report, n, nodes, world, rows) for n in there]
        out = dropped(points, references=references, keep=DENSE)
        state.dropped += out
        names = {d["case"] for d in out}
        left = [n for n in left if n.label not in names]
    return left


def _unanswered(
    alive: Sequence[Node],
    world: World,
    place: Place,
    state: State,
) -> bool:
    """Tell whether a budget might end before any case was audited beside the dense fleet."""
    if place.clock.seconds is None:
        return False
    found = _stored(world.folder / state.names.report)
    return found is None or {n.label for n in alive}.isdisjoint(subjects(found))


def _measure(
    nodes: Sequence[Node],
    wanted: Sequence[Node],
    world: World,
    place: Place,
    state: State,
    *,
    coming: Sequence[Node],
) -> None:
    """Make and audit these cases of one seed; where a budget ended, those that are there."""
    rows = world.rows()
    path = world.folder / state.names.report
    there = _make(nodes, wanted, world, place, state, rows=rows, coming=coming)
    if there:
        report = _audited(there, world, place, rows, path, state)
        state.points = [p for p in state.points if p.seed != world.seed]
        state.points += [_point(report, n, nodes, world, rows) for n in there]
        state.curves = [s for s in state.curves if s.id != f"early-stopping/seed-{world.seed}"]
        state.raised[world.seed] = tuple(
            (c.id, c.subject) for c in report.controls if c.status == "raised"
        )
        curve = curve_of(report, world.seed)
        state.curves += [] if curve is None else [curve]


def _make(
    nodes: Sequence[Node],
    wanted: Sequence[Node],
    world: World,
    place: Place,
    state: State,
    *,
    rows: Sequence[int],
    coming: Sequence[Node],
) -> list[Node]:
    """Make these cases and what they need; return those that are there, the dense one first.

    Where the budget ends, what was made before is still found; `state.spent` then says so. A method
    that fails leaves out the cases that need it, with the reason, and nothing else. Teachers that
    none of the cases in `coming` asks any more are removed as soon as that is known; after the end
    of a budget any model may ask, since a funnel's rounds may be left.
    """
    whole = None if len(rows) == len(world.membership) else rows
    there: list[Node] = []
    for case in (nodes[0], *wanted):
        for node in chain(nodes, case):
            broken = state.broken.get((node.steps, world.seed))
            try:
                if broken is None and not world.has(node, rows):
                    world.make(node, place, rows=whole, subjects=len(there) + 2)
            except BudgetSpentError:
                state.spent = True
                break
            except MethodError as error:
                if node is nodes[0]:
                    raise
                broken = state.broken[(node.steps, world.seed)] = f"{node.label}: {error}"
            if broken is not None:
                state.failed[(case.label, world.seed)] = broken
                break
        else:
            there.append(case)
        asking = range(len(world.membership)) if state.spent else rows
        world.forget_lessons(_unbroken(nodes, coming, world.seed, state), asking)
    return there if there and there[0] is nodes[0] else []


def _unbroken(nodes: Sequence[Node], cases: Sequence[Node], seed: int, state: State) -> list[Node]:
    """Return the fleets of the cases that no failing method leaves out."""
    chains = [chain(nodes, case) for case in cases]
    return [n for c in chains for n in c if not any((m.steps, seed) in state.broken for m in c)]


def _audited(
    there: Sequence[Node],
    world: World,
    place: Place,
    rows: Sequence[int],
    path: Path,
    state: State,
) -> Report:
    """Return the audit of these fleets: the one that is in the folder, or a new one."""
    fleets = [world.fleets[n.steps].part(list(rows)) for n in there]
    how: dict[str, Any] = {
        "attacks": place.attacks,
        "queries": place.queries,
        "seed": world.seed,
    }
    key = audit_key(fleets, world.records, **how)
    state.keys[f"{world.folder.name}/{path.name}"] = Provenance(key=key).digest
    found = _stored(path)
    if found is not None and dict(found.provenance.key) == key:
        state.contexts.append(found.provenance.context)
        return found
    begun = time.monotonic()
    folder = world.folder / store.ANSWERS
    room = room_for_answers(folder, place.attacks, fleets[0].membership, fleets=len(fleets))
    report = audit_fleets(
        fleets,
        world.records,
        workers=place.workers,
        progress=place.progress,
        device=place.device,
        answers=folder,
        keep_answers=room,
        about={"title": f"{', '.join(n.label for n in there[:3])} and more, seed {world.seed}"}
        if len(there) > 3
        else None,
        **how,
    )
    place.clock.audited(time.monotonic() - begun, subjects=len(there))
    claim(place.folder, state.names.scale)
    store.write_report(path, report)
    state.contexts.append(report.provenance.context)
    return report


def _stored(path: Path) -> Report | None:
    try:
        return store.read_report(path)
    except StoreError:  # none yet, or not whole: it is written anew
        return None


def _point(
    report: Report, node: Node, nodes: Sequence[Node], world: World, rows: Sequence[int]
) -> Point:
    fleets = [world.fleets[n.steps].part(list(rows)) for n in chain(nodes, node)]
    return point_of(report, node, fleets, seed=world.seed)
