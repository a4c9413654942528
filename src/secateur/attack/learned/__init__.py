"""Attacks that train networks of their own; torch is imported inside the call."""

from __future__ import annotations

from secateur.attack.learned.nasr import NasrAttack
from secateur.attack.learned.samia import SAMIA

__all__ = ["SAMIA", "NasrAttack"]
