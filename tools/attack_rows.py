"""The rows of `tools.attacks`: side by side, curves, agreement, precision, and the aim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import combinations
from typing import Any

import numpy as np

from secateur.attack.learned import SAMIA
from secateur.attack.membership import RMIA, AttackP, HierarchicalLiRA, LiRA, LossThreshold
from secateur.auditing.choices import strongest_on
from secateur.measure import (
    PRIORS,
    fpr_name,
    overlap_of_found,
    positive_predictive_value,
    rank_agreement,
    t_interval,
    widened_metric,
)
from secateur.measure.roc import EXPECTED
from secateur.types import Measurement, Membership, Scores
from tools.attack_runs import (
    FPRS,
    LEARNED,
    REFERENCES,
    WITH_REFERENCES,
    WITHOUT_REFERENCES,
    Cache,
    World,
    key_of,
    needs_both,
    run_attack,
    run_learned,
    subsets,
)

METRICS = ("auc", *(fpr_name(fpr) for fpr in FPRS))
FEW, MANY = 8, 64  # the aim: from few what LiRA gets from many
GOALS = (LiRA(), LiRA(variance="per record"))
COMPARED = (LiRA(), LiRA(mode="offline"), RMIA(), HierarchicalLiRA(), LossThreshold(), AttackP())
NOT_SWEPT = "one training per point of the curve; its {} references are few already"


def summary(runs: Sequence[dict[str, Any]], metric: str) -> dict[str, Any]:
    """Return the mean over targets and subsets, its interval over targets, the subsets' sd.

    The targets' values are means over the subsets. The interval is that of the measures: widened
    where nearly all units or targets agree (`widened_metric`), the lower end of a TPR down by the
    height of the ROC's step (`tpr_at_fpr`).
    """
    level = {fpr_name(fpr): fpr for fpr in FPRS}.get(metric)
    units = np.min([run["units"] for run in runs], axis=0)  # [targets, 2]
    if level is not None:
        expected = level * units[:, 1].sum()
        if expected < EXPECTED - 1e-9:
            why = f"{expected:.1f} false positives (units) are expected, at least 10 are needed"
            return {"not_resolvable": why}
    values = np.array([run[metric] for run in runs])
    mean, *given = t_interval(values.mean(axis=0))
    ends = widened_metric(
        "auc" if level is None else "tpr",
        (given[0], given[1]),
        value=mean,
        rates=None,
        units=units,
        interval="t over targets",
    )
    step = float(np.mean([run.get(f"step of {metric}", 0.0) for run in runs]))
    low, high = max(0.0, min(ends.low - step, mean)), min(1.0, max(ends.high, mean))
    found: dict[str, Any] = {"value": mean, "low": low, "high": high}
    if ends.note:
        found["widened"] = ends.note
    if len(runs) > 1:
        found["sd"] = float(values.mean(axis=1).std(ddof=1))
    return found


def line(runs: Sequence[dict[str, Any]], **about: Any) -> dict[str, Any]:
    """Return one row from the runs over subsets of references."""
    failed = [run["not_run"] for run in runs if "not_run" in run]
    if failed:
        return {**about, "not_run": failed[0]}
    seconds = float(np.median([run["seconds"] for run in runs]))
    found = {metric: summary(runs, metric) for metric in METRICS}
    return {**about, **found, "subsets": len(runs), "scoring_seconds": seconds}


def mean_seconds(
    world: World, subject: str, attack: Any, parts: Sequence[Sequence[int]]
) -> float | None:
    """Return the CPU seconds that the references of one subset took, mean over subsets."""
    took = [world.seconds(attack, subject, part) for part in parts]
    return None if None in took else float(np.mean([t for t in took if t is not None]))


def curve(cache: Cache, world: World, subject: str, attack: Any) -> list[dict[str, Any]]:
    """Return one row for each number of references."""
    references = world.fleets[0].membership.references.tolist()
    rows = []
    for size in REFERENCES:
        parts = subsets(references, size)
        runs = [
            run_attack(cache, world, subject, attack, models=part, part=number)
            for number, part in enumerate(parts)
        ]
        seconds = mean_seconds(world, subject, attack, parts)
        rows.append(
            line(
                runs,
                **about(world, subject, attack),
                references=size,
                reference_seconds=seconds,
            )
        )
    return rows


def spelled(attack: Any) -> str:
    """Return an attack's spelling without the parameters that stand at their defaults.

    Example:
        >>> spelled(LiRA(mode="offline"))
        "LiRA(mode='offline')"
    """
    said = [
        f"{f.name}={getattr(attack, f.name)!r}"
        for f in fields(attack)
        if getattr(attack, f.name) != f.default
    ]
    return type(attack).__name__ + (f"({', '.join(said)})" if said else "")


def about(world: World, subject: str, attack: Any) -> dict[str, Any]:
    """Return what a row speaks of."""
    return {
        "world": world.name,
        "subject": subject,
        "attack": repr(attack),
        "threat": attack.threat + (", both models" if needs_both(attack) else ""),
    }


def learned_rows(
    cache: Cache, world: World, subject: str, samia: SAMIA, seeds: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of the attacks that train networks, and their agreement over two seeds."""
    rows, stable = [], []
    who = world.fleets[0].membership
    for attack, number in ((LEARNED, 2), (samia, seeds if subject == "admm" else 0)):
        shadows = int(getattr(attack, "shadows", 0))
        told = {**about(world, subject, attack), "references": shadows}
        if not number:
            why = "trained on the pruned models alone, for which it was made: it takes minutes"
            rows.append(
                {**told, "not_run": why if subject == "dense" else "left out by --samia-seeds 0"}
            )
            continue
        runs = [run_learned(cache, world, subject, attack, seed=seed) for seed in range(number)]
        seconds = world.seconds(attack, subject, who.references[:shadows].tolist())
        rows.append(line(runs[:1], **told, reference_seconds=seconds))
        scores = [
            cache.scores(key_of(world, subject, attack, shadows, 0, s)) for s in range(number)
        ]
        if number > 1:
            found = pair(scores[0], scores[1], targets_alone(who), subject, repr(attack))
            aucs = [float(np.mean(run["auc"])) for run in runs]
            stable.append({**about(world, subject, attack), **found, "auc_by_seed": aucs})
    return rows, stable


def targets_alone(who: Membership) -> Membership:
    """Return the membership of the targets."""
    return who.part(who.targets.tolist())


def plain(row: Measurement) -> dict[str, Any]:
    """Return what a page says of a measurement."""
    kept = {k: v for k, v in asdict(row).items() if k in ("value", "low", "high", "counts")}
    return {**kept, "why": row.why} if row.status != "measured" else kept


def pair(a: Scores, b: Scores, who: Membership, subject: str, method: str) -> dict[str, Any]:
    """Return the rank correlation of two runs and the overlap of the members that they find."""
    both = a.evaluated & b.evaluated
    runs = [Scores(values=s.values, evaluated=both) for s in (a, b)]
    told = {"subject": subject, "method": method}
    return {
        "rank": plain(rank_agreement(runs, who, **told)),
        "overlap": plain(overlap_of_found(runs, who, fpr=FPRS[0], **told)),
    }


def agreement(
    cache: Cache, world: World, subject: str, others: Sequence[tuple[Any, int]]
) -> list[dict[str, Any]]:
    """Return the agreement of every pair of the compared attacks, with all references."""
    who = targets_alone(world.fleets[0].membership)
    sizes = [
        (attack, 0 if attack.min_out == 0 == attack.min_in else max(REFERENCES))
        for attack in COMPARED
    ]
    rows = []
    for (a, n), (b, m) in combinations([*sizes, *others], 2):
        scores = [
            cache.scores(key_of(world, subject, attack, size, 0, 0))
            for attack, size in ((a, n), (b, m))
        ]
        found = pair(scores[0], scores[1], who, subject, f"{a!r} and {b!r}")
        rows.append(
            {"world": world.name, "subject": subject, "attacks": [repr(a), repr(b)], **found}
        )
    return rows


def precision(cache: Cache, world: World, subject: str) -> dict[str, Any]:
    """Return the precision at each prior of the attack that references call the strongest."""
    alone = [a for a in (*WITH_REFERENCES, *WITHOUT_REFERENCES) if not needs_both(a)]
    chosen = strongest_on(world.seen[subject], alone, seed=0)
    attack = next(a for a in alone if repr(a) == chosen)
    size = max(REFERENCES) if attack in WITH_REFERENCES else 0
    scores = cache.scores(key_of(world, subject, attack, size, 0, 0))
    who = targets_alone(world.fleets[0].membership)
    told = {"subject": subject, "method": repr(attack)}
    rows = {
        f"{prior:g}": plain(positive_predictive_value(scores, who, prior=prior, **told))
        for prior in PRIORS
    }
    return {**about(world, subject, attack), "references": size, "priors": rows}


def aim(cache: Cache, world: World, subject: str) -> list[dict[str, Any]]:
    """Return, per attack on the one model, its share with few references of LiRA's with many."""
    references = world.fleets[0].membership.references.tolist()

    def runs(attack: Any, size: int) -> list[dict[str, Any]]:
        return [
            run_attack(cache, world, subject, attack, models=part, part=number)
            for number, part in enumerate(subsets(references, size))
        ]

    rows = []
    goals = {repr(goal): runs(goal, MANY) for goal in GOALS}
    for attack in WITH_REFERENCES:
        own = runs(attack, FEW)
        if needs_both(attack) or any("not_run" in run for run in own):
            continue
        shares = {
            goal: {
                metric: share(own, theirs, metric, floor=0.5 if metric == "auc" else 0.0)
                for metric in METRICS[:2]
            }
            for goal, theirs in goals.items()
            if not any("not_run" in run for run in theirs)
        }
        rows.append({**about(world, subject, attack), "references": FEW, "shares": shares})
    return rows


def share(
    own: Sequence[dict[str, Any]], goal: Sequence[dict[str, Any]], metric: str, *, floor: float
) -> dict[str, float]:
    """Return the ratio of two means over the same targets, less a floor, with a t interval.

    The interval is that of the linearised ratio, paired over targets.
    """
    a, b = (np.mean([run[metric] for run in runs], axis=0) - floor for runs in (own, goal))
    ratio = float(a.mean() / b.mean())
    value, low, high = t_interval(ratio + (a - ratio * b) / b.mean())
    return {"value": value, "low": low, "high": high}
