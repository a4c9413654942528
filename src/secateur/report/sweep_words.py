"""Sentences about a sweep: which case keeps the limits, and what its numbers are not."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from secateur.report.cells import cell
from secateur.types import NEVER_AS_ACCURATE, RAISED, Sweep

__all__ = ["notes", "pick_words", "raised_words", "smoke"]

SMOKE = "smoke"
FEW = 12
"""Units that can be halved in fewer ways than halvings are drawn: it is said in how many."""
DENSE = "dense"
AGAINST = ("dense", "dense at no less test accuracy")
BESIDE = "Leak beside the dense model"
STOPPED = f"{BESIDE} stopped no less accurate"
LIMIT_WORDS = {
    "max_leak": "leak at most",
    "min_accuracy": "test accuracy at least",
    "max_bytes": "bytes at most",
}


def pick_words(sweep: Sweep) -> list[str]:
    """Say which case to ship under the limits that were given, and how sure that is."""
    pick: dict[str, Any] = dict(sweep.pick)
    if not pick:
        return []
    limits = pick["limits"]
    asked = ", ".join(f"{LIMIT_WORDS[k]} {_limit(k, v)}" for k, v in limits.items())
    if pick["case"] is None and pick.get("nearest") is None:
        rows = [p.rows.get("leak") for p in sweep.over_seeds()]
        why = next((row.why for row in rows if row is not None and row.value is None), "")
        what = f"has the numbers ({why})" if rows else "is there yet"
        return [f"No case {what} to hold against: {asked}."]
    if pick["case"] is not None:
        words = [
            f"Within {asked}: {pick['case']}, the most accurate of those whose values are within.",
            *_beside_stopping(sweep, pick["case"]),
            *_raised_on(sweep, pick["case"]),
        ]
    else:
        misses = [
            f"{LIMIT_WORDS[k]} {_limit(k, limits[k])} by {_limit(k, v)}"
            for k, v in pick["misses"].items()
        ]
        words = [
            f"No case is within {asked}. The nearest is {pick['nearest']}; it misses "
            f"{' and '.join(misses)}."
        ]
    if pick.get("all_hold") is None:
        return [*words, "How sure that is cannot be said from one target or one seed."]
    each = ", ".join(
        f"{LIMIT_WORDS[k]} {_limit(k, limits[k])} in {v:.0%}" for k, v in pick["holds"].items()
    )
    return [
        *words,
        f"How sure that is, of {pick['draws']} redraws of the {_units(sweep)}: {each}; all of it "
        f"in {pick['all_hold']:.0%}; it keeps all limits and is the most accurate of those that do "
        f"in {pick['again']:.0%}.",
        *_apart(pick.get("apart"), sweep),
    ]


def _beside_stopping(sweep: Sweep, case: str) -> list[str]:
    """Say what the named case gives that stopping the dense training earlier does not."""
    row = next(
        (
            p.rows.get("leak - dense at no less test accuracy")
            for p in sweep.over_seeds()
            if p.case == case
        ),
        None,
    )
    if row is None:
        return []
    what = "the dense models stopped no less accurate"
    if row.value is None:
        return [f"Its leak beside {what} is not known: {row.why}."]
    if row.low is None or row.high is None:
        return [f"Its leak minus that of {what}: {cell(row)}, without an interval."]
    return [f"Its leak is {_than(row.low, row.high)} that of {what}: {cell(row)}."]


def _raised_on(sweep: Sweep, case: str) -> list[str]:
    """Name the controls that are raised on the named case."""
    found = sweep.facts.get(RAISED, ())
    names = list(dict.fromkeys(c["id"] for c in found if c["subject"] == case))
    return [f"Controls raised on it: {', '.join(names)}."] if names else []


def _than(low: float, high: float) -> str:
    if high < 0:
        return "lower than"
    return "higher than" if low > 0 else "not detectably different from"


def _apart(share: float | None, sweep: Sweep) -> list[str]:
    if share is None:
        return []
    units = _units(sweep)
    count = len(sweep.facts.get("seeds", ())) if units == "seeds" else sweep.facts.get("targets", 0)
    ways = math.comb(count, count // 2)
    few = f" (there are {ways} ways to halve {count} {units})" if 0 < count <= FEW else ""
    return [
        "Those draws lie about the values that it was picked by. Picked on one half of the "
        f"{units} alone, a case keeps all limits on the other half in {share:.0%} of the "
        f"halvings{few}."
    ]


def smoke(sweep: Sweep) -> list[str]:
    """Say first of a smoke run that it measures nothing."""
    if sweep.facts.get("scale") != SMOKE:
        return []
    return ["Scale smoke: it shows that the recipe runs, and no number of it means anything."]


def notes(sweep: Sweep) -> list[str]:
    """Return what was left out, what failed, what is missing, and what the numbers are not."""
    facts = dict(sweep.facts)
    units = _units(sweep)
    count = int(max(_seeds_of(sweep))) if units == "seeds" else facts.get("targets", "?")
    words = []
    if sweep.points:
        words.append(_front(count, units))
    words += _one_seed(sweep)
    words += _epsilons(sweep)
    words += _not_run(sweep)
    words += _raised(sweep)
    for item in sweep.dropped:
        words.append(
            f"left out after {item['references']} references: {item['case']}: {item['why']}"
        )
    if sweep.dropped:
        words.append(
            "Cases were left out on targets that served the rounds alone; the numbers above are of "
            "other targets."
        )
    for item in sweep.failed:
        words.append(f"failed: {item['case']}, seed {item['seed']}: {item['why']}")
    if sweep.missing:
        words.append(f"missing, the same command makes it: {'; '.join(sweep.missing)}")
    return [*words, *facts.get("statements", ())]


def _front(count: object, units: str) -> str:
    """Say what intervals are over and what the front is."""
    front = (
        "front: no other case is at least as accurate, leaks as little and keeps as few weights, "
        "and is better in one of the three"
    )
    if count == 1:
        return f"One of the {units} alone: no intervals over them, and no redraws. {front}."
    return (
        f"[ ] = 95 % intervals over {count} {units}. {front}; in brackets the share of redraws of "
        f"the {units}, the same for all cases, in which that is so."
    )


def _not_run(sweep: Sweep) -> list[str]:
    """Say why differences to the dense models are not there."""
    reasons: dict[str, list[str]] = {}
    for point in sweep.over_seeds():
        rows = [point.rows.get(f"leak - {name}") for name in AGAINST]
        for row in rows:
            if point.case != DENSE and row is not None and row.value is None and row.why:
                reasons.setdefault(row.why, []).append(point.case)
    return [
        f"{_left_out(why)} ({', '.join(dict.fromkeys(cases))})." for why, cases in reasons.items()
    ]


def _left_out(why: str) -> str:
    if why == NEVER_AS_ACCURATE:
        return f"{STOPPED} not known: {why} on references, where the snapshot is chosen"
    return f"{BESIDE} not run: {why}"


def _units(sweep: Sweep) -> str:
    """Return what intervals and redraws are over."""
    return "seeds" if max(_seeds_of(sweep), default=0.0) > 1 else "targets"


def _seeds_of(sweep: Sweep) -> list[float]:
    """Return over how many seeds the rows of the cases are that say it."""
    rows = [row for p in sweep.over_seeds() for row in p.rows.values()]
    return [row.counts["seeds"] for row in rows if "seeds" in row.counts]


def _one_seed(sweep: Sweep) -> list[str]:
    """Say where cases stand over one seed although several were begun."""
    seeds = list(dict.fromkeys(p.seed for p in sweep.points if p.seed is not None))
    if len(seeds) < 2 or _units(sweep) == "seeds":
        return []
    whole = next((s for s in seeds if _whole_in(sweep, s)), seeds[0])
    rest = ", ".join(str(s) for s in seeds if s != whole)
    return [
        f"All of this is of seed {whole} alone, since not every case is there in seed {rest} too, "
        "and cases are compared over the same seeds."
    ]


def _whole_in(sweep: Sweep, seed: int) -> bool:
    there = {p.case for p in sweep.points if p.seed == seed}
    return there >= {p.case for p in sweep.over_seeds()}


def _raised(sweep: Sweep) -> list[str]:
    """Name the controls that the audits raised, and on which cases."""
    named = raised_words(sweep.facts.get(RAISED, ()), {p.case for p in sweep.points})
    if not named:
        return []
    return [
        f"Read with care: raised controls: {named}. The seeds' reports say what each saw and how "
        "to mend it."
    ]


def raised_words(raised: Iterable[Mapping[str, Any]], cases: Collection[str]) -> str:
    """Name raised controls, each with those of its subjects that are cases of the sweep.

    Args:
        raised: what a sweep's fact `controls` holds.
        cases: of the sweep.

    Example:
        >>> raised_words([{"id": "convergence", "subject": "admm", "seeds": [0]}], {"admm"})
        'convergence (admm)'
    """
    told: dict[str, list[str]] = {}
    for control in raised:
        on = told.setdefault(control["id"], [])
        on += [control["subject"]] if control["subject"] in cases else []
    return "; ".join(f"{name} ({', '.join(on)})" if on else name for name, on in told.items())


def _epsilons(sweep: Sweep) -> list[str]:
    """Return what the noise of each case's training promises, where one promised anything."""
    promised = [
        (p.case, p.rows["accounted epsilon"])
        for p in sweep.over_seeds()
        if "accounted epsilon" in p.rows
    ]
    known = [f"{row.value:.3g} for {case}" for case, row in promised if row.value is not None]
    void = [case for case, row in promised if row.value is None]
    deltas = {row.counts["delta"] for _, row in promised if "delta" in row.counts}
    at = f" (delta {', '.join(f'{delta:g}' for delta in sorted(deltas))})" if deltas else ""
    words = []
    if known:
        words.append(
            f"Accounted epsilon{at}, an upper bound from the training's noise: "
            f"{', '.join(known)}. Tuning on the same members is not accounted."
        )
    if void:
        words.append(
            f"No accounted epsilon, for the reason in the seed's report: {'; '.join(void)}."
        )
    return words


def _limit(name: str, value: float) -> str:
    return f"{value:,.0f}" if name == "max_bytes" else f"{value:.3g}"
