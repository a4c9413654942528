"""Query every model of a fleet once and keep what the attacks read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur import store
from secateur.data import Queries, joined_queries
from secateur.errors import InputError
from secateur.models import logits_of, rebuild
from secateur.parallel import run_tasks
from secateur.probe.signals import signals as compute_signals
from secateur.probe.signals import softmax
from secateur.types import Artifact, Fleet, Kept, Observations, Signal

if TYPE_CHECKING:
    from secateur.protocols import Builder, Progress
    from secateur.types import Records

__all__ = ["join_views", "observe", "observe_model", "snapshot_view"]


def observe_model(
    records: Records,
    build: Builder,
    wanted: tuple[Signal, ...],
    queries: Queries,
    task: tuple[Artifact | Path, bool],
) -> tuple[dict[str, np.ndarray[Any, Any]], np.ndarray[Any, Any] | None]:
    """Return one model's signals on all records, and where asked its posteriors on them as they
    are.
    """
    artifact, keep_posterior = task
    if isinstance(artifact, Path):
        artifact = store.read_artifact(artifact)
    if artifact.kept is not None:
        return _kept_signals(artifact.kept, wanted, queries, keep_posterior), None
    module = rebuild(artifact, build)
    logits = logits_of(module, records)
    found = [compute_signals(logits, records.labels, wanted)]
    for change in queries.changes()[1:]:
        changed = logits_of(module, records, change=change)
        found.append(compute_signals(changed, records.labels, wanted))
    return joined_queries(found), softmax(logits) if keep_posterior else None


def _kept_signals(
    kept: Kept, wanted: tuple[Signal, ...], queries: Queries, posterior: bool
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the signals of a model whose weights were not kept."""
    missing = [signal.key for signal in wanted if signal.key not in kept.signals]
    if missing or posterior or kept.queries != repr(queries):
        asked = "its posteriors" if posterior else f"the signals {missing}"
        what = asked if missing or posterior else f"signals under {queries!r}"
        raise InputError(
            f"{what} cannot be had from a model whose weights were not kept; there are "
            f"{sorted(kept.signals)} under {kept.queries}: use attacks and queries that these "
            "serve, or make the fleet anew and keep its weights"
        )
    return {signal.key: np.asarray(kept.signals[signal.key]) for signal in wanted}


def observe(
    fleet: Fleet,
    records: Records,
    *,
    signals: Sequence[Signal],
    posteriors: bool = True,
    queries: Queries | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Observations:
    """Query every model of a fleet on all records.

    Args:
        fleet: opened with its recipe.
        records: the fleet's records.
        signals: what to keep per (model, record); see `Signal`.
        posteriors: keep the targets' softmax outputs too, `[target, record, class]`.
        queries: the forms in which each record is asked about; by default as it is, once.
        workers: worker processes; 0 works in this process.
        progress: called after each model.

    Returns:
        Observations with one view, named as the fleet; signals are `[model, record]`, or
        `[model, query, record]` with several queries.

    Example:
        >>> from secateur.data import digits, draw
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe, train_fleet
        >>> records = digits()
        >>> who = draw(records, targets=1, references=2, seed=0)
        >>> recipe = Recipe(build=MLP(widths=(64, 10)), epochs=1)
        >>> fleet = train_fleet(recipe, records, who, seed=0, engine="serial")
        >>> observe(fleet, records, signals=[Signal(name="margin")]).views["dense"]["margin"].shape
        (3, 1797)
    """
    if fleet.recipe is None:
        raise InputError("this fleet has no recipe; open it with the recipe that trained it")
    fleet.check_records(records)
    targets = set(fleet.membership.targets.tolist())
    locate: Callable[[int], Path] | None = getattr(fleet.artifacts, "path", None)
    tasks = [
        (locate(i) if locate else fleet.artifacts[i], posteriors and i in targets)
        for i in range(len(fleet))
    ]
    shared = (records, fleet.recipe.build, tuple(signals), queries or Queries())
    results = run_tasks(observe_model, tasks, workers=workers, shared=shared, progress=progress)
    kept = [r.value[1] for r in results if r.value[1] is not None]
    return Observations(
        views={
            fleet.name: {s.key: np.stack([r.value[0][s.key] for r in results]) for s in signals}
        },
        labels=records.labels,
        membership=fleet.membership,
        n_classes=records.n_classes,
        primary=fleet.name,
        posteriors={fleet.name: np.stack(kept)} if kept else {},
        ids=records.ids,
    )


def snapshot_view(fleet: Fleet, records: Records, epoch: int) -> Observations:
    """Return what snapshots kept of a fleet after `epoch` epochs, as a view `<name>, epoch
    <epoch>`.

    Raises:
        InputError: no snapshot was kept at that epoch.
    """
    if epoch not in fleet.snapshot_epochs:
        raise InputError(
            f"no snapshot after epoch {epoch}; there are {list(fleet.snapshot_epochs)}"
        )
    row = fleet.snapshot_epochs.index(epoch)
    per_model = [{k: v[row] for k, v in a.snapshots.items()} for a in fleet.artifacts]
    view = f"{fleet.name}, epoch {epoch}"
    return Observations(
        views={view: {k: np.stack([m[k] for m in per_model]) for k in per_model[0]}},
        labels=records.labels,
        membership=fleet.membership,
        n_classes=records.n_classes,
        primary=view,
        ids=records.ids,
    )


def join_views(first: Observations, *others: Observations) -> Observations:
    """Put views of one membership side by side; the first one's primary view stays primary."""
    views: dict[str, Mapping[str, np.ndarray[Any, Any]]] = dict(first.views)
    posteriors = dict(first.posteriors)
    for other in others:
        if other.membership.digest != first.membership.digest:
            raise InputError("views of different memberships cannot stand side by side")
        views.update(other.views)
        posteriors.update(other.posteriors)
    return replace(first, views=views, posteriors=posteriors)
