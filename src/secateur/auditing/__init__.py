"""The composition: observe, attack, measure, control, and say what was chosen on what. No algorithm
lives here.
"""

from __future__ import annotations

from secateur.auditing.run import audit, default_attacks

__all__ = ["audit", "default_attacks"]
