"""From a trained network to the file that a device gets."""

from __future__ import annotations

from secateur.deploy.footprint import Footprint, Work, footprint, work_of
from secateur.deploy.latency import Latency, Run, latency
from secateur.deploy.pack import Pack, load_packed, write_packed
from secateur.deploy.plain import Safetensors

__all__ = [
    "Footprint",
    "Latency",
    "Pack",
    "Run",
    "Safetensors",
    "Work",
    "footprint",
    "latency",
    "load_packed",
    "work_of",
    "write_packed",
]
