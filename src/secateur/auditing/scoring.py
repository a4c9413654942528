"""Run every attack on every subject: those on signals subject by subject, networks by target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from secateur.auditing.rows import Scored
from secateur.auditing.spread import can_travel, signals_alone, spread
from secateur.auditing.subjects import Subject
from secateur.errors import CANNOT_RUN, Reason
from secateur.protocols import reads_one_view
from secateur.spreading import spread_tasks
from secateur.types import Membership, Observations, Scores, derive_seed

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack, Progress

__all__ = ["attack_each", "can_run", "score"]


def score(
    subjects: Sequence[Subject],
    attacks: Sequence[MembershipAttack],
    *,
    seed: int,
    workers: int,
    progress: Progress | None = None,
) -> list[Scored]:
    """Run every attack on every subject.

    Attacks that train a network per target run one target per task, each with a seed of its own:
    the number of workers changes nothing. They are left out for stopped subjects, of which no
    posteriors are kept, as is an attack on several versions, or on signals that a snapshot does not
    hold.

    Args:
        subjects: model families.
        attacks: what to run.
        seed: of the attacks.
        workers: processes for attacks that train networks; 0 works in this one.
        progress: called after each trained network.

    Returns:
        Subject by subject, with scores, or with the reason why an attack did not run.
    """
    pairs = [(s, a) for s in subjects for a in attacks if can_run(s, a)]
    light = _light(subjects, pairs, seed=seed, workers=workers, progress=progress)
    tasks: list[tuple[MembershipAttack, Observations, int]] = []
    owners: list[int] = []
    for i, (subject, attack) in enumerate(pairs):
        if getattr(attack, "shadows", 0):  # one network, trained on references, for all targets
            tasks.append((attack, _outputs_alone(subject.observations), seed))
            owners.append(i)
        elif attack.needs_posteriors:
            parts = _by_target(subject.observations)
            tasks += [(attack, o, derive_seed(seed, "target", row)) for row, o in enumerate(parts)]
            owners += [i] * len(parts)
    results = spread_tasks(train_and_score, tasks, workers=workers, progress=progress)
    heavy = {
        i: _joined([r.value for r, o in zip(results, owners, strict=True) if o == i])
        for i in dict.fromkeys(owners)
    }
    return [
        Scored(subject=s, attack=a, scores={**light, **heavy}[i], threat=a.threat)
        for i, (s, a) in enumerate(pairs)
    ]


def _light(
    subjects: Sequence[Subject],
    pairs: Sequence[tuple[Subject, MembershipAttack]],
    *,
    seed: int,
    workers: int,
    progress: Progress | None,
) -> dict[int, Scores | str]:
    """Return the scores of attacks that read signals, by their places among the pairs."""
    places = [
        [i for i, (s, a) in enumerate(pairs) if s is subject and not _trains_networks(a)]
        for subject in subjects
    ]
    families = [
        (subject.observations, [pairs[i][1] for i in own])
        for subject, own in zip(subjects, places, strict=True)
    ]
    found = attack_each(families, seed=seed, workers=workers, progress=progress)
    return {
        i: scores
        for own, each in zip(places, found, strict=True)
        for i, scores in zip(own, each, strict=True)
    }


def _trains_networks(attack: MembershipAttack) -> bool:
    return bool(getattr(attack, "shadows", 0)) or attack.needs_posteriors


def attack_each(
    families: Sequence[tuple[Observations, Sequence[MembershipAttack]]],
    *,
    seed: int,
    workers: int,
    progress: Progress | None = None,
) -> list[list[Scores | str]]:
    """Return what each family's attacks say of it, or why they did not run, family by family."""
    beside = workers if can_travel([a for _, attacks in families for a in attacks]) else 0
    if beside > 1:
        families = [(signals_alone(seen, attacks), attacks) for seen, attacks in families]
    return spread(
        attack_family,
        range(len(families)),
        shared=(families, seed),
        workers=beside,
        progress=progress,
    )


def attack_family(
    families: Sequence[tuple[Observations, Sequence[MembershipAttack]]], seed: int, which: int
) -> list[Scores | str]:
    """Run one family's attacks; the function stands at the top so that a worker can import it."""
    observations, attacks = families[which]
    return [train_and_score((attack, observations, seed)) for attack in attacks]


def can_run(subject: Subject, attack: MembershipAttack) -> bool:
    """Tell whether what is known of a subject serves an attack."""
    if subject.kind != "stopped":
        return True
    if not reads_one_view(attack):
        return False  # a snapshot stands alone, and has no weights
    held = subject.observations.views[subject.observations.primary]
    return not attack.needs_posteriors and all(s.key in held for s in attack.needs)


def train_and_score(task: tuple[MembershipAttack, Observations, int]) -> Scores | str:
    """Run one attack; the function stands at the top so that a worker can import it."""
    attack, observations, seed = task
    try:
        return attack(observations, seed=seed)
    except CANNOT_RUN as error:
        return Reason.of(error)


def _outputs_alone(observations: Observations) -> Observations:
    """Return one view's whole outputs, without the signals: what goes to a worker."""
    view = observations.primary
    return replace(
        observations,
        views={view: {}},
        posteriors={k: v for k, v in observations.posteriors.items() if k == view},
        shadow_posteriors={k: v for k, v in observations.shadow_posteriors.items() if k == view},
        sensitivities={k: v for k, v in observations.sensitivities.items() if k == view},
        gradients={},
        features=None,
    )


def _by_target(observations: Observations) -> list[Observations]:
    """Return one part per target, without references: what an attack on posteriors reads."""
    who = observations.membership
    view = observations.primary
    parts = []
    for row, model in enumerate(who.targets.tolist()):
        alone = Membership(
            inside=who.inside[[model]],
            roles=(who.roles[model],),
            pools=who.pools,
            units=who.units,
            seed=who.seed,
            drawn=who.drawn,
            share=who.share,
        )
        signals = {key: values[[model]] for key, values in observations.views[view].items()}
        kept = (
            {view: observations.posteriors[view][[row]]} if view in observations.posteriors else {}
        )
        parts.append(
            replace(
                observations,
                views={view: signals},
                membership=alone,
                posteriors=kept,
                shadow_posteriors={},
                sensitivities={},
                gradients={},
                features=None,
            )
        )
    return parts


def _joined(parts: Sequence[Scores | str]) -> Scores | str:
    """Put the targets' scores together again, or return the first reason why one did not run."""
    scores = [part for part in parts if isinstance(part, Scores)]
    if len(scores) < len(parts):
        return next(part for part in parts if isinstance(part, str))
    thresholds = [s.threshold for s in scores if s.threshold is not None]
    return Scores(
        values=np.concatenate([s.values for s in scores]),
        evaluated=np.concatenate([s.evaluated for s in scores]),
        threshold=np.concatenate(thresholds) if len(thresholds) == len(scores) else None,
    )
