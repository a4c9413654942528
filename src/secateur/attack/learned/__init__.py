"""Attacks that train networks of their own; torch is imported inside the call."""

from __future__ import annotations

from secateur.attack.learned.nasr import NasrAttack

__all__ = ["NasrAttack"]
