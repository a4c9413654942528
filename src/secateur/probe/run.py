"""Query every model of a fleet once and keep what the attacks read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from secateur import store
from secateur.data import MeanSignal, Queries, joined_queries
from secateur.errors import InputError, SecateurWarning
from secateur.models import check_device, logits_of, runnable
from secateur.models.gradients import gradient_norms
from secateur.probe.means import Asked
from secateur.probe.signals import signals as compute_signals
from secateur.probe.signals import softmax
from secateur.spreading import spread_tasks
from secateur.types import AUDIT, Artifact, Fleet, Kept, Observations, Signal, derive_seed

if TYPE_CHECKING:
    from torch import nn

    from secateur.probe.shelf import Shelf
    from secateur.protocols import Builder, Progress
    from secateur.types import IntArray, Records

__all__ = ["join_views", "observe", "observe_model", "sensitivity", "snapshot_view", "task_of"]

NOISE = 1e-3  # standard deviation of the noise in inputs
NOISY_QUERIES = 10


class _Task(NamedTuple):
    """A model, and what to keep of it beside its signals."""

    artifact: Artifact | Path
    posterior: bool
    sensitivity: bool
    gradients_of: IntArray | None  # records


class _Seen(NamedTuple):
    signals: dict[str, np.ndarray[Any, Any]]
    posterior: np.ndarray[Any, Any] | None = None
    sensitivity: np.ndarray[Any, Any] | None = None
    gradients: np.ndarray[Any, Any] | None = None
    no_gradients: str = ""
    unkept: str = ""


def task_of(artifact: Artifact) -> _Task:
    """Return the task to keep a model's signals alone."""
    return _Task(artifact, False, False, None)


def observe_model(
    records: Records,
    build: Builder,
    wanted: tuple[Signal, ...],
    queries: Queries,
    device: str,
    asked: Asked,
    shelf: Shelf | None,
    task: _Task,
) -> _Seen:
    """Return one model's signals on all records, and where asked its posteriors on them as they
    are, their sensitivities and gradients; it is queried on `device`. A model without weights that
    can be derived by, such as an ONNX file, has no gradients.
    """
    artifact, keep_posterior, keep_sensitivity, gradients_of = task
    if isinstance(artifact, Path):
        artifact = store.read_artifact(artifact)
    if artifact.kept is not None:
        whole = keep_posterior or keep_sensitivity
        return _Seen(_kept_signals(artifact.kept, wanted, queries, whole))
    module = runnable(artifact, build).to(device)
    logits = logits_of(module, records)
    plain = tuple(s for s in wanted if not isinstance(s, MeanSignal))
    found = [compute_signals(logits, records.labels, plain)]
    for change in queries.changes()[1:]:
        changed = logits_of(module, records, change=change)
        found.append(compute_signals(changed, records.labels, plain))
    posterior = softmax(logits) if keep_posterior else None
    moved = sensitivity(module, records, softmax(logits)) if keep_sensitivity else None
    pulls, why = None, ""
    if gradients_of is not None and next(module.parameters(), None) is not None:
        try:
            norms = gradient_norms(module, records, indices=gradients_of, masks=artifact.masks)
            pulls = np.zeros((len(records), norms.shape[1]), dtype=np.float32)
            pulls[gradients_of] = norms
        except InputError as error:  # a row says so; other attacks go on
            why = str(error)
    means, unkept = asked.means(module, records, artifact, shelf)
    return _Seen({**joined_queries(found), **means}, posterior, moved, pulls, why, unkept)


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


@dataclass
class _Noise:
    """Gaussian noise for one query after the other of the same records in the same order."""

    generator: np.random.Generator

    def __call__(self, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        noise = self.generator.standard_normal(inputs.shape, dtype=np.float32)
        return np.asarray(inputs + np.float32(NOISE) * noise, dtype=np.float32)


def sensitivity(
    module: nn.Module, records: Records, posterior: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return the mean of |softmax(x + noise) - softmax(x)| / eps, `[record, class]`.

    Ten queries with noise N(0, eps^2), eps = 1e-3, as Yuan & Zhang 2022 ask; the noise is the same
    for every model, so that models differ and not the questions.
    """
    total = np.zeros_like(posterior)
    for query in range(NOISY_QUERIES):
        noise = _Noise(np.random.default_rng(derive_seed(0, "sensitivity", query)))
        total += np.abs(softmax(logits_of(module, records, change=noise)) - posterior)
    return total / np.float32(NOISY_QUERIES * NOISE)


def observe(  # noqa: PLR0913 - what to keep, and how to work
    fleet: Fleet,
    records: Records,
    *,
    signals: Sequence[Signal],
    posteriors: bool = True,
    shadows: int = 0,
    features: bool = False,
    gradients: bool = False,
    queries: Queries | None = None,
    workers: int = 0,
    progress: Progress | None = None,
    device: str = "cpu",
    asked: Asked | None = None,
    shelf: Shelf | None = None,
) -> Observations:
    """Query every model of a fleet on all records.

    Args:
        fleet: opened with its recipe.
        records: the fleet's records.
        signals: what to keep per (model, record); see `Signal`, and `MeanSignal` for means over
            perturbed queries, which are asked about the audited records alone.
        posteriors: keep the targets' softmax outputs too, `[target, record, class]`.
        shadows: keep the softmax outputs of so many references too, and sensitivities of theirs and
            the targets': 4 (targets + 2 shadows + targets) x records x classes bytes with the
            posteriors, and ten more queries of each of these models.
        features: keep the records' inputs, flattened: 4 x records x inputs bytes.
        gradients: keep the log norms of each audit record's gradient in every model, in parts (see
            `gradient_norms`), 0 for other records: 4 x models x records x parts bytes, at most 17
            parts; left out where a model is a file or its weights were not kept.
        queries: the forms in which each record is asked about; by default as it is, once.
        workers: processes, started where the work is long (`spread_tasks`); 0 works in this one.
        progress: called after each model.
        device: where models are queried, such as `cuda:0`; there in this process alone.
        asked: perturbed queries that stand ready, where several fleets of one membership are asked
            the same; by default prepared here.
        shelf: where answers to perturbed queries are kept as models are asked, and looked for
            before; by default nowhere. One that cannot be written is warned of, once.

    Returns:
        Observations with one view, named as the fleet; signals are `[model, record]`, or
        `[model, query, record]` with several queries; means over perturbed queries are always
        `[model, record]`, and where these records have none `missing` says why.

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
    check_device(device)
    fleet.check_records(records)
    tasks = _tasks(fleet, posteriors=posteriors, shadows=shadows, gradients=gradients)
    if asked is None:
        asked = Asked.about(records, fleet.membership, signals)
    held = tuple(s for s in signals if s.key not in asked.missing)
    shared = (records, fleet.recipe.build, held, queries or Queries(), device, asked, shelf)
    # processes beside each other gain nothing on one card
    beside = workers if device == "cpu" else 0
    results = spread_tasks(observe_model, tasks, workers=beside, shared=shared, progress=progress)
    seen = [r.value for r in results]
    unkept = next((one.unkept for one in seen if one.unkept), "")
    if unkept:
        warnings.warn(
            f"what the models of {fleet.name!r} answered is not kept: {unkept}. The audit goes on; "
            "interrupted, it would ask again",
            SecateurWarning,
            stacklevel=2,
        )
    views = {s.key: np.stack([one.signals[s.key] for one in seen]) for s in held}
    kept = {i: one.posterior for i, one in enumerate(seen) if one.posterior is not None}
    moved = {i: one.sensitivity for i, one in enumerate(seen) if one.sensitivity is not None}
    pulls = [one.gradients for one in seen if one.gradients is not None]
    why = next((one.no_gradients for one in seen if one.no_gradients), "")
    inputs = records.gather(np.arange(len(records))) if features else None
    return Observations(
        views={fleet.name: views},
        labels=records.labels,
        membership=fleet.membership,
        n_classes=records.n_classes,
        primary=fleet.name,
        posteriors=_rows(fleet, kept, fleet.membership.targets),
        shadow_posteriors=_rows(fleet, kept, fleet.membership.references[:shadows]),
        sensitivities=_rows(
            fleet,
            moved,
            np.concatenate([fleet.membership.targets, fleet.membership.references[:shadows]]),
        ),
        gradients={fleet.name: np.stack(pulls)} if len(pulls) == len(seen) > 0 else {},
        ids=records.ids,
        features=None if inputs is None else inputs.reshape(len(inputs), -1),
        missing={**asked.missing, **({"gradients": why} if why else {})},
    )


def _tasks(fleet: Fleet, *, posteriors: bool, shadows: int, gradients: bool) -> list[_Task]:
    """Return what is kept of each model; arguments as of `observe`."""
    targets = set(fleet.membership.targets.tolist())
    shadowed = set(fleet.membership.references[:shadows].tolist())
    whole = (targets if posteriors or shadows else set()) | shadowed
    locate: Callable[[int], Path] | None = getattr(fleet.artifacts, "path", None)
    return [
        _Task(
            locate(i) if locate else fleet.artifacts[i],
            i in whole,
            bool(shadows) and i in whole,
            fleet.membership.pools[AUDIT] if gradients else None,
        )
        for i in range(len(fleet))
    ]


def _rows(
    fleet: Fleet, found: Mapping[int, np.ndarray[Any, Any]], models: IntArray
) -> dict[str, np.ndarray[Any, Any]]:
    """Return what was found of these models, in their order, under the fleet's name."""
    rows = [found[i] for i in models.tolist() if i in found]
    return {fleet.name: np.stack(rows)} if rows else {}


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
    shadow_posteriors = dict(first.shadow_posteriors)
    sensitivities = dict(first.sensitivities)
    gradients = dict(first.gradients)
    for other in others:
        if other.membership.digest != first.membership.digest:
            raise InputError("views of different memberships cannot stand side by side")
        views.update(other.views)
        posteriors.update(other.posteriors)
        shadow_posteriors.update(other.shadow_posteriors)
        sensitivities.update(other.sensitivities)
        gradients.update(other.gradients)
    return replace(
        first,
        views=views,
        posteriors=posteriors,
        shadow_posteriors=shadow_posteriors,
        sensitivities=sensitivities,
        gradients=gradients,
    )
