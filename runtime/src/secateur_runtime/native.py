"""The compiled engine: a plan, laid out once, that runs in C. Not built, it cannot be imported."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.assembly import Assembly, assembled
from secateur_runtime.choices import Ways
from secateur_runtime.errors import EngineError, InputError, LimitError
from secateur_runtime.locks import Lock
from secateur_runtime.pace import least_seconds
from secateur_runtime.plan import Floats, Plan
from secateur_runtime.room import ENGINE, LIMIT, within
from secateur_runtime.rules import FEW, LANES, WEIGHTED, can_be_code, side_by_side, usual_way
from secateur_runtime.slices import ABREAST, run_in_slices

try:
    from secateur_runtime import _native
except ImportError as error:
    missing = isinstance(error, ModuleNotFoundError) or "cannot import name" in str(error)
    why = "was not built" if missing else f"does not load ({error})"
    raise ImportError(
        f"the compiled part of secateur-runtime {why}; install it anew where there is GCC or Clang"
    ) from error

__all__ = ["LANES", "NativeEngine", "instruction_sets"]

MOST_FLOATS = 2**31
MOST_OF_VALUE = 2**29
"""What the engine can address in all, and in one value with its gaps."""


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
        isa: the instruction set; by default the best that there is.
        generate: make machine code for sparse layers of many pictures; by default where the
            instructions are AVX-512 and the system lets memory become executable.
        ways: how steps with weights run, by lanes (1 or 16) and the step's number: `sparse` or
            `dense` by kernels, or `code`, made for the layer. Those that are left out go by a
            rule of thumb; `measure` finds the fastest.
        limit: bytes, of which records one by one take at most eight times as many, threads and
            all; records side by side too, or they are run one by one.

    Raises:
        EngineError: the compiled engine has no such instructions here.
        LimitError: it would take more memory.
    """

    plan: Plan
    threads: int = 1
    isa: str = ""
    generate: bool | None = None
    ways: Ways = field(default_factory=dict)
    limit: int = LIMIT

    def __post_init__(self) -> None:
        known = instruction_sets()
        self.isa = self.isa or known[0]
        if self.isa not in known:
            raise EngineError(
                f"instructions {self.isa!r} are not here, only {', '.join(known)}; name one of "
                "these, or leave isa out for the best"
            )
        possible = self.isa == "avx512" and _native.generates()
        if self.generate and not possible:
            raise EngineError(
                f"no code can be generated here: it takes AVX-512, the engine uses {self.isa}, and "
                "a system that lets memory become executable"
            )
        self.generate = possible if self.generate is None else self.generate
        self._lock = Lock()
        self._programs: dict[int, Any] = {}
        self._wide: bool | None = None
        self._paces: dict[int, float] = {}  # seconds of a record, by lanes, as it last was
        self._check_room(1)

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
            one = self.way(i, 1)
            many = self.way(i, LANES) if self.wide else one
            why = "measured" if (1, i) in self.ways else "by rule of thumb"
            both = one if one == many else f"{one}, {many} from {FEW} records on"
            found.append(f"{both} ({why})" if one else "")
        return found

    def chosen(self, n: int) -> list[str]:
        """Return for each step how it runs in a call of n records: most of them, if they differ."""
        lanes = LANES if self.wide and 2 * side_by_side(n) > n else 1
        return [self.way(i, lanes) for i in range(len(self.plan.steps))]

    def options(self) -> dict[tuple[int, int], tuple[str, ...]]:
        """Return the ways in which each step with weights can run, by lanes and its number."""
        return {
            (lanes, i): ("sparse", "dense", *(("code",) if codes and can_be_code(step) else ()))
            for lanes in ((1, LANES) if self.wide else (1,))
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
            usual = {(lanes, i): self.choosing({}).way(i, lanes) for i in own}
            fastest = dict(usual)
            for way in ("sparse", "dense", "code"):
                can = [i for i in own if way in options[lanes, i]]
                trial = self._trial({(lanes, i): way for i in can}, lanes)
                times = trial.seconds_of_steps(records, rounds) if can and trial else {}
                for i in times.keys() & set(can):
                    if times[i] < best[i]:
                        best[i], fastest[lanes, i] = times[i], way
            both = [self._trial(ways, lanes) for ways in (usual, fastest)]
            given = np.concatenate([records] * (lanes > 1) + [records])
            took = least_seconds([partial(one.run, given, 1) for one in both if one], rounds)
            found.update(fastest if len(took) == len(both) and took[1] < took[0] else usual)
        return self.choosing(found)

    def _trial(self, ways: Ways, lanes: int) -> NativeEngine | None:
        """Return an engine whose layers run in these ways, or None where that has no room."""
        try:
            made = self.choosing(ways)
        except LimitError:
            return None
        return made if lanes == 1 or made.wide else None

    @property
    def wide(self) -> bool:
        """Whether there is room for many records side by side."""
        if self._wide is None:
            try:
                most = max(math.prod(shape) for shape in self.plan.shapes) * LANES
                self._wide = most < 2**27
                if self._wide:
                    self._check_room(LANES)
            except LimitError:
                self._wide = False
        return self._wide

    def _runs_wide(self) -> bool:
        """Return whether records run side by side; what the engine cannot address is not tried."""
        if self.wide:
            try:
                self.program(LANES)
            except EngineError:
                if self.generate:  # memory does not become executable after all: kernels do it
                    self.generate = False
                    return self._runs_wide()
                self._wide = False
        return self.wide

    def _check_room(self, lanes: int) -> None:
        """Refuse a program that would take too much; its weights and tables are not made."""
        made = self.assembly(lanes)
        if made.floats >= MOST_FLOATS or made.largest() > MOST_OF_VALUE:
            raise LimitError(
                f"values of one record take {4 * made.floats:,} bytes with the gaps between their "
                f"rows, the largest {4 * made.largest():,}; the compiled engine addresses "
                f"{4 * MOST_FLOATS:,} and {4 * MOST_OF_VALUE:,}: engine='numpy' runs it, slowly"
            )
        arenas = self.threads if lanes == 1 else max(ABREAST, self.threads)
        within(
            made.n_bytes(arenas),
            ENGINE,
            self.limit,
            f"the engine's weights, tables and values, of {self.threads} thread(s),",
        )

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
        many = side_by_side(len(given))
        if many and not self._runs_wide():
            many = 0
        for lanes, first, last in ((LANES, 0, many), (1, many, len(given))):
            if first < last:
                run_in_slices(
                    self.program(lanes),
                    lanes,
                    given[first:last],
                    made[first:last],
                    threads,
                    self._paces,
                )
        return made

    def seconds(self, inputs: NDArray[Any], rounds: int = 5) -> list[tuple[str, int, float]]:
        """Return the least seconds of each operator: its kind, its step's number, the time."""
        given = np.ascontiguousarray(inputs, np.float32)
        lanes = LANES if side_by_side(len(given)) and self.wide else 1
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
