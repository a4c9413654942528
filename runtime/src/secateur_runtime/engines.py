"""Which engine runs a plan: the compiled one where it is there, numpy elsewhere."""

from __future__ import annotations

import sys
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

    def chosen(self, n: int) -> Sequence[str]:
        """Return for each step how it runs in a call of n records, empty where it has no choice."""

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


def built(
    plan: Plan,
    engine: str,
    threads: int,
    limit: int = LIMIT,
    *,
    isa: str | None = None,
    generate: bool | None = None,
) -> Engine:
    """Return the engine of this name for a plan.

    Where `auto` finds no compiled engine, a `SlowEngineWarning` says so.

    Args:
        plan: what it runs.
        engine: its name.
        threads: of one call.
        limit: bytes, as `load` takes it.
        isa: instruction set of the compiled engine.
        generate: whether it makes code; None where it can.

    Raises:
        EngineError: the name is none, the compiled engine is not there, or has no such
            instructions, or can make no code here.
        LimitError: it would take too much memory.
    """
    if engine not in ENGINES:
        raise EngineError(
            f"engine={engine!r}: an engine is one of {', '.join(ENGINES)}; leave it out for the "
            "fastest that is here"
        )
    if type(threads) is not int or not 1 <= threads <= MAX_THREADS:
        raise EngineError(
            f"threads={threads!r}: a call takes a whole number of them, from 1 to {MAX_THREADS}; "
            "leave it out for one, or give as many as the processor has free cores"
        )
    if generate is not None and type(generate) is not bool:
        raise EngineError(
            f"generate={generate!r}: it is True, False, or left out for code where it can be made"
        )
    if engine == "numpy":
        if isa is not None or generate:
            raise EngineError(
                "isa and generate are of the compiled engine, and engine='numpy' was asked for; "
                "leave them out"
            )
        return ReferenceEngine(plan)
    try:
        native = import_module("secateur_runtime.native")
    except ImportError as error:
        if engine == "native" or isa is not None or generate:
            raise EngineError(
                f"there is no compiled engine here: {error}; engine='numpy' runs without, slowly"
            ) from error
        warnings.warn(
            f"numpy runs this network, many times more slowly: {error}",
            SlowEngineWarning,
            stacklevel=_outside(),
        )
        return ReferenceEngine(plan)
    made: Engine = native.NativeEngine(
        plan, threads=threads, limit=limit, isa=isa or "", generate=generate
    )
    return made


def _outside() -> int:
    """Return how many frames above the caller this package was entered."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("secateur_runtime"):
        level, frame = level + 1, frame.f_back
    return level
