"""The rows of one attack, from its scores alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secateur.errors import Reason
from secateur.measure import (
    accuracy_of_attack,
    auc,
    balanced_accuracy,
    lowest_resolvable_fpr,
    non_member_units,
    tpr_at_fpr,
)
from secateur.types import Measurement, Scores

if TYPE_CHECKING:
    from secateur.types import Membership

__all__ = ["HEADLINE_FPR", "leak_rows"]

HEADLINE_FPR = 0.01


def leak_rows(
    scores: Scores | str, membership: Membership, *, subject: str, method: str, threat: str
) -> list[Measurement]:
    """Return AUC, balanced accuracy, accuracy and TPR at 1 % FPR (or the lowest FPR that n
    resolves) of one attack.

    Args:
        scores: or the reason why it did not run, which becomes a row; of which kind it is stands
            among its counts, as `lacks references`.
        membership: whose targets were scored.
        subject: the models' name.
        method: the attack's spelling.
        threat: what the attacker knows.
    """
    if isinstance(scores, str):
        lacks = scores.lacks if isinstance(scores, Reason) else ""
        return [
            Measurement(
                subject=subject,
                risk="membership",
                method=method,
                metric="auc",
                value=None,
                status="not run",
                why=str(scores),
                counts={f"lacks {lacks}": 1.0} if lacks else {},
                threat=threat,
            )
        ]
    about: dict[str, Any] = {"subject": subject, "method": method, "threat": threat}
    rows = [
        auc(scores, membership, **about),
        balanced_accuracy(scores, membership, **about),
        accuracy_of_attack(scores, membership, **about),
        tpr_at_fpr(scores, membership, fpr=HEADLINE_FPR, **about),
    ]
    if rows[-1].status == "not resolvable":
        lowest = lowest_resolvable_fpr(non_member_units(scores, membership))
        if lowest is not None:
            rows.append(tpr_at_fpr(scores, membership, fpr=lowest, **about))
    return rows
