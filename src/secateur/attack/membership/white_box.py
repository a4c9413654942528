"""A learned attack on released weights: signals, and how each record pulls at each layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.attack.membership.stacking import Stacking

__all__ = ["WhiteBox"]


@dataclass(frozen=True, kw_only=True, repr=False)
class WhiteBox(Stacking):
    """Learn from references what members look like to whoever holds the weights.

    Beside the signals the attacker derives each record's loss by the released weights: the log
    norm of the gradient of all layers' weights, and of each of at most 8 groups of layers. Of a
    pruned model the positions of the removed weights, which the zeros show, split each group: the
    gradient at kept and at removed weights, the mask as evidence. Every norm is compared with the
    references in and out as signals are, and learned from as in `StackedAttack`. Score: log odds;
    larger = more like a member; the threshold is 0.

    Args:
        others: further versions of the model, beside the primary view; their signals, and their
            gradients where these were observed.
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

    Differs from the paper: norms of gradients by layers instead of whole gradients and activations
    in a network; calibrated per record by references, where the paper's attacker knows part of the
    members. It does not see the masks of references directly, nor any optimiser state.

    Several queries: signals are their mean, gradients those of the record as it is.

    Example:
        >>> WhiteBox().needs_gradients
        True
    """

    reference: ClassVar[str] = "nasr2019comprehensive"
    needs_gradients: ClassVar[bool] = True
