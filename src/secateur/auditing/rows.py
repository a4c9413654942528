"""Turn scores and subjects into measurements and series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from secateur.auditing.leak import HEADLINE_FPR, leak_rows
from secateur.auditing.single import CORRECT, accuracy_row, accuracy_rows
from secateur.auditing.size import size_and_cost
from secateur.auditing.subjects import Subject
from secateur.data import canary_indices, holds_canaries
from secateur.measure import (
    accuracy_by_group,
    by_group,
    column_of,
    difference,
    gap_attack,
    non_member_units,
    per_target,
    resolved_fpr,
)
from secateur.types import AUDIT, UTILITY, Measurement, Scores, Series

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.types import FloatArray, IntArray, Membership, Records

__all__ = [
    "Scored",
    "attack_rows",
    "convergence_series",
    "difference_rows",
    "group_rows",
    "subject_rows",
    "target_series",
]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One attack on one subject; `scores` is the reason when the attack did not run."""

    subject: Subject
    attack: MembershipAttack
    scores: Scores | str
    threat: str

    @property
    def method(self) -> str:
        """The attack's spelling."""
        return repr(self.attack)


def attack_rows(scored: Scored) -> list[Measurement]:
    """Return AUC, balanced accuracy, accuracy and TPR at 1 % FPR (or the lowest FPR that n
    resolves) of one attack.
    """
    return leak_rows(
        scored.scores,
        scored.subject.observations.membership,
        subject=scored.subject.name,
        method=scored.method,
        threat=scored.threat,
    )


def group_rows(scored: Scored, records: Records, columns: Sequence[str]) -> list[Measurement]:
    """Return one attack's leak, and the targets' test accuracy, by groups of these columns."""
    subject = scored.subject
    membership = subject.observations.membership
    rows: list[Measurement] = []
    for name in columns:
        column = column_of(records, name)
        if isinstance(scored.scores, Scores):
            about = (subject.name, scored.method, scored.threat)
            rows += by_group(scored.scores, membership, column, name=name, about=about)
        correct = subject.observations.plain(CORRECT)
        rows += accuracy_by_group(correct, membership, column, name=name, subject=subject.name)
    return rows


def subject_rows(subject: Subject, records: Records) -> list[Measurement]:
    """Return accuracy, gap attack, size and cost of one subject."""
    membership = subject.observations.membership
    targets = membership.targets
    train, test = (a[targets] for a in subject.accuracies())
    audit = membership.pools[AUDIT]
    members = float(membership.inside[targets].sum(axis=1).mean())
    units = membership.units[audit]
    kinds = [
        [len(np.unique(units[s])) for s in (m, ~m)] for m in membership.inside[targets][:, audit]
    ]
    fewest_in, fewest_out = np.min(kinds, axis=0).tolist()
    seen = subject.observations
    inside = [membership.members(m) for m in targets.tolist()]
    rows = [accuracy_row(seen, inside, metric="train accuracy", counted="members")]
    if np.isfinite(test).all():
        rows.append(
            accuracy_row(
                seen,
                [membership.pool(UTILITY)] * len(targets),
                metric="test accuracy",
                counted="records",
            )
        )
        held_out = subject.observations.plain(CORRECT)
        outside = np.array(
            [held_out[m, membership.non_members(m)].mean() for m in targets.tolist()]
        )
        rows.append(
            gap_attack(
                train,
                outside,
                subject=subject.name,
                counts={"members": members, "non_members": float(len(audit)) - members},
                trials=2 * min(fewest_in, fewest_out),
            )
        )
    else:
        rows += accuracy_rows(subject.observations)[1:]
    return [*rows, *size_and_cost(subject, records)]


def difference_rows(a: Scored, b: Scored) -> list[Measurement]:
    """Return paired differences of one attack between two subjects: a - b, same targets."""
    if isinstance(a.scores, str) or isinstance(b.scores, str):
        return []
    membership = a.subject.observations.membership
    n = min(non_member_units(one, membership) for one in (a.scores, b.scores))
    fpr = resolved_fpr(n, HEADLINE_FPR)
    rows = []
    wanted: list[tuple[Literal["auc", "accuracy", "tpr"], float | None]]
    wanted = [("auc", None), ("tpr", fpr)]
    if a.threat == "insider":
        wanted.append(("accuracy", None))  # what the paper reports
    for metric, level in wanted:
        row = difference(
            a.scores,
            b.scores,
            membership,
            metric,
            fpr=level,
            about=(a.subject.name, b.subject.name, a.method),
            threat=a.threat,
        )
        rows.append(row)
    return rows


def early_stopping_series(
    subject: str,
    method: str,
    points: Sequence[tuple[int, FloatArray, FloatArray, Measurement]],
    targets: IntArray,
) -> Series:
    """Return the dense model's curve: per epoch its accuracies and its leak, over the targets."""
    columns: Mapping[str, tuple[float | None, ...]] = {
        "epoch": tuple(float(p[0]) for p in points),
        "train_accuracy": tuple(float(p[1][targets].mean()) for p in points),
        "test_accuracy": tuple(float(p[2][targets].mean()) for p in points),
        "auc": tuple(p[3].value for p in points),
        "low": tuple(p[3].low for p in points),
        "high": tuple(p[3].high for p in points),
    }
    return Series(
        id=f"early-stopping/{subject}",
        kind="early stopping",
        subject=subject,
        method=method,
        columns=columns,
        note="the dense models as they were after each epoch, from snapshots",
    )


def target_series(best: Scored, records: Records, insider: Scored | None = None) -> Series | None:
    """Return each target's accuracies and AUC under its family's attack; None without scores.

    What paired comparisons of several audits are made of: target i of two reports of one
    membership is the same draw of members.

    Args:
        best: the attack that the family is judged by.
        records: all.
        insider: an attack that decides for itself, whose accuracy stands beside, as papers give it.
    """
    if isinstance(best.scores, str):
        return None
    membership = best.subject.observations.membership
    train, test = (a[membership.targets] for a in best.subject.accuracies())
    fpr = resolved_fpr(non_member_units(best.scores, membership), HEADLINE_FPR)
    tpr = per_target(best.scores, membership, "tpr", fpr=fpr)[:500]
    return Series(
        id=f"targets/{best.subject.name}",
        kind="targets",
        subject=best.subject.name,
        method=best.method,
        columns={
            "target": tuple(float(t) for t in membership.targets[:500]),
            "train_accuracy": tuple(map(float, train[:500])),
            "test_accuracy": tuple(float(v) if np.isfinite(v) else None for v in test[:500]),
            "auc": tuple(map(float, per_target(best.scores, membership, "auc")[:500])),
            "tpr": tuple(map(float, tpr)),
            "fpr": (fpr,) * len(tpr),
            **_decided(insider),
            **_on_canaries(best.scores, membership, records),
        },
        note="one number per target; intervals over targets are made of them",
    )


def _decided(insider: Scored | None) -> dict[str, tuple[float, ...]]:
    """Return the accuracy on each target of an attack that has a threshold of its own."""
    if insider is None or isinstance(insider.scores, str) or insider.scores.threshold is None:
        return {}
    membership = insider.subject.observations.membership
    each = per_target(insider.scores, membership, "accuracy")[:500]
    return {"insider_accuracy": tuple(map(float, each))}


def _on_canaries(
    scores: Scores, membership: Membership, records: Records
) -> dict[str, tuple[float, ...]]:
    """Return each target's AUC and TPR on canaries of all kinds, against those left out of it."""
    if not holds_canaries(records):
        return {}
    planted = np.zeros(membership.inside.shape[1], np.bool_)
    planted[canary_indices(records)] = True
    alone = replace(scores, evaluated=scores.evaluated & planted)
    inside = membership.inside[membership.targets]
    if not ((alone.evaluated & inside).any(1) & (alone.evaluated & ~inside).any(1)).all():
        return {}
    fpr = resolved_fpr(non_member_units(alone, membership), HEADLINE_FPR)
    found = {"canary_auc": per_target(alone, membership, "auc")}
    found["canary_tpr"] = per_target(alone, membership, "tpr", fpr=fpr)
    columns = {name: tuple(map(float, values[:500])) for name, values in found.items()}
    return {**columns, "canary_fpr": (fpr,) * len(columns["canary_auc"])}


def convergence_series(subject: Subject) -> Series | None:
    """Return ADMM's residual per update and layer, mean over the targets; None without ADMM."""
    targets = subject.observations.membership.targets.tolist()
    artifacts = [subject.fleet.artifacts[t] for t in targets]
    if "admm/residual" not in artifacts[0].history:
        return None
    residual = np.mean([a.history["admm/residual"] for a in artifacts], axis=0)
    rho = artifacts[0].history["admm/rho"]
    layers = artifacts[0].layers
    cells = [(u, k) for u in range(residual.shape[0]) for k in range(residual.shape[1])][:500]
    return Series(
        id=f"convergence/{subject.name}",
        kind="convergence",
        subject=subject.name,
        method="ADMM",
        columns={
            "update": tuple(float(u + 1) for u, _ in cells),
            "layer": tuple(layers[k] for _, k in cells),
            "residual": tuple(float(residual[u, k]) for u, k in cells),
            "rho": tuple(float(rho[u]) for u, _ in cells),
        },
        note="||W - Z|| / ||W|| after each update, mean over the targets",
    )
