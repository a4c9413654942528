"""From a trained network to the file that a device gets."""

from __future__ import annotations

from secateur.deploy.shrink import Shrink

__all__ = ["Shrink"]
