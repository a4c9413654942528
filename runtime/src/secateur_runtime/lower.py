"""From the graph of a packed file to the plan that an engine runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from secateur_runtime.description import Description, NamedError, Operator, described
from secateur_runtime.errors import FileError, PlanError
from secateur_runtime.fuse import fused
from secateur_runtime.operators import TRANSLATIONS, Made
from secateur_runtime.packed import Packed
from secateur_runtime.plan import Plan, Step, Weight
from secateur_runtime.room import HELD, LIMIT, PLANNING, within
from secateur_runtime.shapes import Shape, output_shape

__all__ = ["lowered", "shape_of"]


def shape_of(packed: Packed) -> Shape:
    """Return the shape of one record as the file was exported.

    Raises:
        FileError: it has no graph, or none that is read here.
    """
    return _description_of(packed).shape


def _description_of(packed: Packed) -> Description:
    if packed.graph is None:
        raise FileError(
            "this packed file has weights alone and no description of its network; write it with "
            "`secateur export --format packed`, whose note names what cannot be described"
        )
    try:
        return described(packed.graph)
    except PlanError as error:
        raise FileError(f"the network in this file cannot be run: {error}") from error


def lowered(packed: Packed, *, shape: Shape | None = None, limit: int = LIMIT) -> Plan:
    """Return the plan of a packed file's network.

    Batch normalisation that follows a layer becomes part of its weights, whose zeros stay zeros;
    an activation and a sum that follow become part of the step; what no output depends on is
    dropped. Elsewhere normalisation and arithmetic with constants become one affine step.

    Args:
        packed: with a graph.
        shape: of one record; by default that of the export.
        limit: half of the bytes that weights and all values of one record may take together; while
            the plan is made, decoding and all else included, it takes at most eight times as many.

    Raises:
        LimitError: it would take more; nothing was decoded that does not fit.
        FileError: there is no graph, or it has a part that cannot run here, which is named; or it
            is that of one size alone, and another is asked for.
    """
    description = _description_of(packed)
    if shape is not None and not description.any_size and _resized(description.shape, shape):
        raise FileError(
            f"the network in this file runs on records of {description.shape} alone: it takes no "
            f"others, or what it does follows their size; export it for {shape} to run it on them"
        )
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused, not warned of
            return _plan(description, packed, description.shape if shape is None else shape, limit)
    except PlanError as error:
        raise FileError(f"the network in this file cannot be run: {error}") from error


def _resized(own: Shape, asked: Shape) -> bool:
    """Say whether pictures of another size are asked for; other records are refused by a layer."""
    return len(own) == len(asked) == 3 and own != asked and own[0] == asked[0]


@dataclass
class _Building:
    """The steps so far, while a graph is read in its order."""

    packed: Packed
    limit: int
    steps: list[Step] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)
    taken: int = 0

    def take(self, op: Operator) -> None:
        """Take an operator: the steps that it needs, of which the last makes its output."""
        translate = TRANSLATIONS.get(op.kind)
        if translate is None:
            raise op.refused(f"no such operator runs here, only {', '.join(TRANSLATIONS)}")
        inputs = tuple(self.names[name] for name in op.inputs)
        self._fits(self._passing(op, inputs), f"{op.kind[:40]!r} in {op.place}")
        made = translate(op, [self.shapes[i] for i in inputs], self.packed.tensors, self.weights)
        for step in made:
            inputs = (self.add(step, inputs),)
        if len(inputs) != 1:
            raise op.refused(f"it reads {len(inputs)} values and makes nothing of them")
        self.names[op.output] = inputs[0]

    def add(self, made: Made, inputs: tuple[int, ...]) -> int:
        """Take a step, and return the id of what it makes."""
        weight = None if made.weight is None else made.weight.shape
        shape = output_shape(made.kind, made.attributes, weight, [self.shapes[i] for i in inputs])
        step = Step(
            kind=made.kind,
            inputs=inputs,
            output=len(self.shapes),
            attributes=made.attributes,
            weight=made.weight,
            bias=made.bias,
            layer=made.layer,
        )
        self.hold(4 * prod(shape) + 4 * _n_numbers(step))
        self._fits(_working(step, self.shapes), f"{step.kind} in {step.place}"[:200])
        self.steps.append(step)
        self.shapes.append(shape)
        return step.output

    def hold(self, n_bytes: int) -> None:
        """Count what lasts: weights of steps, and values of one record."""
        self.taken += n_bytes
        within(self.taken, HELD, self.limit, "values and weights of its steps")

    def _fits(self, n_bytes: int, what: str) -> None:
        """Refuse what lasts a moment and does not fit beside all that lasts."""
        within(self.taken + n_bytes, PLANNING, self.limit, what)

    def _passing(self, op: Operator, inputs: Sequence[int]) -> int:
        """Return the bytes that translating an operator takes for a moment."""
        total = 0
        if op.kind in ("batch_norm", "arithmetic"):
            total += 64 * max((self.shapes[i][0] for i in inputs), default=0)
        for role, name in op.tensors.items():
            if name in self.packed.tensors and name not in self.weights:
                entry = self.packed.tensors[name].entry
                total += entry.weight_bytes if role == "weight" else 2 * entry.n_bytes
        return total


def _alive(description: Description) -> list[Operator]:
    """Return the operators that the output depends on."""
    wanted, kept = {description.output}, []
    for op in reversed(description.operators):
        if op.output in wanted:
            wanted.update(op.inputs)
            kept.append(op)
    return kept[::-1]


def _plan(description: Description, packed: Packed, shape: Shape, limit: int) -> Plan:
    building = _Building(packed, limit)
    building.shapes.append(shape)
    building.hold(4 * prod(building.shapes[0]))
    building.names[description.input] = 0
    for op in _alive(description):
        try:
            building.take(op)
        except NamedError:
            raise
        except PlanError as error:
            raise op.refused(str(error)) from error
    output = building.names[description.output]
    if output == 0:
        output = building.add(Made(kind="copy"), (0,))
    names = {value: name for name, value in building.names.items()}
    return _numbered(fused(building.steps, output), building.shapes, output, names)


def _numbered(
    steps: Sequence[Step], shapes: Sequence[Shape], output: int, names: Mapping[int, str]
) -> Plan:
    """Return a plan whose input is value 0, and whose step i makes value i + 1."""
    new = {0: 0} | {step.output: i + 1 for i, step in enumerate(steps)}
    return Plan(
        steps=tuple(
            replace(step, inputs=tuple(new[i] for i in step.inputs), output=new[step.output])
            for step in steps
        ),
        shapes=tuple(shapes[old] for old in new),
        input=0,
        output=new[output],
        names=tuple(names.get(old, "") for old in new),
    )


def _working(step: Step, shapes: Sequence[Shape]) -> int:
    """Return the bytes that scaling its weights, or a run by numpy, takes for a moment."""
    total = 0
    if step.weight is not None and len(step.weight.shape) > 1:
        stored = len(step.weight.values) if step.weight.is_sparse else step.weight.size
        total += max(24 * stored, 5 * step.weight.size + 8 * stored)
    if "padding" in step.attributes:
        top, left, bottom, right = step.attributes["padding"]
        channels, height, width = shapes[step.inputs[0]]
        total += 4 * channels * (height + top + bottom) * (width + left + right)
    return total


def _n_numbers(step: Step) -> int:
    """Return how many numbers of four bytes a step holds."""
    weight = step.weight
    if weight is None:
        return 0
    rows = 0 if weight.indptr is None else 2 * len(weight.indptr) + len(weight.values)
    return weight.values.size + rows + (0 if step.bias is None else len(step.bias))
