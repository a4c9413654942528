"""What the operators of an exported torch program are called here, and what they carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from secateur.deploy.calls import (
    Call,
    Found,
    Param,
    Ref,
    UnsupportedError,
    first_axis,
    many,
    params,
    value_of,
)
from secateur.deploy.pooling import POOLS

__all__ = ["TRANSLATIONS"]


def _convolution(call: Call) -> Found:
    weight = call.arguments["weight"]
    tensors = params(call, weight="weight", bias="bias")
    kernel = weight.size[2:]
    n = len(kernel)
    dilation = many(call.arguments["dilation"], n)
    padding = call.arguments["padding"]
    if padding == "same":  # torch gives the odd one to the end
        whole = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pads = tuple((w // 2, w - w // 2) for w in whole)
    else:
        pads = tuple((p, p) for p in many(0 if padding == "valid" else padding, n))
    attributes = {
        "kernel": tuple(kernel),
        "stride": many(call.arguments["stride"], n),
        "padding": pads,
        "dilation": dilation,
        "groups": call.arguments["groups"],
    }
    return Found(
        kind="convolution",
        inputs=(value_of(call, "input"),),
        tensors=tensors,
        attributes=attributes,
        axis=0,
    )


def _linear(call: Call) -> Found:
    return Found(
        kind="linear",
        inputs=(value_of(call, "input"),),
        tensors=params(call, weight="weight", bias="bias"),
        attributes={},
        axis=len(call.shape) - 1,
    )


def _batch_norm(call: Call) -> Found:
    if call.arguments["training"] or call.arguments["running_mean"] is None:
        raise UnsupportedError("it has no running statistics, so that records mix in a batch")
    tensors = params(
        call, weight="weight", bias="bias", mean="running_mean", variance="running_var"
    )
    eps = float(call.arguments["eps"])
    inputs = (first_axis(call, "input"),)
    return Found(kind="batch_norm", inputs=inputs, tensors=tensors, attributes={"eps": eps}, axis=0)


def _group_norm(call: Call) -> Found:
    attributes = {"groups": call.arguments["num_groups"], "eps": float(call.arguments["eps"])}
    return Found(
        kind="group_norm",
        inputs=(first_axis(call, "input"),),
        tensors=params(call, weight="weight", bias="bias"),
        attributes=attributes,
        axis=0,
    )


def _elementwise(kind: str, **attributes: str | float | None) -> Callable[[Call], Found]:
    """Return the translation of an activation; words in `attributes` name arguments."""

    def translate(call: Call) -> Found:
        name = value_of(call, "self")
        found = {
            key: call.arguments[value] if isinstance(value, str) else value
            for key, value in attributes.items()
        }
        if kind == "gelu" and found["form"] not in ("none", "tanh"):
            raise UnsupportedError(f"its form {found['form']!r} is unknown")
        if kind == "clip":
            if not all(v is None or isinstance(v, int | float) for v in found.values()):
                raise UnsupportedError("its bounds are tensors, not numbers")
            found = {k: None if v is None else float(v) for k, v in found.items()}
        axis = call.values[name].axis
        return Found(kind=kind, inputs=(name,), tensors={}, attributes=found, axis=axis)

    return translate


def _arithmetic(operation: str) -> Callable[[Call], Found]:
    def translate(call: Call) -> Found:
        if call.arguments.get("alpha", 1) != 1 or call.arguments.get("rounding_mode"):
            raise UnsupportedError("it scales or rounds on its way")
        left, right = call.arguments["self"], call.arguments["other"]
        if isinstance(left, Ref) and isinstance(right, Ref):
            return _join(call, operation, left.name, right.name)
        if operation in ("add", "multiply") and not isinstance(left, Ref):
            left, right = right, left
        if not isinstance(left, Ref):
            raise UnsupportedError("it takes an activation away from a constant, or divides by it")
        value = call.values[left.name]
        tensors: dict[str, str] = {}
        attributes: dict[str, Any] = {"operation": operation}
        if isinstance(right, Param):
            shape = (1,) * (1 + len(value.shape) - len(right.shape)) + right.shape
            along = [axis for axis, size in enumerate(shape) if size != 1]
            if along not in ([], [value.axis + 1]) or call.shape != value.shape:
                raise UnsupportedError(f"its constant has the shape {right.shape}")
            tensors["constant"] = right.name
        elif isinstance(right, int | float):
            attributes["value"] = float(right)
        else:
            raise UnsupportedError("its second operand is neither activation nor constant")
        return Found(
            kind="arithmetic",
            inputs=(left.name,),
            tensors=tensors,
            attributes=attributes,
            axis=value.axis,
        )

    return translate


def _join(call: Call, operation: str, left: str, right: str) -> Found:
    a, b = call.values[left], call.values[right]
    if operation != "add":
        raise UnsupportedError(f"it combines two activations by {operation}")
    if a != b:
        raise UnsupportedError(f"it adds activations of shapes {a.shape} and {b.shape}")
    return Found(kind="add", inputs=(left, right), tensors={}, attributes={}, axis=a.axis)


def _concatenate(call: Call) -> Found:
    parts = call.arguments["tensors"]
    if not all(isinstance(part, Ref) for part in parts):
        raise UnsupportedError("it joins a constant")
    names = tuple(part.name for part in parts)
    axis = call.arguments["dim"] % (len(call.shape) + 1) - 1
    if any(call.values[name].axis != axis for name in names):
        raise UnsupportedError("it does not join channels")
    return Found(kind="concatenate", inputs=names, tensors={}, attributes={"axis": axis}, axis=axis)


def _reshape(call: Call) -> Found:
    name = value_of(call, "self")
    if "dtype" in call.arguments:
        raise UnsupportedError("it reads numbers as another type")
    sizes = call.arguments.get("size", call.arguments.get("shape"))
    before = call.values[name].shape
    whole = 1
    for size in before:
        whole *= size
    after = 1
    for size in call.shape:
        after *= size
    if whole != after:
        raise UnsupportedError("it moves numbers between records")
    # sizes that the program states cannot follow when channels are removed before them
    fixed = (sizes is not None and -1 not in sizes[1:]) or call.name == "squeeze.default"
    return Found(
        kind="reshape",
        inputs=(name,),
        tensors={},
        attributes={"shape": call.shape, "fixed": fixed},
        axis=0 if len(call.shape) != 2 else 1,
    )


def _softmax(kind: str) -> Callable[[Call], Found]:
    def translate(call: Call) -> Found:
        name = value_of(call, "self")
        axis = call.arguments["dim"] % (len(call.shape) + 1) - 1
        if axis < 0:
            raise UnsupportedError("it runs over the records of a batch")
        own = call.values[name].axis
        return Found(kind=kind, inputs=(name,), tensors={}, attributes={"axis": axis}, axis=own)

    return translate


def _same(call: Call) -> Found:
    """Return an operator that is left out, as dropout is outside training."""
    if call.arguments.get("train"):
        raise UnsupportedError("it drops activations at random outside training too")
    name = value_of(call, "self" if "self" in call.arguments else "input")
    if call.values[name].shape != call.shape:
        raise UnsupportedError("it changes the shape")
    axis = call.values[name].axis
    return Found(kind="same", inputs=(name,), tensors={}, attributes={}, axis=axis)


TRANSLATIONS: Mapping[str, Callable[[Call], Found]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    "linear": _linear,
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    **dict.fromkeys(("relu", "relu_"), _elementwise("relu")),
    **dict.fromkeys(("relu6", "relu6_"), _elementwise("clip", low=0.0, high=6.0)),
    **dict.fromkeys(("hardtanh", "hardtanh_"), _elementwise("clip", low="min_val", high="max_val")),
    **dict.fromkeys(
        ("clamp", "clamp_", "clip", "clip_"), _elementwise("clip", low="min", high="max")
    ),
    "clamp_min": _elementwise("clip", low="min", high=None),
    **dict.fromkeys(
        ("leaky_relu", "leaky_relu_"), _elementwise("leaky_relu", slope="negative_slope")
    ),
    **dict.fromkeys(("tanh", "tanh_"), _elementwise("tanh")),
    **dict.fromkeys(("sigmoid", "sigmoid_"), _elementwise("sigmoid")),
    **dict.fromkeys(("silu", "silu_"), _elementwise("silu")),
    "gelu": _elementwise("gelu", form="approximate"),
    **dict.fromkeys(("add", "add_"), _arithmetic("add")),
    **dict.fromkeys(("sub", "sub_"), _arithmetic("subtract")),
    **dict.fromkeys(("mul", "mul_"), _arithmetic("multiply")),
    **dict.fromkeys(("div", "div_"), _arithmetic("divide")),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concatenate),
    **POOLS,
    **dict.fromkeys(("view", "reshape", "flatten", "squeeze", "unflatten", "unsqueeze"), _reshape),
    "softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
    **dict.fromkeys(
        ("dropout", "dropout_", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), _same
    ),
    **dict.fromkeys(("contiguous", "alias", "detach", "clone", "identity"), _same),
}
"""By the name of the operator in `torch.ops.aten`."""
