"""How large a model is: bytes of its file, parameters, non-zeros, multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from secateur.errors import InputError
from secateur.models import input_shape, positions_of, rebuild

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.types import Artifact

__all__ = ["Footprint", "Work", "footprint", "work_of"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """Multiply-adds of one record's forward pass with the network's weights.

    `dense` counts every weight, `effective` those that are not zero: what a runtime that skips
    zeros would do. `uncounted` names weights of two and more axes whose use is not counted, since
    no known layer applies them; embeddings, which are looked up, are not among them.
    """

    dense: int
    effective: int
    uncounted: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a model takes on a device.

    Args:
        form: of the file, such as `onnx`; `tensors` where none was made.
        n_bytes: of the file; without one, of all tensors as they are.
        digest: SHA-256 of the file; empty without one.
        parameters: in the network as it is, after surgery, and before what an ONNX file makes of
            it: normalisation that became part of other weights, numbers that int8 rounds to zero.
        nonzero: of these.
        work: of one record.
    """

    form: str
    n_bytes: int
    digest: str
    parameters: int
    nonzero: int
    work: Work


def footprint(
    artifact: Artifact, build: Builder, *, shape: tuple[int, ...] | None = None
) -> Footprint:
    """Return what a model takes on a device.

    Args:
        artifact: with its tensors.
        build: makes the empty network.
        shape: of one record; by default one that fits.

    Raises:
        InputError: a model whose weights were not kept.

    Example:
        >>> from secateur.models import MLP, tensors_of
        >>> from secateur.types import Artifact, Provenance
        >>> build = MLP(widths=(8, 4, 2))
        >>> made = Artifact(tensors=tensors_of(build()), builder="", provenance=Provenance(key={}))
        >>> found = footprint(made, build)
        >>> found.form, found.n_bytes, found.parameters, found.work.dense
        ('tensors', 184, 46, 40)
    """
    if artifact.kept is not None:
        raise InputError("the weights of this model were not kept, so its size is not known")
    module = rebuild(artifact, build)
    shipped = artifact.shipped
    parameters = dict(module.named_parameters())
    return Footprint(
        form="tensors" if shipped is None else shipped.form,
        n_bytes=sum(a.nbytes for a in artifact.tensors.values())
        if shipped is None
        else len(shipped.data),
        digest="" if shipped is None else shipped.digest,
        parameters=sum(p.numel() for p in parameters.values()),
        nonzero=sum(int(np.count_nonzero(artifact.tensors[name])) for name in parameters),
        work=work_of(module, shape or input_shape(build)),
    )


def work_of(module: nn.Module, shape: tuple[int, ...]) -> Work:
    """Count the multiply-adds of one record's forward pass.

    Args:
        module: in any mode; it is run once on zeros, in evaluation mode.
        shape: of one record, without the batch axis.

    Returns:
        Of the layers that `positions_of` counts; normalisation, activations, pooling and products
        of activations are left out.

    Example:
        >>> net = nn.Linear(4, 3)
        >>> _ = net.weight.data[0].zero_()
        >>> work_of(net, (4,))
        Work(dense=12, effective=8, uncounted=())
    """
    applied = positions_of(module, shape)
    weights = dict(module.named_parameters(remove_duplicate=False))
    looked_up = {
        id(part.weight)
        for part in module.modules()
        if isinstance(part, nn.Embedding | nn.EmbeddingBag)
    }
    seen = looked_up | {id(weights[name]) for name in applied}
    return Work(
        dense=sum(weights[name].numel() * n for name, n in applied.items()),
        effective=sum(int(torch.count_nonzero(weights[name])) * n for name, n in applied.items()),
        uncounted=tuple(
            name for name, p in module.named_parameters() if p.dim() > 1 and id(p) not in seen
        ),
    )
