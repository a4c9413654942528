"""Does the one model under audit answer on its members as on what it was trained on?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from secateur.auditing.single import CORRECT
from secateur.measure import auc
from secateur.types import Control, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import Membership, Observations

__all__ = ["given_model_control"]

POOR_ALONE = 1 / 3
"""Of the way from guessing to all right: no member accuracy is known to compare with."""
POOR_BESIDE = 0.1
"""The same beside references, which say what such a training reaches."""
FAR_BELOW = 0.1
"""Member accuracy this far below the references' on theirs is no chance of a draw."""


def given_model_control(observations: Observations, best: Scores | str | None) -> Control | None:
    """Return whether a given model is right on its members as one that was trained on them.

    None for an audit of several models, or where it was not seen which answers are right.

    Args:
        observations: of the model, and its references.
        best: scores of the strongest attack; a reason, or None, where it did not run.
    """
    who = observations.membership
    held = observations.views[observations.primary]
    if len(who.targets) != 1 or CORRECT.key not in held:
        return None
    correct = observations.plain(CORRECT)
    model = int(who.targets[0])
    members, others = who.members(model), who.non_members(model)
    right, beside = (float(correct[model, s].mean()) for s in (members, others))
    known = [
        float(correct[m, who.members(m)].mean()) for m in who.references if who.inside[m].any()
    ]
    poor = _poor(correct[model, members], observations.labels[members], known, right)
    swapped = _swapped(who, best, right, beside)
    said = f"the model is right on {100 * right:.1f} % of its own members and on "
    said += f"{100 * beside:.1f} % of the non-members"
    if known:
        said += f"; references are right on {100 * np.mean(known):.1f} % of theirs"
    return Control(
        id="given-model",
        status="raised" if poor or swapped else "passed",
        subject=observations.primary,
        saw="; ".join([said, *filter(None, (poor, swapped))]),
        why="attacks ask how well a model knows its members: on other inputs or labels than those "
        "of its training an AUC near 0.5 says nothing, and with members and non-members swapped "
        "a leak is an AUC below 0.5",
        mend="prepare inputs and number labels as for the training, and check the accuracy on the "
        "members against that of the training; hand over as members what it was trained on",
        value=right,
    )


def _poor(
    correct: NDArray[np.float64], labels: NDArray[np.int64], known: list[float], right: float
) -> str:
    """Return what is wrong with the accuracy on members; empty where nothing is."""
    cause = "are inputs scaled, or labels numbered, otherwise than in training?"
    if known and right < min(known) and np.mean(known) - right > FAR_BELOW:
        return f"that is far below the references: {cause}"
    if _skill(correct, labels, right) < (POOR_BESIDE if known else POOR_ALONE):
        return f"that is little better than guessing: {cause}"
    return ""


def _skill(correct: NDArray[np.float64], labels: NDArray[np.int64], right: float) -> float:
    """Return how far accuracy is on the way from guessing to 1, plain or balanced by class.

    The larger of the two: a model may be trained for either. Guessing names the commonest class,
    whose plain accuracy is its share; balanced, it is one class of those that are there.
    """
    classes, where = np.unique(labels, return_inverse=True)
    counts = np.bincount(where)
    if len(classes) < 2:
        return 1.0 if right > 0 else 0.0
    balanced = float((np.bincount(where, weights=correct) / counts).mean())
    most, even = float(counts.max() / counts.sum()), 1 / len(classes)
    return max((right - most) / (1 - most), (balanced - even) / (1 - even))


def _swapped(who: Membership, best: Scores | str | None, right: float, beside: float) -> str:
    """Return that non-members look like members; empty where they do not."""
    if not isinstance(best, Scores) or right > beside:
        return ""
    row = auc(best, who, subject="", method="")
    if row.value is None or row.high is None or row.high >= 0.5:
        return ""
    return (
        f"the strongest attack's AUC is {row.value:.3f} [{row.low:.3f}, {row.high:.3f}], all below "
        "0.5: are members and non-members swapped?"
    )
