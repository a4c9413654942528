"""From a trained network to the file that a device gets."""

from __future__ import annotations

from secateur.deploy.exporting import onnx_difference, to_onnx
from secateur.deploy.int8 import OnnxInt8
from secateur.deploy.onnx import Onnx

__all__ = [
    "Onnx",
    "OnnxInt8",
    "onnx_difference",
    "to_onnx",
]
