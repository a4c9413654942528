"""What each kind of layer does to many models at once.

An activation is `[models, records, ...]`, or, between convolutions, `[records, models * channels,
height, width]`, where one grouped convolution serves all models. A layer that does not care for the
models (an activation function, a pooling) runs in whichever form it finds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from secateur.models import Normalise, channels_last

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors

__all__ = ["FUNCTIONS", "LAYERS", "METHODS", "Activation", "Context", "grouped", "stacked"]


class Activation(NamedTuple):
    """A tensor between two layers, and whether models lie in the axis of channels."""

    value: Tensor
    grouped: bool = False


@dataclass(frozen=True, kw_only=True)
class Context:
    """What layers need beside their input.

    `sizes` are the records of each model where they differ: beyond them a batch is padding, which
    no statistic counts. `momentum`, one number per model, replaces the layers' own.
    """

    models: int
    params: Tensors
    buffers: Tensors
    training: bool = True
    sizes: tuple[int, ...] | None = None
    dropout: Sequence[torch.Generator] = ()
    momentum: tuple[float, ...] | None = None


def stacked(c: Context, x: Activation) -> Tensor:
    """Return an activation as `[models, records, ...]`."""
    if not x.grouped:
        return x.value
    value = x.value
    return value.view(len(value), c.models, -1, *value.shape[2:]).transpose(0, 1)


def grouped(x: Activation) -> Tensor:
    """Return an activation of pictures as `[records, models * channels, height, width]`."""
    return x.value if x.grouped else x.value.transpose(0, 1).flatten(1, 2)


def _pictures(x: Activation) -> Tensor:
    """Return what `grouped` does, in the layout that is faster."""
    value = grouped(x)
    return value if value.dtype == torch.float64 else channels_last(value)


class _Products(torch.autograd.Function):
    """Linear layers side by side: inputs `[models, n, in]`, weights `[models, out, in]`.

    Written out, because autograd returns the weights' gradient transposed, and copies it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return `[models, n, out]`."""
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            x, weight = x.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        ctx.save_for_backward(x, weight)
        if bias is None:
            return torch.bmm(x, weight.transpose(1, 2))
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients that are asked for."""
        x, weight = ctx.saved_tensors
        asked = ctx.needs_input_grad
        return (
            torch.bmm(grad, weight) if asked[0] else None,
            torch.bmm(grad.transpose(1, 2), x) if asked[1] else None,
            grad.sum(1) if asked[2] else None,
        )


def _linear(c: Context, name: str, part: nn.Linear, x: Activation) -> Activation:
    value = stacked(c, x)
    weight = c.params[f"{name}.weight"]
    flat = value if value.dim() == 3 else value.flatten(1, -2)
    bias = None if part.bias is None else c.params[f"{name}.bias"]
    out: Tensor = _Products.apply(flat, weight, bias)  # type: ignore[no-untyped-call]
    return Activation(out if value.dim() == 3 else out.view(*value.shape[:-1], -1))


def _conv2d(c: Context, name: str, part: nn.Conv2d, x: Activation) -> Activation:
    bias = None if part.bias is None else c.params[f"{name}.bias"].flatten()
    out = functional.conv2d(
        _pictures(x),
        c.params[f"{name}.weight"].flatten(0, 1),
        bias,
        part.stride,
        part.padding,
        part.dilation,
        c.models * part.groups,
    )
    return Activation(out, grouped=True)


def _batch_norm(c: Context, name: str, part: nn.BatchNorm2d, x: Activation) -> Activation:
    """Normalise per model; while training, by its own batch, and keep its own statistics."""
    value = grouped(x)
    weight, bias = (
        c.params[f"{name}.{kind}"].flatten() if part.affine else None for kind in ("weight", "bias")
    )
    mean, variance = (
        c.buffers[f"{name}.{kind}"].view(-1) if part.track_running_stats else None
        for kind in ("running_mean", "running_var")
    )
    by_batch = c.training or mean is None
    if c.training and part.track_running_stats:
        c.buffers[f"{name}.num_batches_tracked"] += 1
    if by_batch and (c.sizes is not None or c.momentum is not None):
        out = _norm_by_hand(c, part, value, (weight, bias), (mean, variance))
    else:
        out = functional.batch_norm(
            value, mean, variance, weight, bias, by_batch, part.momentum or 0.0, part.eps
        )
    if not x.grouped and value.dim() == 2:  # features, not pictures
        return Activation(stacked(c, Activation(out, grouped=True)))
    return Activation(out, grouped=True)


def _norm_by_hand(
    c: Context,
    part: nn.BatchNorm2d,
    value: Tensor,
    affine: tuple[Tensor | None, Tensor | None],
    running: tuple[Tensor | None, Tensor | None],
) -> Tensor:
    """Normalise where models have batches of several sizes, or momenta of their own."""
    if value.dtype == torch.bfloat16:
        value = value.float()
    n, channels = len(value), value.shape[1]
    sizes = torch.tensor(c.sizes or (n,) * c.models, device=value.device)
    each = channels // c.models
    places = value[0, 0].numel()
    valid = (torch.arange(n, device=value.device)[:, None] < sizes).repeat_interleave(each, 1)
    valid = valid.view(n, channels, *(1,) * (value.dim() - 2)).to(value.dtype)
    over = [0, *range(2, value.dim())]
    count = (sizes * places).repeat_interleave(each).to(value.dtype)
    shape = (1, channels, *(1,) * (value.dim() - 2))
    mean = (value * valid).sum(over) / count
    centred = (value - mean.view(shape)) * valid
    variance = centred.square().sum(over) / count
    if c.training and running[0] is not None and running[1] is not None:
        with torch.no_grad():
            own = part.momentum or 0.0
            if c.momentum is None:
                momentum = torch.full_like(count, own)
            else:
                momentum = value.new_tensor(c.momentum).repeat_interleave(each)
            running[0].lerp_(mean, momentum)
            running[1].lerp_(variance * count / (count - 1), momentum)
    out = centred * torch.rsqrt(variance + part.eps).view(shape)
    weight, bias = affine
    if weight is not None and bias is not None:
        out = out * weight.view(shape) + bias.view(shape)
    return out


def _dropout(c: Context, name: str, part: nn.Dropout, x: Activation) -> Activation:
    """Drop what each model's own generator says: the numbers that torch draws for one model."""
    del name
    if not c.training or part.p == 0:
        return x
    value = stacked(c, x)
    noise = torch.zeros(value.shape)
    sizes = c.sizes or (value.shape[1],) * c.models
    for k, generator in enumerate(c.dropout):
        shape = (sizes[k], *value.shape[2:])
        noise[k, : sizes[k]] = torch.empty(shape).bernoulli_(1 - part.p, generator=generator)
    return Activation(value * noise.to(value).div_(1 - part.p))


def _normalise(c: Context, name: str, part: Normalise, x: Activation) -> Activation:
    del part
    value = stacked(c, x)
    shape = (c.models, 1, -1, *(1,) * (value.dim() - 3))
    mean, std = (c.buffers[f"{name}.{kind}"].view(shape) for kind in ("mean", "std"))
    return Activation((value - mean) / std)


def _flatten(c: Context, name: str, part: nn.Flatten, x: Activation) -> Activation:
    del name, part
    return Activation(stacked(c, x).flatten(2))


def _elementwise(c: Context, name: str, part: nn.Module, x: Activation) -> Activation:
    del c, name
    return Activation(part(x.value), x.grouped)


def _per_channel(c: Context, name: str, part: nn.Module, x: Activation) -> Activation:
    del c, name
    return Activation(part(grouped(x)), grouped=True)


Layer = Callable[[Context, str, Any, Activation], Activation]

ELEMENTWISE = (
    *(nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid),
    *(nn.Softplus, nn.Softsign),
)
PER_CHANNEL = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d)
LAYERS: Mapping[type[nn.Module], Layer] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Dropout: _dropout,
    nn.Flatten: _flatten,
    Normalise: _normalise,
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(PER_CHANNEL, _per_channel),
}


def _two(function: Callable[..., Tensor]) -> Callable[..., Activation]:
    def call(c: Context, a: Activation, b: Activation) -> Activation:
        if a.grouped == b.grouped:
            return Activation(function(a.value, b.value), a.grouped)
        return Activation(function(stacked(c, a), stacked(c, b)))

    return call


def _one(function: Callable[..., Tensor]) -> Callable[..., Activation]:
    def call(c: Context, x: Activation) -> Activation:
        del c
        return Activation(function(x.value), x.grouped)

    return call


def _from_second_axis(c: Context, x: Activation, start: int = 0) -> Activation:
    assert start == 1  # `lower` looked
    return Activation(stacked(c, x).flatten(2))


# functions and methods that a forward pass may call, for arguments that are activations alone
FUNCTIONS: Mapping[Any, Callable[..., Activation]] = {
    operator.add: _two(torch.add),
    torch.add: _two(torch.add),
    operator.mul: _two(torch.mul),
    torch.mul: _two(torch.mul),
    torch.flatten: _from_second_axis,
    **{f: _one(f) for f in (functional.relu, torch.relu, functional.gelu, functional.silu)},
    **{f: _one(f) for f in (torch.tanh, torch.sigmoid, functional.relu6)},
}
METHODS: Mapping[str, Callable[..., Activation]] = {
    "flatten": _from_second_axis,
    "relu": _one(torch.relu),
    "tanh": _one(torch.tanh),
    "sigmoid": _one(torch.sigmoid),
    "add": _two(torch.add),
}
