"""Which steps an operator of a graph becomes, before anything is fused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from math import inf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.description import Operator
from secateur_runtime.plan import Floats, Weight
from secateur_runtime.shapes import Shape
from secateur_runtime.tensors import Tensor

__all__ = ["TRANSLATIONS", "Made"]

Tensors = Mapping[str, Tensor]
Cache = MutableMapping[str, Weight]


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A step that is not numbered yet."""

    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weight: Weight | None = None
    bias: Floats | None = None
    layer: str = ""


def _tensor(op: Operator, role: str, tensors: Tensors) -> Tensor:
    name = op.tensors.get(role)
    if name is None or name not in tensors:
        raise op.refused(f"the file lacks its {role}, the tensor {str(name)[:80]!r}")
    return tensors[name]


def _vector(op: Operator, role: str, tensors: Tensors, length: int) -> NDArray[np.float64] | None:
    """Return numbers per channel, or None where the operator has none."""
    if role not in op.tensors:
        return None
    tensor = _tensor(op, role, tensors)
    if tensor.entry.size not in (1, length):
        raise op.refused(f"its {role} has the shape {tensor.entry.shape} for {length} channels")
    found = tensor.array().astype(np.float64).reshape(-1)
    if not np.isfinite(found).all():
        raise op.refused(f"its {role} holds NaN or infinite numbers")
    return np.broadcast_to(found, (length,))


def _layer(
    op: Operator, tensors: Tensors, cache: Cache, kind: str, attributes: Mapping[str, Any]
) -> list[Made]:
    """Return a convolution or linear layer; a tensor is decoded once, however often it is used."""
    name = op.tensors.get("weight", "")
    if name not in cache:
        cache[name] = _tensor(op, "weight", tensors).weight()
    weight = cache[name]
    bias = _vector(op, "bias", tensors, weight.shape[0])
    return [
        Made(
            kind=kind,
            attributes={**attributes, "activation": "none"},
            weight=weight,
            bias=None if bias is None else bias.astype(np.float32),
            layer=op.layer,
        )
    ]


def _convolution(
    op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache
) -> list[Made]:
    (x,) = _one(op, shapes)
    if len(x) != 3:
        raise op.refused(f"convolutions run on (channels, height, width), not on {x}")
    padding, groups = op.pairs("padding"), op.attributes.get("groups")
    if type(groups) is not int or not 1 <= groups < 2**31:
        raise op.refused(f"its groups are {str(groups)[:60]}")
    attributes = {
        "stride": op.whole("stride", 2),
        "padding": (*(before for before, _ in padding), *(after for _, after in padding)),
        "dilation": op.whole("dilation", 2),
        "groups": groups,
    }
    return _layer(op, tensors, cache, "convolution", attributes)


def _linear(op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache) -> list[Made]:
    (x,) = _one(op, shapes)
    if len(x) != 1:
        raise op.refused(f"linear layers run on (features,), not on {x}; flatten before it")
    return _layer(op, tensors, cache, "linear", {})


def _affine(op: Operator, scale: NDArray[Any], shift: NDArray[Any]) -> list[Made]:
    with np.errstate(all="ignore"):
        weight, bias = scale.astype(np.float32), shift.astype(np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise op.refused("it divides by zero, or its scale is too large for float32")
    return [Made(kind="affine", weight=Weight.of(weight), bias=bias, layer=op.layer)]


def _batch_norm(
    op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache
) -> list[Made]:
    (x,) = _one(op, shapes)
    mean, variance, weight, bias = (
        _vector(op, role, tensors, x[0]) for role in ("mean", "variance", "weight", "bias")
    )
    if mean is None or variance is None:
        raise op.refused("it has no running mean or variance")
    with np.errstate(all="ignore"):
        scale = (1.0 if weight is None else weight) / np.sqrt(variance + op.number("eps"))
        shift = (0.0 if bias is None else bias) - mean * scale
    return _affine(op, scale, shift)


def _arithmetic(
    op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache
) -> list[Made]:
    (x,) = _one(op, shapes)
    if len(x) not in (1, 3):
        raise op.refused(f"constants are joined with channels or features, not with {x}")
    constant = _vector(op, "constant", tensors, x[0])
    if constant is None:
        constant = np.full(x[0], op.number("value"))
    one, none = np.ones(x[0]), np.zeros(x[0])
    with np.errstate(all="ignore"):
        pair = {
            "add": (one, constant),
            "subtract": (one, -constant),
            "multiply": (constant, none),
            "divide": (one / constant, none),
        }.get(str(op.attributes.get("operation")))
    if pair is None:
        raise op.refused(f"its operation is {str(op.attributes.get('operation'))[:40]!r}")
    return _affine(op, *pair)


def _pool(op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache) -> list[Made]:
    _one(op, shapes)
    kernel, stride, padding = (op.whole(name, 2) for name in ("kernel", "stride", "padding"))
    attributes: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": (*padding, *padding),
        "ceil_mode": op.flag("ceil"),
    }
    if op.kind == "max_pool":
        attributes["dilation"] = op.whole("dilation", 2)
    else:
        attributes["count_include_pad"] = op.flag("counts_padding")
    return [Made(kind=op.kind, attributes=attributes, layer=op.layer)]


def _adaptive(op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache) -> list[Made]:
    (x,) = _one(op, shapes)
    size = op.whole("size", 2)
    if len(x) != 3 or 0 in size or x[1] % size[0] or x[2] % size[1]:
        raise op.refused(f"windows of {x} that give {size} are not of one size")
    kernel = (x[1] // size[0], x[2] // size[1])
    if kernel == (1, 1):
        return []
    attributes: dict[str, Any] = {
        "kernel": kernel,
        "stride": kernel,
        "padding": (0, 0, 0, 0),
        "ceil_mode": False,
    }
    if op.kind == "adaptive_max_pool":
        return [Made(kind="max_pool", attributes=attributes | {"dilation": (1, 1)}, layer=op.layer)]
    if size == (1, 1):
        return [Made(kind="global_average_pool", layer=op.layer)]
    attributes |= {"count_include_pad": True}
    return [Made(kind="average_pool", attributes=attributes, layer=op.layer)]


def _mean(op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache) -> list[Made]:
    (x,) = _one(op, shapes)
    if len(x) != 3 or sorted(op.whole("axes", 2)) != [1, 2]:
        raise op.refused(f"means run over height and width, not over axes of {x}")
    pool = Made(kind="global_average_pool", layer=op.layer)
    return [pool] if op.flag("keep") else [pool, Made(kind="flatten", layer=op.layer)]


def _reshape(op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache) -> list[Made]:
    (x,) = _one(op, shapes)
    asked = op.attributes.get("shape")
    if not isinstance(asked, list | tuple) or not 1 <= len(asked) <= 8:
        raise op.refused(f"it makes the shape {str(asked)[:60]}")
    shape = op.whole("shape", len(asked))
    if len(shape) == 1:
        return [] if len(x) == 1 else [Made(kind="flatten", layer=op.layer)]
    if prod(shape) != prod(x):
        raise op.refused(f"{x} cannot become {shape}; records of another size do not fit here")
    return [Made(kind="reshape", attributes={"shape": shape}, layer=op.layer)]


def _softmax(op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache) -> list[Made]:
    _one(op, shapes)
    if op.attributes.get("axis") != 0:
        raise op.refused("it runs along another axis than channels or features")
    return [Made(kind="softmax", attributes={"axis": 0}, layer=op.layer)]


def _clip(op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache) -> list[Made]:
    _one(op, shapes)
    attributes = {
        "low": op.number("low", absent=-inf),
        "high": op.number("high", absent=inf),
    }
    return [Made(kind="clip", attributes=attributes, layer=op.layer)]


def _relu(op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache) -> list[Made]:
    _one(op, shapes)
    return [Made(kind="relu", layer=op.layer)]


def _add(op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache) -> list[Made]:
    return [Made(kind="add", layer=op.layer)]


def _concatenate(
    op: Operator, shapes: Sequence[Shape], tensors: Tensors, cache: Cache
) -> list[Made]:
    if op.attributes.get("axis") != 0:
        raise op.refused("it joins along another axis than channels or features")
    return [Made(kind="concatenate", attributes={"axis": 0}, layer=op.layer)]


def _one(op: Operator, shapes: Sequence[Shape]) -> Sequence[Shape]:
    if len(shapes) != 1:
        raise op.refused(f"it reads {len(shapes)} values, not one")
    return shapes


TRANSLATIONS: Mapping[str, Callable[[Operator, Sequence[Shape], Tensors, Cache], list[Made]]] = {
    "convolution": _convolution,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "arithmetic": _arithmetic,
    "relu": _relu,
    "clip": _clip,
    "add": _add,
    "concatenate": _concatenate,
    "max_pool": _pool,
    "average_pool": _pool,
    "adaptive_max_pool": _adaptive,
    "adaptive_average_pool": _adaptive,
    "mean": _mean,
    "reshape": _reshape,
    "softmax": _softmax,
}
"""By the kind of operator in `secateur.deploy.graph`."""
