"""How the pooling operators of an exported torch program are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from secateur.deploy.calls import Call, Found, UnsupportedError, first_axis, many, value_of

__all__ = ["POOLS"]


def _pool(kind: str) -> Callable[[Call], Found]:
    def translate(call: Call) -> Found:
        name = first_axis(call, "self")
        n = len(call.values[name].shape) - 1
        kernel = many(call.arguments["kernel_size"], n)
        attributes: dict[str, Any] = {
            "kernel": kernel,
            "stride": many(call.arguments["stride"] or kernel, n),
            "padding": many(call.arguments["padding"], n),
            "ceil": bool(call.arguments["ceil_mode"]),
        }
        if kind == "max_pool":
            attributes["dilation"] = many(call.arguments["dilation"], n)
        else:
            attributes["counts_padding"] = bool(call.arguments["count_include_pad"])
            if call.arguments.get("divisor_override") is not None:
                raise UnsupportedError("its divisor is overridden")
        return Found(kind=kind, inputs=(name,), tensors={}, attributes=attributes, axis=0)

    return translate


def _adaptive(kind: str) -> Callable[[Call], Found]:
    def translate(call: Call) -> Found:
        name, size = first_axis(call, "self"), call.shape[1:]
        return Found(kind=kind, inputs=(name,), tensors={}, attributes={"size": size}, axis=0)

    return translate


def _maximum(call: Call) -> Found:
    asked = many(call.arguments["dim"], 1)
    rank = len(call.values[value_of(call, "self")].shape) + 1
    if sorted(d % rank for d in asked) == [2, 3] and rank == 4:
        raise UnsupportedError("for the maximum over each map take torch.nn.AdaptiveMaxPool2d(1)")
    raise UnsupportedError("it has no description here")


def _mean(call: Call) -> Found:
    name = value_of(call, "self")
    value = call.values[name]
    rank = len(value.shape) + 1
    axes = tuple(sorted(d % rank - 1 for d in many(call.arguments["dim"], 1)))
    if call.arguments.get("dtype") is not None or -1 in axes or value.axis in axes:
        raise UnsupportedError("its mean runs over records or channels")
    keep = bool(call.arguments["keepdim"])
    axis = value.axis if keep else value.axis - sum(a < value.axis for a in axes)
    return Found(
        kind="mean",
        inputs=(name,),
        tensors={},
        attributes={"axes": axes, "keep": keep},
        axis=axis,
    )


POOLS: Mapping[str, Callable[[Call], Found]] = {
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d"), _pool("max_pool")),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), _pool("average_pool")),
    **dict.fromkeys(
        ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
        _adaptive("adaptive_average_pool"),
    ),
    **dict.fromkeys(
        ("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
        _adaptive("adaptive_max_pool"),
    ),
    "amax": _maximum,
    "mean": _mean,
}
"""By the name of the operator in `torch.ops.aten`."""
