"""A packed file as a function of arrays."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.choices import circumstances, recall, record
from secateur_runtime.engines import Engine, built
from secateur_runtime.errors import FileError, InputError, LimitError
from secateur_runtime.explained import table
from secateur_runtime.lower import lowered
from secateur_runtime.packed import Packed, read
from secateur_runtime.plan import Floats, Plan
from secateur_runtime.room import LIMIT, checked
from secateur_runtime.shapes import checked_shape

__all__ = ["Network", "load", "network_of"]


class Network:
    """A network that runs on this machine's processor; it may be called from several threads.

    Args:
        plan: what it runs.
        threads: of one call.
        engine: `native` (compiled), `numpy` (slow), or `auto`, the compiled one where it is there.
        limit: bytes, of which the compiled engine takes at most eight times as many for records
            one by one, and as many for records side by side.
        isa: instructions of the compiled engine, `avx512`, `avx2`, `neon` or `plain`; by default
            the best of the processor.
        generate: whether layers may run by code that is made for them; by default where the
            processor has AVX-512 and the system lets memory become executable. False makes none.

    Raises:
        EngineError: the engine is not there, has no such instructions, or can make no code.
        LimitError: it would take more memory.

    Example:
        >>> from secateur_runtime import Step
        >>> step = Step(kind="relu", inputs=(0,), output=1, layer="act")
        >>> network = Network(Plan(steps=(step,), shapes=((2,), (2,)), input=0, output=1))
        >>> network(np.array([[-1, 2]], np.float32)).tolist(), network.input_shape
        ([[0.0, 2.0]], (2,))
    """

    def __init__(
        self,
        plan: Plan,
        *,
        threads: int = 1,
        engine: str = "auto",
        limit: int = LIMIT,
        isa: str | None = None,
        generate: bool | None = None,
    ) -> None:
        self.plan = plan
        self.threads = threads
        self._engine = built(plan, engine, threads, checked(limit), isa=isa, generate=generate)
        self._note = "nothing was measured"

    @property
    def engine(self) -> str:
        """The engine in words."""
        return self._engine.name

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one record, without the batch axis."""
        return self.plan.shapes[self.plan.input]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of what it gives for one record."""
        return self.plan.shapes[self.plan.output]

    def __call__(self, inputs: NDArray[Any]) -> Floats:
        """Return the outputs `[n, ...]` for a batch of any size.

        Inputs are finite. Where one is not, a weight of zero may still be multiplied with it, or
        not: that depends on how its layer runs.

        Args:
            inputs: float32 `[n, *input_shape]`; pictures are `(channels, height, width)`.

        Raises:
            InputError: another type or shape.
        """
        array = np.asarray(inputs)
        if array.dtype != np.float32:
            raise InputError(
                f"the network reads float32, got {array.dtype}; convert it: x.astype(np.float32), "
                "scaled as the records were that it was trained on"
            )
        if array.shape[1:] != self.input_shape or array.ndim == 0:
            raise InputError(
                f"the network reads a batch of shape (n, {', '.join(map(str, self.input_shape))}), "
                f"got {array.shape}{self._hint(array.shape)}"
            )
        if not len(array):
            return np.zeros((0, *self.output_shape), np.float32)
        return self._engine.run(np.ascontiguousarray(array))

    def __repr__(self) -> str:
        return f"<Network of {self.input_shape} to {self.output_shape}, {self.engine}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Network is not pickled; give other processes the file's path, and load it there"
        )

    def _hint(self, shape: tuple[int, ...]) -> str:
        own = self.input_shape
        if shape == own:
            return "; put one record into a batch: x[None]"
        if len(shape) == 4 and (shape[3], *shape[1:3]) == own:
            return "; channels come first: x.transpose(0, 3, 1, 2)"
        if len(shape) != len(own) + 1 and shape and prod(shape[1:]) == prod(own):
            return f"; as many numbers in this order: x.reshape(-1, {', '.join(map(str, own))})"
        if len(shape) != len(own) + 1 or len(own) != 3:
            return ""
        if shape[1] != own[0]:
            return f"; it reads {own[0]} channel(s), not {shape[1]}"
        return f"; for records of another size give load the shape {shape[1:]}"

    def measured(self) -> Network:
        """Return the network whose layers run in the ways that are fastest here and now.

        Each layer with weights is run sparse, dense and, where code can be generated, as code,
        alone and with many records side by side. That takes some dozens of runs. Numbers change in
        their last digits at most. `load(path, measure=True)` also records what it found.
        """
        return self._with(self._engine.measure(), "measured in this process")

    def _with(self, engine: Engine, note: str) -> Network:
        made = object.__new__(Network)
        made.__dict__.update(self.__dict__)
        made._engine, made._note = engine, note
        return made

    def _recorded(self, path: str | Path, digest: str, measure: bool) -> Network:
        """Return the network with the choices that are recorded beside a file, or made now."""
        if not self._engine.options():
            return self
        now = circumstances(digest, self.input_shape, self._engine.traits())
        ways, note = recall(path, now, self._engine.options())
        if ways or not measure:
            try:
                return self._with(self._engine.choosing(ways), note)
            except LimitError:
                return self._with(self._engine, f"{note}, whose ways have no room within `limit`")
        made = self.measured()
        made._note = f"measured in this process, {record(path, now, made._engine.ways)}"
        return made

    @property
    def choices(self) -> str:
        """How it was chosen in which way each layer runs, in words."""
        if not self._engine.options():
            return "there are none"
        return f"{'measured' if self._engine.ways else 'rules of thumb'}; {self._note}"

    def chosen(self, n: int = 1) -> list[tuple[str, str]]:
        """Return how each layer with weights runs in a call of n records.

        Args:
            n: how many. Of many that do not fill all groups, what is said is of most.

        Returns:
            The layer's name and `sparse`, `dense` or `code`, in the order of the steps.

        Example:
            >>> from secateur_runtime import Step, Weight
            >>> weight = Weight.of(np.eye(4, dtype=np.float32))
            >>> step = Step(kind="linear", inputs=(0,), output=1, layer="fc", weight=weight,
            ...     attributes={"activation": "none"})
            >>> plan = Plan(steps=(step,), shapes=((4,), (4,)), input=0, output=1)
            >>> Network(plan, engine="numpy").chosen()
            [('fc', 'dense')]
        """
        steps = zip(self.plan.steps, self._engine.chosen(n), strict=True)
        return [(step.layer, way) for step, way in steps if way]

    def explain(self) -> str:
        """Return a table of the steps: where each stands, its zeros, its work, how it runs.

        Work is multiply-adds for one record, zeros left out; the last line is of all steps.
        """
        first = [f"engine: {self.engine}, threads: {self.threads}", f"choices: {self.choices}"]
        return "\n".join([*first, *table(self.plan, self._engine.choices())])


def load(
    path: str | Path,
    *,
    threads: int = 1,
    engine: str = "auto",
    shape: tuple[int, ...] | None = None,
    limit: int = LIMIT,
    measure: bool = False,
    isa: str | None = None,
    generate: bool | None = None,
) -> Network:
    """Return the network of a packed file as a function of arrays.

    How each layer runs best was perhaps measured before: what `PATH.choices.json` says of this
    file, processor and engine is used; all else in it is ignored, and `explain` says so.

    Args:
        path: a file that `secateur export --format packed` wrote.
        threads: of one call.
        engine: `native` (compiled), `numpy` (slow), or `auto`, the compiled one where it is there.
        shape: of one record, `(channels, height, width)` or `(features,)`; by default that of the
            export. Pictures of other sizes run where the file says that its steps hold for them, as
            those of a network of convolutions with a global pool do.
        limit: bytes that its tensors may take. What loading takes in all, and what running takes
            for one record, are bounded by multiples of it; a file that asks for more is refused.
        measure: where nothing is recorded that fits, measure and record it. To measure anew, remove
            the record.
        isa: instructions of the compiled engine, `avx512`, `avx2`, `neon` or `plain`; by default
            the best of the processor.
        generate: whether layers may run by code that is made for them; by default where the
            processor has AVX-512 and the system lets memory become executable. False makes none.

    Raises:
        InputError: the shape, or the limit, is none.
        LimitError: the file asks for too much memory.
        FileError: the file is missing, damaged, has no description of its network, or
            one that does not run here.
        EngineError: the engine is not there, has no such instructions, or can make no code.
    """
    how: dict[str, Any] = {"threads": threads, "engine": engine, "limit": limit}
    how |= {"isa": isa, "generate": generate}
    return network_of(read(path, limit=limit), path, shape=shape, measure=measure, **how)


def network_of(
    packed: Packed,
    path: str | Path,
    *,
    threads: int,
    engine: str,
    shape: tuple[int, ...] | None,
    limit: int,
    measure: bool,
    **compiled: Any,
) -> Network:
    """Return the network of a file that was read, as `load` does."""
    asked = None if shape is None else checked_shape(shape)
    try:
        plan = lowered(packed, shape=asked, limit=limit)
        network = Network(plan, threads=threads, engine=engine, limit=limit, **compiled)
    except LimitError as error:
        raise LimitError(f"{path}: {error}") from error
    except FileError as error:
        exported = f", for records of {asked}, which load was asked for" if asked else ""
        raise FileError(f"{path}{exported}: {error}") from error
    return network._recorded(path, packed.digest, measure)
