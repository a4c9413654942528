"""Packed files written by hand, operator by operator, to ask for what no exporter asks for."""

from __future__ import annotations

import numpy as np

from secateur.packed import pack


def convolution(source, output, weight, padding=(0, 0), *, stride=(1, 1), bias=None):
    """Return an operator; padding is the same on both sides, down and across."""
    return {
        "kind": "convolution",
        "layer": output,
        "inputs": [source],
        "output": output,
        "tensors": {"weight": weight, **({} if bias is None else {"bias": bias})},
        "attributes": {
            "stride": list(stride),
            "padding": [[padding[0]] * 2, [padding[1]] * 2],
            "dilation": [1, 1],
            "groups": 1,
        },
    }


def plain(kind, sources, output, *, tensors=None, **attributes):
    """Return an operator without a window."""
    return {
        "kind": kind,
        "layer": output,
        "inputs": list(sources),
        "output": output,
        "tensors": tensors or {},
        "attributes": attributes,
    }


def written(shape, operators, tensors=None, **how) -> bytes:
    """Return a file whose input is called `x`, and whose last operator makes its output."""
    graph = {
        "input": "x",
        "output": operators[-1]["output"],
        "operators": operators,
        "values": {"x": {"shape": list(shape)}},
    }
    return pack(tensors or {"none": np.zeros(1, np.float32)}, graph=graph, **how)
