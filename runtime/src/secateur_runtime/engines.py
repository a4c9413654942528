"""Which engine runs a plan: the compiled one where it is there, numpy elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol

from secateur_runtime.choices import Options, Ways
from secateur_runtime.errors import EngineError, SlowEngineWarning
from secateur_runtime.plan import Floats, Plan
from secateur_runtime.reference import ReferenceEngine
from secateur_runtime.room import LIMIT

__all__ = ["ENGINES", "MAX_THREADS", "Engine", "built"]

ENGINES = ("auto", "native", "numpy")
MAX_THREADS = 256


class Engine(Protocol):
    """What runs a plan; `run` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The engine in words, with the instruction set that it chose."""

    def run(self, inputs: Floats) -> Floats:
        """Return float32 outputs for float32 inputs `[n, ...]` in C order, n at least 1."""

    def choices(self) -> Sequence[str]:
        """Return for each step of the plan how it runs, empty where there is no choice."""

    def options(self) -> Options:
        """Return the ways in which each layer can run, where there are several."""

    def traits(self) -> Mapping[str, str]:
        """Return what the engine's choices depend on."""

    def measure(self) -> Engine:
        """Return the engine whose layers run in the ways that are fastest here."""

    def choosing(self, ways: Ways) -> Engine:
        """Return the engine whose layers run in these ways."""

    @property
    def ways(self) -> Ways:
        """The ways that were given or measured."""


def built(plan: Plan, engine: str, threads: int, limit: int = LIMIT) -> Engine:
    """Return the engine of this name for a plan.

    Where `auto` finds no compiled engine, a `SlowEngineWarning` says so.

    Raises:
        EngineError: the name is none, or the compiled engine is not there.
        LimitError: it would take too much memory.
    """
    if engine not in ENGINES or type(threads) is not int or not 1 <= threads <= MAX_THREADS:
        raise EngineError(
            f"engine={engine!r}, threads={threads!r}: an engine is one of {', '.join(ENGINES)}, "
            f"threads are a whole number from 1 to {MAX_THREADS}"
        )
    if engine == "numpy":
        return ReferenceEngine(plan)
    try:
        native = import_module("secateur_runtime.native")
        made: Engine = native.NativeEngine(plan, threads=threads, limit=limit)
        return made
    except (ImportError, EngineError) as error:
        why = f"there is no compiled engine here ({error})"
        if engine == "native":
            raise EngineError(f"{why}; engine='numpy' runs without, slowly") from error
        warnings.warn(
            f"{why}: networks run by numpy alone, many times more slowly. Install a wheel, or "
            "install where there is a C compiler; engine='numpy' asks for this one",
            SlowEngineWarning,
            stacklevel=4,
        )
        return ReferenceEngine(plan)
