"""From stored tensors back to a module, and the other way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur.errors import InputError

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.types import Artifact

__all__ = ["prunable", "rebuild", "tensors_of"]


def tensors_of(module: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """Return copies of a module's parameters and buffers under their state-dict names."""
    return {k: v.detach().cpu().numpy().copy() for k, v in module.state_dict().items()}


def rebuild(artifact: Artifact, build: Builder) -> nn.Module:
    """Return a fresh module in eval mode with an artifact's tensors.

    Args:
        artifact: what was trained.
        build: makes the empty network; it comes from the caller, never from the file.

    Raises:
        InputError: names, shapes or types of the two disagree; the message lists the first ones.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.types import Artifact, Provenance
        >>> net = MLP(widths=(4, 2))()
        >>> stored = Artifact(
        ...     tensors=tensors_of(net), builder="MLP", provenance=Provenance(key={})
        ... )
        >>> rebuild(stored, MLP(widths=(4, 2))).training
        False
    """
    with torch.random.fork_rng(devices=[]):
        module = build()
    state = module.state_dict()
    wrong = [f"{n!r} only in the file" for n in artifact.tensors if n not in state]
    wrong += [f"{n!r} only in the network" for n in state if n not in artifact.tensors]
    for name, own in state.items():
        stored = artifact.tensors.get(name)
        if stored is None:
            continue
        if tuple(stored.shape) != tuple(own.shape):
            wrong.append(
                f"{name!r} is {stored.shape} in the file, {tuple(own.shape)} in the network"
            )
        elif torch.from_numpy(np.empty(0, stored.dtype)).dtype != own.dtype:
            wrong.append(f"{name!r} is {stored.dtype} in the file, {own.dtype} in the network")
    if wrong:
        raise InputError(
            f"the stored model (made by {artifact.builder}) does not fit the network that "
            f"{build!r} makes: {'; '.join(wrong[:4])}; give the builder that trained it"
        )
    module.load_state_dict({n: torch.from_numpy(np.array(v)) for n, v in artifact.tensors.items()})
    return module.eval()


def prunable(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the weights that pruning counts, in definition order.

    Weights of linear and convolutional layers; not biases, not normalisation, not depthwise
    kernels.

    Example:
        >>> from secateur.models import MLP
        >>> prunable(MLP(widths=(4, 3, 2))())
        ('1.weight', '3.weight')
    """
    names = []
    for name, part in module.named_modules():
        convolution = isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        depthwise = convolution and part.groups > 1 and part.groups == part.in_channels
        if isinstance(part, nn.Linear) or (convolution and not depthwise):
            names.append(f"{name}.weight" if name else "weight")
    return tuple(names)
