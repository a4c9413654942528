"""How large a model is: bytes of its file, parameters, non-zeros, multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur.errors import InputError
from secateur.models import input_shape, rebuild

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.types import Artifact

__all__ = ["Footprint", "Work", "footprint", "work_of"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """Multiply-adds of one record's forward pass, in linear and convolutional layers.

    `dense` counts every weight, `effective` those that are not zero: what a runtime that skips
    zeros would do.
    """

    dense: int
    effective: int


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a model takes on a device.

    Args:
        form: of the file, such as `onnx`; `tensors` where none was made.
        n_bytes: of the file; without one, of all tensors as they are.
        digest: SHA-256 of the file; empty without one.
        parameters: in the network as it is, after surgery.
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
        Linear layers and convolutions; normalisation, activations and pooling are not counted.

    Example:
        >>> net = nn.Linear(4, 3)
        >>> _ = net.weight.data[0].zero_()
        >>> work_of(net, (4,))
        Work(dense=12, effective=8)
    """
    dense = effective = 0

    def count(part: nn.Module, given: Any, out: torch.Tensor) -> None:
        nonlocal dense, effective
        del given
        if not isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return
        places = out.numel() // part.weight.shape[0]
        dense += part.weight.numel() * places
        effective += int(torch.count_nonzero(part.weight)) * places

    modes = [(part, part.training) for part in module.modules()]
    handles = [part.register_forward_hook(count) for part in module.modules()]
    module.eval()
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            module(torch.zeros(1, *shape, device=device))
    finally:
        for handle in handles:
            handle.remove()
        for part, was_training in modes:
            part.training = was_training
    return Work(dense=dense, effective=effective)
