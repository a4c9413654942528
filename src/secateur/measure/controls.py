"""Checks of the audit itself: each says what it saw, why it matters, and how to mend it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import ndtr

from secateur.measure.membership import auc
from secateur.measure.targets import per_target
from secateur.types import (
    AUDIT,
    Control,
    Measurement,
    Membership,
    Observations,
    Scores,
    Signal,
    derive_seed,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import MembershipAttack

__all__ = [
    "adaptive_control",
    "far_from_a_coin",
    "gap_control",
    "null_control",
    "planted",
    "planted_control",
    "reference_count_control",
    "saturation_control",
    "training_size_control",
]

Outcome = Literal["passed", "raised", "not run"]


def null_control(scores: Scores, membership: Membership, *, subject: str, seed: int) -> Control:
    """Shuffle who is a member and measure again: the AUC must be 0.5 within its interval."""
    rng = np.random.default_rng(seed)
    audit = membership.pools[AUDIT]
    units, where = np.unique(membership.units[audit], return_inverse=True)
    first = np.unique(where, return_index=True)[1]
    inside = np.array(membership.inside)
    for model in membership.targets:
        by_unit = inside[model, audit][first]
        inside[model, audit] = rng.permutation(by_unit)[where]
    row = auc(scores, replace(membership, inside=inside), subject=subject, method="null")
    return Control(
        id="null",
        status="raised" if far_from_a_coin(row) else "passed",
        subject=subject,
        saw=f"with membership shuffled over {len(units)} units the AUC is {row.value:.3f} "
        f"[{row.low:.3f}, {row.high:.3f}]",
        why="a pipeline that tells shuffled members apart measures something else than membership",
        mend="look for scores that depend on the order of records, or for an error in the split",
        value=row.value,
        low=row.low,
        high=row.high,
    )


def planted_signals(
    margin: NDArray[np.float64], observations: Observations
) -> dict[str, NDArray[np.float64]]:
    """Return every signal that was observed, as two classes with this margin would give it."""
    found = {}
    for key in observations.views[observations.primary]:
        plain, _, over = key.partition(" over ")
        name, _, temperature = plain.partition("@")
        name, _, part = name.partition("#")
        z = margin / (float(temperature) if temperature else 1.0)
        log_p, log_q = -np.logaddexp(0, -z), -np.logaddexp(0, z)
        p, q = np.exp(log_p), np.exp(log_q)
        found[key] = {
            "margin": z,
            "log_confidence": log_p,
            "loss": -log_p,
            "entropy": -(p * log_p + q * log_q),
            "modified_entropy": -2 * q * log_p,
            # a share of queries whose margins differ from the record's as N(0, 3^2)
            "correct": ndtr(z / 3) if over else (z > 0).astype(np.float64),
            # two classes have one coordinate
            "coordinate": np.zeros_like(z) if int(part or 0) else z / np.sqrt(2),
        }[name]
    return found


def planted_control(
    attack: MembershipAttack, observations: Observations, *, seed: int, shift: float = 2.0
) -> Control:
    """Plant a leak of known size on this audit's own membership; the attack must see most of it.

    Margins are 3 + N(0, 1), plus `shift` where the record is inside: the best attack reaches an AUC
    of Phi(shift / sqrt 2).
    """
    membership = observations.membership
    made = planted(observations, shift=shift, seed=derive_seed(seed, "planted"))
    best = float(ndtr(shift / np.sqrt(2)))
    value = float(per_target(attack(made, seed=seed), membership, "auc").mean())
    least = 0.5 + 0.6 * (best - 0.5)
    return Control(
        id="planted-leak",
        status="raised" if value < least else "passed",
        subject=repr(attack),
        saw=f"the attack finds an AUC of {value:.3f} where the best possible is {best:.3f}",
        why="an attack that misses a planted leak would miss a real one",
        mend="draw more references, or leave the attack out",
        value=value,
    )


def far_from_a_coin(row: Measurement) -> bool:
    """Tell whether an AUC's interval, stretched by half of its width at each end, misses 0.5.

    Several subjects are tried: a miss by chance in one of twenty must not raise an alarm.
    """
    assert row.low is not None and row.high is not None  # `auc` measures
    slack = 0.5 * (row.high - row.low)
    return not row.low - slack <= 0.5 <= row.high + slack


def planted(observations: Observations, *, shift: float, seed: int) -> Observations:
    """Return made signals of the same models, with a leak of this size."""
    rng = np.random.default_rng(seed)
    inside = observations.membership.inside
    margin = 3 + rng.normal(size=inside.shape) + shift * inside
    return Observations(
        views={"planted": planted_signals(margin, observations)},
        labels=observations.labels,
        membership=observations.membership,
        n_classes=observations.n_classes,
        primary="planted",
    )


def reference_count_control(membership: Membership) -> Control:
    """Raise when there are fewer than 16 references."""
    n = len(membership.references)
    return Control(
        id="references",
        status="raised" if n < 16 else "passed",
        subject="all",
        saw=f"{n} reference models",
        why="with few references LiRA understates the leak, at low FPR above all",
        mend="train at least 16 references, better 64",
        value=float(n),
    )


def training_size_control(membership: Membership) -> Control:
    """Raise when references train on sets of another size than the targets."""
    sizes = membership.inside.sum(axis=1)
    targets, references = membership.targets, membership.references
    if not references.size:
        return Control(
            id="training-size",
            status="not run",
            subject="all",
            saw="there are no references",
            why="references of another training-set size are calibrated wrongly",
            mend="draw references",
        )
    ratio = float(sizes[references].mean() / sizes[targets].mean())
    return Control(
        id="training-size",
        status="raised" if abs(ratio - 1) > 0.1 else "passed",
        subject="all",
        saw=f"targets train on {sizes[targets].mean():.0f} records, references on "
        f"{sizes[references].mean():.0f} (means)",
        why="references of another training-set size are calibrated wrongly",
        mend="draw targets and references with one share",
        value=ratio,
    )


def gap_control(train: NDArray[Any], test: NDArray[Any], *, subject: str) -> Control:
    """Put the gap between train and test accuracy beside the leak; raised above 30 points."""
    gap = float(np.mean(np.asarray(train) - np.asarray(test)))
    return Control(
        id="gap",
        status="raised" if gap > 0.3 else "passed",
        subject=subject,
        saw=f"train accuracy is {100 * gap:.1f} points above test accuracy",
        why="an overfitted model leaks to anyone who guesses that correct answers are members",
        mend="stop earlier, regularise, or use more data; compare at equal test accuracy",
        value=gap,
    )


def saturation_control(observations: Observations, *, subject: str) -> Control:
    """Raise when most members have a true-class probability above 0.99."""
    signal = Signal(name="log_confidence")
    membership = observations.membership
    share: float | None = None
    status: Outcome = "not run"
    saw = "the true class's probability was not observed"
    if signal.key in observations.views[observations.primary]:
        log_p = observations.plain(signal)
        inside = membership.inside[membership.targets]
        share = float((log_p[membership.targets][inside] > np.log(0.99)).mean())
        status = "raised" if share > 0.5 else "passed"
        saw = f"{100 * share:.0f} % of members have a true-class probability above 0.99"
    return Control(
        id="saturation",
        status=status,
        subject=subject,
        saw=saw,
        why="probabilities next to 1 lose their order: attacks on plain probabilities then mislead",
        mend="read the attacks on logits, and RMIA at a temperature above 1",
        value=share,
    )


def adaptive_control(naive: Measurement, adaptive: Measurement, *, pruned: bool = True) -> Control:
    """Put the attacker whose references are the baseline's beside the one who makes them as the
    target was made.

    Args:
        naive: his AUC.
        adaptive: the other's, on the same subject.
        pruned: whether the subject is pruned; else it was trained anew under a defence.
    """
    flattered = "pruning" if pruned else "a defence"
    weak, strong = ("dense", "pruned") if pruned else ("the baseline's", "trained")
    if naive.value is None or adaptive.value is None:
        return Control(
            id="adaptive",
            status="not run",
            subject=adaptive.subject,
            saw="one of the two attackers has no result",
            why=f"a naive attacker flatters {flattered}",
            mend="train references through the identical pipeline",
        )
    return Control(
        id="adaptive",
        status="raised" if naive.value < adaptive.value - 0.02 else "passed",
        subject=adaptive.subject,
        saw=f"AUC {naive.value:.3f} with {weak} references, {adaptive.value:.3f} with references "
        f"{strong} in the same way",
        why=f"a naive attacker flatters {flattered}; only the adaptive rows speak of the risk",
        mend="read the adaptive rows",
        value=naive.value - adaptive.value,
    )
