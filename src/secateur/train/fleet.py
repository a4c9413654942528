"""Many models from one recipe: each from its own seed, on disk as it ends, found again on resume."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from secateur import store
from secateur.errors import InputError, InterruptedRunError, MethodError
from secateur.models import logits_of, prunable, rebuild, tensors_of
from secateur.train.engines import Processes, Serial
from secateur.train.loop import TrainData, as_arrays, run_phases
from secateur.train.recipe import Recipe, Transform
from secateur.types import AUDIT, Artifact, Fleet, Membership, Provenance, Records, derive_seed

if TYPE_CHECKING:
    from secateur.protocols import Probe, Progress
    from secateur.train.loop import AfterEpoch

__all__ = ["Engine", "Snapshots", "apply", "train_fleet"]

Engine = Serial | Processes | Literal["auto", "serial", "processes"]


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """What is kept of a model while it trains: a probe's arrays after some epochs of its first phase.

    Args:
        epochs: increasing numbers of finished epochs, at most 12.
        probe: reduces logits to named arrays, one value per record.
    """

    epochs: tuple[int, ...]
    probe: Probe

    def __post_init__(self) -> None:
        if not self.epochs or len(self.epochs) > 12 or list(self.epochs) != sorted(set(self.epochs)):
            raise MethodError(f"snapshot epochs must be 1 to 12 increasing numbers, got {self.epochs}")
        if self.epochs[0] < 1:
            raise MethodError(f"snapshot epochs count finished epochs from 1, got {self.epochs[0]}")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model to make: from scratch, or from a parent by a transform."""

    recipe: Recipe
    transform: Transform | None
    model: int
    seed: int
    key: Mapping[str, Any]
    parent: Artifact | None = None
    parent_path: Path | None = None
    path: Path | None = None
    snapshots: Snapshots | None = None


def _source_digest(value: object) -> str:
    """Digest the source of user code, so that an edit is never met by a stale result."""
    kind = value if inspect.isfunction(value) or inspect.isclass(value) else type(value)
    try:
        text = inspect.getsource(kind)
    except (OSError, TypeError):
        text = repr(value)
    return hashlib.sha256(text.encode()).hexdigest()


def _sources(value: object) -> dict[str, str]:
    """Digest the sources of a method and of the methods in its fields, by class name."""
    found = {f"{type(value).__module__}.{type(value).__qualname__}": _source_digest(value)}
    if inspect.isfunction(value):
        found = {f"{value.__module__}.{value.__qualname__}": _source_digest(value)}
    parts: list[object] = list(getattr(value, "__dict__", {}).values())
    for part in parts:
        items = part if isinstance(part, tuple) else (part,)
        for item in items:
            if hasattr(item, "__dataclass_fields__") or inspect.isfunction(item):
                found.update(_sources(item))
    return found


def initial_module(recipe: Recipe, seed: int) -> nn.Module:
    """Build the recipe's network as this seed initialises it; torch's global state is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        return recipe.build()


def _snapshot_taker(
    snapshots: Snapshots, records: Records, kept: dict[str, list[np.ndarray[Any, Any]]]
) -> AfterEpoch:
    def take(module: nn.Module, epoch: int) -> None:
        if epoch in snapshots.epochs:
            logits = logits_of(module, records)
            for name, values in snapshots.probe(logits, records.labels).items():
                kept.setdefault(name, []).append(values)

    return take


def make_model(records: Records, membership: Membership, job: Job) -> Artifact | str:
    """Make one model; return it, or its digest when it was written to `job.path`."""
    recipe = job.recipe
    module = initial_module(recipe, job.seed)
    initial = {k: v.detach().clone() for k, v in module.named_parameters()}
    step = "train" if job.transform is None else "transform"
    if job.transform is not None and not job.transform.fresh:
        parent = job.parent
        if parent is None:
            assert job.parent_path is not None  # every transform job has one or the other
            parent = store.read_artifact(job.parent_path)
        module.load_state_dict(rebuild(parent, recipe.build).state_dict())
    phases = recipe.phases() if job.transform is None else job.transform.phases(recipe)
    device = next(module.parameters()).device
    pools = {pool for phase in phases for pool in phase.streams}
    kept: dict[str, list[np.ndarray[Any, Any]]] = {}
    trained = run_phases(
        module,
        phases,
        recipe,
        TrainData.of(records, membership.members(job.model), device),
        streams={
            pool: TrainData.of(records, membership.pool(pool), device) for pool in pools
        },
        context=(initial, prunable(module)),
        seed=derive_seed(job.seed, step),
        after_epoch=None if job.snapshots is None else _snapshot_taker(job.snapshots, records, kept),
    )
    artifact = Artifact(
        tensors=tensors_of(module),
        builder=repr(recipe.build),
        provenance=Provenance(key=job.key),
        masks={k: v.astype(np.bool_) for k, v in as_arrays(trained.left.masks).items()},
        history=as_arrays(trained.left.history),
        snapshots={k: np.stack(v) for k, v in kept.items()},
    )
    if job.path is None:
        return artifact
    store.write_artifact(job.path, artifact)
    return artifact.digest


def pick_engine(engine: Engine, models: int) -> Serial | Processes:
    """Resolve an engine's name; both give the same bytes, so `auto` only looks at the work's size."""
    if engine == "auto":
        return Processes() if models >= 4 else Serial()
    if engine == "serial":
        return Serial()
    if engine == "processes":
        return Processes()
    if isinstance(engine, Serial | Processes):
        return engine
    raise InputError(f"unknown engine {engine!r}; there are 'auto', 'serial', 'processes'")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a fleet is made: engine, folder (None: in memory), and who is told of progress."""

    engine: Engine = "auto"
    folder: Path | None = None
    progress: Progress | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def train_fleet(
    recipe: Recipe,
    records: Records,
    membership: Membership,
    *,
    seed: int,
    engine: Engine = "auto",
    snapshots: Snapshots | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Fleet:
    """Train one model per row of `membership`, each from its own seed.

    Args:
        recipe: how each model is trained.
        records: all records; a model reads its members alone.
        membership: who trains on what.
        seed: model i uses a sub-seed of its own.
        engine: `auto`, `serial`, `processes`, or an engine with its parameters.
        snapshots: what to keep of each model while it trains.
        folder: where models are written as they end; an interrupted run resumes there.
        progress: called after each model.

    Returns:
        A fleet named `dense`; its artifacts load lazily when there is a folder.

    Raises:
        InterruptedRunError: the run was stopped; the message says how to resume.
        StoreError: the folder holds another fleet.

    Example:
        >>> from secateur.data import digits, draw
        >>> from secateur.models import MLP
        >>> records = digits()
        >>> who = draw(records, targets=2, references=4, seed=0)
        >>> recipe = Recipe(build=MLP(widths=(64, 16, 10)), epochs=1)
        >>> len(train_fleet(recipe, records, who, seed=0, engine="serial"))
        6
    """
    plan = _Plan(
        recipe=recipe, transform=None, name="dense", pipeline=(repr(recipe),), snapshots=snapshots
    )
    return _make(plan, records, membership, None, seed, Placement(engine=engine, folder=folder, progress=progress))


def apply(
    transform: Transform,
    model: Fleet | nn.Module,
    records: Records,
    *,
    seed: int,
    engine: Engine = "auto",
    folder: Path | None = None,
    progress: Progress | None = None,
    name: str | None = None,
) -> Fleet | Artifact:
    """Apply a transform to every model of a fleet, or to one module; the input stays as it is.

    Args:
        transform: such as `ADMM(rate=10)`.
        model: a fleet, whose membership and seeds carry over, or one trained module, all of whose `records` are members.
        records: the fleet's records.
        seed: the fleet's seed, so that before and after are paired.
        engine: as in `train_fleet`.
        folder: where a fleet's models are written.
        progress: called after each model.
        name: the new fleet's name; by default the transform's class name in lower case.

    Returns:
        A fleet with the same membership, or for a module one artifact.

    Raises:
        InputError: a fleet that was loaded without its recipe.

    Example:
        >>> from secateur.data import digits
        >>> from secateur.models import MLP
        >>> from secateur.compress import Magnitude
        >>> net = MLP(widths=(64, 16, 10))()
        >>> small = apply(Magnitude(rate=4, retrain_epochs=0), net, digits(), seed=0)
        >>> int(sum(m.sum() for m in small.masks.values())), 64 * 16 + 16 * 10
        (296, 1184)
    """
    if isinstance(model, nn.Module):
        return _apply_to_module(transform, model, records, seed)
    if model.recipe is None:
        raise InputError("this fleet has no recipe; open it with the recipe that trained it")
    plan = _Plan(
        recipe=model.recipe,
        transform=transform,
        name=name or type(transform).__name__.lower(),
        pipeline=(*model.pipeline, repr(transform)),
        snapshots=None,
    )
    place = Placement(engine=engine, folder=folder, progress=progress)
    return _make(plan, records, model.membership, model, seed, place)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    recipe: Recipe
    transform: Transform | None
    name: str
    pipeline: tuple[str, ...]
    snapshots: Snapshots | None

    def key(self, records: Records, membership: Membership, model: int, seed: int) -> dict[str, Any]:
        """Return whatever can change a byte of this model."""
        method = self.recipe if self.transform is None else self.transform
        streams = {p for phase in self._phases() for p in phase.streams}
        return {
            "step": "train" if self.transform is None else "transform",
            "method": repr(method),
            "revision": method.revision,
            "sources": {**_sources(self.recipe), **_sources(method)},
            "recipe": repr(self.recipe),
            "records": records.digest,
            "members": hashlib.sha256(np.packbits(membership.inside[model]).tobytes()).hexdigest(),
            "streams": {p: hashlib.sha256(membership.pool(p).tobytes()).hexdigest() for p in sorted(streams)},
            "seed": seed,
            "snapshots": repr(self.snapshots),
            "route": "one model, one thread",
            "torch": version("torch"),
        }

    def _phases(self) -> Sequence[Any]:
        return self.recipe.phases() if self.transform is None else self.transform.phases(self.recipe)


def _make(
    plan: _Plan,
    records: Records,
    membership: Membership,
    parent: Fleet | None,
    seed: int,
    place: Placement,
) -> Fleet:
    jobs = []
    for model in range(len(membership)):
        model_seed = derive_seed(seed, "model", model)
        key = plan.key(records, membership, model, model_seed)
        artifact, path = None, None
        if parent is not None:
            artifact = parent.artifacts[model] if plan.transform and not plan.transform.fresh else None
            key["parent"] = parent.artifacts[model].provenance.digest
        jobs.append(
            Job(
                recipe=plan.recipe,
                transform=plan.transform,
                model=model,
                seed=model_seed,
                key=key,
                parent=artifact,
                path=path,
                snapshots=plan.snapshots,
            )
        )
    raise NotImplementedError
