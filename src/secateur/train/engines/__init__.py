"""Where models are trained: in this process, or in worker processes; the bytes are the same."""

from __future__ import annotations

from secateur.train.engines.processes import Processes
from secateur.train.engines.serial import Serial

__all__ = ["Processes", "Serial"]
