"""A learned attack on many signals at once, trained on references that play targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.attack.membership.stacking import Stacking

__all__ = ["StackedAttack"]


@dataclass(frozen=True, kw_only=True, repr=False)
class StackedAttack(Stacking):
    """Learn to tell members by everything that signals say, on references that play targets.

    Features of a (model, record): margin, log confidence at temperatures 1 and 4, entropy and
    modified entropy, each with its distances from the references in and out and LiRA's log ratio;
    the references' means and spreads; RMIA's ratio and share at both temperatures; the joint ratio
    of several signals; the class. Boosted trees and a logistic regression learn from the
    references, each compared with others alone, what members look like. Score: the log odds of
    being a member, classes weighted alike; larger = more like a member; the threshold is 0.

    With `others` the attacker sees further versions of the same model, such as the dense one that
    a student was made from: each gives the same features, and all margins a joint ratio.

    Args:
        others: views beside the primary one.
        head: `trees`, `logistic`, or `both`: the mean of their log odds.
        folds: of the references: those of a fold play targets against the rest; at least 2.
        rows: (reference, record) pairs to learn from, at most; at least 100.
        trees: boosted, 15 leaves each.
        coordinates: of the whole answer (`Signal`) of which the joint log ratio is a feature
            too: classes - 1 are all of it. What a student of soft labels learned by heart of the
            other classes shows there alone.
        around: perturbations of the record, such as `Recombinations`, over each of which the mean
            margin and log confidences are read too: what one query hides in noise, a mean over
            many does not.

    Differs from the source: Wolpert's level-1 learner reads predictions alone; here it also reads
    the raw signals. Folds are of references, not of records. CompLeak's SR and MR learn on
    posteriors of several versions without calibrating per record.

    Several queries: each signal is their mean.

    Example:
        >>> StackedAttack(others=("dense",)).needs_more_views
        True
    """

    reference: ClassVar[str] = "wolpert1992stacked"
