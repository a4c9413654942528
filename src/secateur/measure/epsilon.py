"""Lower bounds on epsilon that an attack shows, from independent trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import DependentTrialsError, InputError
from secateur.measure.gaussian import epsilon_name
from secateur.measure.tails import epsilon_from_rates
from secateur.measure.targets import adjacency, targets_of
from secateur.measure.trials import (
    Guesses,
    Tail,
    checked_rules,
    refuse_dependent,
    refuse_given,
    trials_of,
)
from secateur.types import Measurement, Membership, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["epsilon_bound", "epsilon_over_runs"]

_WHAT = {
    "one run": "lower bound, one-run audit of (epsilon, delta)-DP",
    "f-DP": "lower bound, one-run f-DP audit of (epsilon, delta)-DP",
    "f-DP, Gaussian": "lower bound, one-run f-DP audit of mu-GDP: holds only for a training with "
    "a Gaussian trade-off curve",
}


def epsilon_bound(
    scores: Scores,
    membership: Membership,
    *,
    delta: float,
    about: tuple[str, str, str],
    tail: Tail = "one run",
    guesses: Guesses | None = None,
    confidence: float = 0.95,
) -> Measurement:
    """Measure a lower bound on epsilon from targets whose members were drawn by fair coins.

    The evaluated units are the canaries. Of each target the highest scores are guessed to be
    members and the lowest to be none; the others are left out. All targets together are one run of
    one larger training, whose coins are those of all of them, so that their guesses add up.

    Args:
        scores: of one attack; whether a record is evaluated must not depend on the coins, nor may
            the score of one target on the coins of another.
        membership: of `draw` with share 0.5; references take no part.
        delta: at which epsilon is bounded, in [0, 1].
        about: (subject, attack's repr, what the attacker knows).
        tail: `one run`, or the tail of f-DP, which refutes (epsilon, delta)-DP itself or, with
            Gaussian, mu-GDP alone.
        guesses: pairs (in, out) per target, fixed before the scores were seen, such as that of
            `best_guesses` on other models; default `default_guesses`. Of several the largest bound
            counts, each at a share of 1 - confidence (Bonferroni).
        confidence: in (0, 1).

    Returns:
        `value` and `low` are the bound, 0 where nothing is shown; `counts` hold delta, canaries,
        guesses, correct, and how many rules were tried.

    Raises:
        DependentTrialsError: the memberships are no independent fair coins.
        InputError: guesses, delta or confidence out of range.

    Example:
        >>> from secateur.data import planted_world
        >>> from secateur.attack.membership import LiRA
        >>> world = planted_world(records=400, targets=2, references=16, shift=3.0, seed=0)
        >>> row = epsilon_bound(LiRA()(world), world.membership, delta=1e-5,
        ...     about=("dense", "LiRA()", ""))
        >>> row.metric, row.value > 1
        ('epsilon at delta 1e-05', True)

    Reference:
        steinke2023privacy; mahloujifar2024auditing for the tail of f-DP.

    Differs from the paper:
        several targets are pooled.
    """
    if tail not in _WHAT:
        raise InputError(f"tail must be one of {sorted(_WHAT)}, got {tail!r}")
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be in (0, 1), got {confidence}")
    trials = trials_of(scores, membership)
    refuse_dependent(membership, trials)
    rules = checked_rules(guesses, trials)
    each = 1 - (1 - confidence) / len(rules)
    value, rule = max(
        (trials.bound(rule, delta=delta, tail=tail, confidence=each), rule) for rule in rules
    )
    choice = (
        "fixed beforehand"
        if len(rules) == 1
        else f"the best of {len(rules)} rules, Bonferroni-corrected"
    )
    subject, method, threat = about
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=epsilon_name(delta),
        value=value,
        low=value,
        confidence=confidence,
        interval="lower bound",
        counts={
            "targets": float(len(trials.inside)),
            "canaries": float(trials.canaries),
            "guesses": float(len(trials.inside) * sum(rule)),
            "correct": float(trials.correct(rule)),
            "rules_tried": float(len(rules)),
            "delta": delta,
        },
        better="lower",
        threat=threat,
        why=f"{_WHAT[tail]}; {adjacency(scores, membership)}; of each target {rule[0]} guessed in "
        f"and {rule[1]} out, {choice}",
    )


def epsilon_over_runs(
    scores: Scores,
    membership: Membership,
    *,
    record: int,
    delta: float,
    about: tuple[str, str, str],
    threshold: float | None = None,
    confidence: float = 0.95,
) -> Measurement:
    """Measure a lower bound on epsilon from one canary over independent runs (Clopper-Pearson).

    Every target is one run and one trial: the canary was in or out by the run's own coin, and is
    called a member when its score is at least the threshold. Other canaries of the same runs are no
    further independent trials, so one canary is all that a call takes.

    Args:
        scores: of one attack.
        membership: whose targets are the runs.
        record: index of the canary.
        delta: in [0, 1].
        about: (subject, attack's repr, what the attacker knows).
        threshold: fixed before the scores were seen; default those of the scores, which the attack
            chose on references.
        confidence: in (0, 1).

    Raises:
        DependentTrialsError: the runs are no independent draws, or the canary's unit owns several
            records.
        InputError: no threshold; the canary is not evaluated everywhere, or always in, or always
            out.

    Example:
        >>> from secateur.data import draw, planted_records
        >>> runs = draw(planted_records(50, seed=0), targets=300, references=0, seed=0)
        >>> canary = int(runs.pools["audit"][0])
        >>> seen = Scores(values=4.0 * runs.inside, evaluated=np.ones_like(runs.inside))
        >>> row = epsilon_over_runs(seen, runs, record=canary, delta=1e-5, threshold=2.0,
        ...     about=("dense", "x", ""))
        >>> row.value > 3
        True

    Reference:
        nasr2021adversary.
    """
    said, members = _runs(scores, membership, record, threshold)
    counts = {
        "true_positives": int((said & members).sum()),
        "members": int(members.sum()),
        "false_positives": int((said & ~members).sum()),
        "non_members": int((~members).sum()),
    }
    if not members.any() or members.all():
        raise InputError(
            f"the canary {record} is in {counts['members']} of {len(members)} runs; runs with and "
            "without it are needed: train more"
        )
    value = epsilon_from_rates(**counts, delta=delta, confidence=confidence)
    subject, method, threat = about
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=epsilon_name(delta),
        value=value,
        low=value,
        confidence=confidence,
        interval="lower bound",
        counts={k: float(v) for k, v in counts.items()} | {"delta": delta},
        better="lower",
        threat=threat,
        group=f"record={record}",
        why="lower bound, Clopper-Pearson over independent runs with one trial each; adjacency: "
        "one record added or removed; the threshold was fixed on other data",
    )


def _runs(
    scores: Scores, membership: Membership, record: int, threshold: float | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return of each run whether the canary was called a member, and whether it was one."""
    refuse_given(membership)
    targets_of(scores, membership)  # refuses what does not belong together
    if not 0 <= record < scores.values.shape[1] or not scores.evaluated[:, record].all():
        raise InputError(
            f"record {record} is not evaluated in every run; choose a canary of the audit pool"
        )
    owned = int((membership.units == membership.units[record]).sum())
    if owned > 1:
        raise DependentTrialsError(
            f"the unit of record {record} owns {owned} records, so that one record is not one "
            "trial; choose a canary that is its own unit, or use epsilon_bound"
        )
    at = scores.threshold if threshold is None else np.full(len(scores.values), float(threshold))
    if at is None:
        raise InputError(
            "a Clopper-Pearson bound needs a threshold that was fixed on other data, and the "
            "scores have none; give threshold="
        )
    members: NDArray[np.bool_] = membership.inside[membership.targets, record]
    said: NDArray[np.bool_] = scores.values[:, record] >= at
    return said, members
