"""What cross-fit pruning was aimed at, and what was reached beside the stopped dense model."""

from __future__ import annotations

from typing import Any

from secateur.sweeping.points import BY
from tools.protects_dense import HALF, Share, best_dense, both_have, excess_share, stopped_beside
from tools.protects_dp import beside_dp
from tools.protects_points import OURS, WITHIN, chosen, name_of, single, value, worlds_of
from tools.verdicts import Point, shown

__all__ = ["NOTHING", "aims_block"]

ENOUGH = 4
WORLDS = 5
NOTHING = "There is no results file yet, so nothing is said."


def aims_block(found: dict[str, dict[str, Any]]) -> str:
    """Return what was aimed at and what was reached, failures first."""
    worlds = worlds_of(found)
    if not worlds:
        return NOTHING
    lines = [_aim(name, content) for name, content in worlds.items()]
    reached = sum(ok for ok, _ in lines)
    lines.sort(key=lambda line: line[0])
    words = (
        "Aim: at a tenth of the weights, within 1 point of the best dense accuracy, the leak above "
        "0.5 at most half of that of the dense model stopped no less accurate, on at least "
        f"{ENOUGH} of five data sets, and below DP-SGD of equal accuracy. Reached on {reached} of "
        f"{len(worlds)} that are measured: {_verdict(reached, len(worlds))}. A leak counts as "
        "halved, or as below, where its whole interval is: t over draws, with one draw over its "
        "targets. The dense model beside which a leak is halved is the one of the fewest epochs "
        "that is not detectably less accurate; where all are, the most accurate one stands for it."
    )
    return "\n".join([words, "", *(f"- {line}" for _, line in lines)])


def _verdict(reached: int, measured: int) -> str:
    """Return whether the aim over data sets is met."""
    if reached >= ENOUGH:
        return "the aim is met"
    if reached + WORLDS - measured >= ENOUGH:
        missing = WORLDS - measured
        return f"the aim is not met, data sets still to be measured: {missing} of the five"
    return "the aim is missed"


def _aim(name: str, found: dict[str, Any]) -> tuple[bool, str]:
    point = chosen(found)
    accuracy = None if point is None else value(point, "test accuracy")
    if point is None or accuracy is None:
        return False, f"**{name}**: no case of {OURS[-1]} at a tenth of the weights is measured."
    best, share, private = best_dense(found), excess_share(point, found), beside_dp(point, found)
    close = best is not None and best - accuracy <= WITHIN
    ok = close and share is not None and share.halved and private.below
    words = [
        "the best dense accuracy is not measured"
        if best is None
        else f"accuracy {100 * (accuracy - best):+.1f} points from the best dense "
        f"({'within' if close else 'beyond'} 1 point)",
        "leak beside the dense model stopped no less accurate not measured"
        if share is None
        else _halved(point, share, found),
        private.words,
    ]
    return (
        ok,
        f"**{name}**, `{point['case']}`: {'; '.join(words)}: {'reached' if ok else 'missed'}.",
    )


def _halved(point: Point, share: Share, found: dict[str, Any]) -> str:
    """Return what share of the stopped dense model's leak is left, and by which attackers."""
    which = share.of if share.snapshot else f"`{share.of}`"
    if not share.as_accurate:
        which += ", the best stopped dense model and a less accurate one"
    if share.accuracy.value is not None:
        which += f", at {share.accuracy.shown(100, 1)} points of accuracy from ours"
    more = ["no numbers to make an interval of"] if share.high is None else []
    ours, theirs = share.attacks
    if ours != theirs:
        more.append(f"two attackers, {ours} on ours and {theirs} there")
    if share.snapshot:
        more.append("a snapshot holds outputs alone, so that no attack reads its weights")
    more += _by_one(point, found)
    words = f"{share.shown()} of the leak above 0.5 of {which}, {_verdict_of(share)}"
    return f"{words} ({'; '.join(more)})" if more else words


def _verdict_of(share: Share) -> str:
    if share.high is None or share.low is None:
        return "not shown to be halved"
    if share.halved:
        return "halved"
    return "not halved" if share.low > HALF else "not shown to be halved"


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
