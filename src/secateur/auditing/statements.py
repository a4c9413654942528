"""What every report says of itself: who the attacker is, and what its numbers are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from secateur.types.phrases import ALONE, KNOWN

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack

__all__ = [
    "BEYOND",
    "LIMITS",
    "LIMIT_OF_FILES",
    "LIMIT_OF_ONE",
    "PIPELINE_LIMIT",
    "THREAT_MODEL_OF_ONE",
    "THREAT_MODEL_OF_SIGNALS",
    "THREAT_MODEL_OF_SIGNALS_ALONE",
    "threat_model",
]

THREAT_MODEL = (
    "The attacker queries the released model's full output, knows the training algorithm, the "
    "defence, the pruning method and all hyper-parameters, has records of the same distribution, "
    "and trains reference models {how}. He does not see the weights, the "
    "dense model beside the pruned one, or the training set. {but}Rows marked 'insider' know half "
    "of the membership; rows marked 'naive' use the baseline's references against a pruned or "
    "defended target."
)


def threat_model(attacks: Sequence[MembershipAttack], *, how: str = KNOWN) -> str:
    """Say what the attacker knows and sees; attacks that see more than outputs are named.

    Args:
        attacks: that ran.
        how: the references were made.

    Example:
        >>> "He does not see the weights" in threat_model([])
        True
    """
    inside = [a for a in attacks if getattr(a, "needs_gradients", False)]
    beside = [a for a in attacks if getattr(a, "needs_more_views", False)]
    but = [
        f"But {_names(some)} {'read' if len(some) > 1 else 'reads'} {what}. "
        for some, what in (
            (inside, "the weights of target and references, by their gradients"),
            (beside, "further models of the same members beside the target"),
        )
        if some
    ]
    return THREAT_MODEL.format(but="".join(but), how=how)


def _names(attacks: Sequence[MembershipAttack]) -> str:
    return " and ".join(dict.fromkeys(type(a).__name__ for a in attacks))


THREAT_MODEL_OF_SIGNALS = (
    "The attacker sees what was saved of the target's output on each record, and of reference "
    "models' on the same records. How the references were trained, and on what, is what the files "
    "say; nothing of it was verified."
)
THREAT_MODEL_OF_SIGNALS_ALONE = (
    "The attacker sees what was saved of the target's output on each record, and has no model of "
    "his own to compare with. What the target was trained on is what the files say; nothing of it "
    "was verified."
)
THREAT_MODEL_OF_ONE = (
    "The attacker queries the model's full output (the label-only attack its labels alone) and has "
    "no model of his own to compare with. He does not see the weights or the training set."
)
BEYOND = (
    f"{ALONE}an attacker who trains models of his own on similar records (LiRA) "
    "usually finds more, above all at low false-alarm rates; he was not tried. Add references, or "
    "a recipe that trains them, to measure him."
)
PIPELINE_LIMIT = (
    "Pipeline risk: the numbers are means over models trained by this pipeline on draws from "
    "this pool of records, not a statement about one person."
)
LIMIT_OF_ONE = (
    "This-model risk: the intervals are over other persons asked about this one model; they do not "
    "speak of other models that the same training would make, nor of one person."
)
LIMITS = (
    "An audit is an empirical lower bound on leakage, never a guarantee: a stronger attack may "
    "find more.",
    PIPELINE_LIMIT,
    "Averages hide individuals: some records may be fully exposed where the mean is low.",
    "The TPR's threshold is chosen on the evaluated data; balanced accuracy and precision use "
    "thresholds from references.",
    "A lower bound on epsilon refutes claims of differential privacy; it supports none. An "
    "estimate of epsilon is no bound.",
)
LIMIT_OF_FILES = (
    "Whoever has the audited file has its weights too; these attacks query it, and one that reads "
    "weights may find more."
)
