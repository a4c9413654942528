"""What cross-fit pruning was aimed at, and what was reached beside the stopped dense model."""

from __future__ import annotations

import math
import re
from typing import Any

from tools.verdicts import DENSE, Point, cases, row_difference

__all__ = ["aims_block", "best_dense", "chosen", "excess_share", "stopped_beside"]

OURS = ("recombined", "cross-fit")
"""Methods of ours, the one that is recommended first: where a world has it, the aims are held
against it."""
EPOCHS = re.compile(r"EarlyStopping\(epochs=(\d+)")
BESIDE = "-beside"
"""How the file ends in which students are seen beside the dense model of the same members."""
TRIES = ("-improve", "-canaries", BESIDE)
"""How the files of single questions end: the aims are not held against them."""
MORE = "-draws"
"""How the file of several draws of a world ends: the aims are held against it in place of one."""
RATE = 10.0
WITHIN = 0.01
"""Points of test accuracy below the best dense snapshot that the aim allows."""
HALF = 0.5
ENOUGH = 4
EARLIER = "early-stopping"
STOPPED = "leak - dense at no less test accuracy"
NOTHING = "There is no results file yet, so nothing is said."


def best_dense(found: dict[str, Any]) -> float | None:
    """Return the best test accuracy of the dense early-stopping curve, the mean over seeds.

    The end of training counts too. The curve is that of the targets, and the best of many points
    is taken, which is in the dense model's favour.
    """
    best = [max(s["columns"]["test_accuracy"]) for s in found["series"] if s["columns"]]
    dense = cases(found).get(DENSE)
    if dense is None or dense["rows"]["test accuracy"]["value"] is None:
        return None
    end = float(dense["rows"]["test accuracy"]["value"])
    return max(sum(best) / len(best), end) if best else end


def excess_share(point: Point, found: dict[str, Any]) -> tuple[float | None, bool]:
    """Return a case's AUC above 0.5 as a share of that of the dense model stopped no less accurate,
    and whether there is such a one.

    Each by the attack that is the strongest on it. Where the dense model was stopped as a case of
    its own (`EarlyStopping`), it is the one of these, and of the whole training, of the fewest
    epochs that is no less accurate over the references: its weights are there, so that the same
    attacks were tried. Where none is as accurate, it is the most accurate one, which a dense model
    of equal accuracy would leak more than. Where it was not stopped so, it is a snapshot, which
    holds outputs alone. None where either was not measured, or where the dense model's leak is
    nothing.
    """
    leak, less = (point["rows"].get(name) for name in ("leak", STOPPED))
    if leak is None or leak["value"] is None:
        return None, True
    stopped, as_accurate = stopped_beside(point, found)
    if stopped is not None:
        dense = stopped["rows"]["leak"]["value"]
    elif _was_stopped(found):
        return None, True
    else:
        dense = None if less is None or less["value"] is None else leak["value"] - less["value"]
    if dense is None or dense <= 0.5:
        return None, as_accurate
    return (leak["value"] - 0.5) / (dense - 0.5), as_accurate


def _was_stopped(found: dict[str, Any]) -> bool:
    return any(
        p["method"] == EARLIER and p["rows"]["leak"]["value"] is not None
        for p in cases(found).values()
    )


def stopped_beside(point: Point, found: dict[str, Any]) -> tuple[Point | None, bool]:
    """Return the dense model, stopped as a case of its own, that a case is held against, and
    whether it is as accurate; None where there is none, or accuracies over references lack.
    """
    own = [
        p
        for p in cases(found).values()
        if p["method"] in (EARLIER, DENSE) and p["rows"]["leak"]["value"] is not None
    ]
    if not _was_stopped(found):
        return None, True
    if not all(p["units"].get("reference_accuracy") for p in (point, *own)):
        return None, True
    able = [p for p in own if _over_references(p) >= _over_references(point)]
    if able:
        return min(able, key=_epochs), True
    return max(own, key=_over_references), False


def _epochs(point: Point) -> float:
    """Return for how many epochs a dense model was trained; the whole training is the longest."""
    found = EPOCHS.search(" ".join(point["steps"]))
    return float(found[1]) if found else math.inf


def chosen(found: dict[str, Any]) -> Point | None:
    """Return the case that the aims are held against: of the first of our methods that is there,
    whose settings were frozen beforehand, the one that is the most accurate over the references, at
    a tenth of the weights.
    """
    able = [
        p
        for p in cases(found).values()
        if p["method"] in OURS
        and (p["rows"].get("compression rate") or {}).get("value") is not None
        and p["rows"]["compression rate"]["value"] >= 0.99 * RATE
        and p["units"].get("reference_accuracy")
    ]
    return min(able, key=lambda p: (OURS.index(p["method"]), -_over_references(p)), default=None)


def _over_references(point: Point) -> float:
    """Return a case's test accuracy over the references, the mean over seeds."""
    values = point["units"].get("reference_accuracy") or [0.0]
    return float(sum(values) / len(values))


def aims_block(found: dict[str, dict[str, Any]]) -> str:
    """Return what was aimed at and what was reached, failures first."""
    worlds = {
        name.removesuffix(MORE): content
        for name, content in sorted(found.items(), key=lambda pair: pair[0].endswith(MORE))
        if not name.endswith(TRIES)
    }
    if not worlds:
        return NOTHING
    lines = [_aim(name, content) for name, content in sorted(worlds.items())]
    reached = sum(ok for ok, _ in lines)
    lines.sort(key=lambda line: line[0])
    words = (
        "Aim: at a tenth of the weights, within 1 point of the best dense accuracy, the leak above "
        f"0.5 at most half of that of the dense model stopped no less accurate, on at least "
        f"{ENOUGH} of five data sets, and below DP-SGD of equal accuracy. Reached on {reached} of "
        f"{len(worlds)} that are measured. Where no dense model is as accurate, the most accurate "
        "one stands for it."
    )
    return "\n".join([words, "", *(f"- {line}" for _, line in lines)])


def _aim(name: str, found: dict[str, Any]) -> tuple[bool, str]:
    point, best = chosen(found), best_dense(found)
    if point is None or best is None:
        return False, f"**{name}**: no case of {OURS[-1]} at a tenth of the weights is measured."
    accuracy = point["rows"]["test accuracy"]["value"]
    share, as_accurate = excess_share(point, found)
    which = "stopped" if as_accurate else "less accurate, best stopped"
    close = best - accuracy <= WITHIN
    halved = share is not None and share <= HALF
    words = [
        f"accuracy {100 * (accuracy - best):+.1f} points from the best dense "
        f"({'within' if close else 'beyond'} 1 point)",
        "leak beside the dense model stopped no less accurate not measured"
        if share is None
        else f"{100 * share:.0f} % of the {which} dense model's leak above 0.5",
    ]
    dp = _against(found, point["case"], "dp-sgd")
    below = dp is not None and dp["rows"]["leak"]["high"] is not None
    below = below and dp is not None and dp["rows"]["leak"]["high"] < 0
    words.append(
        "DP-SGD not compared"
        if dp is None
        else f"AUC against `{dp['rival']}` {row_difference(dp, 'leak').shown(1, 3)} at "
        f"{row_difference(dp, 'test accuracy').shown(100, 1)} points of accuracy"
    )
    ok = close and halved and below
    return (
        ok,
        f"**{name}**, `{point['case']}`: {'; '.join(words)}: {'reached' if ok else 'missed'}.",
    )


def _against(found: dict[str, Any], case: str, method: str) -> dict[str, Any] | None:
    for comparison in found.get("comparisons", ()):
        if comparison["case"] == case and comparison["method"] == method:
            return dict(comparison)
    return None
