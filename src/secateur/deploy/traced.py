"""The graph of a builder's network, traced once for all models of a fleet."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from secateur.deploy.sizes import same_at_other_sizes
from secateur.deploy.tracing import describe
from secateur.models import input_shape, operate_

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from secateur.deploy.graph import Graph
    from secateur.models.surgery import Surgery
    from secateur.protocols import Builder

__all__ = ["graph_of", "takes_other_sizes"]


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
    found: Graph = _of_all(_traced, build, shape, surgery)
    return found


def takes_other_sizes(build: Builder, shape: tuple[int, ...] | None, surgery: Surgery) -> bool:
    """Say whether that graph holds for pictures of other sizes; the models of a fleet share it."""
    found: bool = _of_all(_compared, build, shape, surgery)
    return found


def _of_all(cached: Any, build: Builder, shape: tuple[int, ...] | None, surgery: Surgery) -> Any:
    wanted = None if shape is None else tuple(shape)
    made = cached if isinstance(build, Hashable) else cached.__wrapped__
    return made(build, wanted, _Cuts(surgery))


@lru_cache(maxsize=8)
def _traced(build: Builder, shape: tuple[int, ...] | None, surgery: _Cuts) -> Graph:
    return describe(_module(build, surgery), shape or input_shape(build), opaque=True)


@lru_cache(maxsize=8)
def _compared(build: Builder, shape: tuple[int, ...] | None, surgery: _Cuts) -> bool:
    return same_at_other_sizes(graph_of(build, shape, surgery), _module(build, surgery))


def _module(build: Builder, surgery: Surgery) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return operate_(build(), surgery)
