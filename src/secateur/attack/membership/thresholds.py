"""Attacks by one signal and a threshold: loss, confidence, entropy, modified entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from secateur.attack.membership.references import (
    as_slice,
    columns,
    with_queries,
)
from secateur.attack.membership.trials import best_threshold
from secateur.errors import NotEnoughReferencesError
from secateur.protocols import Threat
from secateur.types import AUDIT, Observations, Scores, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import IntArray

__all__ = [
    "ConfidenceThreshold",
    "EntropyThreshold",
    "LossThreshold",
    "ModifiedEntropyThreshold",
]

FEWEST = 10  # pairs in and pairs out below which a class takes the threshold of all classes


def _score(
    observations: Observations, signal: Signal, *, sign: float, class_wise: bool, what: str
) -> Scores:
    """Score by `sign * signal`, centred at a threshold chosen on references, per class if asked."""
    membership = observations.membership
    audit = membership.pools[AUDIT]
    stored = with_queries(observations.stored(signal))
    values = np.zeros((len(membership.targets), stored.shape[2]))
    values[:, audit] = _oriented(stored, membership.targets, audit, sign)
    evaluated = np.zeros(values.shape, dtype=np.bool_)
    evaluated[:, audit] = True
    references = membership.references
    inside = columns(membership.inside[as_slice(references)], audit)
    if not inside.any() or inside.all():  # nothing to choose between
        if class_wise:
            raise NotEnoughReferencesError(
                f"{what} chooses class-wise thresholds on reference models that have members and "
                f"non-members among the audited records, and there are {len(references)}, with "
                f"{int(inside.sum())} of {inside.size} pairs inside; draw references, or use "
                f"{what}(class_wise=False), whose score needs none"
            )
        return Scores(values=values, evaluated=evaluated)
    seen = _oriented(stored, references, audit, sign)
    labels = observations.labels[audit] if class_wise else np.zeros(len(audit), dtype=np.int64)
    values[:, audit] -= _thresholds(seen, inside, labels)
    return Scores(values=values, evaluated=evaluated, threshold=np.zeros(len(values)))


def _oriented(
    stored: NDArray[Any], models: IntArray, records: IntArray, sign: float
) -> NDArray[np.float64]:
    """Return means over queries of `[model, query, record]`, members turned to be larger."""
    found = np.empty((len(models), len(records)))
    for row, model in zip(found, models.tolist(), strict=True):
        columns(stored[model], records).mean(axis=0, dtype=np.float64, out=row)
    found *= sign
    return found


def _thresholds(
    seen: NDArray[np.float64], inside: NDArray[np.bool_], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each record's threshold: its class's best one over (reference, record) pairs."""
    found = np.full(len(labels), np.nan)
    for label in np.unique(labels):
        own = labels == label
        members, others = seen[:, own][inside[:, own]], seen[:, own][~inside[:, own]]
        if min(len(members), len(others)) >= FEWEST:
            found[own] = best_threshold(members, others)
    short = np.isnan(found)
    if short.any():
        found[short] = best_threshold(seen[inside], seen[~inside])
    return found


@dataclass(frozen=True, kw_only=True)
class LossThreshold:
    """Call a record a member when its loss is small (Yeom et al. 2018).

    Args:
        class_wise: a threshold per class, chosen on references (Song & Mittal 2021); without it one
            threshold, and without references the bare score.

    Example:
        >>> LossThreshold(class_wise=False).min_out
        0
    """

    class_wise: bool = True

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "yeom2018privacy"
    needs_posteriors: ClassVar[bool] = False
    signal: ClassVar[Signal] = Signal(name="loss")
    sign: ClassVar[float] = -1.0

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The one signal."""
        return (self.signal,)

    @property
    def min_in(self) -> int:
        """References in."""
        return 1 if self.class_wise else 0

    @property
    def min_out(self) -> int:
        """References out."""
        return 1 if self.class_wise else 0

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score the audit pool; the threshold is 0.

        Raises:
            NotEnoughReferencesError: class-wise thresholds were asked for without references.
        """
        del seed  # nothing is random here
        return _score(
            observations,
            self.signal,
            sign=self.sign,
            class_wise=self.class_wise,
            what=type(self).__name__,
        )


@dataclass(frozen=True, kw_only=True)
class ConfidenceThreshold(LossThreshold):
    """Call a record a member when the true class's probability is large (Song & Mittal 2021).

    Its order within a class is that of the loss; the thresholds differ only by rounding.

    Example:
        >>> ConfidenceThreshold().needs
        (Signal(name='log_confidence', temperature=1.0),)
    """

    reference: ClassVar[str] = "song2021systematic"
    signal: ClassVar[Signal] = Signal(name="log_confidence")
    sign: ClassVar[float] = 1.0


@dataclass(frozen=True, kw_only=True)
class EntropyThreshold(LossThreshold):
    """Call a record a member when the output's entropy is small (Song & Mittal 2021).

    Example:
        >>> EntropyThreshold().needs
        (Signal(name='entropy', temperature=1.0),)
    """

    reference: ClassVar[str] = "song2021systematic"
    signal: ClassVar[Signal] = Signal(name="entropy")


@dataclass(frozen=True, kw_only=True)
class ModifiedEntropyThreshold(LossThreshold):
    """Call a record a member when its modified entropy is small (Song & Mittal 2021).

    Mentr = -(1 - p_y) log p_y - sum over i != y of p_i log(1 - p_i).

    Example:
        >>> ModifiedEntropyThreshold().needs
        (Signal(name='modified_entropy', temperature=1.0),)
    """

    reference: ClassVar[str] = "song2021systematic"
    signal: ClassVar[Signal] = Signal(name="modified_entropy")
