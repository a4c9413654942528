"""From a trained network to the file that a device gets."""

from __future__ import annotations

from secateur.deploy.pack import Pack, load_packed, write_packed

__all__ = ["Pack", "load_packed", "write_packed"]
