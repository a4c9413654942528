"""The composition: observe, attack, measure, control; no algorithm lives here.

Names are imported when they are first used: what needs signals alone loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secateur.auditing.entry import audit
    from secateur.auditing.run import audit_fleets, audit_key, default_attacks
    from secateur.auditing.signals import audit_signals
    from secateur.auditing.subjects import needed_signals

__all__ = [
    "audit",
    "audit_fleets",
    "audit_key",
    "audit_signals",
    "default_attacks",
    "needed_signals",
]

_ROOM_OF = {
    "audit": "entry",
    "audit_fleets": "run",
    "audit_key": "run",
    "audit_signals": "signals",
    "default_attacks": "run",
    "needed_signals": "subjects",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'secateur.auditing' has no attribute {name!r}")
    value = getattr(import_module(f"secateur.auditing.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value
