"""Make one model: from scratch or from a parent, with snapshots; and apply a transform to a user's
module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur import store
from secateur.errors import MethodError
from secateur.models import prunable, rebuild, tensors_of
from secateur.train.keep import Keep, Snapshots, thinned, weights_missing
from secateur.train.loop import Trained, as_arrays
from secateur.train.planned import planned
from secateur.train.recipe import Phase, Recipe, spelled
from secateur.train.steps import Conversion, Transform
from secateur.types import Artifact, Provenance, Records, derive_seed

if TYPE_CHECKING:
    from secateur.protocols import TrainCallable
    from secateur.train.hooks import Tensors

__all__ = [
    "Job",
    "Start",
    "artifact_of",
    "check_masks",
    "ended",
    "initial_module",
    "own_training",
    "parent_of",
    "phases_of",
    "refuse_converted",
    "refuse_taught",
    "start_of",
    "stored",
    "takes_masks_only",
]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model to make: from scratch, or from a parent by a transform or a conversion."""

    recipe: Recipe
    transform: Transform | Conversion | None
    model: int
    seed: int
    key: Mapping[str, Any]
    parent: Artifact | Path | None = None
    path: Path | None = None
    snapshots: Snapshots | None = None
    keep: Keep | None = None
    lessons: Path | None = None
    keeps_teachers: bool = False


def initial_module(recipe: Recipe, seed: int) -> nn.Module:
    """Build the recipe's network as this seed initialises it; torch's global state is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        return recipe.build()


def takes_masks_only(transform: Transform | Conversion) -> bool:
    """Tell whether a transform reads the parent's masks and goes back to the initial model."""
    return bool(getattr(transform, "masks_only", False))


def check_masks(transform: Transform | Conversion, parent: Artifact, model: int) -> None:
    """Refuse a parent without masks where they are all that a transform takes of it.

    Raises:
        MethodError: no weight of the parent is masked.
    """
    if takes_masks_only(transform) and not parent.masks:
        raise MethodError(
            f"{type(transform).__name__} trains the masks of a pruned fleet anew, and model "
            f"{model} has none; apply it to what a pruning method made, such as ADMM(rate=10)"
        )


@dataclass(frozen=True, kw_only=True)
class Start:
    """A model before its first step."""

    module: nn.Module
    initial: Tensors
    parent: Artifact | None
    seed: int


def start_of(job: Job) -> Start:
    """Return a job's model as its seed, or its parent, makes it."""
    module = initial_module(job.recipe, job.seed)
    initial = {k: v.detach().clone() for k, v in module.named_parameters()}
    step = "train" if job.transform is None else "transform"
    parent: Artifact | None = None
    transform = job.transform
    if transform is not None and not isinstance(transform, Conversion) and not transform.fresh:
        parent = parent_of(job)
        check_masks(transform, parent, job.model)
        refuse_converted(parent, type(transform).__name__)
        state = rebuild(parent, job.recipe.build).state_dict()
        if takes_masks_only(transform):
            state |= dict(module.named_buffers())
            others = set(initial) - set(prunable(module))
            state |= {name: _kept_or_not(parent, name) for name in others}
        module.load_state_dict(state)
    return Start(module=module, initial=initial, parent=parent, seed=derive_seed(job.seed, step))


def _kept_or_not(parent: Artifact, name: str) -> torch.Tensor:
    """Return 1 where a parameter is kept, else 0."""
    mask = parent.masks.get(name, np.ones(parent.tensors[name].shape, np.bool_))
    return torch.from_numpy(mask.astype(parent.tensors[name].dtype))


def parent_of(job: Job) -> Artifact:
    """Return the model that a job starts from, with its weights."""
    parent = store.read_artifact(job.parent) if isinstance(job.parent, Path) else job.parent
    assert parent is not None  # every such job has one
    if parent.kept is not None:
        raise weights_missing(job.model)
    return parent


def refuse_converted(parent: Artifact, what: str) -> None:
    """Refuse to train a model that was cut or made into a file.

    Raises:
        MethodError: says to train first.
    """
    if parent.surgery or parent.shipped is not None:
        form = "a file" if parent.shipped is not None else "smaller tensors"
        raise MethodError(
            f"{what} trains, and these models were made into {form} already; train first, convert "
            "afterwards"
        )


def refuse_taught(parent: Artifact, transform: Transform, recipe: Recipe) -> None:
    """Refuse to train a model on its members' labels that learned from teachers' answers.

    Raises:
        MethodError: says to put the method inside.
    """
    trains = any(phase.trains and phase.epochs for phase in planned(recipe, transform))
    if "taught/teachers" in parent.history and trains and not takes_masks_only(transform):
        if not parent.history["taught/teachers"]:
            raise MethodError(
                f"{type(transform).__name__} would train these models on all of their members, and "
                "they learned on others, or on some of them; put it inside the method that made "
                f"them: method={transform!r} of Subsample, or prune={transform!r} of PoolOnly"
            )
        raise MethodError(
            f"{type(transform).__name__} would train these models on their members' own labels, "
            "which they were kept from: they learned from teachers' answers, and those are gone; "
            f"put it inside the method that taught them: prune={transform!r}"
        )


def phases_of(job: Job) -> tuple[Phase, ...]:
    """Return what happens to a job's model, in order."""
    return planned(job.recipe, job.transform)


def ended(
    records: Records,
    job: Job,
    start: Start,
    trained: Trained,
    kept: Mapping[str, list[np.ndarray[Any, Any]]],
) -> Artifact | str:
    """Return what is kept of the finished model, or write it and return its digest."""
    artifact = artifact_of(
        start.module, trained, builder=spelled(job.recipe.build), key=job.key, kept=kept
    )
    parent = start.parent
    if parent is not None and job.transform is not None and takes_masks_only(job.transform):
        names = {*parent.masks, *prunable(start.module)}
        named = {name: mask for name, mask in artifact.masks.items() if name in names}
        artifact = replace(artifact, masks=named)
    if parent is not None and not any(phase.trains for phase in phases_of(job)):
        # the weights are the parent's, so its masks and curves still hold
        history = {**parent.history, **artifact.history}
        artifact = replace(artifact, masks=parent.masks or artifact.masks, history=history)
    return stored(artifact, records, job)


def own_training(recipe: Recipe, transform: Transform | Conversion | None) -> TrainCallable | None:
    """Return the user's code that makes a model, where it is not our loop."""
    return recipe.train if transform is None else None


def stored(artifact: Artifact, records: Records, job: Job) -> Artifact | str:
    """Return what is kept of a finished model, or write it and return its digest."""
    if job.keep is not None:
        artifact = thinned(artifact, job.recipe.build, records, job.keep)
    if job.path is None:
        return artifact
    store.write_artifact(job.path, artifact)
    return artifact.digest


def artifact_of(
    module: nn.Module,
    trained: Trained,
    *,
    builder: str,
    key: Mapping[str, Any],
    kept: Mapping[str, list[np.ndarray[Any, Any]]] | None = None,
) -> Artifact:
    """Return a trained module as an artifact."""
    return Artifact(
        tensors=tensors_of(module),
        builder=builder,
        provenance=Provenance(key=key),
        masks={k: v.astype(np.bool_) for k, v in as_arrays(trained.left.masks).items()},
        history=as_arrays(trained.left.history),
        snapshots={k: np.stack(v) for k, v in (kept or {}).items()},
    )
