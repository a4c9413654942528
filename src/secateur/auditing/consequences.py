"""What the strongest attack's scores amount to: whom to believe, epsilon, information, exposure.

Of one attack per subject, so that a report stays readable, and no row is a maximum over attacks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from secateur.attack.membership import pseudo_targets
from secateur.errors import InputError
from secateur.measure import (
    FEWEST_MODELS,
    PRIORS,
    best_guesses,
    epsilon_bound,
    epsilon_estimate,
    epsilon_name,
    information_rows,
    most_exposed,
    positive_predictive_value,
    realised_fpr,
)
from secateur.types import Measurement

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.types import Observations, Scores

__all__ = ["DELTA", "consequence_rows"]

DELTA = 1e-5
TAIL: Literal["f-DP"] = "f-DP"
MOST_EXPOSED = 20


def consequence_rows(
    scores: Scores,
    observations: Observations,
    attack: MembershipAttack,
    *,
    subject: str,
    threat: str,
    seed: int,
) -> list[Measurement]:
    """Return realised FPR, precision at priors, epsilon, information, and exposure from 64 targets.

    What cannot be measured is a row that says why. The guesses that the bound on epsilon counts are
    chosen on references as pseudo-targets, where there are enough of them; else a few rules are
    tried, with a correction.

    Args:
        scores: of the attack that was chosen for this subject.
        observations: that it read.
        attack: itself.
        subject: the models' name.
        threat: what the attacker knows.
        seed: of the attack on pseudo-targets.
    """
    who = observations.membership
    about = (subject, repr(attack), threat)
    named: dict[str, Any] = {"subject": subject, "method": repr(attack), "threat": threat}
    rows = [realised_fpr(scores, who, **named)]
    rows += [positive_predictive_value(scores, who, prior=p, **named) for p in PRIORS]
    rule = _rule(observations, attack, seed)
    try:
        bound = epsilon_bound(scores, who, delta=DELTA, about=about, tail=TAIL, guesses=rule)
    except InputError as error:
        bound = _not_run(epsilon_name(DELTA), error, named)
    rows += [bound, _beside(bound, epsilon_estimate(scores, who, delta=DELTA, about=about))]
    try:
        rows += information_rows(scores, who, about=about)
    except InputError as error:
        rows.append(_not_run("jensen-shannon divergence", error, named))
    if len(who.targets) >= FEWEST_MODELS:
        try:
            rows.append(most_exposed(scores, who, seed=seed, count=MOST_EXPOSED, **named).row)
        except InputError as error:
            rows.append(
                _not_run(
                    f"balanced accuracy of the {MOST_EXPOSED} most exposed records", error, named
                )
            )
    return rows


def _beside(bound: Measurement, estimate: Measurement) -> Measurement:
    """Say of an estimate where it lies below what is proven."""
    if bound.value is None or estimate.value is None or estimate.value >= bound.value:
        return estimate
    return replace(
        estimate,
        why=f"{estimate.why}; it lies below the bound of {bound.value:.3g}, which holds: some "
        "records leak more than such a curve says",
    )


def _rule(
    observations: Observations, attack: MembershipAttack, seed: int
) -> list[tuple[int, int]] | None:
    """Return how many to guess in and out, found on pseudo-targets; None where there are none."""
    if attack.needs_posteriors or not observations.membership.drawn:
        return None
    several = bool(getattr(attack, "needs_more_views", False))
    trial = pseudo_targets(observations, every_view=several)
    if trial is None:
        return None
    try:
        scores = attack(trial, seed=seed)
        return [best_guesses(scores, trial.membership, delta=DELTA, tail=TAIL)]
    except InputError:  # fewer references than the attack needs: the default rules are there
        return None


def _not_run(metric: str, error: InputError, named: dict[str, Any]) -> Measurement:
    return Measurement(
        risk="membership", metric=metric, value=None, status="not run", why=str(error), **named
    )
