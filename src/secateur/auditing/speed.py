"""How long the audited models take to answer, by the reference runtime, beside the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.context import version_of
from secateur.deploy import Latency, latency, to_onnx
from secateur.models import OnnxNetwork, rebuild, runnable
from secateur.types import UTILITY, Measurement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from secateur.auditing.subjects import Subject
    from secateur.deploy import Run
    from secateur.protocols import Progress
    from secateur.types import Fleet, Records

__all__ = ["latency_rows", "timeable"]

BATCHES = (1, 32)
QUERIED = 256
"""Records that batches are taken from."""


def timeable(fleets: Sequence[Fleet], records: Records) -> list[nn.Module]:
    """Return what is timed of each fleet, before any long work: its first target as an ONNX file.

    ONNX files run as they are; of other models an ONNX file is made of their tensors, zeros
    included, since the reference runtime reads no other file.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        MethodError: a network that cannot be written as ONNX.
    """
    shape = records.gather(np.arange(1)).shape[1:]
    return [_network(fleet, shape) for fleet in fleets]


def latency_rows(
    subjects: Sequence[Subject],
    networks: Sequence[nn.Module],
    records: Records,
    *,
    progress: Progress | None = None,
) -> list[Measurement]:
    """Time the first target of each subject, all in turn, one thread, batches of 1 and 32.

    Args:
        subjects: the first is the baseline.
        networks: of each subject, by `timeable`.
        records: the fleets'.
        progress: called after each timing.
    """
    pool = subjects[0].observations.membership.pool(UTILITY)
    rows = pool[:QUERIED] if len(pool) else np.arange(min(QUERIED, len(records)))
    inputs = records.gather(rows)
    runs = {s.name: _run(network) for s, network in zip(subjects, networks, strict=True)}
    found: list[Measurement] = []
    for batch in BATCHES:
        timed = latency(runs, inputs, batch=batch, progress=progress)
        for subject in subjects:
            found += _rows(subject.name, subjects[0].name, timed[subject.name])
    return found


def _network(fleet: Fleet, shape: tuple[int, ...]) -> nn.Module:
    target = fleet.artifacts[int(fleet.membership.targets[0])]
    build = fleet.recipe.build
    if target.shipped is not None:
        network = runnable(target, build)
        if isinstance(network, OnnxNetwork):
            return network
    else:
        network = rebuild(target, build)
    return OnnxNetwork(to_onnx(network, shape))


def _run(network: nn.Module) -> Run:
    import torch

    def run(batch: Any) -> Any:
        return network(torch.from_numpy(batch))

    return run


def _rows(subject: str, baseline: str, timed: Latency) -> list[Measurement]:
    at_once = f"{timed.batch} record{'s' if timed.batch > 1 else ''}"
    lowest, middle, highest = timed.faster
    about: dict[str, Any] = {
        "subject": subject,
        "risk": "latency",
        "method": f"ONNX Runtime {version_of('onnxruntime')}, 1 thread, in turn with the others",
        "estimand": "property",
    }
    rows = [
        Measurement(
            **about,
            metric=f"latency, {at_once}",
            value=timed.median,
            unit="ms",
            better="lower",
            counts={"p95": timed.p95, "calls": float(timed.calls)},
            why="the median of all calls; the first target",
        )
    ]
    if subject != baseline:
        rows.append(
            Measurement(
                **about,
                metric=f"speed-up, {at_once}",
                versus=baseline,
                value=middle,
                better="higher",
                counts={"lowest": lowest, "highest": highest, "rounds": float(len(timed.speed_up))},
                why="the median over rounds; in each, all models were timed in turn",
            )
        )
    return rows
