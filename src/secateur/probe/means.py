"""Ask a model at perturbed inputs and keep one number per signal and record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from secateur import store
from secateur.data import MeanSignal
from secateur.errors import DataError
from secateur.models import logits_of
from secateur.probe.signals import signals
from secateur.types import AUDIT, Provenance

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from secateur.protocols import Perturbed
    from secateur.types import Artifact, IntArray, Membership, Records, Signal

__all__ = ["Asked", "Shelf"]

HELD = 2**29
"""Bytes of changed records that a process keeps for the next model."""

REVISION = 1
"""Of what is kept of answers: those of another one are asked for anew."""


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Where models' answers are kept, so that nobody asks the same model the same twice.

    Args:
        folder: made where it is missing.
        code: digests of the code that makes the queries, by name.
    """

    folder: Path
    code: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """Perturbed queries that stand ready for every model of a fleet, and what is kept of them.

    `perturbed` is by the perturbation's spelling; `missing` says of signals, by key, why these
    records have none. `key` holds what all answers depend on beside model and perturbation.
    """

    where: IntArray
    wanted: tuple[MeanSignal, ...]
    perturbed: Mapping[str, Perturbed]
    missing: Mapping[str, str]
    shelf: Shelf | None = None
    key: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def about(
        cls,
        records: Records,
        membership: Membership,
        wanted: Sequence[Signal],
        shelf: Shelf | None = None,
    ) -> Asked:
        """Prepare the queries about the audited records, once for all models.

        Args:
            records: asked about.
            membership: whose pool `audit` says about which of them.
            wanted: signals, of which those over perturbed queries count.
            shelf: where answers are kept; by default nowhere.
        """
        where = membership.pools[AUDIT]
        means = [s for s in wanted if isinstance(s, MeanSignal)]
        ready: dict[str, Perturbed] = {}
        refused: dict[str, str] = {}
        for over in {repr(s.over): s.over for s in means}.values():
            try:
                ready[repr(over)] = over.prepared(records, membership, where)
            except DataError as error:
                refused[repr(over)] = str(error)
        return cls(
            where=where,
            wanted=tuple(s for s in means if repr(s.over) in ready),
            perturbed=ready,
            missing={s.key: refused[repr(s.over)] for s in means if repr(s.over) in refused},
            shelf=shelf,
            key={}
            if shelf is None
            else {
                "records": records.digest,
                "membership": membership.digest,
                "code": dict(shelf.code),
                "torch": torch.__version__,
                "answers": REVISION,
            },
        )

    def means(
        self, module: nn.Module, records: Records, artifact: Artifact | None = None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Return per key a signal's mean over one model's queries, `[records]`; 0 where not asked.

        All queries of a perturbation are made once, whatever is kept of them.

        Args:
            module: the model, ready to be asked.
            records: as of `about`.
            artifact: what the module is made of, by which its answers are found on the shelf.
        """
        found: dict[str, np.ndarray[Any, Any]] = {}
        for spelling in self.perturbed:
            kept = [s for s in self.wanted if repr(s.over) == spelling]
            place = self._place(spelling, kept, module, artifact)
            means = None if place is None else store.found_answers(place, [s.key for s in kept])
            if means is None:
                means = self._means(module, records, spelling, kept)
                if place is not None:
                    store.write_answers(place, means)
            for key, values in means.items():
                found[key] = np.zeros(len(records), np.float32)
                found[key][self.where] = values
        return found

    def _means(
        self, module: nn.Module, records: Records, spelling: str, kept: Sequence[MeanSignal]
    ) -> dict[str, NDArray[np.float32]]:
        """Ask a model all queries of one perturbation; return the means, `[audited record]`."""
        labels = records.labels[self.where]
        sums = {s.key: np.zeros(len(self.where)) for s in kept}
        queries = len(self.perturbed[spelling])
        for query in range(queries):
            change = self._changed(records, spelling, query)
            logits = logits_of(module, records, indices=self.where, change=change)
            one = signals(logits, labels, [s.plain for s in kept])
            for s in kept:
                sums[s.key] += one[s.plain.key]
        return {key: (total / queries).astype(np.float32) for key, total in sums.items()}

    def _place(
        self,
        spelling: str,
        kept: Sequence[MeanSignal],
        module: nn.Module,
        artifact: Artifact | None,
    ) -> Path | None:
        """Return the file of one model's answers; None where they are not kept, or the artifact
        does not hold all that answers.
        """
        if self.shelf is None or artifact is None or not (artifact.tensors or artifact.shipped):
            return None
        device = next((p.device.type for p in module.parameters()), "cpu")
        whole = {
            **self.key,
            "model": artifact.digest,
            "builder": artifact.builder,
            "over": spelling,
            "signals": [s.plain.key for s in kept],
            "device": device,
        }
        return self.shelf.folder / f"{Provenance(key=whole).digest}.npz"

    def _changed(self, records: Records, spelling: str, query: int) -> _Blocks:
        """Return the inputs of one query, which are the same for every model: kept while they fit.

        Not kept in what is sent to other processes.
        """
        kept = _KEPT.setdefault(self, {})
        inputs = kept.get((spelling, query))
        if inputs is None:
            change = self.perturbed[spelling].change(records, query)
            inputs = np.array(change(np.array(records.gather(self.where))), dtype=np.float32)
            if (len(kept) + 1) * inputs.nbytes <= HELD:
                kept[spelling, query] = inputs
        return _Blocks(inputs)


class _Blocks:
    """Give changed records in the place of records as they are, block after block."""

    def __init__(self, inputs: np.ndarray[Any, Any]) -> None:
        self.inputs = inputs
        self.given = 0

    def __call__(self, plain: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        first, self.given = self.given, self.given + len(plain)
        return self.inputs[first : self.given]


_KEPT: WeakKeyDictionary[Asked, dict[tuple[str, int], np.ndarray[Any, Any]]] = WeakKeyDictionary()
