"""Run an audit's attacks: on every family, on the dense one on its way, by the naive attacker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from secateur.auditing.choices import CHOSEN_ON_REFERENCES, fallback, matched_epochs, strongest
from secateur.auditing.contents import Found
from secateur.auditing.rows import Scored, early_stopping_series
from secateur.auditing.scoring import attack_each, can_run, score
from secateur.auditing.subjects import Subject, stopped
from secateur.measure import auc
from secateur.protocols import reads_one_view
from secateur.types import Scores

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack, Progress
    from secateur.types import Records, Series

__all__ = ["attack_subjects"]


def attack_subjects(
    subjects: list[Subject],
    records: Records,
    attacks: Sequence[MembershipAttack],
    *,
    seed: int,
    workers: int,
    progress: Progress | None,
) -> Found:
    """Attack every family, and the dense one where it was stopped as accurate as the others.

    Args:
        subjects: the baseline first.
        records: of all of them.
        attacks: what to run.
        seed: of the attacks.
        workers: processes where they are worth their start.
        progress: called after each family.

    Returns:
        What every attack said, which one is the strongest on references, the naive attacker's
        scores, and the early-stopping curve.
    """
    baseline = subjects[0]
    on_the_way = [stopped(baseline, records, e) for e in baseline.fleet.snapshot_epochs]
    how: dict[str, Any] = {"seed": seed, "workers": workers, "progress": progress}
    choice = strongest(subjects, attacks, **how)
    points = [
        (e, *s.accuracies())
        for e, s in zip(baseline.fleet.snapshot_epochs, on_the_way, strict=True)
    ]
    matched = [
        {"subject": s.name, "by": by, "epoch": epoch, "view": f"{baseline.name}, epoch {epoch}"}
        for s in subjects[1:]
        for by, epoch in matched_epochs(points, s).items()
    ]
    views = {m["view"] for m in matched}
    everyone = [*subjects, *(s for s in on_the_way if s.name in views)]
    choice.update(strongest(everyone[len(subjects) :], attacks, **how))
    by_name = {repr(a): a for a in attacks}
    scored = score(everyone, attacks, **how)
    told = [s for s in subjects[1:] if choice.get(s.name) is not None]
    naive = _naive(told, attacks, **how)
    ran = [i.method for i in scored if i.subject is baseline and isinstance(i.scores, Scores)]
    otherwise, why = (
        fallback(ran, baseline.observations.membership) if ran else (repr(attacks[0]), "order")
    )
    picked = {name: method or otherwise for name, method in choice.items()}
    curve = None
    curved = _of_snapshots(baseline, on_the_way, attacks, by_name[picked[baseline.name]], how)
    if curved is not None and repr(curved) in ran:
        curve = _curve(baseline, on_the_way, points, curved, seed)
    return Found(
        subjects=everyone,
        scored=scored,
        naive=naive,
        strongest=picked,
        chosen_on={
            name: CHOSEN_ON_REFERENCES if method else why for name, method in choice.items()
        },
        matched=matched,
        curve=curve,
    )


def _naive(
    subjects: Sequence[Subject],
    attacks: Sequence[MembershipAttack],
    *,
    seed: int,
    workers: int,
    progress: Progress | None,
) -> list[Scored]:
    """Score by references that were not pruned or defended as the targets were."""
    known = [s for s in subjects if s.naive is not None]
    able = [a for a in attacks if reads_one_view(a) and not a.needs_posteriors and a.min_out > 0]
    found = attack_each(
        [(s.naive, able) for s in known if s.naive is not None],
        seed=seed,
        workers=workers,
        progress=progress,
    )
    return [
        Scored(subject=s, attack=a, scores=scores, threat="naive")
        for s, each in zip(known, found, strict=True)
        for a, scores in zip(able, each, strict=True)
    ]


def _of_snapshots(
    baseline: Subject,
    on_the_way: Sequence[Subject],
    attacks: Sequence[MembershipAttack],
    strongest_attack: MembershipAttack,
    how: dict[str, Any],
) -> MembershipAttack | None:
    """Return the attack of the early-stopping curve: the baseline's strongest on references, of
    those that a snapshot serves, which holds neither weights, posteriors nor further views.
    """
    able = [a for a in attacks if all(can_run(subject, a) for subject in on_the_way)]
    if not on_the_way or not able:
        return None
    if repr(strongest_attack) in map(repr, able):
        return strongest_attack
    chosen = strongest([baseline], able, **how)[baseline.name]
    return next((a for a in able if repr(a) == chosen), None)


def _curve(
    baseline: Subject,
    on_the_way: Sequence[Subject],
    points: Sequence[tuple[int, Any, Any]],
    attack: MembershipAttack,
    seed: int,
) -> Series | None:
    membership = baseline.observations.membership
    measured = []
    for subject, (epoch, train, test) in zip(on_the_way, points, strict=True):
        scores = attack(subject.observations, seed=seed)
        row = auc(
            scores, membership, subject=subject.name, method=repr(attack), threat=attack.threat
        )
        measured.append((epoch, train, test, row))
    return early_stopping_series(baseline.name, repr(attack), measured, membership.targets)
