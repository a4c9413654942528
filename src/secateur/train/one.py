"""Apply a transform to one module of a user's."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from torch import nn

from secateur.errors import MethodError
from secateur.models import prunable, tensors_of
from secateur.train.batches import TrainData, pools_of
from secateur.train.engines.serial import one_thread
from secateur.train.loop import run_phases
from secateur.train.model import artifact_of, takes_masks_only
from secateur.train.plan import installed
from secateur.train.recipe import Recipe
from secateur.train.steps import Conversion, Transform
from secateur.types import Artifact, Provenance, Records, derive_seed, digest_arrays

__all__ = ["apply_to_module"]


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """Builds a copy of a module that a user handed in."""

    module: nn.Module

    def __call__(self) -> nn.Module:
        return copy.deepcopy(self.module)


def apply_to_module(
    transform: Transform | Conversion, module: nn.Module, records: Records, seed: int
) -> Artifact:
    """Apply a transform to a copy of a user's module; all records are members."""
    recipe = Recipe(build=_Copy(module=module))
    everyone = np.ones((1, len(records)), dtype=np.bool_)
    key: dict[str, Any] = {
        "step": "convert" if isinstance(transform, Conversion) else "transform",
        "method": repr(transform),
        "revision": transform.revision,
        "records": records.digest,
        "members": hashlib.sha256(np.packbits(everyone).tobytes()).hexdigest(),
        "parent": digest_arrays(tensors_of(module)),
        "seed": seed,
        "torch": version("torch"),
    }
    builder = type(module).__qualname__
    if isinstance(transform, Conversion):
        key["versions"] = {name: installed(name) for name in transform.libraries}
        before = Artifact(
            tensors=tensors_of(module), builder=builder, provenance=Provenance(key={})
        )
        pools = dict.fromkeys(transform.pools, records)
        made = transform.converted(before, recipe.build, pools, seed=derive_seed(seed, "convert"))
        return replace(made, builder=builder, provenance=Provenance(key=key))
    indices = np.arange(len(records))
    fitted = copy.deepcopy(module)
    phases = transform.phases(recipe)
    _refuse_alone(transform, pools_of(phases))
    initial = {k: v.detach().clone() for k, v in fitted.named_parameters()}
    device = next(fitted.parameters()).device
    with one_thread():
        trained = run_phases(
            fitted,
            phases,
            recipe,
            TrainData.of(records, indices, device),
            streams={},
            context=(initial, prunable(fitted)),
            seed=derive_seed(seed, "transform"),
        )
    return artifact_of(fitted, trained, builder=builder, key=key)


def _refuse_alone(transform: Transform, streams: Sequence[str]) -> None:
    """Refuse what needs a fleet: further pools, fresh weights, or those of the beginning."""
    if streams:
        raise MethodError(
            f"{transform!r} reads the pools {streams}; a single module has none: use a fleet with a"
            f" membership"
        )
    if transform.fresh or takes_masks_only(transform):
        raise MethodError(
            f"{type(transform).__name__} trains from fresh weights; give train_fleet a recipe, "
            f"then apply it to the fleet"
        )
    if getattr(transform, "goes_back", False):
        raise MethodError(
            f"{type(transform).__name__} goes back to the weights that a model began with, and a "
            f"module of your own does not tell them; apply it to a fleet"
        )
