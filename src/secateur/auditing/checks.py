"""The controls of an audit: checks of the audit itself, raised where its numbers need a grain of
salt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from secateur.auditing.given_check import given_model_control
from secateur.auditing.rows import Scored
from secateur.auditing.subjects import Subject
from secateur.compress import CONVERGED, convergence
from secateur.data import MeanSignal
from secateur.measure import (
    adaptive_control,
    blind_baseline,
    gap_control,
    near_duplicates_control,
    null_control,
    planted_control,
    reference_accuracy_control,
    reference_count_control,
    saturation_control,
    training_size_control,
)
from secateur.protocols import reads_one_view
from secateur.train import RandomCrop, RandomFlip
from secateur.types import Control, Scores, derive_seed

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.types import Measurement, Records

__all__ = ["controls"]


def controls(
    subjects: Sequence[Subject],
    scored: Sequence[Scored],
    naive: Sequence[tuple[Measurement, Measurement]],
    *,
    records: Records | None,
    strongest: dict[str, str],
    seed: int,
    queries: int = 1,
) -> list[Control]:
    """Return every control of an audit.

    Args:
        subjects: all model families; the first is the baseline.
        scored: every attack on every subject.
        naive: per pruned or defended subject the (naive, adaptive) AUC of one attack.
        records: the inputs, for the blind baseline and near-duplicates; None when only signals are
            at hand.
        strongest: the attack chosen per subject.
        seed: of permutations and folds.
        queries: in how many forms each record was asked about.
    """
    baseline = subjects[0]
    membership = baseline.observations.membership
    best = _find(scored, baseline.name, strongest.get(baseline.name))
    found: list[Control | None] = []
    if "given" in membership.roles:
        found.append(given_model_control(baseline.observations, best.scores if best else None))
    found += _nulls(subjects, scored, strongest, seed)
    for attack in _reference_attacks(scored):
        found.append(
            planted_control(
                attack, baseline.observations, seed=derive_seed(seed, "planted", repr(attack))
            )
        )
    if records is not None:
        found.append(blind_baseline(records, membership, seed=derive_seed(seed, "blind")))
        found.append(near_duplicates_control(records, membership))
    found.append(reference_count_control(membership))
    found.append(training_size_control(membership))
    for subject in subjects:
        if subject.kind == "stopped":
            continue
        targets = membership.targets
        train, test = (a[targets] for a in subject.accuracies())
        if np.isfinite(test).all():
            found.append(gap_control(train, test, subject=subject.name))
        found.append(reference_accuracy_control(subject.whole, subject=subject.name))
        found.append(saturation_control(subject.observations, subject=subject.name))
        found.append(convergence_control(subject))
        found.append(asked_around_control(subject, scored))
    defended = {s.name for s in subjects if s.kind == "defended"}
    found += [
        adaptive_control(weak, strong, pruned=strong.subject not in defended)
        for weak, strong in naive
    ]
    found.append(_curve_control(subjects))
    return [c for c in (*found, queries_control(baseline, queries)) if c is not None]


def _nulls(
    subjects: Sequence[Subject],
    scored: Sequence[Scored],
    strongest: dict[str, str],
    seed: int,
) -> list[Control]:
    """Return the null control of each family's strongest attack."""
    chosen = [
        (s.name, s.observations.membership, _find(scored, s.name, strongest.get(s.name)))
        for s in subjects
        if s.kind != "stopped"
    ]
    return [
        null_control(best.scores, membership, subject=name, seed=derive_seed(seed, "null", name))
        for name, membership, best in chosen
        if best is not None and isinstance(best.scores, Scores)
    ]


def _find(scored: Sequence[Scored], subject: str, method: str | None) -> Scored | None:
    for item in scored:
        if item.subject.name == subject and item.method == method:
            return item
    return None


def _reference_attacks(scored: Sequence[Scored]) -> list[MembershipAttack]:
    """Return the attacks that ran on one view's signals, once each."""
    attacks = {i.method: i.attack for i in scored if isinstance(i.scores, Scores)}
    return [
        a
        for a in attacks.values()
        if not a.needs_posteriors and a.min_out > 0 and reads_one_view(a)
    ]


def convergence_control(subject: Subject) -> Control | None:
    """Return whether ADMM's last residual is small in every layer and target; None without ADMM."""
    worst: dict[str, float] = {}
    for target in subject.observations.membership.targets.tolist():
        for layer, value in convergence(subject.fleet.artifacts[target]).items():
            worst[layer] = max(worst.get(layer, 0.0), value)
    if not worst:
        return None
    layer = max(worst, key=lambda name: worst[name])
    open_layers = [name for name, value in worst.items() if value > CONVERGED]
    return Control(
        id="convergence",
        status="raised" if open_layers else "passed",
        subject=subject.name,
        saw=(
            f"the largest last residual ||W - Z|| / ||W|| over layers and targets is "
            f"{worst[layer]:.3f}, in {layer}"
        ),
        why=(
            "where ADMM has not converged, the hard prune is a shock that acts like early "
            "stopping and can pass for protection"
        ),
        mend=(
            "raise the last rho or the number of updates, such as ADMM(rho=(0.01, 10), "
            "updates=20), or give the layer a larger budget"
        ),
        value=worst[layer],
    )


def asked_around_control(subject: Subject, scored: Sequence[Scored]) -> Control | None:
    """Return whether outputs around records were read of models that learned answers of teachers;
    None of others.
    """
    held = subject.fleet.artifacts[int(subject.observations.membership.targets[0])].history
    teachers = int(held.get("taught/teachers", 0))
    if not teachers:
        return None
    asking = [
        item.method
        for item in scored
        if item.subject.name == subject.name
        and isinstance(item.scores, Scores)
        and any(isinstance(s, MeanSignal) and s.name != "correct" for s in item.attack.needs)
    ]
    return Control(
        id="asked-around",
        status="passed" if asking else "raised",
        subject=subject.name,
        saw=f"models that learned answers of {teachers} teachers each; attacks that read outputs "
        f"around a record: {len(asking)}",
        why=(
            "what such a model says at a record itself scatters from training to training, and "
            "less so in the mean around it: attacks that ask once understate the leak"
        ),
        mend=(
            'add --attack "WhiteBox(around=(Recombinations(),))", of pictures '
            "with Recombinations(way='patches')"
        ),
        value=float(len(asking)),
    )


def queries_control(baseline: Subject, queries: int) -> Control | None:
    """Return whether the attacker asks as models were trained and as snapshots were asked.

    None where neither augmentation nor several queries are in sight.
    """
    fleet = baseline.fleet
    hooks = [] if fleet.recipe is None else fleet.recipe.hooks
    augmented = [repr(h) for h in hooks if isinstance(h, RandomCrop | RandomFlip)]
    kept = fleet.artifacts[0].snapshots if fleet.snapshot_epochs else {}
    several = {v.shape[1] if v.ndim == 3 else 1 for v in kept.values()} - {queries}
    if not augmented and not several and queries == 1:
        return None
    plain = bool(augmented) and queries == 1
    saw = f"{queries} forms of each record asked about"
    saw += f"; training augments with {', '.join(augmented)}" if augmented else ""
    saw += f"; the snapshots were asked in {sorted(several)[0]} forms" if several else ""
    return Control(
        id="augmented-queries",
        status="raised" if plain or several else "passed",
        subject=baseline.name,
        saw=saw,
        why=(
            "a model that was trained on changed records is asked only about unchanged ones: the "
            "attack is understated"
            if plain
            else "the early-stopping curve stands against another attacker than the rest"
        ),
        mend="train and audit with the same --queries, such as Queries(flip=True, shift=2)",
        value=float(queries),
    )


def _curve_control(subjects: Sequence[Subject]) -> Control:
    has = bool(subjects[0].fleet.snapshot_epochs)
    return Control(
        id="early-stopping-curve",
        status="passed" if has else "raised",
        subject=subjects[0].name,
        saw=f"{len(subjects[0].fleet.snapshot_epochs)} snapshots of the dense models in training",
        why=(
            "leak grows with epochs; a pruned model must be compared with the dense one stopped "
            "at equal accuracy"
        ),
        mend="train the dense fleet with snapshots",
    )
