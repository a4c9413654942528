"""What a fleet will be, and the key that names each of its models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from secateur.errors import MissingExtraError
from secateur.train.planned import planned, read_pools, teaching
from secateur.train.recipe import spelled
from secateur.train.sources import refuse_addresses, sources_of
from secateur.train.steps import Conversion

if TYPE_CHECKING:
    from secateur.train.keep import Keep, Snapshots
    from secateur.train.recipe import Phase, Recipe
    from secateur.train.steps import Transform
    from secateur.types import Membership, Records

__all__ = ["Plan", "installed"]

_EXTRAS = {
    "opacus": "dp",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "torch-pruning": "structured",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Recipe or transform, the fleet's name and pipeline, and what is kept of each model.

    `keep` is no part of a model's key: it changes what is stored of the model, not the model.
    """

    recipe: Recipe
    transform: Transform | Conversion | None
    name: str
    pipeline: tuple[str, ...]
    snapshots: Snapshots | None
    keep: Keep | None = None

    def key(
        self, records: Records, membership: Membership, model: int, seed: int
    ) -> dict[str, Any]:
        """Return whatever can change a byte of this model."""
        method = self.recipe if self.transform is None else self.transform
        return {
            "step": self._step,
            "method": repr(method),
            "revision": method.revision,
            "sources": self.sources,
            "recipe": repr(self.recipe),
            "records": records.digest,
            "members": hashlib.sha256(np.packbits(membership.inside[model]).tobytes()).hexdigest(),
            "streams": {
                p: hashlib.sha256(membership.pool(p).tobytes()).hexdigest() for p in self._pools
            },
            "seed": seed,
            "snapshots": repr(self.snapshots),
            "route": "one model, one thread",
            "versions": {name: installed(name) for name in self._libraries},
        }

    @cached_property
    def sources(self) -> dict[str, str]:
        """Digests of the code that makes the models, a network and its hooks included.

        Raises:
            MethodError: something is spelled by its place in memory, or captures values.
        """
        for method in (self.recipe, self.transform, self.snapshots):
            refuse_addresses(repr(method))
        refuse_addresses(spelled(self.recipe.build))
        with torch.random.fork_rng(devices=[]):
            network = self.recipe.build()
        hooks = [(phase.hooks, phase.optimiser) for phase in self._phases]
        return sources_of([self.recipe, self.transform, hooks, network, self.snapshots])

    @property
    def _libraries(self) -> tuple[str, ...]:
        """Packages whose versions can change a byte; training code names its own."""
        train = self.recipe.train if self.transform is None else self.transform
        return ("numpy", "secateur", "torch", *getattr(train, "libraries", ()))

    @property
    def needs_parent(self) -> bool:
        """Whether each model starts from a trained one."""
        if self.transform is None or isinstance(self.transform, Conversion):
            return self.transform is not None
        return not self.transform.fresh

    @property
    def _step(self) -> str:
        if self.transform is None:
            return "train"
        return "convert" if isinstance(self.transform, Conversion) else "transform"

    @property
    def _pools(self) -> Sequence[str]:
        """Pools that are read beside the members."""
        return read_pools(self.recipe, self.transform)

    @cached_property
    def _phases(self) -> Sequence[Phase]:
        """What happens to each model, and to its teachers."""
        return (*planned(self.recipe, self.transform), *teaching(self.recipe, self.transform))


def installed(name: str) -> str:
    """Return the version of a package that a step needs.

    Raises:
        MissingExtraError: it is not installed; names the extra.
    """
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise MissingExtraError(
            f"this step needs {name}, which is not installed; "
            f"pip install 'secateur[{_EXTRAS.get(name, name)}]'"
        ) from error
