"""What a model is worth and what it weighs: accuracy, gap attack, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from secateur.errors import InputError
from secateur.measure.interval import clopper_pearson, t_interval, unit_bootstrap
from secateur.measure.widen import widened
from secateur.types import Interval, Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["gap_attack", "over_targets", "over_units", "size_rows"]


_SEED = 0  # of the resampling; the same call gives the same interval


def over_targets(
    values: NDArray[Any],
    *,
    about: tuple[str, str, str, str],
    counts: Mapping[str, float],
    better: Literal["higher", "lower", "neither"],
    trials: float,
    confidence: float = 0.95,
) -> Measurement:
    """Return the mean of one rate per target with a t interval; without an interval for one target.

    Args:
        values: `[targets]`, rates in [0, 1].
        about: (model family, risk such as `utility`, how the rate was measured, metric such as
            `test accuracy`).
        counts: what n stands behind it.
        better: which direction is good.
        trials: units behind each target's rate; the interval is widened (`widened`) where nearly
            all of them, or the targets, agree.
        confidence: of the interval, in (0, 1).
    """
    values = np.asarray(values, dtype=np.float64)
    subject, risk, method, metric = about
    told: dict[str, Any] = {
        "subject": subject,
        "risk": risk,
        "method": method,
        "metric": metric,
        "counts": {"targets": float(len(values)), **counts},
        "better": better,
    }
    if len(values) < 2:
        return Measurement(
            **told,
            value=float(values[0]),
            estimand="this model",
            why="one target: no interval over targets",
        )
    mean, low, high = t_interval(values, confidence)
    ends = widened(
        (low, high),
        value=mean,
        trials=np.full(len(values), trials),
        interval="t over targets",
        confidence=confidence,
    )
    return Measurement(
        **told,
        value=mean,
        low=max(0.0, ends.low),
        high=min(1.0, max(ends.high, mean)),
        confidence=confidence,
        interval=ends.interval,
        why=ends.note,
    )


def over_units(
    right: NDArray[Any],
    units: NDArray[Any],
    *,
    about: tuple[str, str, str, str],
    counts: Mapping[str, float],
    better: Literal["higher", "lower", "neither"],
    confidence: float = 0.95,
) -> Measurement:
    """Return one model's rate with its interval for other units: this-model risk.

    Clopper-Pearson's interval where every record is its own unit; else units are resampled as
    wholes, and the interval is widened (`widened`) where nearly all of them agree.

    Args:
        right: `[records]`, 1 where the model is right, else 0.
        units: `[records]`, whose record each is.
        about: as `over_targets` takes it.
        counts: what n stands behind it.
        better: which direction is good.
        confidence: of the interval, in (0, 1).

    Raises:
        InputError: no records, or shapes that differ.

    Example:
        >>> row = over_units(np.array([1, 1, 1, 0]), np.arange(4), counts={}, better="higher",
        ...     about=("model", "utility", "accuracy", "accuracy on non-members"))
        >>> row.value, round(row.low, 3), round(row.high, 3), row.interval
        (0.75, 0.194, 0.994, 'Clopper-Pearson')
    """
    right, units = np.asarray(right, dtype=np.float64), np.asarray(units)
    if right.ndim != 1 or right.shape != units.shape or not len(right):
        raise InputError(
            f"a rate needs one answer and one unit per record, got {right.shape} and {units.shape}"
        )
    value, people = float(right.mean()), len(np.unique(units))
    interval: Interval = "Clopper-Pearson"
    note = ""
    if people == len(right):
        low, high = clopper_pearson(round(right.sum()), people, confidence)
    else:
        ends = widened(
            unit_bootstrap(
                lambda weights: weights @ right / weights.sum(axis=1),
                units,
                seed=_SEED,
                confidence=confidence,
            ),
            value=value,
            trials=np.array([float(people)]),
            interval="unit bootstrap",
            confidence=confidence,
        )
        low, high, interval, note = ends.low, ends.high, ends.interval, ends.note
    subject, risk, method, metric = about
    return Measurement(
        subject=subject,
        risk=risk,
        method=method,
        metric=metric,
        value=value,
        low=min(low, value),
        high=max(high, value),
        confidence=confidence,
        interval=interval,
        estimand="this model",
        counts={"targets": 1.0, **counts},
        better=better,
        why=note,
    )


def gap_attack(
    train_accuracy: NDArray[Any],
    outside_accuracy: NDArray[Any],
    *,
    subject: str,
    counts: Mapping[str, float],
    trials: float,
) -> Measurement:
    """Return the balanced accuracy of "correct = member": 1/2 + (train - outside accuracy) / 2.

    Args:
        train_accuracy: `[targets]`, on members.
        outside_accuracy: `[targets]`, on non-members of the audit pool.
        subject: the model family.
        counts: members and non-members.
        trials: twice the units of the rarer kind.

    Reference: Yeom et al. 2018.

    Example:
        >>> row = gap_attack(np.array([1.0, 1.0]), np.array([0.5, 0.7]), subject="dense", counts={},
        ...     trials=40)
        >>> round(row.value, 3)
        0.7
    """
    train, outside = np.asarray(train_accuracy), np.asarray(outside_accuracy)
    if train.shape != outside.shape:
        raise InputError(f"accuracies need one shape, got {train.shape} and {outside.shape}")
    return over_targets(
        0.5 + (train - outside) / 2,
        about=(subject, "membership", "gap attack", "balanced accuracy"),
        counts=counts,
        better="lower",
        trials=trials,
    )


def size_rows(
    subject: str, *, prunable: int, kept: int, parameters: int, nonzero: int
) -> list[Measurement]:
    """Return the exact shares and rates of kept weights.

    Args:
        subject: the model family.
        prunable: weights that pruning counts.
        kept: of these, not zero.
        parameters: all parameters.
        nonzero: of these, not zero.

    Example:
        >>> [r.value for r in size_rows("x", prunable=100, kept=10, parameters=110, nonzero=20)]
        [0.1, 0.18181818181818182, 10.0, 5.5]
    """
    counts = {
        "prunable": float(prunable),
        "kept": float(kept),
        "parameters": float(parameters),
        "nonzero": float(nonzero),
    }
    values: list[tuple[str, float, Literal["lower", "higher"]]] = [
        ("kept weights", kept / prunable, "lower"),
        ("kept of all parameters", nonzero / parameters, "lower"),
    ]
    if kept and nonzero:
        values += [
            ("compression rate", prunable / kept, "higher"),
            ("compression rate of all parameters", parameters / nonzero, "higher"),
        ]
    return [
        Measurement(
            subject=subject,
            risk="size",
            method="count of non-zeros",
            metric=metric,
            value=value,
            status="exact",
            estimand="property",
            counts=counts,
            better=better,
        )
        for metric, value, better in values
    ]
