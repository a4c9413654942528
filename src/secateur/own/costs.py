"""What the audit of a recipe file will take: time, memory, disk; and what it can resolve."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from secateur.models import logits_of, tensors_of
from secateur.own.checks_network import fresh
from secateur.train.engines.auto import choose
from secateur.train.planned import work

if TYPE_CHECKING:
    from secateur.protocols import Probe
    from secateur.train import Recipe
    from secateur.types import Membership, Records

__all__ = ["Estimate", "estimate"]

ASKED = 512
COPIES = 4  # of the weights while they are trained by Adam: weights, gradients, two moments


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds on all cores, bytes; `training_s` is None where nothing could be timed.

    `worker_bytes` counts weights, gradients and an optimiser's two moments of one model; what its
    layers hold of a batch comes on top.
    """

    models: int
    training_s: float | None
    querying_s: float
    records_bytes: int
    worker_bytes: int
    disk_bytes: int


def estimate(
    recipe: Recipe,
    records: Records,
    membership: Membership,
    *,
    probe: Probe,
    snapshots: int,
    seconds_per_record: float | None = None,
    workers: int = 0,
) -> Estimate:
    """Time a few steps and queries, and return what a fleet and its audit will take.

    Args:
        recipe: what trains the models.
        records: all records.
        membership: who trains on what.
        probe: what snapshots keep.
        snapshots: how many epochs are kept.
        seconds_per_record: of training code of its own, which is taken as proportional.
        workers: worker processes; 0 means one per core.
    """
    cores = workers or len(os.sched_getaffinity(0))
    models = len(membership)
    network = fresh(recipe.build, 0)
    rows = np.arange(min(ASKED, len(records)))
    logits_of(network, records, indices=rows[:2])
    begun = time.perf_counter()
    logits = logits_of(network, records, indices=rows)
    per_record = (time.perf_counter() - begun) / len(rows)
    read = int(membership.inside.sum())
    training: float | None = None
    if recipe.train is None:
        rates = choose(recipe, None, records, membership, workers=workers).rates
        rate = max(rates.values(), default=None)
        training = None if not rate else work(recipe, None, membership) / rate / cores
    elif seconds_per_record is not None:
        training = seconds_per_record * read / cores
    weights = sum(a.nbytes for a in tensors_of(network).values())
    kept = sum(a.nbytes for a in probe(logits, records.labels[rows]).values()) / len(rows)
    taken = 0 if recipe.train is not None else snapshots
    return Estimate(
        models=models,
        training_s=training,
        querying_s=per_record * models * len(records) * (1 + taken) / cores,
        records_bytes=4 * len(records) * int(np.prod(records.input_shape)),
        worker_bytes=COPIES * weights,
        disk_bytes=round(models * (weights + taken * kept * len(records))),
    )
