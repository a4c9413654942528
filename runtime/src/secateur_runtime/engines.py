"""Which engine runs a plan: the compiled one where it is there, numpy elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from secateur_runtime.errors import EngineError
from secateur_runtime.plan import Floats, Plan
from secateur_runtime.reference import ReferenceEngine

__all__ = ["ENGINES", "Engine", "built"]

ENGINES = ("auto", "native", "numpy")


class Engine(Protocol):
    """What runs a plan; `run` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The engine in words, with the instruction set that it chose."""

    def run(self, inputs: Floats) -> Floats:
        """Return float32 outputs for float32 inputs `[n, ...]` in C order, n at least 1."""

    def choices(self) -> Sequence[str]:
        """Return for each step of the plan how it runs, empty where there is no choice."""


def built(plan: Plan, engine: str, threads: int) -> Engine:
    """Return the engine of this name for a plan.

    Raises:
        EngineError: the name is none, or the compiled engine is not there.
    """
    if engine not in ENGINES or type(threads) is not int or not 1 <= threads <= 1024:
        raise EngineError(
            f"engine={engine!r}, threads={threads!r}: an engine is one of {', '.join(ENGINES)}, "
            "threads are a whole number from 1"
        )
    if engine == "numpy":
        return ReferenceEngine(plan)
    try:
        native = import_module("secateur_runtime.native")
    except ImportError as error:
        if engine == "native":
            raise EngineError(
                f"the compiled engine is not there ({error}); install a wheel, or install from "
                "source where there is a C compiler, or use engine='numpy', which is slow"
            ) from error
        return ReferenceEngine(plan)
    made: Engine = native.NativeEngine(plan, threads=threads)
    return made
