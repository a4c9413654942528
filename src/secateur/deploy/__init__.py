"""From a trained network to the file that a device gets."""

from __future__ import annotations

from secateur.deploy.exporting import onnx_difference, to_onnx
from secateur.deploy.footprint import Footprint, Work, footprint, work_of
from secateur.deploy.int8 import OnnxInt8
from secateur.deploy.latency import Latency, Run, latency
from secateur.deploy.memory import peak_memory
from secateur.deploy.onnx import Onnx
from secateur.deploy.pack import Pack, load_packed, write_packed
from secateur.deploy.plain import Safetensors
from secateur.deploy.portable import Portable, portable
from secateur.deploy.shrink import Shrink

__all__ = [
    "Footprint",
    "Latency",
    "Onnx",
    "OnnxInt8",
    "Pack",
    "Portable",
    "Run",
    "Safetensors",
    "Shrink",
    "Work",
    "footprint",
    "latency",
    "load_packed",
    "onnx_difference",
    "peak_memory",
    "portable",
    "to_onnx",
    "work_of",
    "write_packed",
]
