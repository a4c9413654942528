"""What stands in an ONNX file."""

from __future__ import annotations

import onnx
from onnx import numpy_helper


def weights_of(data):
    """The tensors in a file, by name."""
    graph = onnx.load_from_string(data).graph
    return {w.name: numpy_helper.to_array(w) for w in graph.initializer}
