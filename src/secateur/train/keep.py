"""What is kept of a model: arrays on the way, and signals in place of its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import store
from secateur.data import Queries, joined_queries
from secateur.errors import InputError, MethodError
from secateur.models import logits_of, runnable
from secateur.spreading import spread_tasks
from secateur.types import Artifact, Fleet, Kept, Records

if TYPE_CHECKING:
    from torch import nn

    from secateur.protocols import Builder, Probe, Progress

__all__ = ["Keep", "Snapshots", "drop_weights", "is_clean", "thinned", "weights_missing"]


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """What is kept of a model while it trains: a probe's arrays after some epochs of its first
    phase.

    Args:
        epochs: increasing numbers of finished epochs, at most 12.
        probe: reduces logits to named arrays, one value per record.
        queries: the forms in which each record is asked about.
    """

    epochs: tuple[int, ...]
    probe: Probe
    queries: Queries = field(default_factory=Queries)

    def __post_init__(self) -> None:
        if (
            not self.epochs
            or len(self.epochs) > 12
            or list(self.epochs) != sorted(set(self.epochs))
        ):
            raise MethodError(
                f"snapshot epochs must be 1 to 12 increasing numbers, got {self.epochs}"
            )
        if self.epochs[0] < 1:
            raise MethodError(f"snapshot epochs count finished epochs from 1, got {self.epochs[0]}")

    def taken(
        self, records: Records, kept: dict[str, list[np.ndarray[Any, Any]]]
    ) -> Callable[[nn.Module, int], None]:
        """Return what keeps the probe's arrays after the chosen epochs, in `kept`."""

        def take(module: nn.Module, epoch: int) -> None:
            if epoch in self.epochs:
                for name, values in _probed(module, records, self.probe, self.queries).items():
                    kept.setdefault(name, []).append(values)

        return take


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Keep of each reference model its signals on all records, and not its weights.

    Targets are kept whole: an audit measures their size and may look at their outputs. Of the
    references it needs the signals alone, 4 bytes each per query and record. A fleet without
    weights cannot be pruned any more.

    Args:
        probe: reduces logits to named arrays, one value per record.
        queries: the forms in which each record is asked about; an audit must ask in the same.

    Example:
        >>> from secateur.probe import SignalProbe
        >>> from secateur.types import Signal
        >>> Keep(probe=SignalProbe(signals=(Signal(name="margin"),))).queries
        Queries(flip=False, shift=0)
    """

    probe: Probe
    queries: Queries = field(default_factory=Queries)

    def kept_by(self, artifact: Artifact) -> bool:
        """Tell whether a model without weights holds these signals, asked for in this way."""
        kept = artifact.kept
        return kept is not None and (kept.probe, kept.queries) == (
            repr(self.probe),
            repr(self.queries),
        )


def _probed(
    module: nn.Module, records: Records, probe: Probe, queries: Queries
) -> dict[str, np.ndarray[Any, Any]]:
    found = [
        probe(logits_of(module, records, change=change), records.labels)
        for change in queries.changes()
    ]
    return joined_queries(found)


def weights_missing(model: int) -> InputError:
    """Return the error for a model that cannot be changed, since only its signals were kept."""
    return InputError(
        f"the weights of model {model} were not kept, only its signals: it can be audited, but not "
        "changed; train the fleet anew into another folder, and keep all"
    )


def thinned(artifact: Artifact, build: Builder, records: Records, keep: Keep) -> Artifact:
    """Return a model without weights and masks, its signals in their place.

    Args:
        artifact: a model with its weights.
        build: makes its empty network.
        records: all of the fleet's.
        keep: which signals.
    """
    signals = _probed(runnable(artifact, build), records, keep.probe, keep.queries)
    kept = Kept(
        signals=signals,
        probe=repr(keep.probe),
        queries=repr(keep.queries),
        model=artifact.digest,
    )
    return replace(artifact, tensors={}, masks={}, surgery={}, shipped=None, kept=kept)


def _drop(records: Records, build: Builder, keep: Keep, path: Path) -> int:
    """Replace one model's file; return the bytes that this frees."""
    artifact = store.read_artifact(path)
    if artifact.kept is not None:
        return 0
    before = path.stat().st_size
    store.write_artifact(path, thinned(artifact, build, records, keep))
    return before - path.stat().st_size


def is_clean(fleet: Fleet) -> bool:
    """Tell whether of every reference the signals alone are there, and no weights."""
    return all(fleet.artifacts[int(m)].kept is not None for m in fleet.membership.references)


def drop_weights(
    fleet: Fleet,
    records: Records,
    keep: Keep,
    *,
    workers: int = 0,
    progress: Progress | None = None,
) -> int:
    """Replace the weights of a stored fleet's references by their signals; targets stay whole.

    Afterwards the fleet can be audited with these signals and queries, but not pruned. Each file is
    replaced as a whole, so that an interrupted call can be repeated.

    Args:
        fleet: opened with its recipe.
        records: the fleet's.
        keep: which signals.
        workers: processes, started where the work is long (`spread_tasks`); 0 works in this one.
        progress: called after each model.

    Returns:
        The bytes that this frees.

    Raises:
        InputError: a fleet in memory, or one opened without its recipe.
    """
    locate: Callable[[int], Path] | None = getattr(fleet.artifacts, "path", None)
    if locate is None or fleet.recipe is None:
        raise InputError("weights are dropped from a fleet in a folder; open it with its recipe")
    fleet.check_records(records)
    if is_clean(fleet):
        return 0
    paths = [locate(int(model)) for model in fleet.membership.references]
    results = spread_tasks(
        _drop, paths, workers=workers, shared=(records, fleet.recipe.build, keep), progress=progress
    )
    return sum(result.value for result in results)
