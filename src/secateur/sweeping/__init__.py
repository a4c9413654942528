"""Many audits on the same axes: a file of methods and their variations becomes a Pareto front.

Names are imported when they are first used: reading a sweep's file loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secateur.sweeping.cost import cost_of
    from secateur.sweeping.front import Limits
    from secateur.sweeping.join import join
    from secateur.sweeping.names import names_of
    from secateur.sweeping.reading import read_plan
    from secateur.sweeping.run import sweep
    from secateur.sweeping.there import fleets_there, without_dropped
    from secateur.sweeping.tree import made, rehearse_all, tree_of
    from secateur.sweeping.world import Clock, Place

__all__ = [
    "Clock",
    "Limits",
    "Place",
    "cost_of",
    "fleets_there",
    "join",
    "made",
    "names_of",
    "read_plan",
    "rehearse_all",
    "sweep",
    "tree_of",
    "without_dropped",
]

_ROOM_OF = {
    "Clock": "world",
    "Limits": "front",
    "Place": "world",
    "cost_of": "cost",
    "fleets_there": "there",
    "join": "join",
    "made": "tree",
    "names_of": "names",
    "read_plan": "reading",
    "rehearse_all": "tree",
    "sweep": "run",
    "tree_of": "tree",
    "without_dropped": "there",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'secateur.sweeping' has no attribute {name!r}")
    value = getattr(import_module(f"secateur.sweeping.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value
