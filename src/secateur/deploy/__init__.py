"""From a trained network to the file that a device gets."""

from __future__ import annotations

__all__: list[str] = []
