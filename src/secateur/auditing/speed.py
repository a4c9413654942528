"""How long the audited models take to answer, by the reference runtime, beside the baseline."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.context import version_of
from secateur.deploy import Latency, latency, peak_memory, to_onnx
from secateur.errors import InputError
from secateur.models import OnnxNetwork, runnable
from secateur.models.shipped import ONNX
from secateur.types import UTILITY, Measurement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secateur.deploy import Run
    from secateur.protocols import Progress
    from secateur.types import Fleet, Membership, Records

__all__ = ["Timed", "latency_rows", "timeable"]

BATCHES = (1, 32)
QUERIED = 256
"""Records that batches are taken from."""


@dataclass(frozen=True)
class Timed:
    """The ONNX file that is timed of a subject, and what it is to the one that is shipped."""

    subject: str
    data: bytes
    about: str


def timeable(fleets: Sequence[Fleet], records: Records) -> list[Timed]:
    """Return what is timed of each fleet, so that what cannot be is said before any long work.

    ONNX files run as they are; of other models an ONNX file is made of their tensors, zeros
    included, since the reference runtime reads no other file. The rows say which.

    Args:
        fleets: the first target of each is timed.
        records: the fleets'.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        MethodError: a network cannot be written as ONNX.
    """
    shape = records.gather(np.arange(1)).shape[1:]
    return [_timed(fleet, shape) for fleet in fleets]


def latency_rows(
    files: Sequence[Timed],
    membership: Membership,
    records: Records,
    *,
    progress: Progress | None = None,
) -> list[Measurement]:
    """Time the first target of each subject, all in turn, on batches of 1 and 32, on one thread and
    on all that this process may use; and measure the memory that each takes at its highest.

    Args:
        files: by `timeable`; the first is the baseline's.
        membership: the fleets'.
        records: the fleets'.
        progress: called after each timing.
    """
    pool = membership.pool(UTILITY)
    rows = pool[:QUERIED] if len(pool) else np.arange(min(QUERIED, len(records)))
    inputs = records.gather(rows)
    found: list[Measurement] = []
    for threads in dict.fromkeys((1, len(os.sched_getaffinity(0)))):
        runs = {f.subject: _run(OnnxNetwork(f.data, threads=threads)) for f in files}
        for batch in BATCHES:
            timed = latency(runs, inputs, batch=batch, progress=progress)
            for file in files:
                found += _rows(file, files[0].subject, timed[file.subject], threads)
    return found + [_memory(f, inputs.shape[1:], batch) for batch in BATCHES for f in files]


def _timed(fleet: Fleet, shape: tuple[int, ...]) -> Timed:
    target = fleet.artifacts[int(fleet.membership.targets[0])]
    build = fleet.recipe.build
    file = target.shipped
    if file is not None and file.form.startswith(ONNX):
        OnnxNetwork(file.data)  # refuses where there is no runtime
        return Timed(fleet.name, file.data, "the first target's file")
    made = "an ONNX file made of the first target's tensors"
    about = made if file is None else f"{made}, not its {file.form} file, which no runtime runs"
    return Timed(fleet.name, to_onnx(runnable(target, build), shape), about)


def _run(network: OnnxNetwork) -> Run:
    import torch

    def run(batch: Any) -> Any:
        return network(torch.from_numpy(batch))

    return run


def _at_once(batch: int) -> str:
    return f"{batch} record{'s' if batch > 1 else ''}"


def _rows(file: Timed, baseline: str, timed: Latency, threads: int) -> list[Measurement]:
    what = _at_once(timed.batch) + (f", {threads} threads" if threads > 1 else "")
    lowest, middle, highest = timed.faster
    about: dict[str, Any] = {
        "subject": file.subject,
        "risk": "latency",
        "method": f"ONNX Runtime {version_of('onnxruntime')}, {threads} "
        f"thread{'s' if threads > 1 else ''}, in turn with the others",
        "estimand": "property",
    }
    rows = [
        Measurement(
            **about,
            metric=f"latency, {what}",
            value=timed.median,
            unit="ms",
            better="lower",
            counts={"p95": timed.p95, "calls": float(timed.calls)},
            why=f"the median of all calls of {file.about}",
        )
    ]
    if file.subject != baseline:
        rows.append(
            Measurement(
                **about,
                metric=f"speed-up, {what}",
                versus=baseline,
                value=middle,
                better="higher",
                counts={"lowest": lowest, "highest": highest, "rounds": float(len(timed.speed_up))},
                why="the median over rounds; in each, all models were timed in turn; of "
                + file.about,
            )
        )
    return rows


def _memory(file: Timed, shape: tuple[int, ...], batch: int) -> Measurement:
    about: dict[str, Any] = {
        "subject": file.subject,
        "risk": "latency",
        "method": f"ONNX Runtime {version_of('onnxruntime')}, 1 thread, in a process of its own",
        "metric": f"peak memory, {_at_once(batch)}",
        "unit": "B",
        "estimand": "property",
        "better": "lower",
    }
    try:
        value = peak_memory(file.data, shape, batch=batch)
    except InputError as error:  # a system that tells no memory
        return Measurement(**about, value=None, status="not run", why=str(error))
    return Measurement(**about, value=float(value), why=f"of loading and running {file.about}")
