"""The models that an audit speaks of: fleets as trained, the dense one also on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from secateur import defend, deploy, store
from secateur.attack.membership.references import ENOUGH
from secateur.auditing.single import CORRECT
from secateur.data import MeanSignal
from secateur.errors import InputError
from secateur.probe.means import Asked
from secateur.probe.run import join_views, observe, snapshot_view
from secateur.probe.shelf import Keeping, Shelf
from secateur.train.met import READ
from secateur.train.recipe import spelled
from secateur.train.sources import refuse_addresses, sources_of
from secateur.types import AUDIT, UTILITY, Fleet, Observations, Signal

if TYPE_CHECKING:
    from secateur.data import Queries
    from secateur.protocols import MembershipAttack, Progress
    from secateur.types import FloatArray, Records

__all__ = ["Kind", "Subject", "as_trained", "kind_of", "observe_subjects", "stopped"]

Kind = Literal["dense", "pruned", "defended", "stopped"]
"""The baseline; what was pruned; what was trained anew under a defence, or as another network, or
made into a file alone, and not pruned; the baseline at an earlier epoch.
"""

CONTROL_SIGNALS = (CORRECT, Signal(name="margin"), Signal(name="log_confidence"))


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One family of models under audit, with what an attacker sees of it.

    `observations` of a pruned or defended family hold the other families' views too, its own being
    primary. Members of a reference that nothing read which it is made from are none there: whoever
    trained it knows (`as_trained`). Of targets all members are. `naive` is what an attacker sees
    whose references are the baseline's: the targets' signals of this view, the references' of the
    baseline.
    """

    name: str
    kind: Kind
    observations: Observations
    fleet: Fleet
    naive: Observations | None = None

    @property
    def whole(self) -> Observations:
        """Observations in which all members of references are members, whether read or not: to see
        whether targets and references are alike, of which nobody read the targets' apart.
        """
        own, every = self.observations.membership, self.fleet.membership
        if own is every or np.array_equal(own.inside, every.inside):
            return self.observations
        views = {self.observations.primary: self.observations.views[self.observations.primary]}
        return replace(self.observations, membership=every, views=views, gradients={})

    def accuracies(self) -> tuple[FloatArray, FloatArray]:
        """Return (train, test) accuracy of every model, each `[models]`, on all its members."""
        membership = self.fleet.membership
        correct = self.observations.plain(CORRECT)
        utility = membership.pool(UTILITY)
        train = np.array([correct[m, membership.members(m)].mean() for m in range(len(membership))])
        test = correct[:, utility].mean(axis=1) if utility.size else np.full(len(train), np.nan)
        return train, test


def needed_signals(
    attacks: Sequence[MembershipAttack], *, perturbed: bool = True
) -> tuple[Signal, ...]:
    """Return the signals of these attacks and of the controls, without repeats.

    Args:
        attacks: which read them.
        perturbed: also those over perturbed queries, which a probe of logits cannot give.
    """
    every = [s for attack in attacks for s in attack.needs]
    wanted = [s for s in every if perturbed or not isinstance(s, MeanSignal)]
    return tuple(dict.fromkeys([*CONTROL_SIGNALS, *wanted]))


def observe_subjects(
    fleets: Sequence[Fleet],
    records: Records,
    attacks: Sequence[MembershipAttack],
    *,
    workers: int,
    queries: Queries | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    answers: Keeping | None = None,
) -> list[Subject]:
    """Query every fleet; the first is the baseline.

    Args:
        fleets: of one membership.
        records: the fleets' records.
        attacks: whose signals are asked for.
        workers: as of `observe`, with what follows.
        queries: the forms in which each record is asked about.
        progress: called after each model.
        device: where models are queried.
        answers: a folder in which answers to perturbed queries are kept, and looked for first.

    Raises:
        InputError: fleets of one name, or of different memberships.
        MethodError: with a folder, a network that is spelled by its place in memory.
    """
    _refuse_apart(fleets)
    signals = needed_signals(attacks)
    posteriors = any(a.needs_posteriors for a in attacks)
    shadows = max((getattr(a, "shadows", 0) for a in attacks), default=0)
    features = any(getattr(a, "needs_features", False) for a in attacks)
    gradients = any(getattr(a, "needs_gradients", False) for a in attacks)
    who = fleets[0].membership
    asked = Asked.about(records, who, signals)
    digests = {}
    if answers is not None and asked.perturbed:
        if answers.writes:
            store.begin_answers(answers.folder)
        digests = asked.digests(records)
    seen = [
        observe(
            f,
            records,
            signals=signals,
            posteriors=posteriors,
            shadows=shadows,
            features=features,
            gradients=gradients,
            queries=queries,
            workers=workers,
            progress=progress,
            device=device,
            asked=asked,
            shelf=_shelf_of(f, answers, digests, device=device),
        )
        for f in fleets
    ]
    first = as_trained(seen[0], fleets[0])
    subjects = [Subject(name=fleets[0].name, kind="dense", observations=first, fleet=fleets[0])]
    for fleet, observations in zip(fleets[1:], seen[1:], strict=True):
        naive = with_references_of(observations, seen[0])
        # what an attack on several versions reads: nothing is copied
        beside = join_views(observations, *(o for o in seen if o is not observations))
        beside = as_trained(beside, fleet)
        kind = kind_of(fleet)
        subjects.append(
            Subject(name=fleet.name, kind=kind, observations=beside, fleet=fleet, naive=naive)
        )
    return subjects


def _shelf_of(
    fleet: Fleet, keeping: Keeping | None, digests: Mapping[str, str], *, device: str
) -> Shelf | None:
    """Return where the answers of a fleet's models are kept: by the code of its network, too."""
    if keeping is None or not digests or fleet.recipe is None:
        return None
    build = fleet.recipe.build
    spelling = spelled(build)
    refuse_addresses(spelling)
    with torch.random.fork_rng(devices=[]):
        network = build()
    return Shelf(
        keeping=keeping,
        network={"network": spelling, **sources_of([build, network])},
        questions=digests,
        device=device.partition(":")[0],
    )


def _refuse_apart(fleets: Sequence[Fleet]) -> None:
    names = [f.name for f in fleets]
    if len(set(names)) != len(names):
        raise InputError(
            f"fleets need different names, got {names}; name each fleet once, and prune with "
            "another name (--name)"
        )
    for fleet in fleets[1:]:
        if fleet.membership.digest != fleets[0].membership.digest:
            raise InputError(
                f"the fleets {names[0]!r} and {fleet.name!r} have different memberships; before "
                f"and after "
                "must be one draw: prune the first fleet instead of training another"
            )


def kind_of(fleet: Fleet) -> Kind:
    """Return whether a fleet beside the baseline is pruned, by its first target.

    What was cut is; of other models masks tell. Where a transform left none, it counts as pruned,
    conversions not.
    """
    first = fleet.artifacts[int(fleet.membership.targets[0])]
    masks = first.masks
    if first.surgery:
        return "pruned"
    if masks:
        return "pruned" if any(not mask.all() for mask in masks.values()) else "defended"
    without_masks = {*deploy.__all__, *defend.__all__}
    changed = [s for s in fleet.pipeline[1:] if s.partition("(")[0] not in without_masks]
    return "pruned" if changed else "defended"


def as_trained(observations: Observations, fleet: Fleet) -> Observations:
    """Return observations in which of each reference those alone are members that were read.

    A method such as `Subsample` leaves some members of a model out of everything. The attacker
    trains his references himself, so that he knows of which it did, and they show him what models
    without these records answer; to take them for members would blur what he learns. Whom the
    targets read he does not know: all their members stay members. A record that too few references
    read for attacks to run stays as it was, too.

    Args:
        observations: of the fleet.
        fleet: whose references' histories say what they read, where that is not all.
    """
    who = observations.membership
    references = who.references.tolist()
    if not references or READ not in fleet.artifacts[references[0]].history:
        return observations  # all of them are made alike
    inside = who.inside.copy()
    for model in references:
        inside[model] = False
        inside[model, np.asarray(fleet.artifacts[model].history[READ])] = True
    audit = who.pools[AUDIT]
    few = audit[inside[np.ix_(references, audit)].sum(axis=0) < ENOUGH]
    inside[:, few] = who.inside[:, few]
    return replace(observations, membership=replace(who, inside=inside))


def with_references_of(targets: Observations, references: Observations) -> Observations:
    """Return the targets' signals of one view beside the references' of another."""
    rows = targets.membership.references
    mixed = {}
    for key, values in targets.views[targets.primary].items():
        mixed[key] = np.array(values)
        mixed[key][rows] = references.views[references.primary][key][rows]
    return replace(targets, views={targets.primary: mixed}, gradients={})


def stopped(baseline: Subject, records: Records, epoch: int) -> Subject:
    """Return the baseline as it was after `epoch` epochs."""
    observations = snapshot_view(baseline.fleet, records, epoch)
    return Subject(
        name=observations.primary, kind="stopped", observations=observations, fleet=baseline.fleet
    )


def cpu_seconds(subject: Subject) -> Mapping[str, float]:
    """Return the mean CPU seconds per model of the subject's last step, where known."""
    costs = [c for c in subject.fleet.costs if c > 0]
    return {"value": float(np.mean(costs)), "models": float(len(costs))} if costs else {}
