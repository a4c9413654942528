"""Where models are trained: here, in worker processes, or stacked, many as one computation."""

from __future__ import annotations

from secateur.train.engines.auto import Auto
from secateur.train.engines.cluster import Ray
from secateur.train.engines.processes import Processes
from secateur.train.engines.serial import ONE_BY_ONE, Serial
from secateur.train.engines.stacked import Stacked

__all__ = ["ONE_BY_ONE", "Auto", "Processes", "Ray", "Serial", "Stacked"]
