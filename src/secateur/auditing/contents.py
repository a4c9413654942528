"""What a report of fleets holds: rows, series and facts, from what the attacks found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.auditing.accounted import accounted_rows
from secateur.auditing.consequences import consequence_rows
from secateur.auditing.rows import (
    Scored,
    attack_rows,
    convergence_series,
    difference_rows,
    subject_rows,
    target_series,
)
from secateur.auditing.single import CORRECT
from secateur.auditing.size import file_digests, network_rows
from secateur.auditing.statements import (
    BEYOND,
    LIMIT_OF_FILES,
    LIMITS,
    threat_model,
)
from secateur.auditing.subjects import Subject
from secateur.measure import histogram_series, roc_series
from secateur.types import Scores
from secateur.types.phrases import how_references_were_made

if TYPE_CHECKING:
    from secateur.types import Measurement, Records, Series

__all__ = ["Found", "facts_of", "repeats", "rows_of", "series_of"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known while the report is put together."""

    subjects: list[Subject]
    scored: list[Scored]
    naive: list[Scored]
    strongest: dict[str, str]
    chosen_on: dict[str, str]
    matched: list[dict[str, Any]]
    curve: Series | None

    def best(self, subject: str) -> Scored | None:
        """Return the subject's strongest attack as scored on the targets."""
        for item in self.scored:
            if item.subject.name == subject and item.method == self.strongest.get(subject):
                return item
        return None

    def insider(self, subject: str) -> Scored | None:
        """Return the first attack on a subject that decides for itself whom it calls a member."""
        for item in self.scored:
            if item.subject.name == subject and item.threat == "insider":
                return item
        return None


def rows_of(
    state: Found, records: Records, *, seed: int
) -> tuple[list[Measurement], list[tuple[Measurement, Measurement]]]:
    """Return all rows but those of groups, and (naive, adaptive) AUCs of what is no baseline."""
    rows: list[Measurement] = []
    for subject in state.subjects:
        rows += subject_rows(subject, records)
        rows += network_rows(subject, state.subjects[0])
    for item in (*state.scored, *state.naive):
        rows += attack_rows(item)
    for subject in state.subjects:
        rows += _consequences(state.best(subject.name), seed)
        if subject.kind != "stopped":
            rows += accounted_rows(subject.fleet, subject=subject.name)
    baseline = state.subjects[0].name
    by_key = {(i.subject.name, i.method): i for i in state.scored}
    for item in state.scored:
        if item.subject.kind not in ("pruned", "defended"):
            continue
        against = [
            baseline,
            *(m["view"] for m in state.matched if m["subject"] == item.subject.name),
        ]
        for other in dict.fromkeys(against):
            if (other, item.method) in by_key:
                rows += difference_rows(item, by_key[(other, item.method)])
    pairs = []
    for weak in state.naive:
        if isinstance(weak.scores, str):
            continue
        best = state.best(weak.subject.name)
        if best is not None and best.method == weak.method and isinstance(best.scores, Scores):
            pairs.append((attack_rows(weak)[0], attack_rows(best)[0]))
    return rows, pairs


def _consequences(best: Scored | None, seed: int) -> list[Measurement]:
    if best is None or isinstance(best.scores, str):
        return []
    subject = best.subject
    return consequence_rows(
        best.scores,
        subject.observations,
        best.attack,
        subject=subject.name,
        threat=best.threat,
        seed=seed,
    )


def series_of(state: Found, records: Records) -> list[Series]:
    """Return curves, histograms and per-target numbers of every subject's strongest attack, and
    ADMM's residuals.
    """
    found: list[Series] = [] if state.curve is None else [state.curve]
    for subject in state.subjects:
        best = state.best(subject.name)
        membership = subject.observations.membership
        if best is not None and isinstance(best.scores, Scores):
            found.append(
                roc_series(best.scores, membership, subject=subject.name, method=best.method)
            )
            found.append(
                histogram_series(best.scores, membership, subject=subject.name, method=best.method)
            )
        each = None if best is None else target_series(best, records, state.insider(subject.name))
        found += [] if each is None else [each]
        if subject.kind == "pruned":
            curve = convergence_series(subject)
            found += [] if curve is None else [curve]
    return found


def _of_references(subjects: list[Subject]) -> dict[str, float]:
    """Return the median test accuracy of each family's references, by which settings are matched: a
    few whose training failed would pull a mean.
    """
    references = subjects[0].observations.membership.references
    if not references.size:
        return {}
    found = {s.name: float(np.median(s.accuracies()[1][references])) for s in subjects}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def repeats(subject: Subject, baseline: Subject) -> dict[str, str]:
    """Return, of an early stop at the last epoch, that it repeats the baseline; else nothing."""
    epochs = getattr(baseline.fleet.recipe, "epochs", None)
    if subject.kind != "stopped" or subject.name != f"{baseline.name}, epoch {epochs}":
        return {}
    seen, whole = (s.observations.plain(CORRECT) for s in (subject, baseline))
    return {"repeats": baseline.name} if np.array_equal(seen, whole) else {}


def _how(state: Found) -> str:
    """Say how references were made; of a model that was handed over that is what somebody says."""
    first = state.subjects[0]
    given = "given" in first.observations.membership.roles
    return how_references_were_made(first.fleet.pipeline, given=given)


def facts_of(
    state: Found, records: Records, seed: int, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the report says of data, models, choices and limits."""
    membership = state.subjects[0].observations.membership
    shipped = [s for s in state.subjects if s.kind != "stopped"]
    alone = [] if membership.references.size else [BEYOND]
    files = {s.name: digests for s in shipped if (digests := file_digests(s))}
    return {
        **({"files": files} if files else {}),
        "data": {
            "name": records.name,
            "records": len(records),
            "classes": records.n_classes,
            "digest": records.digest,
        },
        "pools": {name: len(indices) for name, indices in membership.pools.items()},
        "models": {"targets": len(membership.targets), "references": len(membership.references)},
        "subjects": {
            s.name: {
                "pipeline": list(s.fleet.pipeline),
                "label": labels.get(s.name, s.name),
                "kind": s.kind,
                **repeats(s, state.subjects[0]),
            }
            for s in state.subjects
        },
        "baseline": state.subjects[0].name,
        "strongest": state.strongest,
        "chosen_on": state.chosen_on,
        "reference_accuracy": _of_references(shipped),
        "matched": state.matched,
        "threat_model": threat_model([i.attack for i in state.scored], how=_how(state)),
        "limits": [*alone, *LIMITS, *([LIMIT_OF_FILES] if files else [])],
        "seed": seed,
    }
