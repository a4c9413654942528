"""How strongly each record pulls at a network's weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur.errors import InputError
from secateur.models.layout import at_once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from secateur.types import BoolArray, IntArray, Records

__all__ = ["gradient_norms"]

GROUPS = 8  # of layers at most, so that a deep network takes no more memory than a shallow one
NUMBERS = 2**24  # of gradients held at once, unless one record's are more
LEAST = 1e-24  # added to squares: where all of a gradient is 0 its logarithm is finite


def gradient_norms(
    module: nn.Module,
    records: Records,
    *,
    indices: IntArray | None = None,
    masks: Mapping[str, BoolArray] | None = None,
) -> NDArray[np.float32]:
    """Return log norms of each record's loss gradient, `[record, part]`, in eval mode.

    The first part is the gradient of the weights of all linear layers and convolutions. The others
    are groups of consecutive layers of them, at most 8: the kept weights of each group, then, with
    masks, the removed ones of each, which stand at zero in the network but have a gradient too.
    Smaller = the record is fitted better. One backward pass serves a batch: a record's gradient
    of a weight is the product of the layer's input and of the gradient of its output.

    Args:
        module: a classifier of which a record's logits do not depend on other records in eval mode;
            left as it was.
        records: inputs and labels.
        indices: which records, default all.
        masks: by weight, True where it is kept.

    Raises:
        InputError: the network has no linear layer and no convolution, or one of an odd padding.

    Example:
        >>> from secateur.data import digits
        >>> from secateur.models import MLP
        >>> net = MLP(widths=(64, 8, 10))()
        >>> gradient_norms(net, digits(), indices=np.arange(3)).shape
        (3, 3)
    """
    where = np.arange(len(records)) if indices is None else np.asarray(indices)
    layers = _layers(module, masks)
    device = layers[0].module.weight.device
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    hooks = [layer.module.register_forward_hook(layer.keep) for layer in layers]
    most = min(1024, at_once(module, device))
    step = max(1, min(most, NUMBERS // max(layer.module.weight.numel() for layer in layers)))
    found = []
    try:
        for start in range(0, len(where), step):
            rows = where[start : start + step]
            inputs = torch.from_numpy(np.array(records.gather(rows))).to(device)
            labels = torch.from_numpy(np.array(records.labels[rows])).to(device)
            found.append(_norms(module, layers, inputs, labels, split=bool(masks)))
    finally:
        for hook in hooks:
            hook.remove()
        for part, was_training in modes:
            part.training = was_training
    return np.concatenate(found)


@dataclass(kw_only=True)
class _Layer:
    """A layer, its mask, and what it read and gave of the batch at hand, call by call."""

    module: nn.Linear | nn.Conv2d
    mask: Tensor | None
    calls: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def keep(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Keep a call's input and output (a forward hook)."""
        del module
        self.calls.append((inputs[0].detach(), output))
        return output.clone()  # what follows may write into it

    def squares(self, pulls: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the squared norms of a record's gradient at kept and at removed weights, `[n]`.

        Args:
            pulls: gradients of the outputs, call by call.
        """
        read = [self._as_places(x) for x, _ in self.calls]
        given = [self._as_outputs(p) for p in pulls]
        a, d = torch.cat(read, dim=2), torch.cat(given, dim=2)  # [n, groups, places, numbers]
        weight = self.module.weight
        if a.shape[2] == 1 and a.shape[1] == 1:  # an outer product: never written out
            a, d = a[:, 0, 0] ** 2, d[:, 0, 0] ** 2
            if self.mask is None:
                return a.sum(1) * d.sum(1), torch.zeros(len(a), device=a.device)
            kept = self.mask.reshape(weight.shape[0], -1)
            return ((d @ kept) * a).sum(1), ((d @ (1 - kept)) * a).sum(1)
        gradient = (d.transpose(2, 3) @ a).reshape(len(a), -1) ** 2
        if self.mask is None:
            return gradient.sum(1), torch.zeros(len(a), device=a.device)
        kept = self.mask.reshape(-1)
        return gradient @ kept, gradient @ (1 - kept)

    def _as_places(self, x: Tensor) -> Tensor:
        layer = self.module
        if isinstance(layer, nn.Linear):
            return x.reshape(len(x), 1, -1, x.shape[-1])
        assert not isinstance(layer.padding, str)  # refused before
        patches = nn.functional.unfold(
            x, layer.kernel_size, layer.dilation, layer.padding, layer.stride
        )
        return patches.reshape(len(x), layer.groups, -1, patches.shape[-1]).transpose(2, 3)

    def _as_outputs(self, pull: Tensor) -> Tensor:
        if isinstance(self.module, nn.Linear):
            return pull.reshape(len(pull), 1, -1, pull.shape[-1])
        split = pull.reshape(len(pull), self.module.groups, -1, pull[0, 0].numel())
        return split.transpose(2, 3)


def _layers(module: nn.Module, masks: Mapping[str, BoolArray] | None) -> list[_Layer]:
    found = []
    for name, layer in module.named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        if isinstance(layer, nn.Conv2d) and (
            isinstance(layer.padding, str) or layer.padding_mode != "zeros"
        ):
            raise InputError(
                f"{name} pads by {layer.padding!r}, {layer.padding_mode!r}, and gradients of "
                "single records are known for padding by so many zeros alone; leave attacks out "
                "that read gradients"
            )
        mask = (masks or {}).get(f"{name}.weight")
        as_tensor = None
        if mask is not None:
            as_tensor = torch.from_numpy(np.array(mask, dtype=np.float32)).to(layer.weight.device)
        found.append(_Layer(module=layer, mask=as_tensor))
    if not found:
        raise InputError(
            f"{type(module).__name__} has no linear layer and no convolution whose gradient could "
            "be read; leave attacks out that read gradients"
        )
    return found


def _norms(
    module: nn.Module, layers: list[_Layer], inputs: Tensor, labels: Tensor, *, split: bool
) -> NDArray[np.float32]:
    """Return the log norms of the parts of a batch, `[record, part]`."""
    for layer in layers:
        layer.calls.clear()
    with torch.enable_grad():
        logits = module(inputs.requires_grad_())  # so that frozen networks have gradients too
        loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
        outputs = [output for layer in layers for _, output in layer.calls]
        pulls = list(torch.autograd.grad(loss, outputs))
    squares = []
    for layer in layers:
        own, pulls = pulls[: len(layer.calls)], pulls[len(layer.calls) :]
        squares.append(torch.stack(layer.squares(own)))
        layer.calls.clear()
    number = min(GROUPS, len(layers))
    cuts = [round(k * len(layers) / number) for k in range(number + 1)]
    groups = torch.stack([torch.stack(squares[a:b]).sum(0) for a, b in pairwise(cuts)])
    parts = [groups.sum((0, 1))[None], groups[:, 0], *([groups[:, 1]] if split else [])]
    norms: NDArray[Any] = (0.5 * torch.log(torch.cat(parts) + LEAST)).T.cpu().numpy()
    return norms.astype(np.float32)
