"""Which fleets a sweep makes: a tree of steps, whose common beginnings are made once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from secateur.errors import InputError, SecateurError
from secateur.store import ANSWERS, LESSONS
from secateur.sweeping.reading import AXIS, DENSE, Case
from secateur.train import Conversion, Defence, Recipe, Transform
from secateur.train.rehearsal import rehearse
from secateur.train.shared_teachers import asked_again, teachers_of
from secateur.train.steps import Taught

if TYPE_CHECKING:
    from secateur.sweeping.reading import SweepPlan
    from secateur.types import Membership, Records

__all__ = [
    "Node",
    "ParseStep",
    "chain",
    "made",
    "rehearse_all",
    "teachers_by_steps",
    "teachers_to_keep",
    "tree_of",
]

Step = Transform | Defence | Conversion
ParseStep = Callable[[str], Step]
UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")
LONGEST = 100


@dataclass(frozen=True, kw_only=True)
class Node:
    """One fleet: `steps` spelled out lead to it, `parent` is the fleet one step before.

    `recipe` is what its models are trained by, with every defence on the way. `case` is the case
    that ends here, if one does. `name` is its folder's.
    """

    name: str
    steps: tuple[str, ...]
    recipe: Recipe
    method: Step | None = None
    parent: tuple[str, ...] | None = None
    case: Case | None = None

    @property
    def label(self) -> str:
        """What reports call the fleet."""
        return self.case.name if self.case is not None else self.name

    @property
    def trains_anew(self) -> bool:
        """Whether it needs its parent's recipe alone, not its models."""
        return self.method is None or isinstance(self.method, Defence)


def tree_of(plan: SweepPlan, recipe: Recipe, parse_step: ParseStep) -> tuple[Node, ...]:
    """Return every fleet of a sweep, each after its parent, the dense one first.

    Args:
        plan: the cases.
        recipe: of the dense models.
        parse_step: reads a step's spelling.

    Raises:
        InputError: a spelling that is none, steps in an order that loses one of them, two cases
            with the same steps; the message names the case.
    """
    nodes: dict[tuple[str, ...], Node] = {(): Node(name=DENSE, steps=(), recipe=recipe)}
    names = {DENSE, LESSONS, ANSWERS}  # the other folders of a seed: no fleet may lie in them
    for case in plan.cases:
        methods = [_parsed(text, case, parse_step) for text in case.steps]
        _refuse_lost(methods, case)
        spelled = tuple(map(repr, methods))
        for end, method in enumerate(methods, 1):
            steps = spelled[:end]
            ends = end == len(methods)
            if steps in nodes:
                if ends:
                    nodes[steps] = _ending(nodes[steps], case)
                continue
            parent = nodes[steps[:-1]]
            before = nodes[parent.parent or ()].recipe
            known = _recipe_after(method, parent, before, case)
            name = _unique(_slug(case.name if ends else _beginning(case, methods[:end])), names)
            names.add(name)
            nodes[steps] = Node(
                name=name,
                steps=steps,
                recipe=known,
                method=method,
                parent=parent.steps,
                case=replace(case, steps=spelled) if ends else None,
            )
    _refuse_funnel(plan, nodes.values())
    return tuple(nodes.values())


def _recipe_after(method: Step, parent: Node, before: Recipe, case: Case) -> Recipe:
    """Return what models are trained by after a step.

    Raises:
        InputError: what the defence raises, or it gives the same from `before`, the recipe that the
            parent's step was given, so that this step is lost.
    """
    if not isinstance(method, Defence):
        return parent.recipe
    try:
        found = method.defended(parent.recipe)
        alone = method.defended(before) if parent.steps else None
    except SecateurError as error:
        raise InputError(f"{case.name}: {error}") from error
    lost = alone is not None and (found.train, found.build) == (alone.train, alone.build)
    if lost and found.train is not None:
        raise InputError(
            f"{case.name}: {type(method).__name__} trains by code of its own, so that "
            f"{parent.steps[-1]} before it is lost; leave that out"
        )
    return found


def chain(nodes: Sequence[Node], node: Node) -> list[Node]:
    """Return the fleets that must be there for this one, in order, itself last.

    The dense fleet is among them only where the node's models start from its models.
    """
    by_steps = {n.steps: n for n in nodes}
    found = [node]
    while not found[0].trains_anew:
        parent = found[0].parent
        assert parent is not None  # only the dense fleet has none, and that one trains anew
        found.insert(0, by_steps[parent])
    return found


def made(nodes: Sequence[Node]) -> list[Node]:
    """Return the fleets that are made at all: the dense one, the cases' ends, what they need."""
    wanted = {
        n.steps for end in nodes if end.case is not None or not end.steps for n in chain(nodes, end)
    }
    return [node for node in nodes if node.steps in wanted]


def teachers_to_keep(nodes: Sequence[Node]) -> frozenset[tuple[str, ...]]:
    """Return the steps of the fleets whose teachers another fleet has, too, where what they said
    does not serve it.
    """
    taught = [(node, node.method) for node in made(nodes) if isinstance(node.method, Taught)]
    return frozenset(
        node.steps
        for node, method in taught
        if asked_again(
            method,
            [m for n, m in taught if n is not node and n.recipe == node.recipe],
            node.recipe,
        )
    )


def teachers_by_steps(nodes: Sequence[Node]) -> dict[tuple[str, ...], str]:
    """Return for the steps of each fleet that is taught the name of its teachers."""
    return {
        node.steps: teachers_of(node.method, node.recipe)
        for node in made(nodes)
        if isinstance(node.method, Taught)
    }


def rehearse_all(nodes: Sequence[Node], records: Records, membership: Membership) -> None:
    """Take one step of everything that will be trained, so that what does not fit is said first.

    Raises:
        InputError: what a method would raise in its first steps; the message names the fleet.
    """
    for node in made(nodes):
        transform = None if node.trains_anew else node.method
        assert not isinstance(transform, Defence)  # those train anew
        try:
            rehearse(node.recipe, transform, records, membership)
        except SecateurError as error:
            raise InputError(f"{node.label}: {error}") from error


def _parsed(text: str, case: Case, parse_step: ParseStep) -> Step:
    try:
        return parse_step(text)
    except SecateurError as error:
        raise InputError(f"{case.name}: {error}") from error


def _refuse_lost(methods: Sequence[Step], case: Case) -> None:
    for before, after in pairwise(methods):
        anew = isinstance(after, Defence) or (isinstance(after, Transform) and after.fresh)
        if isinstance(before, Conversion) and not isinstance(after, Conversion):
            raise InputError(
                f"{case.name}: {type(after).__name__} trains, and {type(before).__name__} before "
                "it makes another form of the models; train first, convert last"
            )
        if anew and not isinstance(before, Defence):
            raise InputError(
                f"{case.name}: {type(after).__name__} starts from fresh weights, so that "
                f"{type(before).__name__} before it is lost; put it before, or leave one out"
            )


def _ending(node: Node, case: Case) -> Node:
    if node.case is not None:
        raise InputError(
            f"{node.case.name!r} and {case.name!r} have the same steps, "
            f"{', '.join(node.steps)}; leave one of them out"
        )
    return replace(node, case=replace(case, steps=node.steps))


def _beginning(case: Case, methods: Sequence[Step]) -> str:
    """Name a common beginning by its methods and by the axes that stand in its steps."""
    used = dict.fromkeys(a for text in case.source[: len(methods)] for a in AXIS.findall(text))
    parts = [f"{axis}={case.axes[axis]}" for axis in used]
    return " ".join(["+".join(type(m).__name__.lower() for m in methods), *parts])


def _slug(text: str) -> str:
    return UNSAFE.sub("-", text).strip("-")[:LONGEST]


def _unique(name: str, taken: set[str]) -> str:
    lowered = {t.lower() for t in taken}  # some disks know no case
    numbered = (name if n == 1 else f"{name}-{n}" for n in range(1, len(taken) + 2))
    return next(n for n in numbered if n.lower() not in lowered)


def _refuse_funnel(plan: SweepPlan, nodes: Iterable[Node]) -> None:
    for node in nodes if plan.funnel else ():
        if not node.trains_anew and node.recipe.train is not None:
            raise InputError(
                f"{node.label}: models that training code of its own made "
                f"({type(node.recipe.train).__name__}) cannot be pruned in rounds; leave the "
                "funnel out"
            )
