"""From stored tensors back to a module, and the other way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur.errors import InputError
from secateur.models.surgery import operate_

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.types import Artifact

__all__ = ["prunable", "rebuild", "tensors_of"]


def tensors_of(module: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """Return copies of a module's parameters and buffers under their state-dict names.

    Raises:
        InputError: an entry is no tensor, or of a type that numpy does not have (bfloat16).
    """
    found = {}
    for name, value in module.state_dict().items():
        try:
            found[name] = value.detach().cpu().numpy().copy()
        except (TypeError, AttributeError) as error:
            kind = getattr(value, "dtype", type(value).__name__)
            raise InputError(
                f"{name!r} of the network is {kind}, which cannot be stored as an array; "
                "convert the network first, for example with module.float()"
            ) from error
    return found


def rebuild(artifact: Artifact, build: Builder) -> nn.Module:
    """Return a fresh module in eval mode with an artifact's tensors.

    Args:
        artifact: what was trained.
        build: makes the empty network; it comes from the caller, never from the file. Torch's
            random state is afterwards what it was. Surgery that the artifact went through is
            done again on it.

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
        module = operate_(build(), artifact.surgery)
    wrong = _differences(artifact.tensors, tensors_of(module))
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise InputError(
            f"the stored model (made by {artifact.builder}) does not fit the network that "
            f"{build!r} makes: {'; '.join(wrong[:4])}{more}; give the builder that trained it"
        )
    module.load_state_dict({n: torch.from_numpy(np.array(v)) for n, v in artifact.tensors.items()})
    return module.eval()


def _differences(
    stored: Mapping[str, np.ndarray[Any, Any]], own: Mapping[str, np.ndarray[Any, Any]]
) -> list[str]:
    wrong = [f"{n!r} only in the file" for n in stored if n not in own]
    wrong += [f"{n!r} only in the network" for n in own if n not in stored]
    for name in own:
        if name not in stored:
            continue
        a, b = stored[name], own[name]
        if a.shape != b.shape:
            wrong.append(f"{name!r} is {a.shape} in the file, {b.shape} in the network")
        elif a.dtype != b.dtype:
            wrong.append(f"{name!r} is {a.dtype} in the file, torch.{b.dtype} in the network")
    return wrong


def prunable(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the weights that pruning counts, in definition order.

    Weights of linear and convolutional layers, a weight that two layers share once; not biases,
    not normalisation, not depthwise kernels.

    Example:
        >>> from secateur.models import MLP
        >>> prunable(MLP(widths=(4, 3, 2))())
        ('1.weight', '3.weight')
    """
    own = {name for name, _ in module.named_parameters()}  # a shared one under its first name
    names = []
    for name, part in module.named_modules():
        convolution = isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        depthwise = convolution and part.groups > 1 and part.groups == part.in_channels
        if isinstance(part, nn.Linear) or (convolution and not depthwise):
            names.append(f"{name}.weight" if name else "weight")
    return tuple(name for name in names if name in own)
