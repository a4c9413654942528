"""Channels that an output depends on, found by setting each of them to 0 and looking."""

from __future__ import annotations

import numpy as np

from secateur.deploy.interpret import compute


def run_without(graph, tensors, inputs, value=None, channel=None):
    """Run a graph in double precision with one channel of one value set to 0."""
    values = {graph.input: inputs.astype(np.float64)}
    for op in graph.operators:
        own = {role: tensors[name].astype(np.float64) for role, name in op.tensors.items()}
        axis = graph.values[op.inputs[0]].axis
        made = compute(op, [values[name] for name in op.inputs], own, axis)
        if op.output == value:
            made = made.copy()
            made[(slice(None),) * (1 + graph.values[value].axis) + (channel,)] = 0
        values[op.output] = made
    return values[graph.output]


def idle_channels(graph, tensors, inputs):
    """Return (value, channel) of all hidden channels that change no output when they are 0."""
    whole = run_without(graph, tensors, inputs)
    found = []
    for op in graph.operators:
        if op.output == graph.output:
            continue
        for channel in range(graph.values[op.output].channels):
            if np.array_equal(whole, run_without(graph, tensors, inputs, op.output, channel)):
                found.append((op.output, channel))
    return found
