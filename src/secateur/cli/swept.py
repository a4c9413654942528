"""What a sweep's folder holds: files, room for teachers, and secrets of one that was stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from secateur.errors import BudgetSpentError

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.sweeping.front import Limits
    from secateur.sweeping.names import Names
    from secateur.sweeping.reading import SweepPlan
    from secateur.sweeping.tree import Node
    from secateur.types import Membership, Records

__all__ = [
    "NONE_FITS",
    "LimitsMissedError",
    "disk",
    "disk_of_answers",
    "limits_of",
    "refuse_missing",
    "refuse_other_seeds",
    "secrets_left",
    "telling_of_secrets",
    "written",
]


NONE_FITS = 1
"""The exit code where no case keeps the limits."""


class LimitsMissedError(BudgetSpentError):
    """A budget is spent, and no case that is there keeps the limits that were given."""


def limits_of(max_leak: float | None, min_accuracy: float | None, max_bytes: str | None) -> Limits:
    """Return the limits that the case to ship must keep, as options spell them.

    Args:
        max_leak: AUC, 0 to 1.
        min_accuracy: test accuracy, 0 to 1.
        max_bytes: such as `100k`.
    """
    from secateur.cli.amounts import bytes_of
    from secateur.sweeping import Limits

    return Limits(
        max_leak=max_leak,
        min_accuracy=min_accuracy,
        max_bytes=None if max_bytes is None else bytes_of(max_bytes),
    )


def disk(
    nodes: Sequence[Node], records: Records, membership: Membership, out: Path | None
) -> list[str]:
    """Say what teachers and what they say take on disk while a seed runs; nothing without any.

    Args:
        nodes: of `tree_of`.
        records: of one seed.
        membership: of one seed.
        out: the sweep's folder.
    """
    from secateur.cli.bytes_bar import spelled
    from secateur.sweeping.kept import SHARE, free_below, kept_at_once

    lines = []
    taught = kept_at_once(nodes, records, membership)
    if taught:
        lines.append(
            f"disk: beside the fleets up to {spelled(taught)} while a seed runs, for teachers and "
            "what they say of members: secrets, which are removed when no case asks them any more"
        )
        free = None if out is None else free_below(out)
        if free is not None and taught > SHARE * free:
            lines.append(
                f"that is more than half of the {spelled(free)} that are free there: what does "
                "not fit is trained anew for each case, which takes longer than is said above"
            )
    return lines


def disk_of_answers(
    plan: SweepPlan,
    nodes: Sequence[Node],
    membership: Membership,
    out: Path | None,
    *,
    attacks: Sequence[MembershipAttack] | None,
) -> list[str]:
    """Say what answers of models around records take on disk; nothing where none is asked for.

    Args:
        plan: what is asked for.
        nodes: of `tree_of`.
        membership: of one seed.
        out: the sweep's folder.
        attacks: that audit; None are those of every audit.
    """
    from secateur.cli.bytes_bar import spelled
    from secateur.store import ANSWERS
    from secateur.sweeping.kept import bytes_of_answers, free_below, room_for_answers

    cases = 1 + sum(node.case is not None for node in nodes[1:])
    most = bytes_of_answers(attacks, membership, fleets=cases)
    if not most:
        return []
    lines = [
        f"disk: beside the fleets about {spelled(most)} a seed, for what models answer around "
        "records, so that no audit asks them the same twice; secateur clean removes it"
    ]
    places = [] if out is None else [out / f"seed-{seed}" / ANSWERS for seed in plan.seeds]
    if not all(room_for_answers(p, attacks, membership, fleets=cases) for p in places):
        lines.append(
            f"that is more than half of the {spelled(free_below(places[0]))} that are free there: "
            "new answers are not kept where it is, and an audit that is stopped asks again"
        )
    return lines


def written(out: Path, names: Names, seeds: Sequence[int]) -> list[Path]:
    """Return what a sweep writes itself, over which no page may go."""
    results = {"sweep.json", names.result, *(p.name for p in out.glob("sweep-*.json"))}
    return [*(out / name for name in sorted(results)), *(out / f"seed-{seed}" for seed in seeds)]


def secrets_left(out: Path) -> str:
    """Say where teachers, and what they said, lie that a sweep left to go on with; empty for none.

    Args:
        out: the sweep's folder.
    """
    from secateur import store

    left = [str(path) for path in store.lesson_folders(out)]
    if not left:
        return ""
    return (
        f"{', '.join(left)}: teachers, and what they said of members, are kept there to go on "
        "with. They are secrets: whoever has them tells members from others. The same command "
        f"removes them when it has ended; to remove them now: secateur clean {out}"
    )


def refuse_other_seeds(result: Path, seeds: Sequence[int]) -> None:
    """Refuse to write a result over fewer seeds than the one that is there.

    Args:
        result: the file of a folder's sweep; may be missing.
        seeds: those that are asked for.

    Raises:
        InputError: names both, and what to do.
    """
    from secateur.errors import InputError, StoreError
    from secateur.store import read_result

    try:
        there = read_result(result).facts.get("seeds", ())
    except StoreError:  # none yet, or not whole: it is written anew
        return
    lost = [seed for seed in there if seed not in seeds]
    if lost:
        raise InputError(
            f"{result} is over the seeds {', '.join(map(str, there))}, and one over "
            f"{', '.join(map(str, seeds))} would take its place; ask for all of them (without "
            "--seed: models that are there are not made again), or give another --out"
        )


@contextmanager
def telling_of_secrets(out: Path) -> Iterator[None]:
    """Where the block ends by an error or by Ctrl-C, say which secrets lie in a sweep's folder."""
    try:
        yield
    except BaseException:
        said = secrets_left(out)
        if said:
            click.echo(said, err=True)
        raise


def refuse_missing(
    missing: Sequence[str],
    budget: str | None,
    out: Path,
    *,
    none_fits: bool,
    before: float | None = None,
) -> None:
    """Say what a budget left for another time, and which secrets lie there until then.

    Args:
        missing: what was not made or audited.
        budget: as it was given.
        out: the sweep's folder.
        none_fits: limits were given, and no case that is there keeps them.
        before: the seconds that passed before anything could be made, where nothing was.

    Raises:
        BudgetSpentError: something is missing; `LimitsMissedError` where none fits.
    """
    if not missing:
        return
    first = "; ".join(missing[:6]) + ("; ..." if len(missing) > 6 else "")
    left = f"{len(missing)} are left for another time: {first}"
    secrets = secrets_left(out)
    if before is not None:
        left += (
            f". Reading, trying and timing took {before:.0f} s, so that nothing was made and the "
            "same command may make nothing either: give more"
        )
    kind = LimitsMissedError if none_fits else BudgetSpentError
    raise kind(f"the budget of {budget} is spent; {left}" + (f"\n{secrets}" if secrets else ""))
