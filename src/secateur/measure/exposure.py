"""The most exposed records: chosen on one half of the models, reported on the other.

A record that looks exposed on the models it was picked by looks so partly by luck; on models that
had no part in the choice the luck is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from secateur.errors import InputError, MethodError
from secateur.measure.interval import clopper_pearson
from secateur.measure.widen import widened
from secateur.types import Measurement, Membership, Scores, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FEWEST_MODELS", "MostExposed", "most_exposed"]

FEWEST_MODELS = 64
"""Models under attack that a choice of records needs, both halves together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MostExposed:
    """The records with the largest balanced accuracy on one half of the models.

    `chosen` is that rate, which is flattered by the choice, `reported` the one on the other half;
    `tpr` and `fpr` are of the other half, `low` and `high` the Clopper-Pearson interval of each
    `tpr` (one record by itself; over `len(records)` of them some miss), `members` and `non_members`
    the models of that half with and without it. `row` is the mean of `reported` over the records.
    """

    records: NDArray[np.int64]
    chosen: NDArray[np.float64]
    reported: NDArray[np.float64]
    tpr: NDArray[np.float64]
    fpr: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    members: NDArray[np.int64]
    non_members: NDArray[np.int64]
    row: Measurement


def most_exposed(
    scores: Scores,
    membership: Membership,
    *,
    seed: int,
    subject: str,
    method: str,
    count: int = 20,
    threat: str = "",
) -> MostExposed:
    """Choose the most exposed records on half of the models and measure them on the other half.

    A record's balanced accuracy is over models: (share of models with it inside that call it a
    member + share of models without it that do not) / 2, at thresholds chosen on references.

    Args:
        scores: of one attack on at least 64 targets, with thresholds.
        membership: whose targets they are.
        seed: of the split into halves.
        subject: the model family.
        method: the attack's repr.
        count: how many records to choose.
        threat: what the attacker knows.

    Returns:
        Records, most exposed (by the choosing half) first. The row's interval is a t interval over
        the models of the reporting half, widened (`widened`) where nearly all of them agree.

    Raises:
        MethodError: fewer than 64 targets, or no thresholds.
        InputError: `count` below 1 or above the number of records that both halves can judge.
    """
    said, inside = _verdicts(scores, membership)
    about = (subject, method, threat)
    order = np.random.default_rng(derive_seed(seed, "halves")).permutation(len(said))
    choosing, reporting = order[: len(order) // 2], order[len(order) // 2 :]
    first = _Half.of(said, inside, scores.evaluated, choosing)
    second = _Half.of(said, inside, scores.evaluated, reporting)
    usable = np.flatnonzero(first.judged & second.judged)
    if not 1 <= count <= len(usable):
        raise InputError(
            f"count must be in 1 .. {len(usable)}, the records that both halves have inside and "
            f"outside some model, got {count}"
        )
    top = usable[np.argsort(-first.balanced[usable], kind="stable")[:count]]
    ends = [
        clopper_pearson(int(h), int(n))
        for h, n in zip(second.found[top], second.members[top], strict=True)
    ]
    low, high = np.array(ends).T
    return MostExposed(
        records=top,
        chosen=first.balanced[top],
        reported=second.balanced[top],
        tpr=second.tpr[top],
        fpr=second.fpr[top],
        low=low,
        high=high,
        members=second.members[top],
        non_members=second.non_members[top],
        row=_row(second, top, len(choosing), units=membership.units[top], about=about),
    )


def _verdicts(
    scores: Scores, membership: Membership
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    inside = membership.inside[membership.targets]
    if scores.values.shape != inside.shape:
        raise InputError(
            f"scores have the shape {scores.values.shape}, the membership has {inside.shape[0]} "
            f"targets and {inside.shape[1]} records"
        )
    if len(inside) < FEWEST_MODELS:
        raise MethodError(
            f"the most exposed records need at least {FEWEST_MODELS} models under attack, half to "
            f"choose on and half to report on, got {len(inside)}; train more targets, or score "
            f"{FEWEST_MODELS} references or more as targets of each other (fewer are biased: "
            "the others tell who is in the one left out)"
        )
    if scores.threshold is None:
        raise MethodError(
            "the most exposed records need thresholds chosen on references, and the scores have "
            "none; draw 8 or more references"
        )
    return scores.values >= scores.threshold[:, None], inside


@dataclass(frozen=True, kw_only=True, eq=False)
class _Half:
    """Counts per record over one half of the models, and the verdicts behind them."""

    inner: NDArray[np.bool_]
    outer: NDArray[np.bool_]
    said: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        said: NDArray[np.bool_],
        inside: NDArray[np.bool_],
        evaluated: NDArray[np.bool_],
        models: NDArray[np.int64],
    ) -> _Half:
        """Take these models."""
        seen = evaluated[models]
        return cls(inner=seen & inside[models], outer=seen & ~inside[models], said=said[models])

    @property
    def members(self) -> NDArray[np.int64]:
        members: NDArray[np.int64] = self.inner.sum(axis=0)
        return members

    @property
    def non_members(self) -> NDArray[np.int64]:
        outside: NDArray[np.int64] = self.outer.sum(axis=0)
        return outside

    @property
    def found(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = (self.inner & self.said).sum(axis=0)
        return found

    @property
    def judged(self) -> NDArray[np.bool_]:
        judged: NDArray[np.bool_] = (self.members > 0) & self.outer.any(axis=0)
        return judged

    @property
    def tpr(self) -> NDArray[np.float64]:
        return self.found / np.maximum(self.members, 1)

    @property
    def fpr(self) -> NDArray[np.float64]:
        alarms = (self.outer & self.said).sum(axis=0)
        rate: NDArray[np.float64] = alarms / np.maximum(self.non_members, 1)
        return rate

    @property
    def balanced(self) -> NDArray[np.float64]:
        return (self.tpr + 1 - self.fpr) / 2

    def influence(self, records: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far each model moves the mean balanced accuracy of these records, `[models]`.

        The linear part of a ratio: (inside and called - inside * TPR) / models inside, and so on.
        """
        said, inner, outer = (a[:, records] for a in (self.said, self.inner, self.outer))
        up = inner * (said - self.tpr[records]) / inner.sum(axis=0)
        down = outer * (said - self.fpr[records]) / outer.sum(axis=0)
        moved: NDArray[np.float64] = ((up - down) / 2).mean(axis=1)
        return moved

    def trials(self, records: NDArray[np.int64], units: NDArray[np.int64]) -> float:
        """Return how many trials of a rate a model adds to the mean balanced accuracy of these.

        Twice those of the rarer kind, as `trials_of_metric` has it; records of one unit are one.
        """
        fewer = min(self.inner[:, records].sum(), self.outer[:, records].sum())
        return float(2 * fewer / len(self.said) * len(np.unique(units)) / len(units))


def _row(
    half: _Half,
    records: NDArray[np.int64],
    chosen_on: int,
    *,
    units: NDArray[np.int64],
    about: tuple[str, str, str],
) -> Measurement:
    subject, method, threat = about
    models = len(half.said)
    moved = half.influence(records)
    value = float(half.balanced[records].mean())
    spread = float(np.sqrt((moved**2).sum() * models / (models - 1)))
    width = float(stats.t.ppf(0.975, models - 1)) * spread
    ends = widened(
        (value - width, value + width),
        value=value,
        trials=np.full(models, half.trials(records, units)),
        interval="t over targets",
    )
    told = "records chosen on the other half of the models; threshold chosen on references"
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=f"balanced accuracy of the {len(records)} most exposed records",
        value=value,
        low=max(0.0, ends.low),
        high=min(1.0, max(ends.high, value)),
        interval=ends.interval,
        counts={
            "targets": float(models),
            "models_chosen_on": float(chosen_on),
            "records": float(len(records)),
        },
        better="lower",
        threat=threat,
        why="; ".join(filter(None, (told, ends.note))),
    )
