"""The graph of a builder's network, traced once for all models of a fleet."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from secateur.deploy.tracing import describe
from secateur.models import input_shape, operate_

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.deploy.graph import Graph
    from secateur.models.surgery import Surgery
    from secateur.protocols import Builder

__all__ = ["graph_of"]


class _Cuts(dict[str, "NDArray[Any]"]):
    """A surgery that can be looked up by what it holds."""

    def _key(self) -> frozenset[tuple[str, bytes]]:
        return frozenset((name, np.asarray(rows).tobytes()) for name, rows in self.items())

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self._key())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Cuts) and self._key() == other._key()


def graph_of(build: Builder, shape: tuple[int, ...] | None, surgery: Surgery) -> Graph:
    """Return the graph of a builder's network after surgery; the models of a fleet share it."""
    wanted = None if shape is None else tuple(shape)
    if isinstance(build, Hashable):
        return _traced(build, wanted, _Cuts(surgery))
    return _traced.__wrapped__(build, wanted, _Cuts(surgery))


@lru_cache(maxsize=8)
def _traced(build: Builder, shape: tuple[int, ...] | None, surgery: _Cuts) -> Graph:
    with torch.random.fork_rng(devices=[]):
        module = operate_(build(), surgery)
    return describe(module, shape or input_shape(build), opaque=True)
