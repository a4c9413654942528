"""Ask a model at perturbed inputs and keep one number per signal and record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from secateur.data import MeanSignal
from secateur.errors import DataError
from secateur.models import logits_of
from secateur.probe.signals import signals
from secateur.types import AUDIT

if TYPE_CHECKING:
    from torch import nn

    from secateur.protocols import Perturbed
    from secateur.types import IntArray, Membership, Records, Signal

__all__ = ["Asked"]

HELD = 2**29
"""Bytes of changed records that a process keeps for the next model."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """Perturbed queries that stand ready for every model of a fleet, and what is kept of them.

    `perturbed` is by the perturbation's spelling; `missing` says of signals, by key, why these
    records have none.
    """

    where: IntArray
    wanted: tuple[MeanSignal, ...]
    perturbed: Mapping[str, Perturbed]
    missing: Mapping[str, str]

    @classmethod
    def about(cls, records: Records, membership: Membership, wanted: Sequence[Signal]) -> Asked:
        """Prepare the queries about the audited records, once for all models."""
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
        )

    def means(self, module: nn.Module, records: Records) -> dict[str, np.ndarray[Any, Any]]:
        """Return per key a signal's mean over one model's queries, `[records]`; 0 where not asked.

        All queries of a perturbation are made once, whatever is kept of them.
        """
        found: dict[str, np.ndarray[Any, Any]] = {}
        labels = records.labels[self.where]
        for spelling, perturbed in self.perturbed.items():
            kept = [s for s in self.wanted if repr(s.over) == spelling]
            sums = {s.key: np.zeros(len(self.where)) for s in kept}
            for query in range(len(perturbed)):
                change = self._changed(records, spelling, query)
                logits = logits_of(module, records, indices=self.where, change=change)
                one = signals(logits, labels, [s.plain for s in kept])
                for s in kept:
                    sums[s.key] += one[s.plain.key]
            for key, total in sums.items():
                found[key] = np.zeros(len(records), np.float32)
                found[key][self.where] = total / len(perturbed)
        return found

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
