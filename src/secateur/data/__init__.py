"""Data sets, and who trains on what."""

from __future__ import annotations

from secateur.data.embedded import digits
from secateur.data.membership import draw, given, restrict

__all__ = ["digits", "draw", "given", "restrict"]
