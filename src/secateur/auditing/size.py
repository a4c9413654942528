"""How large the models of a subject are, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from secateur.auditing.subjects import Subject, cpu_seconds
from secateur.compress import count_kept
from secateur.deploy import Footprint, footprint
from secateur.measure import size_rows
from secateur.models import prunable, rebuild
from secateur.types import Measurement

if TYPE_CHECKING:
    from secateur.types import Artifact, Records

__all__ = ["file_digests", "network_rows", "size_and_cost"]


def network_rows(subject: Subject, baseline: Subject) -> list[Measurement]:
    """Return how large a subject is beside the baseline, where its network is another one."""
    own, plain = _counts(subject), _counts(baseline)
    if own["prunable"] == plain["prunable"]:
        return []
    counts = {"kept": float(own["kept"]), "prunable": float(plain["prunable"])}
    values: list[tuple[str, float, Literal["lower", "higher"]]] = [
        ("kept of the baseline's weights", counts["kept"] / counts["prunable"], "lower")
    ]
    if counts["kept"]:
        rate = counts["prunable"] / counts["kept"]
        values.append(("compression rate of the baseline's weights", rate, "higher"))
    return [
        Measurement(
            subject=subject.name,
            risk="size",
            method="count of non-zeros",
            metric=metric,
            value=value,
            status="exact",
            estimand="property",
            counts=counts,
            better=better,
        )
        for metric, value, better in values
    ]


def _first(subject: Subject) -> Artifact:
    return subject.fleet.artifacts[int(subject.observations.membership.targets[0])]


def _counts(subject: Subject) -> dict[str, int]:
    first = _first(subject)
    module = rebuild(first, subject.fleet.recipe.build)
    parameters = {name for name, _ in module.named_parameters()}
    return count_kept(first.tensors, prunable(module), parameters)


def size_and_cost(subject: Subject, records: Records) -> list[Measurement]:
    """Return weights kept, bytes, multiply-adds and CPU seconds of a subject's models."""
    counts = _counts(subject)
    rows = size_rows(subject.name, **counts) if counts["prunable"] else []
    if subject.kind == "stopped" or not counts["parameters"]:  # an estimator has no weights
        return rows
    rows += _footprint_rows(subject, records)
    cost = cpu_seconds(subject)
    if cost:
        rows.append(
            Measurement(
                subject=subject.name,
                risk="cost",
                method="process time",
                metric="cpu seconds per model",
                value=cost["value"],
                unit="s",
                better="lower",
                status="exact",
                estimand="property",
                counts={"models": cost["models"]},
            )
        )
    return rows


def _footprint_rows(subject: Subject, records: Records) -> list[Measurement]:
    """Return what the first target takes on a device."""
    shape = records.gather(np.arange(1)).shape[1:]
    found = footprint(_first(subject), subject.fleet.recipe.build, shape=shape)
    values: list[tuple[str, str, float, Literal["B", ""]]] = [
        (_bytes_of(found), found.form, found.n_bytes, "B"),
        ("multiply-adds", "forward pass of a record", found.work.dense, ""),
        ("effective multiply-adds", "forward pass of a record", found.work.effective, ""),
    ]
    why = f"the first target's file, SHA-256 {found.digest}" if found.digest else "the first target"
    missing = found.work.uncounted
    less = f"; not counted: {', '.join(missing)}" if missing else ""
    about: dict[str, Any] = {"subject": subject.name, "risk": "size", "better": "lower"}
    return [
        Measurement(
            **about,
            method=method,
            metric=metric,
            value=float(value),
            unit=unit,
            status="exact",
            estimand="property",
            counts={"parameters": float(found.parameters), "nonzero": float(found.nonzero)},
            why=why + (less if "multiply" in metric else ""),
        )
        for metric, method, value, unit in values
    ]


def _bytes_of(found: Footprint) -> str:
    return "bytes of the file" if found.digest else "bytes of all tensors"


def file_digests(subject: Subject) -> list[str]:
    """Return the SHA-256 of the files that were audited, target by target; none without files."""
    if _first(subject).shipped is None:
        return []
    targets = subject.observations.membership.targets.tolist()
    files = [subject.fleet.artifacts[target].shipped for target in targets]
    return [file.digest for file in files if file is not None]
