"""What a fleet will be, and the key that names each of its models."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from secateur.train.keep import Keep, Snapshots
    from secateur.train.recipe import Phase, Recipe, Transform
    from secateur.types import Membership, Records

__all__ = ["Plan"]


def _source_digest(value: object) -> str:
    """Digest the source of user code, so that an edit is never met by a stale result."""
    kind: Any = value if inspect.isfunction(value) or inspect.isclass(value) else type(value)
    digest = _digest_of_source(kind)
    return digest or hashlib.sha256(repr(value).encode()).hexdigest()


@functools.cache
def _digest_of_source(kind: Any) -> str:
    """Digest the source of a class or function as it was loaded; empty where there is none."""
    try:
        return hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()
    except (OSError, TypeError):
        return ""


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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Recipe or transform, the fleet's name and pipeline, and what is kept of each model.

    `keep` is no part of a model's key: it changes what is stored of the model, not the model.
    """

    recipe: Recipe
    transform: Transform | None
    name: str
    pipeline: tuple[str, ...]
    snapshots: Snapshots | None
    keep: Keep | None = None

    def key(
        self, records: Records, membership: Membership, model: int, seed: int
    ) -> dict[str, Any]:
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
            "streams": {
                p: hashlib.sha256(membership.pool(p).tobytes()).hexdigest() for p in sorted(streams)
            },
            "seed": seed,
            "snapshots": repr(self.snapshots),
            "route": "one model, one thread",
            "torch": version("torch"),
        }

    @property
    def needs_parent(self) -> bool:
        """Whether each model starts from a trained one."""
        return self.transform is not None and not self.transform.fresh

    def _phases(self) -> Sequence[Phase]:
        return (
            self.recipe.phases() if self.transform is None else self.transform.phases(self.recipe)
        )
