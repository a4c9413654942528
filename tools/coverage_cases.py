"""The cases of `tools.coverage`: one kind of interval at one size in one kind of world.

Each calls the public functions that a report calls, on Scores, and counts how often the intervals
hold the truth. A world in which a function says "not resolvable" is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import binomtest, norm

from secateur import measure
from secateur.measure.targets import targets_of
from secateur.types import Measurement, Scores, derive_seed
from tools.coverage_worlds import (
    OWN,
    PRIOR,
    WORLDS_OF,
    Drawn,
    Law,
    draw_correct,
    draw_world,
    targets_alone,
)

ABOUT: dict[str, Any] = {"subject": "world", "method": "x"}
TOLD = ("world", "x", "")
GROUPS = 5


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of a case: its targets and records, how many worlds, the seed, and which kind of world."""

    targets: int
    records: int
    worlds: int
    seed: int
    name: str = ""

    @property
    def interval(self) -> str:
        """What this many targets get, and in which worlds where they are not ordinary."""
        kind = "t over targets" if self.targets >= 8 else "two-way bootstrap"
        return self.of("unit bootstrap" if self.targets == 1 else kind)

    def of(self, kind: str) -> str:
        """Return the name of an interval in these worlds."""
        return f"{kind}, {self.name}" if self.name else kind

    @property
    def fpr(self) -> float:
        """The lowest that is resolved by half of the records; else the one that reports want."""
        return measure.lowest_resolvable_fpr(self.targets * self.records // 2) or 0.01

    def draws(self, case: str) -> Iterator[Drawn]:
        """Yield the worlds."""
        rng = self.rng(case)
        for _ in range(self.worlds):
            yield draw_world(rng, self.targets, self.records, WORLDS_OF[self.name])

    def rng(self, case: str) -> np.random.Generator:
        """Return the random numbers of a case."""
        return np.random.default_rng(
            derive_seed(self.seed, case, self.targets, self.records, self.name)
        )


@dataclass(kw_only=True)
class Tally:
    """How many worlds were measured, and in how many of them the interval holds the truth."""

    seen: Counter[str] = field(default_factory=Counter)
    covered: Counter[str] = field(default_factory=Counter)

    def add(self, metric: str, row: Measurement, truth: float) -> None:
        """Count one world's measurement."""
        if row.status == "measured" and row.low is not None and row.high is not None:
            self.note(metric, row.low <= truth <= row.high)

    def note(self, metric: str, holds: bool) -> None:
        """Count one world."""
        self.seen[metric] += 1
        self.covered[metric] += bool(holds)

    def rows(self, interval: str, size: Size, *, nominal: float = 0.95) -> list[dict[str, Any]]:
        """Return one line of the table for each metric, with the test of its coverage."""
        return [
            {
                "interval": interval,
                "metric": metric,
                "targets": size.targets,
                "records": size.records,
                "worlds": worlds,
                "covered": self.covered[metric],
                "coverage": self.covered[metric] / worlds,
                "nominal": nominal,
                "p": float(
                    binomtest(self.covered[metric], worlds, nominal, alternative="less").pvalue
                ),
            }
            for metric, worlds in self.seen.items()
        ]


def metrics(size: Size) -> list[dict[str, Any]]:
    """Count for every metric of one attack."""
    tally, fpr = Tally(), size.fpr
    for w in size.draws("metrics"):
        scores, who = w.scores, w.membership
        truth = w.law().metrics(fpr, w.world.threshold)
        found = {
            "auc": measure.auc(scores, who, **ABOUT),
            "balanced accuracy": measure.balanced_accuracy(scores, who, **ABOUT),
            "accuracy": measure.accuracy_of_attack(scores, who, **ABOUT),
            "false-positive rate": measure.realised_fpr(scores, who, **ABOUT),
            "tpr": measure.tpr_at_fpr(scores, who, fpr=fpr, **ABOUT),
        }
        if not size.name:  # elsewhere too few false positives, or which world has them matters
            found["precision"] = measure.positive_predictive_value(
                scores, who, prior=PRIOR, **ABOUT
            )
        for metric, row in found.items():
            tally.add(measure.fpr_name(fpr) if metric == "tpr" else metric, row, truth[metric])
    return tally.rows(size.interval, size)


def differences(size: Size) -> list[dict[str, Any]]:
    """Count for paired differences: the second subject leaks less and has noise of its own."""
    rng, tally, fpr = size.rng("differences of"), Tally(), size.fpr
    for w in size.draws("differences"):
        other, law = _second(w, rng, nothing=size.name == "unequal")
        truth = [one.metrics(fpr, 0.0) for one in (w.pool, law)]
        for metric in ("auc", "tpr"):
            row = measure.difference(
                w.scores, other, w.membership, metric, about=("a", "b", "x"), fpr=fpr
            )
            tally.add(f"difference of {row.metric}", row, truth[0][metric] - truth[1][metric])
    return tally.rows(size.of("paired t"), size)


def _second(w: Drawn, rng: np.random.Generator, *, nothing: bool) -> tuple[Scores, Law]:
    """Return a second subject's scores and law; its non-members score N(0, 1) too."""
    if nothing:
        made = w.scored(rng.standard_normal(w.values.shape))
        return made, Law(shifts=np.zeros(1), within=1.0, between=0.0)
    drop = 0.4 if w.world.mean else 0.0
    wide, law = float(np.sqrt(1 + OWN)), w.pool
    made = w.scored((w.run(rng).values - drop * w.inside) / wide)
    return made, Law(shifts=(law.shifts - drop) / wide, within=1.0, between=law.between / wide)


def groups(size: Size) -> list[dict[str, Any]]:
    """Count worlds in which all of five groups are covered at once."""
    tally = Tally()
    column = np.arange(size.records) * GROUPS // size.records
    fpr = measure.lowest_resolvable_fpr(size.targets * size.records // GROUPS // 2) or 0.1
    for w in size.draws("groups"):
        found = measure.by_group(w.scores, w.membership, column, name="g", about=TOLD, fpr=fpr)
        good = {"auc": True, measure.fpr_name(fpr): True}
        for row in found:
            own = np.flatnonzero(column == int(row.group.removeprefix("g=")))
            truth = w.law(slice(own[0], own[-1] + 1)).metrics(fpr, 0.0)
            if row.metric in good and row.low is not None and row.high is not None:
                value = truth["auc" if row.metric == "auc" else "tpr"]
                good[row.metric] &= row.low <= value <= row.high
        for metric, holds in good.items():
            tally.note(metric, holds)
    return tally.rows(f"{size.interval}, {GROUPS} groups at once", size)


def bands(size: Size) -> list[dict[str, Any]]:
    """Count for the band of the ROC at single FPRs: its first, 1 % and about 10 %."""
    tally = Tally()
    for w in size.draws("bands"):
        columns = measure.roc_series(w.scores, w.membership, **ABOUT).columns
        fprs = np.array(columns["fpr"], dtype=np.float64)
        places = {"first fpr": 0, "1% fpr": int(np.argmin(abs(fprs - 0.01)))}
        places["about 10% fpr"] = int(np.argmin(abs(fprs - 0.1)))
        for name, at in places.items():
            truth = w.law().tpr(norm.isf(fprs[at]))
            low, high = np.array([columns["low"][at], columns["high"][at]], dtype=np.float64)
            tally.note(f"roc at {name}", bool(low <= truth <= high))
    return tally.rows(size.interval, size)


def information(size: Size) -> list[dict[str, Any]]:
    """Count the lower ends that are at most the best that a score allows: one-sided, 97.5 %."""
    tally = Tally()
    for w in size.draws("information"):
        truth = w.law().information()
        for row in measure.information_rows(w.scores, w.membership, about=TOLD):
            assert row.low is not None  # all are measured
            tally.note(row.metric, row.low <= truth[row.metric] + 1e-9)
    return tally.rows(f"{size.interval}, lower end", size, nominal=0.975)


def agreement(size: Size) -> list[dict[str, Any]]:
    """Count for what two runs, each with noise of its own, find together, and their ranks."""
    rng, tally = size.rng("agreement of"), Tally()
    fpr = measure.lowest_resolvable_fpr(size.targets * size.records // 2) or 0.1
    for w in size.draws("agreement"):
        runs, who = [w.run(rng), w.run(rng)], w.membership
        truth = w.law().found(fpr)
        for by in ("every run", "any run"):
            row = measure.share_found(runs, who, by=by, fpr=fpr, **ABOUT)
            tally.add(row.metric, row, truth[by])
        row = measure.overlap_of_found(runs, who, fpr=fpr, **ABOUT)
        tally.add(row.metric, row, truth["overlap"])
        if 1 < size.targets < 8:  # averaged over records: known in closed form
            shared = 1 + w.world.variance
            ranks = 6 / np.pi * np.arcsin(shared / (shared + OWN) / 2)
            row = measure.rank_agreement(runs, who, **ABOUT)
            tally.add(row.metric, row, float(ranks))
    return tally.rows(size.interval, size)


def exposure(size: Size) -> list[dict[str, Any]]:
    """Count for the mean of the most exposed records, chosen on the other half of the models."""
    tally = Tally()
    for number, w in enumerate(size.draws("exposure")):
        found = measure.most_exposed(w.scores, w.membership, seed=number, count=10, **ABOUT)
        limit, law = w.world.threshold, w.pool
        tpr = norm.sf((limit - law.shifts[found.records]) / law.spread)
        tally.add("10 most exposed records", found.row, (tpr.mean() + norm.cdf(limit)) / 2)
    return tally.rows(size.of("t over models of the other half"), size)


def accuracies(size: Size) -> list[dict[str, Any]]:
    """Count for the targets' test accuracy, and for five groups of it at once."""
    rng, tally, at_once = size.rng("accuracies"), Tally(), Tally()
    centre = 5.0 if size.name == "strong" else 1.5
    column = np.arange(size.records) * GROUPS // size.records
    for _ in range(size.worlds):
        right, chance = draw_correct(rng, size.targets, size.records, centre=centre)
        row = measure.over_targets(
            right.mean(axis=1),
            about=("world", "utility", "accuracy", "test accuracy"),
            counts={},
            better="higher",
            trials=size.records,
        )
        tally.add(row.metric, row, float(chance.mean()))
        everyone = np.arange(size.records)
        inside = np.tile(np.arange(size.records + 2) == size.records, (size.targets, 1))
        who = targets_alone(inside, audit=size.records + np.arange(2), utility=everyone)
        found = measure.accuracy_by_group(
            np.pad(right.astype(np.float64), ((0, 0), (0, 2))),
            who,
            np.pad(column, (0, 2)),
            name="g",
            subject="world",
        )
        truths = [float(chance[column == g].mean()) for g in range(GROUPS)]
        good = [
            r.low is not None and r.high is not None and r.low <= t <= r.high
            for r, t in zip(found, truths, strict=True)
        ]
        at_once.note("test accuracy", all(good))
    interval = size.of("t over targets")
    return [
        *tally.rows(interval, size),
        *at_once.rows(f"{interval}, {GROUPS} groups at once", size),
    ]


def rates(size: Size) -> list[dict[str, Any]]:
    """Count for the Clopper-Pearson interval of a threshold fixed on other data."""
    tally, p = Tally(), float(size.name)
    for k in size.rng("rates").binomial(size.records, p, size=size.worlds).tolist():
        low, high = measure.clopper_pearson(k, size.records)
        tally.note(f"rate {p:g}", low <= p <= high)
    return tally.rows("Clopper-Pearson", size)


def textbook(size: Size) -> list[dict[str, Any]]:
    """Count for the two-way bootstrap that nothing here uses: it draws targets with replacement."""
    rng, tally = size.rng("textbook of"), Tally()
    n, t = size.records, size.targets
    for w in size.draws("textbook"):
        made = targets_of(w.scores, w.membership)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=200).astype(np.float64)
        values = np.stack([one.ranked.auc(weights) for one in made], axis=1)
        share = rng.multinomial(t, np.full(t, 1 / t), size=200) / t
        low, high = np.quantile((values * share).sum(axis=1), [0.025, 0.975])
        tally.note("auc", low <= w.law().metrics(0.1, 0.0)["auc"] <= high)
    return tally.rows("two-way bootstrap, targets drawn with replacement", size)


Count = Callable[[Size], list[dict[str, Any]]]
