"""Run packed networks with numpy and a small compiled engine; no torch.

Example:
    >>> import secateur_runtime
    >>> secateur_runtime.load("missing.packed")
    Traceback (most recent call last):
    ...
    secateur_runtime.errors.FileError: cannot read the packed file missing.packed: No such file or \
directory; check the path
"""

from __future__ import annotations

from secateur_runtime.errors import (
    EngineError,
    FileError,
    InputError,
    LimitError,
    PlanError,
    SecateurRuntimeError,
    SlowEngineWarning,
)
from secateur_runtime.network import Network, load
from secateur_runtime.plan import Plan, Step, Weight

__all__ = [
    "EngineError",
    "FileError",
    "InputError",
    "LimitError",
    "Network",
    "Plan",
    "PlanError",
    "SecateurRuntimeError",
    "SlowEngineWarning",
    "Step",
    "Weight",
    "load",
]
