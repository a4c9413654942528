"""The compiled engine: a plan, laid out once, that runs in C."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.assembly import Assembly, assembled
from secateur_runtime.errors import EngineError, InputError
from secateur_runtime.plan import Floats, Plan, Step

try:
    from secateur_runtime import _native
except ImportError as error:  # built without a compiler
    _native, WHY_NOT = None, str(error)
else:
    WHY_NOT = ""

__all__ = ["LANES", "NativeEngine", "instruction_sets"]

LANES = 16
"""Pictures that lie side by side where there are many."""
FEW = 6
"""Pictures left over that are still run side by side, the other lanes empty."""
BREAK_EVEN = 0.5
"""Share of zeros from which on a layer is run sparse, where nothing was measured."""


def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that this build and this processor have, the best first.

    Empty without the compiled engine.

    Example:
        >>> set(instruction_sets()) <= {"avx512", "avx2", "neon", "plain"}
        True
    """
    return () if _native is None else tuple(_native.isas())


@dataclass(eq=False)
class NativeEngine:
    """Run a plan in C. One engine may be called from several threads at once.

    Args:
        plan: what to run.
        threads: how many a run uses, where it is not told.
        isa: the instruction set; the best that there is by default.
        generate: make machine code for sparse layers of many pictures; by default where the
            instructions are AVX-512 and the system lets memory become executable.
        dense: for each step with weights, by its number, whether its zeros are disregarded;
            those that are left out go by `BREAK_EVEN`.

    Raises:
        EngineError: there is no compiled engine, or not with these instructions.
    """

    plan: Plan
    threads: int = 1
    isa: str = ""
    generate: bool | None = None
    dense: Mapping[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = instruction_sets()
        if not known:
            raise EngineError(
                f"this installation has no compiled engine ({WHY_NOT}): install it anew where "
                "there is GCC or Clang, or run by numpy alone"
            )
        self.isa = self.isa or known[0]
        if self.isa not in known:
            raise EngineError(f"instructions {self.isa!r} are not here; there are {known}")
        possible = self.isa == "avx512" and _native is not None and _native.generates()
        if self.generate and not possible:
            raise EngineError(
                f"no code can be generated here: it takes AVX-512, the engine uses {self.isa}, and "
                "a system that lets memory become executable"
            )
        self.generate = possible if self.generate is None else self.generate
        self._lock = threading.Lock()
        self._programs: dict[int, Any] = {}

    def runs_dense(self, number: int) -> bool:
        """Return whether the step of a number is run without regard to its zeros."""
        return bool(self.dense.get(number, default_dense(self.plan.steps[number])))

    def assembly(self, lanes: int) -> Assembly:
        """Return the operators for so many pictures side by side."""
        return assembled(self.plan, lanes, self.runs_dense, generate=bool(self.generate))

    def program(self, lanes: int) -> Any:
        """Return the program for so many pictures side by side, built when first asked for."""
        with self._lock:
            if lanes not in self._programs:
                made = self.assembly(lanes)
                assert _native is not None  # an engine has one
                self._programs[lanes] = _native.Program(self.isa, lanes, made.floats, made.drafts())
            return self._programs[lanes]

    @property
    def name(self) -> str:
        """The engine in words, with its instruction set."""
        return f"compiled, {self.isa}"

    def choices(self) -> list[str]:
        """Return for each step how it runs: `sparse`, `dense`, or nothing where it has no choice."""
        weighted = ("convolution", "linear")
        return [
            ("dense" if self.runs_dense(i) else "sparse") if step.kind in weighted else ""
            for i, step in enumerate(self.plan.steps)
        ]

    def run(self, inputs: NDArray[Any], threads: int | None = None) -> Floats:
        """Return what the network makes of pictures.

        Args:
            inputs: `[records, ...]`, each of the plan's input shape.
            threads: how many to use, this time.

        Raises:
            InputError: the array has another shape, or the threads are none.
        """
        threads = self.threads if threads is None else threads
        shape = self.plan.shapes[self.plan.input]
        if inputs.shape[1:] != shape:
            raise InputError(
                f"records have the shape {inputs.shape[1:]}, the network takes {shape}"
            )
        if not 1 <= threads <= 256:
            raise InputError(f"threads are between 1 and 256, got {threads}")
        given = np.ascontiguousarray(inputs, np.float32)
        made = np.empty((len(given), *self.plan.shapes[self.plan.output]), np.float32)
        many = side_by_side(len(given))
        for lanes, first, last in ((LANES, 0, many), (1, many, len(given))):
            if first < last:
                program = self.program(lanes)
                program.run(given[first:last], made[first:last], last - first, threads)
        return made

    def seconds(self, array: NDArray[Any], rounds: int = 5) -> list[tuple[str, int, float]]:
        """Return the least seconds of each operator: its kind, its step's number, the time."""
        given = np.ascontiguousarray(array, np.float32)
        lanes = LANES if side_by_side(len(given)) else 1
        given = given[:lanes]
        made = np.empty((len(given), *self.plan.shapes[self.plan.output]), np.float32)
        times = self.program(lanes).time(given, made, len(given), rounds)
        operators = self.assembly(lanes).operators
        return [(op.code, op.step, t) for op, t in zip(operators, times, strict=True)]


def side_by_side(n: int) -> int:
    """Return how many of n pictures are run side by side; the rest follow one by one."""
    return n if n % LANES >= FEW else n - n % LANES


def default_dense(step: Step) -> bool:
    """Return whether a step is run without regard to its zeros, as far as nothing was measured."""
    if step.weight is None or step.kind not in ("convolution", "linear"):
        return False
    narrow = step.weight.shape[0] // step.attributes.get("groups", 1) < 4
    return step.weight.share_zero < BREAK_EVEN and not narrow
