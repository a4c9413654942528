"""The compiled engine: a plan, laid out once, that runs in C. Not built, it cannot be imported."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.assembly import Assembly, assembled
from secateur_runtime.choices import Ways
from secateur_runtime.errors import EngineError, InputError
from secateur_runtime.plan import Floats, Plan, Step

try:
    from secateur_runtime import _native
except ImportError as error:
    raise ImportError(
        f"this installation has no compiled engine ({error}): install it anew where there is GCC "
        "or Clang, or run by numpy alone"
    ) from error

__all__ = ["LANES", "NativeEngine", "instruction_sets"]

LANES = 16
"""Pictures that lie side by side where there are many."""
FEW = 6
"""Pictures left over that are still run side by side, the other lanes empty."""
NARROW = 4
"""Output channels of a group for which no input is worth sharing."""
WEIGHTED = ("convolution", "linear")
BREAK_EVEN = 0.5
"""Share of zeros from which on a layer is run sparse, where nothing was measured."""


def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that this build and this processor have, the best first.

    Example:
        >>> set(instruction_sets()) <= {"avx512", "avx2", "neon", "plain"}
        True
    """
    return tuple(_native.isas())


@dataclass(eq=False)
class NativeEngine:
    """Run a plan in C. One engine may be called from several threads at once.

    Args:
        plan: what to run.
        threads: how many a run uses, where it is not told.
        isa: the instruction set; the best that there is by default.
        generate: make machine code for sparse layers of many pictures; by default where the
            instructions are AVX-512 and the system lets memory become executable.
        ways: how steps with weights run, by lanes (1 or 16) and the step's number: `sparse` or
            `dense` by kernels, or `code`, made for the layer. Those that are left out go by a
            rule of thumb; `measure` finds the fastest.

    Raises:
        EngineError: the compiled engine has no such instructions here.
    """

    plan: Plan
    threads: int = 1
    isa: str = ""
    generate: bool | None = None
    ways: Ways = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = instruction_sets()
        self.isa = self.isa or known[0]
        if self.isa not in known:
            raise EngineError(f"instructions {self.isa!r} are not here; there are {known}")
        possible = self.isa == "avx512" and _native.generates()
        if self.generate and not possible:
            raise EngineError(
                f"no code can be generated here: it takes AVX-512, the engine uses {self.isa}, and "
                "a system that lets memory become executable"
            )
        self.generate = possible if self.generate is None else self.generate
        self._lock = threading.Lock()
        self._programs: dict[int, Any] = {}

    @property
    def name(self) -> str:
        """The engine in words, with its instruction set."""
        return f"compiled, {self.isa}" + (" and generated code" if self.generate else "")

    def way(self, number: int, lanes: int) -> str:
        """Return how the step of a number runs, empty where it has no choice."""
        step = self.plan.steps[number]
        if step.kind not in WEIGHTED:
            return ""
        usual = usual_way(self.plan, step, lanes, generate=bool(self.generate))
        found = self.ways.get((lanes, number), usual)
        return "sparse" if found == "code" and not (self.generate and lanes > 1) else found

    def choices(self) -> list[str]:
        """Return for each step how it runs, alone and with many: empty where it has no choice."""
        found = []
        for i in range(len(self.plan.steps)):
            one, many = self.way(i, 1), self.way(i, LANES)
            why = "measured" if (1, i) in self.ways else "by rule of thumb"
            both = one if one == many else f"{one}, {many} from {FEW} records on"
            found.append(f"{both} ({why})" if one else "")
        return found

    def options(self) -> dict[tuple[int, int], tuple[str, ...]]:
        """Return the ways in which each step with weights can run, by lanes and its number."""
        return {
            (lanes, i): ("sparse", "dense", *(("code",) if codes and can_be_code(step) else ()))
            for lanes in ((1, LANES) if self._wide_enough() else (1,))
            for codes in (self.generate and lanes > 1,)
            for i, step in enumerate(self.plan.steps)
            if step.kind in WEIGHTED
        }

    def traits(self) -> dict[str, str]:
        """Return what measured ways depend on, besides the network and the processor."""
        return {
            "instructions": self.isa,
            "generated code": "yes" if self.generate else "no",
            "number of threads": str(self.threads),
        }

    def choosing(self, ways: Ways) -> NativeEngine:
        """Return an engine whose layers run in these ways."""
        return replace(self, ways=ways)

    def measure(self, rounds: int = 5) -> NativeEngine:
        """Return an engine each of whose layers runs in the way that is fastest here and now.

        Each way runs alone in one thread, all layers in it that can. Layers share layouts, so what
        came out is timed as a whole against the rule of thumb, which stays where it is no slower.

        Args:
            rounds: runs of each way, of which the fastest counts.
        """
        options = self.options()
        found: dict[tuple[int, int], str] = {}
        for lanes in sorted({lanes for lanes, _ in options}):
            records = np.random.default_rng(0).standard_normal(
                (lanes, *self.plan.shapes[self.plan.input]), dtype=np.float32
            )
            own = [i for at, i in options if at == lanes]
            best = dict.fromkeys(own, np.inf)
            for way in ("sparse", "dense", "code"):
                can = [i for i in own if way in options[lanes, i]]
                trial = self.choosing({(lanes, i): way for i in can})
                times = trial.seconds_of_steps(records, rounds) if can else {}
                for i in can:
                    if times[i] < best[i]:
                        best[i], found[lanes, i] = times[i], way
            usual = {(lanes, i): self.choosing({}).way(i, lanes) for i in own}
            both = [self.choosing(ways) for ways in (usual, {at: found[at] for at in usual})]
            took = seconds_of_runs(
                both, np.concatenate([records] * (lanes > 1) + [records]), rounds
            )
            if took[0] <= took[1]:
                found.update(usual)
        return self.choosing(found)

    def _wide_enough(self) -> bool:
        """Return whether many records at once stay far below what the engine can address."""
        return max(math.prod(shape) for shape in self.plan.shapes) * LANES < 2**27

    def assembly(self, lanes: int) -> Assembly:
        """Return the operators for so many pictures side by side."""
        return assembled(self.plan, lanes, lambda number: self.way(number, lanes))

    def program(self, lanes: int) -> Any:
        """Return the program for so many pictures side by side, built when first asked for."""
        with self._lock:
            if lanes not in self._programs:
                made = self.assembly(lanes)
                self._programs[lanes] = _native.Program(self.isa, lanes, made.floats, made.drafts())
            return self._programs[lanes]

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
        many = side_by_side(len(given)) if self._wide_enough() else 0
        for lanes, first, last in ((LANES, 0, many), (1, many, len(given))):
            if first < last:
                program = self.program(lanes)
                program.run(given[first:last], made[first:last], last - first, threads)
        return made

    def seconds(self, inputs: NDArray[Any], rounds: int = 5) -> list[tuple[str, int, float]]:
        """Return the least seconds of each operator: its kind, its step's number, the time."""
        given = np.ascontiguousarray(inputs, np.float32)
        lanes = LANES if side_by_side(len(given)) and self._wide_enough() else 1
        given = given[:lanes]
        made = np.empty((len(given), *self.plan.shapes[self.plan.output]), np.float32)
        times = self.program(lanes).time(given, made, len(given), rounds)
        operators = self.assembly(lanes).operators
        return [(op.code, op.step, t) for op, t in zip(operators, times, strict=True)]

    def seconds_of_steps(self, inputs: NDArray[Any], rounds: int = 5) -> dict[int, float]:
        """Return the least seconds of each step of the plan, by its number."""
        found: dict[int, float] = {}
        for _, step, took in self.seconds(inputs, rounds):
            found[step] = found.get(step, 0.0) + took
        return found


def seconds_of_runs(engines: Sequence[NativeEngine], inputs: Floats, rounds: int) -> list[float]:
    """Return the least seconds of each engine's runs in one thread; they take turns."""
    least = [math.inf] * len(engines)
    for _ in range(1 + rounds):  # the first builds programs
        for k, engine in enumerate(engines):
            begin = time.thread_time()
            engine.run(inputs, 1)
            least[k] = min(least[k], time.thread_time() - begin)
    return least


def side_by_side(n: int) -> int:
    """Return how many of n pictures are run side by side; the rest follow one by one."""
    return n if n % LANES >= FEW else n - n % LANES


def can_be_code(step: Step) -> bool:
    """Return whether code can be made for a step; the engine's limit is 64 taps."""
    assert step.weight is not None
    return bool(np.prod(step.weight.shape[2:]) <= 64)


def usual_way(plan: Plan, step: Step, lanes: int, *, generate: bool) -> str:
    """Return how a step with weights runs where nothing was measured.

    Code is read once for each piece of it, which few places do not repay. Layers with little to
    share are sparse at any share of zeros; code for them spares the copies that strides take.
    """
    assert step.weight is not None
    each = step.weight.shape[0] // step.attributes.get("groups", 1)
    zeros = step.weight.share_zero
    places = int(np.prod(plan.shapes[step.output][1:]))
    code = generate and lanes > 1 and can_be_code(step)
    if each < NARROW:
        strided = max(step.attributes.get("stride", (1, 1))) > 1
        return "code" if code and (strided or places >= 256) else "sparse"
    if zeros < BREAK_EVEN:
        return "dense"
    repaid = places >= 32 or zeros >= (0.85 if places >= 12 else 0.97)
    return "code" if code and repaid else "sparse"
