"""The composition: observe, attack, measure, control; no algorithm lives here."""

from __future__ import annotations

from secateur.auditing.run import audit, default_attacks
from secateur.auditing.subjects import needed_signals

__all__ = ["audit", "default_attacks", "needed_signals"]
