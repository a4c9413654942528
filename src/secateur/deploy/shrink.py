"""What pruning emptied is removed for real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from secateur.deploy.dead import find_dead
from secateur.deploy.fold import fold_constants
from secateur.deploy.traced import graph_of
from secateur.errors import MethodError
from secateur.models import cut, rebuild

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.models.surgery import Surgery
    from secateur.protocols import Builder
    from secateur.types import Artifact, Records

__all__ = ["Shrink"]

TOLERANCE = 1e-4
"""Farthest that an output may move, in parts of the largest one."""
PROBES = 4
"""Random inputs on which the shrunk network is compared with the one before."""


@dataclass(frozen=True, kw_only=True)
class Shrink:
    """Remove the channels, rows and columns that no output depends on.

    A mask full of zeros makes no network smaller; where it emptied whole rows, columns or channels,
    they are cut out, and what only fed them too (`find_dead`). Outputs stay what they were up to
    rounding: each model is compared with the one before on random inputs. What
    stays, and why, `find_dead` says layer by layer.

    Args:
        fold_constants: first move channels that are a constant other than 0 into the bias of what
            reads them. A unit whose weights are all pruned is such a constant, since pruning leaves
            biases; without this it stays.
        shape: of one record, where it is not found by trying.

    Raises:
        MethodError: the model was made into a file before, torch cannot export it, or the shrunk
            network differs.

    Example:
        >>> from secateur.models import MLP, tensors_of
        >>> from secateur.types import Artifact, Provenance
        >>> build = MLP(widths=(4, 3, 2))
        >>> net = build()
        >>> with torch.no_grad():
        ...     _ = net[1].weight[1].zero_()
        >>> model = Artifact(tensors=tensors_of(net), builder="", provenance=Provenance(key={}))
        >>> small = Shrink().converted(model, build, {}, seed=0)
        >>> small.tensors["1.weight"].shape, small.surgery["3.weight/1"].tolist()
        ((2, 4), [0, 2])
    """

    fold_constants: bool = True
    shape: tuple[int, ...] | None = None

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ()
    form: ClassVar[str] = ""

    @property
    def pools(self) -> tuple[str, ...]:
        """None: the tensors say it all."""
        return ()

    def converted(
        self, artifact: Artifact, build: Builder, pools: Mapping[str, Records], *, seed: int
    ) -> Artifact:
        """Return the model without what no output depends on."""
        if artifact.shipped is not None:
            raise MethodError(
                f"Shrink cuts tensors, and this model was made into a file "
                f"({artifact.shipped.form}) already; put Shrink before that step"
            )
        graph = graph_of(build, self.shape, artifact.surgery)
        tensors, masks = dict(artifact.tensors), dict(artifact.masks)
        if self.fold_constants:
            tensors = fold_constants(graph, tensors)
            gone = {n: (artifact.tensors[n] != 0) & (tensors[n] == 0) for n in masks}
            masks = {name: mask & ~gone[name] for name, mask in masks.items()}
        surgery = dict(find_dead(graph, tensors).surgery)
        small = replace(
            artifact,
            tensors=cut(tensors, surgery),
            masks=cut(masks, surgery),
            surgery=_composed(artifact.surgery, surgery),
        )
        _compare(artifact, small, build, graph.values[graph.input].shape, seed=seed)
        return small


def _composed(before: Surgery, now: Surgery) -> dict[str, NDArray[Any]]:
    """Return one surgery that does both, in indices of the network before the first."""
    return {**before, **{k: before[k][rows] if k in before else rows for k, rows in now.items()}}


def _compare(
    before: Artifact, after: Artifact, build: Builder, shape: tuple[int, ...], *, seed: int
) -> None:
    """Refuse a shrunk network that gives other outputs than the one before.

    Raises:
        MethodError: says by how much.
    """
    drawn = np.random.default_rng(seed).standard_normal((PROBES, *shape)).astype(np.float32)
    outputs = []
    for artifact in (before, after):
        module = rebuild(artifact, build)
        try:
            with torch.no_grad():
                outputs.append(module(torch.from_numpy(drawn)))
        except (RuntimeError, ValueError) as error:
            raise MethodError(
                f"the network of {build!r} does not run once channels are removed: {error}; its "
                "forward pass states sizes that it should read from its layers"
            ) from error
    moved = float((outputs[0] - outputs[1]).abs().max())
    scale = max(1.0, float(outputs[0].abs().max()))
    if not moved <= TOLERANCE * scale:
        raise MethodError(
            f"the shrunk network of {build!r} gives outputs that differ by up to {moved:.3g}; its "
            "forward pass depends on the number of channels in a way that its graph does not show"
        )
