"""Ask a model at perturbed inputs and keep one number per signal and record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from secateur import store
from secateur.data import MeanSignal
from secateur.errors import DataError
from secateur.models import logits_of
from secateur.probe.signals import signals
from secateur.types import AUDIT

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from secateur.probe.shelf import Shelf
    from secateur.protocols import Perturbed
    from secateur.types import Artifact, IntArray, Membership, Records, Signal

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

    def digests(self, records: Records) -> dict[str, str]:
        """Return per perturbation, by its spelling, a digest of all that models are asked.

        Counted are the inputs of every query, in order, and the labels by which signals are read,
        so that two perturbations of one spelling, or other records, have another one.
        """
        found = {}
        plain = np.array(records.gather(self.where))
        labels = np.ascontiguousarray(records.labels[self.where], dtype=np.int64)
        for spelling, perturbed in self.perturbed.items():
            seen = hashlib.sha256(labels.tobytes())
            for query in range(len(perturbed)):
                inputs = np.array(perturbed.change(records, query)(plain.copy()), np.float32)
                seen.update(f"|{inputs.shape}|".encode())
                seen.update(np.ascontiguousarray(inputs).data)
            found[spelling] = seen.hexdigest()
        return found

    def means(
        self,
        module: nn.Module,
        records: Records,
        artifact: Artifact | None = None,
        shelf: Shelf | None = None,
    ) -> tuple[dict[str, np.ndarray[Any, Any]], str]:
        """Return per key a signal's mean over one model's queries, `[records]`, 0 where not asked;
        and why answers could not be kept, which is empty where they are.

        All queries of a perturbation are made once, whatever is kept of them.

        Args:
            module: the model, ready to be asked.
            records: as of `about`.
            artifact: what the module is made of, by which its answers are found on the shelf.
            shelf: where answers are looked for, and kept; by default nowhere.
        """
        found: dict[str, np.ndarray[Any, Any]] = {}
        why = ""
        for spelling in self.perturbed:
            wanted = [s for s in self.wanted if repr(s.over) == spelling]
            place = shelf.place(artifact, spelling) if shelf and artifact else None
            means = {} if place is None else store.found_answers(place, len(self.where))
            missing = [s for s in wanted if s.plain.key not in means]
            if missing:
                means |= self._means(module, records, spelling, missing)
                if shelf is not None and place is not None:
                    why = shelf.keep(place, means) or why
            for s in wanted:
                found[s.key] = np.zeros(len(records), np.float32)
                found[s.key][self.where] = means[s.plain.key]
        return found, why

    def _means(
        self, module: nn.Module, records: Records, spelling: str, wanted: Sequence[MeanSignal]
    ) -> dict[str, NDArray[np.float32]]:
        """Ask a model all queries of one perturbation; return means by the keys of plain signals,
        `[audited record]`.
        """
        labels = records.labels[self.where]
        plain = [s.plain for s in wanted]
        sums = {s.key: np.zeros(len(self.where)) for s in plain}
        queries = len(self.perturbed[spelling])
        for query in range(queries):
            change = self._changed(records, spelling, query)
            logits = logits_of(module, records, indices=self.where, change=change)
            for key, values in signals(logits, labels, plain).items():
                sums[key] += values
        return {key: (total / queries).astype(np.float32) for key, total in sums.items()}

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
