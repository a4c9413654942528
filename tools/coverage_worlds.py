"""Made worlds of scores whose truth is known in closed form, or by quadrature.

Member r of target t scores N(s_r + e_t, 1), a non-member N(0, 1), with s_r ~ N(mean, variance) over
records and e_t ~ N(0, between^2) over targets. Ordinary: N(1, 1/4), 0.15 and the reference
threshold 1/2; strong: the mean 6 and the threshold 3, so that nearly all are found; null: no shift
at all, and the threshold 3, above which hardly any lie; canaries: the mean 4 and the threshold 2,
few records.

A second run of an attack sees the same world with noise of variance 1/2 of its own on every score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, owens_t
from scipy.stats import norm

from secateur.measure import precision_of
from secateur.types import Membership, Scores

PRIOR = 0.1
OWN = 0.5  # variance of a run's own noise

Floats = NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)


@dataclass(frozen=True, kw_only=True)
class World:
    """Where members score, how much records and targets spread, and the reference threshold."""

    mean: float = 1.0
    variance: float = 0.25
    between: float = 0.15
    threshold: float = 0.5


ORDINARY = World()
WORLDS_OF = {
    "": ORDINARY,
    "strong": World(mean=6.0, threshold=3.0),
    "null": World(mean=0.0, variance=0.0, between=0.0, threshold=3.0),
    "canaries": World(mean=4.0, threshold=2.0),
    "unequal": ORDINARY,  # of a difference: the second subject leaks nothing
}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One draw of a world: the shift of each record and each target, members, scores."""

    world: World
    shifts: Floats
    targets: Floats
    inside: NDArray[np.bool_]
    values: Floats

    @property
    def membership(self) -> Membership:
        """A membership of targets alone, all records audited."""
        return targets_alone(self.inside, audit=np.arange(self.inside.shape[1]))

    @property
    def scores(self) -> Scores:
        """The scores, with the reference threshold."""
        return self.scored(self.values)

    def scored(self, values: Floats) -> Scores:
        """Return other scores of the same world."""
        threshold = np.full(len(values), self.world.threshold)
        return Scores(values=values, evaluated=np.ones_like(self.inside), threshold=threshold)

    def run(self, rng: np.random.Generator) -> Scores:
        """Return the scores of a run with noise of its own."""
        return self.scored(self.values + np.sqrt(OWN) * rng.standard_normal(self.values.shape))

    def law(self, records: slice = slice(None)) -> Law:
        """Return how members score, in what an interval of this many targets speaks of.

        This pool from 8 targets on, other records too below, this one target alone.
        """
        w, models = self.world, len(self.inside)
        if models >= 8:
            return Law(shifts=self.shifts[records], within=1.0, between=w.between)
        wide = float(np.sqrt(1 + w.variance))
        if models > 1:
            return Law(shifts=np.array([w.mean]), within=wide, between=w.between)
        return Law(shifts=np.array([w.mean + self.targets[0]]), within=wide, between=0.0)

    @property
    def pool(self) -> Law:
        """How members of this pool score, whatever the number of targets."""
        return Law(shifts=self.shifts, within=1.0, between=self.world.between)


@dataclass(frozen=True, kw_only=True)
class Law:
    """Members score N(shift + e, within^2): all shifts equally likely, e ~ N(0, between^2)."""

    shifts: Floats
    within: float
    between: float

    @property
    def spread(self) -> float:
        """Of a member's score, targets and all."""
        return float(np.hypot(self.within, self.between))

    def tpr(self, threshold: float) -> float:
        """Return P(member >= threshold)."""
        return float(norm.sf((threshold - self.shifts) / self.spread).mean())

    def metrics(self, fpr: float, threshold: float) -> dict[str, float]:
        """Return the true metrics; `fpr` is that of the TPR."""
        alarms, found = float(norm.sf(threshold)), self.tpr(threshold)
        return {
            "auc": float(norm.cdf(self.shifts / np.hypot(self.spread, 1)).mean()),
            "balanced accuracy": (found + 1 - alarms) / 2,
            "accuracy": (found + 1 - alarms) / 2,
            "false-positive rate": alarms,
            "tpr": self.tpr(norm.isf(fpr)),
            "precision": float(precision_of(found, alarms, PRIOR)),
        }

    def found(self, fpr: float) -> dict[str, float]:
        """Return the shares of members that two runs find, and the overlap of what they find."""
        limit = norm.isf(fpr) * np.sqrt(1 + OWN)
        every, either = _two_above(limit, self.shifts, self.spread)
        per_target = [
            _two_above(limit, self.shifts + self.between * e, self.within) for e in _NODES
        ]
        overlap = [both / one for both, one in per_target]
        return {
            "every run": every,
            "any run": either,
            "overlap": float(np.average(overlap, weights=_WEIGHTS)),
        }

    def information(self) -> dict[str, float]:
        """Return the best gain, divergence and accuracy from a score, mean over targets."""
        x = np.linspace(-8, 14, 400)
        step, q = x[1] - x[0], norm.pdf(x)
        each = []
        for e in _NODES:
            centres = self.shifts[:, None] + self.between * e
            p = norm.pdf(x, loc=centres, scale=self.within).mean(axis=0)
            m = (p + q) / 2
            parts = [np.where(v > 0, v * np.log(np.where(v > 0, v, 1) / m), 0) for v in (p, q)]
            each.append([sum(part.sum() for part in parts) * step / 2, abs(p - q).sum() * step])
        divergence, variation = np.average(each, axis=0, weights=_WEIGHTS).tolist()
        return {
            "adversary's gain": 2 * divergence - float(np.log(4)),
            "jensen-shannon divergence": divergence,
            "reachable accuracy": 0.5 + variation / 4,
        }


def targets_alone(inside: NDArray[np.bool_], **pools: NDArray[np.int64]) -> Membership:
    """Return a membership of targets without references."""
    models, records = inside.shape
    return Membership(
        inside=inside,
        roles=("target",) * models,
        pools=pools,
        units=np.arange(records),
        seed=0,
    )


def _two_above(limit: float, shifts: Floats, spread: float) -> tuple[float, float]:
    """Return P(both runs above the limit) and P(any above it) of a member.

    Reference: Owen 1956.
    """
    total = spread**2 + OWN
    h, rho = (limit - shifts) / np.sqrt(total), spread**2 / total
    one = norm.sf(h)
    both = one - 2 * owens_t(h, np.sqrt((1 - rho) / (1 + rho)))
    return float(both.mean()), float((2 * one - both).mean())


def draw_world(
    rng: np.random.Generator, targets: int, records: int, world: World = ORDINARY
) -> Drawn:
    """Draw records, targets, members by coins, and scores."""
    s = world.mean + np.sqrt(world.variance) * rng.standard_normal(records)
    e = world.between * rng.standard_normal(targets)
    inside = rng.random((targets, records)) < 0.5
    values = rng.standard_normal(inside.shape) + inside * (s + e[:, None])
    return Drawn(world=world, shifts=s, targets=e, inside=inside, values=values)


def draw_correct(
    rng: np.random.Generator, targets: int, records: int, *, centre: float
) -> tuple[NDArray[Any], Floats]:
    """Return which records each target gets right, and each record's chance over targets.

    The log-odds are N(centre, 1) over records plus N(0, 0.2^2) over targets.
    """
    odds = centre + rng.standard_normal(records)
    own = odds + 0.2 * rng.standard_normal((targets, 1))
    chance = np.average(expit(odds + 0.2 * _NODES[:, None]), axis=0, weights=_WEIGHTS)
    return rng.random(own.shape) < expit(own), chance
