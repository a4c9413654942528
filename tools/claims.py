"""Fill our side of tests/paper/claims.toml from results/paper-*.json: `python -m tools.claims`."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.ship import keeps_accuracy
from tools.verdicts import ATTACK, DENSE, Point, between, cases, of_method, row_difference, sweeps

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
"""
Measure = Callable[[dict[str, Point]], list[dict[str, Any]]]
PRUNED = ("mia-pruning", "mia-pruning-min-max")


def _largest_fall(points: dict[str, Point], against: list[Point]) -> list[dict[str, Any]]:
    pairs = [(a, b, between(a, b, ATTACK)) for a in of_method(points, *PRUNED) for b in against]
    known = [(a, b, d) for a, b, d in pairs if d.value is not None]
    if not known:
        return []
    a, b, d = min(known, key=lambda found: found[2].value)
    pairing = "paired over targets" if d.paired else "not paired: between the intervals' ends"
    return [
        {
            "value": -100 * d.value,
            "low": None if d.high is None else -100 * d.high,
            "high": None if d.low is None else -100 * d.low,
            "case": f"{b['case']} minus {a['case']}",
            "note": f"the largest of {len(known)} differences, which flatters; {pairing}",
        }
    ]


def fall_below_dense(points: dict[str, Point]) -> list[dict[str, Any]]:
    """Points of accuracy of the paper's attack by which a pruned case lies below the dense one."""
    return _largest_fall(points, [points[DENSE]] if DENSE in points else [])


def fall_below_min_max(points: dict[str, Point]) -> list[dict[str, Any]]:
    """As `fall_below_dense`, against the cases of Min-Max."""
    return _largest_fall(points, of_method(points, "min-max"))


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
    """The largest rate at which the interval of test accuracy excludes a loss of a point."""
    found = []
    for point in of_method(points, "mia-pruning"):
        row = point["rows"].get("compression rate")
        cost = row_difference(point, f"test accuracy - {DENSE}")
        if row and row["value"] is not None and keeps_accuracy(cost):
            note = f"test accuracy {cost.shown(100, 1)} points from the dense one"
            found.append({"value": row["value"], "case": point["case"], "note": note})
    return sorted(found, key=lambda f: f["value"])[-1:]


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
    "rate of 15.78": rate_of_15_78,
    "largest rate": largest_rate,
    "dense test accuracy": _row(DENSE, "test accuracy"),
    "dense attack accuracy": _row(DENSE, ATTACK),
    "min-max test accuracy": _row("min-max", "test accuracy"),
    "min-max attack accuracy": _row("min-max", ATTACK),
}


def ours(claim: dict[str, Any], found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the results say of a claim: one entry per world, in the order of their names."""
    entries = []
    for world, content in found.items():
        if claim["world"] not in ("any", world):
            continue
        for entry in MEASURES[claim["measure"]](cases(content)):
            context = content["provenance"]["context"]
            facts = content["facts"]
            hardware = f"{context.get('processor', '')}, {context.get('cores', '')} cores"
            entries.append(
                {
                    "world": world,
                    **{k: v if not isinstance(v, float) else round(v, 6) for k, v in entry.items()},
                    "scale": facts.get("scale", "") or "not named",
                    "hardware": hardware,
                    "file": f"results/paper-{world}.json",
                }
            )
    return entries


def of_git(file: str) -> dict[str, str]:
    """Return commit and date of the last change of a results file; empty texts before it.

    Raises:
        SystemExit: the file has changes that are not committed: no commit holds its numbers.
    """
    state = ["git", "-C", str(ROOT), "status", "--porcelain", "--", file]
    if subprocess.run(state, capture_output=True, text=True, check=False).stdout[:1] in ("M", " "):
        raise SystemExit(f"{file} differs from what is committed; commit it, then write the claims")
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%h %cs", "--", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    commit, _, date = done.stdout.strip().partition(" ")
    return {"date": date, "commit": commit}


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
