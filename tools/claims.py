"""Fill our side of tests/paper/claims.toml from results/paper-*.json: `python -m tools.claims`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.circumstances import hardware, of_git, when
from tools.controls import matched_rivals
from tools.ship import MARGIN, keeps, keeps_accuracy
from tools.stopped import MATCHED
from tools.verdicts import (
    ATTACK,
    DENSE,
    PRUNED,
    Difference,
    Point,
    between,
    cases,
    of_method,
    row_difference,
    sweeps,
)

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = ROOT / "tests" / "paper" / "claims.toml"
RESULTS = ROOT / "results"
NOT_YET = "not yet measured"
FIELDS = ("id", "source", "reference", "claim", "reported", "unit", "mark", "measure", "world")
HEADER = """\
# What papers report, and what we measure of it. `ours` is written by `python -m tools.claims` from
# results/paper-*.json and never by hand. Of arXiv 2008.13578 nothing is known but the entries here:
# a number of a table cell of it would be invented.
# mark: `read` in the source named; `digest`: in a machine-made digest of the whole paper;
# `remembered`: of a published table, rounded, not read again.
# Falls stand there twice (`among`): the largest of every case, which the most destroyed model may
# have, and of those that keep accuracy. An entry of ours without a value says why in its note.
# made: the day of the audit, and the commit of the code that made it, where the results file has
# them. committed: the last commit of the results file, and its day, which may be long after.
"""
Measure = Callable[[dict[str, Point]], list[dict[str, Any]]]


EVERY = "every case"
KEEPING = "cases that keep the test accuracy of the dense models and of these trained on"
EQUAL = "pairs of about the same test accuracy"
"""Among which cases the largest fall is: the most destroyed model has the largest of all."""


def fall_below_dense(points: dict[str, Point]) -> list[dict[str, Any]]:
    """Points of accuracy of the paper's attack by which a pruned case lies below the dense one."""
    if DENSE not in points:
        return []
    return _largest_falls(points, [(p, points[DENSE]) for p in of_method(points, *PRUNED)])


def fall_below_min_max(points: dict[str, Point]) -> list[dict[str, Any]]:
    """As `fall_below_dense`, against the case of Min-Max with the same strength and epochs, and
    against that of the pruned case's test accuracy.

    Pruning without the game has no strength: a weak game is no rival for it, but one of its
    accuracy is.
    """
    return [*_below_the_same_game(points), *_at_equal_accuracy(points, "min-max")]


def fall_below_dp_sgd(points: dict[str, Point]) -> list[dict[str, Any]]:
    """Points of accuracy of the paper's attack by which a pruned case lies below the DP-SGD of its
    test accuracy.
    """
    return _at_equal_accuracy(points, "dp-sgd")


def fall_below_pruning(points: dict[str, Point]) -> list[dict[str, Any]]:
    """As `fall_below_dense`, of MIA-Pruning & Min-Max below MIA-Pruning of the same rate."""
    both, alone = of_method(points, "mia-pruning-min-max"), of_method(points, "mia-pruning")
    pairs = [(b, a) for b in both for a in alone if b["axes"].get("rate") == a["axes"].get("rate")]
    if pairs:
        return _largest_falls(points, pairs)
    counts = f"of {len(both)} cases with the game and {len(alone)} without"
    return [{"among": EVERY, "note": f"no pair: {counts} no two have the rate in common"}]


def _at_equal_accuracy(points: dict[str, Point], rival: str) -> list[dict[str, Any]]:
    pruned = of_method(points, *PRUNED)
    if not pruned:
        return []
    pairs = [(p, found.point) for p, found in matched_rivals(points, rival)]
    known = [(a, b, d) for a, b in pairs if (d := between(a, b, ATTACK)).value is not None]
    if known:
        return [{"among": EQUAL, **_largest(points, known)}]
    near = f"within {100 * MATCHED:.0f} point of its test accuracy"
    note = f"no pair: of {len(pruned)} pruned cases none has {rival} {near}"
    return [{"among": EQUAL, "note": note}]


def _below_the_same_game(points: dict[str, Point]) -> list[dict[str, Any]]:
    games, pruned = of_method(points, "min-max"), of_method(points, *PRUNED)
    if not pruned:
        return []
    pairs = [(p, g) for p in pruned for g in games if _game(p) == _game(g)]
    if not pairs:
        counts = f"of {len(pruned)} pruned cases and {len(games)} of Min-Max"
        note = f"no pair: {counts} no two have the game's strength and epochs in common"
        return [{"among": EVERY, "note": note}]
    return _largest_falls(points, pairs)


def _game(point: Point) -> tuple[Any, Any]:
    """Return the strength and the epochs of a case's game."""
    return point["axes"].get("strength"), point["axes"].get("epochs")


def _largest_falls(
    points: dict[str, Point], pairs: list[tuple[Point, Point]]
) -> list[dict[str, Any]]:
    """Return the largest fall among all pairs, and among those whose pruned case keeps accuracy."""
    known = [(a, b, d) for a, b in pairs if (d := between(a, b, ATTACK)).value is not None]
    if not known:
        return []
    able = [(a, b, d) for a, b, d in known if keeps(points, a)]
    entries = [{"among": EVERY, **_largest(points, known)}]
    if able:
        return [*entries, {"among": KEEPING, **_largest(points, able)}]
    lost = f"a loss of more than {100 * MARGIN:.0f} point"
    note = f"no case: of {len(known)} none has an interval of test accuracy that excludes {lost}"
    return [*entries, {"among": KEEPING, "note": note}]


def _largest(
    points: dict[str, Point], known: list[tuple[Point, Point, Difference]]
) -> dict[str, Any]:
    a, b, d = min(known, key=lambda found: found[2].value or 0.0)
    pairing = "paired over targets" if d.paired else "not paired: between the intervals' ends"
    of = (
        f"the largest of {len(known)} differences, which flatters"
        if len(known) > 1
        else "the only pair"
    )
    against = [b, points[DENSE]] if DENSE in points and b["case"] != DENSE else [b]
    costs = " and ".join(f"{_cost(a, p).shown(100, 1)} points from {p['case']}" for p in against)
    return {
        "value": _fallen(d.value),
        "low": _fallen(d.high),
        "high": _fallen(d.low),
        "case": f"{b['case']} minus {a['case']}",
        "note": f"{of}; {pairing}; test accuracy {costs}",
    }


def _cost(point: Point, against: Point | None) -> Difference:
    """Return by how much a case's test accuracy lies above another's."""
    return Difference(value=None) if against is None else between(point, against, "test accuracy")


def _fallen(difference: float | None) -> float | None:
    return None if difference is None else -100 * difference


def rate_of_15_78(points: dict[str, Point]) -> list[dict[str, Any]]:
    """The rate that was reached where 15.78 was asked for, and what it cost in test accuracy."""
    for point in of_method(points, "mia-pruning"):
        if point["axes"].get("rate") == 15.78:
            row = point["rows"]["compression rate"]
            cost = row_difference(point, f"test accuracy - {DENSE}").shown(100, 1)
            note = f"over the prunable weights; test accuracy {cost} points from the dense one"
            return [{"value": row["value"], "case": point["case"], "note": note}]
    return []


def largest_rate(points: dict[str, Point]) -> list[dict[str, Any]]:
    """The largest rate at which the interval of test accuracy excludes a loss of a point; where
    no measured rate does, an entry that says so.
    """
    tried = []
    for point in of_method(points, "mia-pruning"):
        row = point["rows"].get("compression rate")
        cost = row_difference(point, f"test accuracy - {DENSE}")
        if row and row["value"] is not None and cost.value is not None:
            tried.append((row["value"], point["case"], cost))
    able = [found for found in tried if keeps_accuracy(found[2])]
    if able:
        rate, case, cost = max(able, key=lambda found: found[0])
        note = f"test accuracy {cost.shown(100, 1)} points from the dense one"
        return [{"value": rate, "case": case, "note": note}]
    shown = "; ".join(f"{case} {cost.shown(100, 1)}" for _, case, cost in tried)
    lost = f"a loss of more than {100 * MARGIN:.0f} point"
    note = f"no rate: of {len(tried)} none has an interval of test accuracy that excludes {lost}"
    return [{"note": f"{note} ({shown} points from the dense one)"}] if tried else []


def _row(method: str, name: str) -> Measure:
    def measured(points: dict[str, Point]) -> list[dict[str, Any]]:
        for point in of_method(points, method):
            row = point["rows"].get(name)
            if point["axes"].get("strength", 3) == 3 and row and row["value"] is not None:
                ends = {k: None if row[k] is None else 100 * row[k] for k in ("low", "high")}
                return [{"value": 100 * row["value"], **ends, "case": point["case"]}]
        return []

    return measured


MEASURES: dict[str, Measure] = {
    "fall below dense": fall_below_dense,
    "fall below min-max": fall_below_min_max,
    "fall below dp-sgd": fall_below_dp_sgd,
    "fall below pruning": fall_below_pruning,
    "rate of 15.78": rate_of_15_78,
    "largest rate": largest_rate,
    "dense test accuracy": _row(DENSE, "test accuracy"),
    "dense attack accuracy": _row(DENSE, ATTACK),
    "min-max test accuracy": _row("min-max", "test accuracy"),
    "min-max attack accuracy": _row("min-max", ATTACK),
}


def ours(claim: dict[str, Any], found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the results say of a claim, world by world in the order of their names.

    An entry without a value says in its note why there is none; a world that has not measured it
    has no entry.
    """
    entries = []
    for world, content in found.items():
        if claim["world"] not in ("any", world):
            continue
        for entry in MEASURES[claim["measure"]](cases(content)):
            entries.append(
                {
                    "world": world,
                    **{k: v if not isinstance(v, float) else round(v, 6) for k, v in entry.items()},
                    "scale": content["facts"].get("scale", "") or "not named",
                    "hardware": hardware(content),
                    "file": f"results/paper-{world}.json",
                    **when(content),
                }
            )
    return entries


def as_toml(claims: list[dict[str, Any]]) -> str:
    """Return the file's text; the same claims give the same bytes."""
    parts = [HEADER]
    for claim in claims:
        lines = ["[[claim]]", *(f"{k} = {_value(claim[k])}" for k in FIELDS)]
        if not isinstance(claim["ours"], list):
            lines.append(f"ours = {_value(claim['ours'])}")
        for entry in claim["ours"] if isinstance(claim["ours"], list) else ():
            known = {k: v for k, v in entry.items() if v is not None}
            lines += ["", "[[claim.ours]]", *(f"{k} = {_value(v)}" for k, v in known.items())]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def filled(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the claims with our side from results/, and nothing else changed."""
    found = sweeps(RESULTS)
    done = []
    for claim in claims:
        entries = [{**entry, **of_git(entry["file"])} for entry in ours(claim, found)]
        done.append({**claim, "ours": entries or NOT_YET})
    return done


def main() -> None:
    """Write our side anew."""
    claims = tomllib.loads(CLAIMS.read_text(encoding="utf-8"))["claim"]
    CLAIMS.write_text(as_toml(filled(claims)), encoding="utf-8")
    measured = sum(isinstance(c["ours"], list) for c in filled(claims))
    print(f"{CLAIMS.relative_to(ROOT)}: {measured} of {len(claims)} claims are measured")


if __name__ == "__main__":
    main()
