"""Run a graph in numpy alone: what its operators mean, written out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import erf

from secateur.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.deploy.graph import Graph, Operator

    Array = NDArray[Any]

__all__ = ["compute", "run"]


def run(graph: Graph, tensors: Mapping[str, Array], inputs: Array) -> Array:
    """Return what a network gives for some inputs, step by step.

    Args:
        graph: without opaque operators.
        tensors: by their names in the state dict.
        inputs: `[n, ...]`; the arithmetic is done in their type.

    Raises:
        InputError: an operator is known by name alone.

    Example:
        >>> from secateur.deploy.graph import Graph, Operator, Value
        >>> step = Operator(kind="relu", output="y", inputs=("x",))
        >>> value = Value(shape=(2,))
        >>> whole = Graph(operators=(step,), values={"x": value, "y": value}, input="x", output="y")
        >>> run(whole, {}, np.array([[-1.0, 2.0]])).tolist()
        [[0.0, 2.0]]
    """
    values = {graph.input: inputs}
    last = {name: op.output for op in graph.operators for name in op.inputs}
    for op in graph.operators:
        own = {role: tensors[name].astype(inputs.dtype) for role, name in op.tensors.items()}
        axis = graph.values[op.inputs[0]].axis if op.inputs else 0
        values[op.output] = compute(op, [values[name] for name in op.inputs], own, axis)
        for name in set(op.inputs) - {graph.output}:
            if last[name] == op.output:
                del values[name]
    return values[graph.output]


def compute(
    op: Operator, inputs: Sequence[Array], tensors: Mapping[str, Array], axis: int = 0
) -> Array:
    """Return what one operator makes of its inputs `[n, ...]`.

    Args:
        op: not opaque.
        inputs: in the operator's order.
        tensors: by role.
        axis: of the first input's channels, not counting the batch axis.

    Raises:
        InputError: the operator has no meaning here.
    """
    if op.kind in _PLAIN:
        return _PLAIN[op.kind](inputs[0], op.attributes)
    if op.kind == "convolution":
        return _convolution(inputs[0], tensors, op.attributes)
    if op.kind == "linear":
        bias = tensors.get("bias", 0)
        return np.asarray(inputs[0] @ tensors["weight"].T + bias)
    if op.kind == "batch_norm":
        return _batch_norm(inputs[0], tensors, op.attributes["eps"])
    if op.kind == "group_norm":
        return _group_norm(inputs[0], tensors, op.attributes)
    if op.kind == "arithmetic":
        return _arithmetic(inputs[0], tensors, op.attributes, axis)
    if op.kind == "add":
        return np.asarray(inputs[0] + inputs[1])
    if op.kind == "concatenate":
        return np.concatenate(inputs, axis=op.attributes["axis"] + 1)
    raise InputError(
        f"{op.attributes.get('operator', op.kind)!r} in {op.place} cannot be computed from the "
        "graph; run the network itself"
    )


def _behind(values: Array, rank: int) -> Array:
    """Return numbers per channel so that they broadcast over `[n, channels, ...]`."""
    return values.reshape(1, -1, *(1,) * (rank - 2))


def _convolution(x: Array, tensors: Mapping[str, Array], attributes: Mapping[str, Any]) -> Array:
    weight = tensors["weight"]
    n, groups = len(x), attributes["groups"]
    kernel = weight.shape[2:]
    x = np.pad(x, [(0, 0), (0, 0), *attributes["padding"]])
    spatial = tuple(range(2, x.ndim))
    reach = [d * (k - 1) + 1 for d, k in zip(attributes["dilation"], kernel, strict=True)]
    windows = sliding_window_view(x, reach, axis=spatial)
    steps = tuple(slice(None, None, s) for s in attributes["stride"])
    taps = tuple(slice(None, None, d) for d in attributes["dilation"])
    windows = windows[(slice(None), slice(None), *steps, *taps)]
    places = windows.shape[2 : 2 + len(kernel)]
    # [n, group, in, places, taps] against [group, out, in, taps]
    windows = windows.reshape(n, groups, -1, math.prod(places), math.prod(kernel))
    rows = windows.transpose(0, 1, 3, 2, 4).reshape(n, groups, math.prod(places), -1)
    columns = weight.reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)
    out = (rows @ columns[None]).transpose(0, 1, 3, 2).reshape(n, len(weight), *places)
    bias = tensors.get("bias")
    return out if bias is None else np.asarray(out + _behind(bias, out.ndim))


def _batch_norm(x: Array, tensors: Mapping[str, Array], eps: float) -> Array:
    scale = 1 / np.sqrt(tensors["variance"] + np.asarray(eps, x.dtype))
    scale = scale * tensors.get("weight", 1)
    shifted = (x - _behind(tensors["mean"], x.ndim)) * _behind(scale, x.ndim)
    bias = tensors.get("bias")
    return shifted if bias is None else np.asarray(shifted + _behind(bias, x.ndim))


def _group_norm(x: Array, tensors: Mapping[str, Array], attributes: Mapping[str, Any]) -> Array:
    groups = x.reshape(len(x), attributes["groups"], -1)
    mean = groups.mean(axis=2, keepdims=True)
    variance = ((groups - mean) ** 2).mean(axis=2, keepdims=True)
    eps = np.asarray(attributes["eps"], x.dtype)
    out = ((groups - mean) / np.sqrt(variance + eps)).reshape(x.shape)
    out = out * _behind(tensors["weight"], x.ndim) if "weight" in tensors else out
    return np.asarray(out + _behind(tensors["bias"], x.ndim)) if "bias" in tensors else out


def _arithmetic(
    x: Array, tensors: Mapping[str, Array], attributes: Mapping[str, Any], axis: int
) -> Array:
    constant = np.asarray(attributes.get("value", 0.0), x.dtype)
    if "constant" in tensors:
        shape = [1] * x.ndim
        shape[axis + 1] = -1
        constant = tensors["constant"].reshape(shape)
    operation = {
        "add": np.add,
        "subtract": np.subtract,
        "multiply": np.multiply,
        "divide": np.divide,
    }[attributes["operation"]]
    return np.asarray(operation(x, constant))


def _pool(x: Array, a: Mapping[str, Any], fill: float, reduce: Callable[..., Array]) -> Array:
    """Slide a window; `ceil` adds a last window that begins inside the input or its padding."""
    kernel, stride, padding = a["kernel"], a["stride"], a["padding"]
    dilation = a.get("dilation", (1,) * len(kernel))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sizes = x.shape[2:]
    pads = []
    for size, r, s, p in zip(sizes, reach, stride, padding, strict=True):
        room = size + 2 * p - r
        count = (-(-room // s) if a["ceil"] else room // s) + 1
        if a["ceil"] and (count - 1) * s >= size + p:
            count -= 1
        pads.append((p, max(p, (count - 1) * s + r - size - p)))
    padded = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)
    windows = sliding_window_view(padded, reach, axis=tuple(range(2, x.ndim)))
    steps = tuple(slice(None, None, s) for s in stride)
    taps = tuple(slice(None, None, d) for d in dilation)
    windows = windows[(slice(None), slice(None), *steps, *taps)]
    return reduce(windows, axis=tuple(range(x.ndim, windows.ndim)))


def _max_pool(x: Array, a: Mapping[str, Any]) -> Array:
    return _pool(x, a, -np.inf, np.max)


def _average_pool(x: Array, a: Mapping[str, Any]) -> Array:
    total = _pool(x, a, 0.0, np.sum)
    inside = np.ones((1, 1, *x.shape[2:]), x.dtype)
    if a["counts_padding"]:  # what lies beyond the padding, as `ceil` may reach, never counts
        pads = [(p, p) for p in a["padding"]]
        inside = np.pad(inside, [(0, 0), (0, 0), *pads], constant_values=1)
        a = {**a, "padding": (0,) * len(pads)}
        count = _pool(inside, a, 0.0, np.sum)
        index = tuple(slice(0, size) for size in (1, 1, *total.shape[2:]))
        return np.asarray(total / count[index])
    return np.asarray(total / _pool(inside, a, 0.0, np.sum))


def _adaptive(x: Array, a: Mapping[str, Any], reduce: Callable[..., Array]) -> Array:
    size = a["size"]
    out = np.empty((*x.shape[:2], *size), x.dtype)
    for place in product(*(range(s) for s in size)):
        part = x
        for d, (i, wanted) in enumerate(zip(place, size, strict=True)):
            n = x.shape[2 + d]
            window = range(i * n // wanted, -(-(i + 1) * n // wanted))
            part = np.take(part, window, axis=2 + d)
        index: tuple[Any, ...] = (slice(None), slice(None), *place)
        out[index] = reduce(part, axis=tuple(range(2, x.ndim)))
    return out


def _adaptive_max_pool(x: Array, a: Mapping[str, Any]) -> Array:
    return _adaptive(x, a, np.max)


def _adaptive_average_pool(x: Array, a: Mapping[str, Any]) -> Array:
    return _adaptive(x, a, np.mean)


def _mean(x: Array, a: Mapping[str, Any]) -> Array:
    return np.asarray(x.mean(axis=tuple(d + 1 for d in a["axes"]), keepdims=a["keep"]))


def _reshape(x: Array, a: Mapping[str, Any]) -> Array:
    return x.reshape(len(x), -1) if len(a["shape"]) == 1 else x.reshape(len(x), *a["shape"])


def _clip(x: Array, a: Mapping[str, Any]) -> Array:
    return np.clip(x, a["low"], a["high"])


def _leaky_relu(x: Array, a: Mapping[str, Any]) -> Array:
    return np.where(x > 0, x, x * np.asarray(a["slope"], x.dtype))


def _sigmoid(x: Array, _: Mapping[str, Any]) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0, -x)))


def _gelu(x: Array, a: Mapping[str, Any]) -> Array:
    if a["form"] == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return np.asarray(0.5 * x * (1 + np.tanh(inner)))
    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def _log_softmax(x: Array, a: Mapping[str, Any]) -> Array:
    shifted = x - x.max(axis=a["axis"] + 1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=a["axis"] + 1, keepdims=True)))


_PLAIN: Mapping[str, Callable[[Array, Mapping[str, Any]], Array]] = {
    "relu": lambda x, _: np.maximum(x, 0),
    "clip": _clip,
    "leaky_relu": _leaky_relu,
    "tanh": lambda x, _: np.tanh(x),
    "sigmoid": _sigmoid,
    "silu": lambda x, a: x * _sigmoid(x, a),
    "gelu": _gelu,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "adaptive_max_pool": _adaptive_max_pool,
    "adaptive_average_pool": _adaptive_average_pool,
    "mean": _mean,
    "reshape": _reshape,
    "softmax": lambda x, a: np.exp(_log_softmax(x, a)),
    "log_softmax": _log_softmax,
}
