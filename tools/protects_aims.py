"""What cross-fit pruning was aimed at, and what was reached beside the stopped dense model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secateur.sweeping.points import BY
from tools.protects_dense import (
    HALF,
    LESS,
    MORE,
    Share,
    best_dense,
    best_over_references,
    both_have,
    excess_share,
    most_accurate_dense,
    stopped_beside,
)
from tools.protects_dp import beside_dp
from tools.protects_points import (
    OURS,
    chosen,
    close,
    name_of,
    over_references,
    own_labels,
    share_read,
    single,
    value,
    worlds_of,
)
from tools.tables import table
from tools.verdicts import Point, shown

__all__ = ["NOTHING", "aims_block"]

ENOUGH = 4
WORLDS = 5
DRAWS = 3
"""Draws that a world has at least, to be counted."""
NOTHING = "There is no results file yet, so nothing is said."
HEADERS = (
    "data set",
    "draws",
    "case",
    "accuracy, points from the best dense model's",
    "the same over the references",
    "of the stopped dense model's leak above 0.5",
    "the same of members that were read",
    "AUC minus that of DP-SGD of equal accuracy",
    "the aim",
)
UNKNOWN = "not measured"
RULES = """\
How it is counted:

1. An accuracy counts as within 1 point where it is by its value, over the targets and over the \
references both. They are made alike and references are four times as many, so that a mean that is \
lucky on few targets does not count. Over the references it is of each draw the median.
2. A leak counts as halved, or as below, where its whole interval is: t over draws; with one draw, \
which is not counted, over its targets.
3. The dense model beside which a leak is halved is the least leaky of those, stopped or trained \
to the end, whose accuracy is at most 1 point off ours and not detectably different.
4. Where there is none, the least leaky within 1 point of the most accurate of those that stopped \
less accurate stands for it. It leaks less than one of equal accuracy would, which is against ours.
5. If every dense model is more accurate than ours, the one of the fewest epochs is shown and not \
counted: it leaks more and would make ours look good. A dense model that is less accurate only \
because it was trained too long is never used.
6. DP-SGD of equal accuracy is the least leaky setting at most 1 point off ours than which ours is \
not detectably less accurate, or what lies on the lowest straight line between two settings, held \
to the same, where that is less. Such a line overstates DP-SGD's leak where its curve is convex, \
which flatters ours."""


@dataclass(frozen=True)
class Aim:
    """What a world's case reached, in words and in a table's cells, and whether the world has draws
    enough to count.
    """

    words: str
    cells: tuple[str, ...]
    reached: bool = False
    counted: bool = False


def aims_block(found: dict[str, dict[str, Any]]) -> str:
    """Return what was aimed at and what was reached, failures first."""
    worlds = worlds_of(found)
    if not worlds:
        return NOTHING
    aims = [_aim(name, content) for name, content in worlds.items()]
    counted = [aim for aim in aims if aim.counted]
    reached, few = sum(aim.reached for aim in counted), len(aims) - len(counted)
    aims.sort(key=lambda aim: aim.counted and aim.reached)
    words = (
        "Aim: at a tenth of the weights, within 1 point of the best dense accuracy, the leak above "
        "0.5 at most half of that of the dense model stopped at equal accuracy, on at least "
        f"{ENOUGH} of five data sets, and below DP-SGD of equal accuracy. Reached on {reached} of "
        f"{len(counted)} that are measured in {DRAWS} draws or more"
        f"{f' ({few} of fewer, not counted)' if few else ''}: {_verdict(reached, len(counted))}."
    )
    cells = table(HEADERS, [aim.cells for aim in aims])
    return "\n\n".join([words, cells, "\n".join(f"- {aim.words}" for aim in aims), RULES])


def _verdict(reached: int, measured: int) -> str:
    """Return whether the aim over data sets is met."""
    if reached >= ENOUGH:
        return "the aim is met"
    if reached + WORLDS - measured >= ENOUGH:
        missing = WORLDS - measured
        return f"the aim is not met, data sets still to be measured: {missing} of the five"
    return "the aim is missed"


def _aim(name: str, found: dict[str, Any]) -> Aim:
    point = chosen(found)
    accuracy = None if point is None else value(point, "test accuracy")
    if point is None or accuracy is None:
        draws = len(found["facts"]["seeds"])
        words = f"**{name}**: no case of {OURS[-1]} at a tenth of the weights is measured."
        cells = (name, str(draws), *[UNKNOWN] * (len(HEADERS) - 3), "missed")
        return Aim(words, cells, counted=draws >= DRAWS)
    best, share, private = best_dense(found), excess_share(point, found), beside_dp(point, found)
    near_best = best is not None and close(accuracy, best)
    others = _over_references(point, found)
    near_others = others is not None and close(others, 0.0)
    ok = near_best and near_others and share is not None and share.halved and private.below
    gap = None if best is None else f"{100 * (accuracy - best):+.1f}"
    words = "; ".join(
        [
            "the best dense accuracy is not measured"
            if gap is None
            else f"accuracy {gap} points from the best dense "
            f"({'within' if near_best else 'beyond'} 1 point){_draw_by_draw(point, found)}",
            "over the references not measured"
            if others is None
            else f"over the references {100 * others:+.1f} "
            f"({'within' if near_others else 'beyond'} 1 point)",
            "leak beside the dense model stopped at equal accuracy not measured, or none"
            if share is None
            else _halved(point, share, found),
            private.words,
        ]
    )
    draws = len(point["units"]["reference_accuracy"])  # those that the case is there in
    end = "reached" if ok else "missed"
    if draws < DRAWS:
        end += f", of {'one draw' if draws == 1 else f'{draws} draws'}, not counted"
    line = f"**{name}**, `{point['case']}`{_labels(point)}: {words}: {end}."
    cells = (
        name,
        str(draws),
        f"`{point['case']}`",
        gap or UNKNOWN,
        UNKNOWN if others is None else f"{100 * others:+.1f}",
        UNKNOWN if share is None else f"{share.shown()}, {_verdict_of(share)}",
        UNKNOWN if share is None else share.shown(1 / share_read(point)),
        "none of equal accuracy" if private.leak is None else private.leak.shown(1, 3),
        "reached" if ok else "missed",
    )
    return Aim(line, cells, reached=ok, counted=draws >= DRAWS)


def _over_references(point: Point, found: dict[str, Any]) -> float | None:
    """Return a case's accuracy minus that of the best dense model, over the references."""
    best, own = best_over_references(found), over_references(point)
    return own - best if best is not None and own else None


def _draw_by_draw(point: Point, found: dict[str, Any]) -> str:
    """Return a case's accuracy minus that of the most accurate dense case, in each draw."""
    dense = most_accurate_dense(found)
    pair = [p["units"].get("test_accuracy", ()) for p in (point, dense) if p is not None]
    draws = len(point["units"]["reference_accuracy"])
    if draws < 2 or [len(values) for values in pair] != [draws] * 2:
        return ""  # of one draw the numbers are of its targets
    gaps = ", ".join(f"{100 * (a - b):+.1f}" for a, b in zip(*pair, strict=True))
    return f", in the single draws {gaps} from `{dense['case']}`" if dense is not None else ""


def _labels(point: Point) -> str:
    """Say so where the student learns part of its members' own labels."""
    share = own_labels(point)
    if not share:
        return ""
    return f" ({100 * share:.3g} % of what it learns of a member is the member's own label)"


def _halved(point: Point, share: Share, found: dict[str, Any]) -> str:
    """Return what share of the stopped dense model's leak is left, and by which attackers."""
    which = share.of if share.snapshot else f"`{share.of}`"
    if share.standing == LESS:
        which += ", of the less accurate dense models the least leaky within 1 point of the best"
    if share.standing == MORE:
        which += ", no stopped dense model of equal accuracy: this one is more accurate"
    if share.accuracy.value is not None:
        which += f", at {share.accuracy.shown(100, 1)} points of accuracy from ours"
    more = ["no numbers to make an interval of"] if share.high is None else []
    ours, theirs = share.attacks
    if ours != theirs:
        more.append(f"two attackers, {ours} on ours and {theirs} there")
    if share.snapshot:
        more.append("a snapshot holds outputs alone, so that no attack reads its weights")
    more += _by_one(point, found)
    read = share_read(point)
    if read < 1:
        more.insert(
            0,
            f"{100 * (1 - read):.3g} % of its members are read by nothing, and leak nothing; of "
            f"the others alone it is {share.shown(1 / read)}",
        )
    words = f"{share.shown()} of the leak above 0.5 of {which}, {_verdict_of(share)}"
    return f"{words} ({'; '.join(more)})" if more else words


def _verdict_of(share: Share) -> str:
    if share.high is None or share.low is None:
        return "not shown to be halved"
    if share.halved:
        return "halved"
    if share.low > HALF:
        return "not halved"
    return "not counted" if share.standing == MORE else "not shown to be halved"


def _by_one(point: Point, found: dict[str, Any]) -> list[str]:
    """Return what the strongest attacker sees that both models were given to, where it is known."""
    dense = stopped_beside(point, found)[0]
    method = None if dense is None else both_have(point, dense)
    if dense is None or method is None:
        return []
    ours, theirs = (single(p)[method] - 0.5 for p in (point, dense))
    part = f", {100 * ours / theirs:.0f} %" if theirs > 0 else ""
    row = f"{BY}{method}"
    return [
        f"by {name_of(method)}, the strongest on ours that both were given to, AUC "
        f"{shown(point, row)} against {shown(dense, row)}{part}"
    ]
