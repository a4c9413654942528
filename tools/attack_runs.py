"""What `tools.attacks` runs: worlds, attacks, subsets of references, and one cached run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from secateur import store
from secateur.attack.learned import SAMIA, NasrAttack
from secateur.attack.membership import (
    RMIA,
    AttackP,
    AttackR,
    BaVarIA,
    Calibrated,
    ConfidenceThreshold,
    EntropyThreshold,
    HierarchicalLiRA,
    LiRA,
    LossThreshold,
    ModifiedEntropyThreshold,
    MultiVersion,
    PairAttack,
    QuantileRegression,
    VectorLiRA,
)
from secateur.auditing import needed_signals
from secateur.cli.runs import open_runs
from secateur.errors import MissingViewError, NotEnoughReferencesError
from secateur.measure import fpr_name, per_target, tpr_segment, units_per_target
from secateur.probe.run import join_views, observe
from secateur.types import AUDIT, Fleet, Observations, Records, Scores

WORLDS = {"location": "Location-30, MLP", "fashion": "Fashion-MNIST, LeNet-5"}
SUBJECTS = ("dense", "admm")
REFERENCES = (1, 2, 4, 8, 16, 32, 64, 128)
SUBSETS = 6
FPRS = (0.01, 0.002)  # the second lets two of 1,000 non-members in: 16 over 8 targets

WITH_REFERENCES = (
    LiRA(),
    LiRA(variance="per record"),
    LiRA(variance="shared"),
    LiRA(mode="offline"),
    LiRA(mode="offline", variance="per record"),
    LiRA(compatibility="released", variance="per record", centre="median"),
    LiRA(compatibility="released", variance="shared", centre="median"),
    LiRA(mode="offline", compatibility="released", variance="per record", centre="median"),
    LiRA(mode="offline", compatibility="released", variance="shared", centre="median"),
    RMIA(),
    RMIA(temperature=1.0),
    RMIA(mode="offline"),
    RMIA(mode="offline", temperature=1.0),
    RMIA(mode="offline", compatibility="released"),
    BaVarIA(),
    BaVarIA(variant="n"),
    BaVarIA(mode="offline"),
    HierarchicalLiRA(),
    HierarchicalLiRA(variant="n"),
    VectorLiRA(),
    VectorLiRA(signals=("margin", "margin@4")),
    AttackR(),
    AttackR(smooth=0.0),
    Calibrated(),
    Calibrated(signal="loss"),
    LossThreshold(),
    ConfidenceThreshold(),
    EntropyThreshold(),
    ModifiedEntropyThreshold(),
    PairAttack(),
    MultiVersion(),
)
WITHOUT_REFERENCES = (
    LossThreshold(class_wise=False),
    AttackP(),
    QuantileRegression(),
    QuantileRegression(head="quantile"),
)
LEARNED = NasrAttack()


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """A data set's fleets, and what an attacker sees of each, both views side by side."""

    name: str
    folder: Path
    fleets: tuple[Fleet, ...]
    records: Records
    seen: dict[str, Observations]
    digest: str

    def seconds(self, attack: Any, subject: str, models: Sequence[int]) -> float | None:
        """Return the CPU seconds of these models through all steps that the attacker repeats."""
        last = len(SUBJECTS) if needs_both(attack) else SUBJECTS.index(subject) + 1
        costs = [fleet.costs[m] for fleet in self.fleets[:last] for m in models]
        return None if any(c <= 0 for c in costs) else float(sum(costs))


def needs_both(attack: Any) -> bool:
    """Return whether the attack reads several versions of the model."""
    return bool(getattr(attack, "needs_more_views", False))


def open_world(name: str, fleets: Path, data_dir: Path, work: Path) -> World:
    """Open a data set's fleets and query them, or read what was seen before."""
    folders = [fleets / name / subject for subject in SUBJECTS]
    opened, records, _ = open_runs(folders, data_dir)
    digest = hashlib.sha256(
        "|".join(store.fleet_digest(folder) for folder in folders).encode()
    ).hexdigest()
    wanted = needed_signals((*WITH_REFERENCES, *WITHOUT_REFERENCES))
    seen = []
    for fleet in opened:
        path = work / f"{name}-{fleet.name}-{digest[:16]}.npz"
        if not path.exists():
            store.write_observations(path, observe(fleet, records, signals=wanted))
            print(f"{name}, {fleet.name}: {len(fleet)} models queried", flush=True)
        features = records.gather(np.arange(len(records))).reshape(len(records), -1)
        seen.append(replace(store.read_observations(path), features=features))
    dense, admm = seen
    both = {"dense": join_views(dense, admm), "admm": join_views(admm, dense)}
    return World(
        name=name,
        folder=fleets / name,
        fleets=tuple(opened),
        records=records,
        seen=both,
        digest=digest,
    )


def subsets(references: Sequence[int], size: int, most: int = SUBSETS) -> list[list[int]]:
    """Return disjoint runs of references; each begins at an even place, so that pairs are whole.

    Example:
        >>> subsets(range(8), 4)
        [[0, 1, 2, 3], [4, 5, 6, 7]]
    """
    step = max(size, 2)
    starts = range(0, len(references) - size + 1, step)
    return [list(references)[start : start + size] for start in starts][:most]


def with_references(seen: Observations, models: Sequence[int]) -> Observations:
    """Return what is seen of the targets and of these references alone."""
    who = seen.membership
    rows = [*who.targets.tolist(), *models]
    views = {
        view: {key: values[rows] for key, values in arrays.items()}
        for view, arrays in seen.views.items()
    }
    return replace(seen, views=views, membership=who.part(rows))


def values_of(scores: Scores, seen: Observations) -> dict[str, Any]:
    """Return each metric and the units per target, the mean heights of the ROC's steps, counts."""
    who = seen.membership
    found: dict[str, Any] = {"auc": per_target(scores, who, "auc").tolist()}
    inside = who.inside[who.targets]
    for fpr in FPRS:
        found[fpr_name(fpr)] = per_target(scores, who, "tpr", fpr=fpr).tolist()
        heights = []
        for row, used in enumerate(scores.evaluated):
            low, high = tpr_segment(scores.values[row, used], inside[row, used], fpr)
            heights.append(high - low)
        found[f"step of {fpr_name(fpr)}"] = float(np.mean(heights))
    found["units"] = units_per_target(scores, who).tolist()
    found["non_members"] = int((scores.evaluated & ~inside).sum())
    found["members"] = int((scores.evaluated & inside).sum())
    return found


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Results by what they depend on, one file each; a run that was stopped goes on."""

    folder: Path

    def result(
        self, key: Sequence[Any], make: Callable[[], Scores], seen: Observations, *, keep: bool
    ) -> dict[str, Any]:
        """Return the values of one run of an attack, with its CPU seconds, or why it did not run.

        A result without the units that its interval needs is made anew, from kept scores if any.

        Args:
            key: what the result depends on.
            make: runs the attack.
            seen: what the attack sees.
            keep: keep the scores too.
        """
        path, kept = self._path(key, "json"), self._path(key, "npz")
        held = store.read_document(path, what="cached result") if path.exists() else {}
        if "units" in held or "not_run" in held:
            return held
        if held and kept.exists():
            found = {**values_of(store.read_scores(kept), seen), "seconds": held["seconds"]}
            store.write_document(path, found)
            return found
        before = time.process_time()
        try:
            scores = make()
        except (NotEnoughReferencesError, MissingViewError) as error:
            found = {"not_run": str(error)}
        else:
            seconds = time.process_time() - before
            found = {**values_of(scores, seen), "seconds": seconds}
            if keep:
                store.write_scores(kept, scores)
        store.write_document(path, found)
        return found

    def scores(self, key: Sequence[Any]) -> Scores:
        """Return the kept scores of a run."""
        return store.read_scores(self._path(key, "npz"))

    def _path(self, key: Sequence[Any], ending: str) -> Path:
        digest = hashlib.sha256(repr(tuple(key)).encode()).hexdigest()
        return self.folder / f"{digest[:24]}.{ending}"


def key_of(world: World, subject: str, attack: Any, size: int, part: int, seed: int) -> list[Any]:
    """Return what a result depends on."""
    return [world.digest, subject, repr(attack), attack.revision, size, part, seed]


def run_attack(
    cache: Cache, world: World, subject: str, attack: Any, *, models: Sequence[int], part: int = 0
) -> dict[str, Any]:
    """Return the values of an attack that reads signals, with these references."""
    seen = with_references(world.seen[subject], models)
    key = key_of(world, subject, attack, len(models), part, 0)
    keep = not models or len(models) == max(REFERENCES)
    return cache.result(key, lambda: attack(seen, seed=0), seen, keep=keep)


def run_learned(
    cache: Cache, world: World, subject: str, attack: NasrAttack | SAMIA, *, seed: int
) -> dict[str, Any]:
    """Return the values of an attack that trains networks."""
    shadows = int(getattr(attack, "shadows", 0))
    seen = with_references(world.seen[subject], [])
    key = key_of(world, subject, attack, shadows, 0, seed)

    def make() -> Scores:
        if not shadows:
            return attack(seen, seed=seed)
        fleet = world.fleets[SUBJECTS.index(subject)]
        who = fleet.membership
        rows = [*who.targets.tolist(), *who.references[:shadows].tolist()]
        whole = observe(fleet.part(rows), world.records, signals=(), shadows=shadows)
        before = time.process_time()
        scores = attack(whole, seed=seed)
        print(
            f"{world.name}, {subject}, {attack!r}, seed {seed}: "
            f"{time.process_time() - before:.0f} CPU s",
            flush=True,
        )
        return scores

    return cache.result(key, make, seen, keep=True)


def audit_counts(world: World) -> dict[str, int]:
    """Return the numbers of targets, references and records, the mean number of members."""
    who = world.fleets[0].membership
    audit = who.pools[AUDIT]
    members = who.inside[who.targets][:, audit].sum(axis=1).mean()
    return {
        "targets": len(who.targets),
        "references": len(who.references),
        "audited_records": len(audit),
        "members": round(float(members)),
        "population": len(who.pool("population")),
        "utility": len(who.pool("utility")),
    }
