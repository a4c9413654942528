"""What an audit chooses, and on what: reference models stand in for targets, so that no choice is a
maximum over the targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from secateur.attack.membership import pseudo_targets, recommended
from secateur.auditing.spread import can_travel, signals_alone, spread
from secateur.errors import CANNOT_RUN
from secateur.measure import per_target
from secateur.types import AUDIT, POPULATION

if TYPE_CHECKING:
    from secateur.auditing.subjects import Subject
    from secateur.protocols import MembershipAttack, Progress
    from secateur.types import FloatArray, Membership, Observations

__all__ = [
    "CHOSEN_ON_REFERENCES",
    "fallback",
    "matched_epochs",
    "strongest",
    "strongest_on",
    "with_recommended",
]

CHOSEN_ON_REFERENCES = "references"


def strongest(
    subjects: Sequence[Subject],
    attacks: Sequence[MembershipAttack],
    *,
    seed: int,
    workers: int = 0,
    progress: Progress | None = None,
) -> dict[str, str | None]:
    """Return, by subject, the repr of the attack that is strongest on its references.

    Args:
        subjects: model families.
        attacks: to choose from.
        seed: of the attacks.
        workers: processes for many or slow ones.
        progress: called after each subject.
    """
    light = [attack for attack in attacks if not attack.needs_posteriors]
    beside = workers if can_travel(light) else 0
    seen = [subject.observations for subject in subjects]
    if beside > 1:
        seen = [signals_alone(observations, light) for observations in seen]
    found = spread(
        choose_attack,
        range(len(seen)),
        shared=(seen, light, seed),
        workers=beside,
        progress=progress,
    )
    return {subject.name: choice for subject, choice in zip(subjects, found, strict=True)}


def choose_attack(
    seen: Sequence[Observations], attacks: Sequence[MembershipAttack], seed: int, which: int
) -> str | None:
    """Return `strongest_on` of one of these; the function stands at the top for workers."""
    return strongest_on(seen[which], attacks, seed=seed)


def strongest_on(
    observations: Observations, attacks: Sequence[MembershipAttack], *, seed: int
) -> str | None:
    """Return the repr of the attack with the largest mean AUC on pseudo-targets; None when nothing
    can be said.
    """
    several = any(getattr(a, "needs_more_views", False) for a in attacks)
    trial = pseudo_targets(observations, every_view=several)
    if trial is None:
        return None
    held = trial.views[trial.primary]
    best: tuple[float, str] | None = None
    for attack in attacks:
        if attack.needs_posteriors or any(s.key not in held for s in attack.needs):
            continue
        try:
            scores = attack(trial, seed=seed)
        except CANNOT_RUN:
            continue
        value = float(np.mean(per_target(scores, trial.membership, "auc")))
        if best is None or value > best[0]:
            best = (value, repr(attack))
    return None if best is None else best[1]


def fallback(ran: Sequence[str], membership: Membership) -> tuple[str, str]:
    """Return the attack to speak of where none can be chosen on references, and why this one.

    Args:
        ran: spellings of the attacks that ran, at least one.
        membership: whose references are counted.

    Returns:
        The attack that is recommended for these references, `number of references`; the first that
        ran, `order`, where that one did not run.
    """
    wanted = repr(_recommended_for(membership))
    if wanted in ran:
        return wanted, "number of references"
    return ran[0], "order"


def with_recommended(
    attacks: Sequence[MembershipAttack], membership: Membership
) -> tuple[MembershipAttack, ...]:
    """Return attacks, and the one that is recommended for these references where it is missing."""
    wanted = _recommended_for(membership)
    known = {repr(a) for a in attacks}
    return tuple(attacks) if repr(wanted) in known else (*attacks, wanted)


def _recommended_for(membership: Membership) -> MembershipAttack:
    references, audit = membership.references, membership.pools[AUDIT]
    n_in = membership.inside[np.ix_(references, audit)].sum(axis=0)
    return recommended(
        n_in=int(n_in.min()),
        n_out=int((len(references) - n_in).min()),
        population=membership.pool(POPULATION).size > 0,
    )


def matched_epochs(
    curve: Sequence[tuple[int, FloatArray, FloatArray]], subject: Subject
) -> dict[str, int]:
    """Return the snapshots that a subject is compared with, chosen over the references.

    A nearest test accuracy is no fair stop by itself: a curve that rises and falls has it twice,
    and the late one leaks far more. So the first snapshot that is at least as accurate is one too.
    All by medians, since a few references whose training failed would pull a mean.

    Args:
        curve: per snapshot (epoch, train accuracy `[models]`, test accuracy `[models]`).
        subject: the model family to match.

    Returns:
        `{"train accuracy": epoch, "test accuracy": epoch}`, the nearest, of equally near epochs the
        earliest; and `"no less test accuracy"`, left out where no snapshot is as accurate.
    """
    references = subject.observations.membership.references
    if not references.size or not curve:
        return {}
    found = {}
    epochs = [point[0] for point in curve]
    train, test = subject.accuracies()
    pairs = {
        "train accuracy": (train, [point[1] for point in curve]),
        "test accuracy": (test, [point[2] for point in curve]),
    }
    for what, (own, on_the_way) in pairs.items():
        goal = float(np.median(own[references]))
        gaps = [abs(float(np.median(values[references])) - goal) for values in on_the_way]
        if np.isfinite(goal):
            found[what] = epochs[int(np.argmin(np.round(gaps, 6)))]
    least = float(np.median(test[references]))
    reached = (np.median(point[2][references]) - least for point in curve)
    enough = [e for e, gap in zip(epochs, reached, strict=True) if round(float(gap), 6) >= 0]
    return {**found, "no less test accuracy": enough[0]} if enough else found
