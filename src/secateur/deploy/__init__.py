"""From a trained network to the file that a device gets."""

from __future__ import annotations

from secateur.deploy.footprint import Footprint, Work, footprint, multiply_adds
from secateur.deploy.latency import Latency, Run, latency
from secateur.deploy.plain import Safetensors

__all__ = [
    "Footprint",
    "Latency",
    "Run",
    "Safetensors",
    "Work",
    "footprint",
    "latency",
    "multiply_adds",
]
