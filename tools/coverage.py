"""How often intervals hold the truth, in made worlds of scores (`tools/coverage_worlds.py`).

    python -m tools.coverage --out results/experiments/coverage.json

The truth is conditional on the records of the pool where an interval speaks of this pool (t over
targets), an average over records where it speaks of others too (two-way bootstrap), and conditional
on the target for one model (unit bootstrap). A case fails where a binomial test rejects, at 0.001,
that its coverage is nominal or more. Bootstraps take 1,000 replicates as a report does, 300 where
records are 5,000 or the world is not the ordinary one.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest, norm

from secateur import store
from secateur.context import hardware
from secateur.measure import (
    clopper_pearson,
    lowest_resolvable_fpr,
    most_exposed,
    paired_difference,
    rank_agreement,
    t_interval,
)
from secateur.types import Scores
from tools.coverage_worlds import (
    BETWEEN,
    CANARIES,
    MEAN,
    METRICS,
    NULL,
    ORDINARY,
    STRONG,
    THRESHOLD,
    VARIANCE,
    bootstrap_intervals,
    draw_world,
    membership_of,
    t_intervals,
    targets_from,
    truth_of,
)

WORLDS = 2000
WORLDS_OF = {"": ORDINARY, "strong": STRONG, "null": NULL, "canaries": CANARIES}
TARGETS, RECORDS = (1, 4, 8, 16), (200, 1000, 5000)


def metrics_case(
    targets: int, records: int, worlds: int, seed: int, name: str = ""
) -> list[dict[str, Any]]:
    """Count the covered worlds of every metric at one size.

    The precision in ordinary worlds alone: the others have too few false positives for one.
    """
    w = WORLDS_OF[name]
    stream = [] if not name else [7, sorted(WORLDS_OF).index(name)]
    rng = np.random.default_rng([seed, targets, records, *stream])
    fpr = lowest_resolvable_fpr(targets * records // 2) or 0.1
    covered = np.zeros(len(METRICS))
    kind = "t over targets" if targets >= 8 else "two-way bootstrap"
    replicates = 300 if name or records > 1000 else 1000
    for number in range(worlds):
        s, e, inside, scores = draw_world(rng, targets, records, w)
        made = targets_from(scores, inside, w.threshold)
        if targets >= 8:
            truth = truth_of(s, float(np.hypot(1, w.between)), fpr, w.threshold)
            low, high = t_intervals(made, fpr)
        else:
            low, high = bootstrap_intervals(made, fpr, number, replicates)
            shift = w.mean + (e[0] if targets == 1 else 0.0)
            between = 0.0 if targets == 1 else w.between
            spread = float(np.sqrt(1 + w.variance + between**2))
            truth = truth_of(np.array([shift]), spread, fpr, w.threshold)
            kind = "unit bootstrap" if targets == 1 else kind
        covered += (low <= truth) & (truth <= high)
    kind += f", {name}" if name else ""
    size = {"targets": targets, "records": records, "worlds": worlds}
    return [
        row(kind, f"tpr at {100 * fpr:g}% fpr" if m == "tpr at fpr" else m, int(c), **size)
        for m, c in zip(METRICS, covered, strict=True)
        if not name or m != "precision"
    ]


def difference_case(targets: int, records: int, worlds: int, seed: int) -> list[dict[str, Any]]:
    """Count for paired differences: the second subject leaks less and has noise of its own."""
    rng = np.random.default_rng([seed, targets, records, 1])
    fpr = 0.05
    covered = np.zeros(2)
    for _ in range(worlds):
        s, _, inside, scores = draw_world(rng, targets, records)
        other = scores - 0.4 * inside + 0.5 * rng.standard_normal(scores.shape)
        # the second's non-members have the spread sqrt(1.25): bring them to 1
        wide = np.sqrt(1.25)
        other = other / wide
        truth = truth_of(s, float(np.hypot(1, BETWEEN)), fpr)[[0, 4]]
        truth = (
            truth - truth_of((s - 0.4) / wide, float(np.hypot(wide, BETWEEN) / wide), fpr)[[0, 4]]
        )
        values = [
            np.array([[t.value("auc", fpr), t.value("tpr", fpr)] for t in targets_from(x, inside)])
            for x in (scores, other)
        ]
        for k in range(2):
            _, low, high = paired_difference(values[0][:, k], values[1][:, k])
            covered[k] += low <= truth[k] <= high
    size = {"targets": targets, "records": records, "worlds": worlds}
    names = ("difference of auc", "difference of tpr at 5% fpr")
    return [row("paired t", n, int(c), **size) for n, c in zip(names, covered, strict=True)]


def groups_case(worlds: int, seed: int) -> dict[str, Any]:
    """Count worlds in which five groups' AUCs are all covered by intervals at 1 - 0.05 / 5."""
    rng = np.random.default_rng([seed, 2])
    targets, records, groups = 8, 1000, 5
    covered = 0
    for _ in range(worlds):
        s, _, inside, scores = draw_world(rng, targets, records)
        good = True
        for part in np.split(np.arange(records), groups):
            truth = truth_of(s[part], float(np.hypot(1, BETWEEN)), 0.05)[0]
            made = targets_from(scores[:, part], inside[:, part])
            _, low, high = t_interval(
                np.array([t.value("auc", 0.05) for t in made]), 1 - 0.05 / groups
            )
            good &= bool(low <= truth <= high)
        covered += good
    size = {"targets": targets, "records": records, "worlds": worlds}
    return row("t over targets, 5 groups at once", "auc", covered, **size)


def binomial_case(n: int, p: float, worlds: int, seed: int) -> dict[str, Any]:
    """Count for the Clopper-Pearson interval of a threshold fixed on other data."""
    hits = np.random.default_rng([seed, n, 3]).binomial(n, p, size=worlds).tolist()
    covered = 0
    for k in hits:
        low, high = clopper_pearson(k, n)
        covered += low <= p <= high
    return row("Clopper-Pearson", f"rate {p:g}", covered, targets=1, records=n, worlds=worlds)


def exposure_case(models: int, records: int, worlds: int, seed: int) -> dict[str, Any]:
    """Count for the mean of the most exposed records, chosen on the other half of the models."""
    rng = np.random.default_rng([seed, models, records, 4])
    covered = 0
    for number in range(worlds):
        s, _, inside, scores = draw_world(rng, models, records)
        who = membership_of(inside)
        threshold = np.full(models, THRESHOLD)
        made = Scores(values=scores, evaluated=np.ones_like(inside), threshold=threshold)
        found = most_exposed(made, who, seed=number, subject="world", method="x", count=10)
        tpr = norm.sf((THRESHOLD - s[found.records]) / np.hypot(1, BETWEEN))
        truth = ((tpr + norm.cdf(THRESHOLD)) / 2).mean()
        covered += found.row.low <= truth <= found.row.high
    size = {"targets": models, "records": records, "worlds": worlds}
    return row("t over models of the other half", "10 most exposed records", covered, **size)


def agreement_case(targets: int, records: int, worlds: int, seed: int) -> dict[str, Any]:
    """Count for the rank correlation of two runs that share a score and add noise of their own."""
    rng = np.random.default_rng([seed, targets, records, 5])
    covered = 0
    shared = 1 + VARIANCE
    truth = 6 / np.pi * np.arcsin(shared / (shared + 0.5) / 2)
    for _ in range(worlds):
        _, _, inside, scores = draw_world(rng, targets, records)
        runs = [
            Scores(
                values=scores + np.sqrt(0.5) * rng.standard_normal(scores.shape),
                evaluated=np.ones_like(inside),
            )
            for _ in range(2)
        ]
        found = rank_agreement(runs, membership_of(inside), subject="world", method="x")
        covered += found.low <= truth <= found.high
    kind = "unit bootstrap" if targets == 1 else "two-way bootstrap"
    size = {"targets": targets, "records": records, "worlds": worlds}
    return row(kind, "rank correlation of members", covered, **size)


def textbook_case(targets: int, records: int, worlds: int, seed: int) -> dict[str, Any]:
    """Count for the two-way bootstrap that nothing here uses: it draws targets with replacement."""
    rng = np.random.default_rng([seed, targets, records, 6])
    truth = norm.cdf(MEAN / np.sqrt(2 + BETWEEN**2 + VARIANCE))
    covered = 0
    for _ in range(worlds):
        _, _, inside, scores = draw_world(rng, targets, records)
        made = targets_from(scores, inside)
        weights = rng.multinomial(records, np.full(records, 1 / records), size=200)
        values = np.stack([t.ranked.auc(weights.astype(np.float64)) for t in made], axis=1)
        share = rng.multinomial(targets, np.full(targets, 1 / targets), size=200) / targets
        low, high = np.quantile((values * share).sum(axis=1), [0.025, 0.975])
        covered += low <= truth <= high
    size = {"targets": targets, "records": records, "worlds": worlds}
    return row("two-way bootstrap, targets drawn with replacement", "auc", covered, **size)


def row(interval: str, metric: str, covered: int, **size: int) -> dict[str, Any]:
    """Return one line of the table, with the test that its coverage is 95 % or more."""
    worlds = size["worlds"]
    return {
        "interval": interval,
        "metric": metric,
        **size,
        "covered": int(covered),
        "coverage": int(covered) / worlds,
        "p": float(binomtest(int(covered), worlds, 0.95, alternative="less").pvalue),
    }


def cases(worlds: int = WORLDS, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the lines of the table, one interval, metric and size each."""
    for targets in TARGETS:
        for records in RECORDS:
            yield from metrics_case(targets, records, worlds, seed)
    for name, sizes in (("strong", (200, 1000)), ("null", (200, 1000)), ("canaries", (40, 120))):
        for targets in TARGETS:
            for records in sizes if targets >= 8 else sizes[:1]:
                yield from metrics_case(targets, records, worlds, seed, name)
    for targets in (4, 8, 16):
        for records in RECORDS:
            yield from difference_case(targets, records, worlds, seed)
    yield groups_case(worlds, seed)
    for n, p in ((50, 0.02), (500, 0.01), (500, 0.3)):
        yield binomial_case(n, p, worlds, seed)
    yield exposure_case(64, 200, worlds, seed)
    yield exposure_case(128, 1000, worlds, seed)
    yield agreement_case(1, 200, worlds, seed)
    yield agreement_case(4, 200, worlds, seed)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    for line in cases(arguments.worlds, arguments.seed):
        rows.append(line)
        print(
            f"{line['interval']}, {line['metric']}: {line['targets']} targets, "
            f"{line['records']} records: {100 * line['coverage']:.1f} %"
            f"{'  TOO LOW' if line['p'] < 0.001 else ''}",
            flush=True,
        )
    sizes = ((2, 1000), (4, 200), (4, 1000), (4, 5000))
    not_used = [textbook_case(t, n, arguments.worlds, arguments.seed) for t, n in sizes]
    shown = ["--worlds", str(arguments.worlds), "--seed", str(arguments.seed)]
    shown += ["--out", f"results/experiments/{arguments.out.name}"]
    store.write_document(
        arguments.out,
        {
            "format": "secateur-experiment-1",
            "experiment": "coverage",
            "command": shlex.join(["python", "-m", "tools.coverage", *shown]),
            "worlds": arguments.worlds,
            "seed": arguments.seed,
            "machine": hardware(),
            "rows": rows,
            "not_used": not_used,
        },
    )
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
