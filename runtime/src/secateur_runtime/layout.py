"""Where values lie in the memory of the compiled engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from secateur_runtime.plan import Plan, Step
from secateur_runtime.shapes import Shape

__all__ = [
    "VECTOR",
    "Need",
    "Place",
    "as_map",
    "is_depthwise",
    "method_of",
    "needs_of",
    "place_all",
    "up",
]

VECTOR = 16  # floats of the widest vector; whole ones are read and written
SMALL = 64  # places of a map that is gathered tap by tap, where there is one picture


def up(n: int, multiple: int = VECTOR) -> int:
    """Return a number rounded up to a multiple."""
    return -(-n // multiple) * multiple


def as_map(shape: Shape) -> tuple[int, int, int]:
    """Return a shape as channels, height and width; features are maps of one place."""
    if len(shape) == 1:
        return shape[0], 1, 1
    if len(shape) == 2:
        return shape[0], 1, shape[1]
    return shape[0], shape[1], math.prod(shape[2:])


def touched(n: int) -> int:
    """Return how many floats a sparse kernel touches of n: small maps have short vectors."""
    return 4 if n <= 4 else 8 if n <= 8 else up(n)


@dataclass(kw_only=True)
class Place:
    """Where a value lies: element `(c, y, x)` at `origin + c * plane + y * pitch + x`.

    Args:
        shape: channels, height, width.
        pitch: elements from row to row.
        plane: elements from channel to channel.
        origin: of the first element.
        gap: elements after each channel, and before the first, that are held at zero.
        start: where it begins in the memory, in floats; known last.
        size: floats that it has.
        bordered: whether zeros around rows are read.
        whole: the value that this one is a part of.
    """

    shape: tuple[int, int, int]
    pitch: int
    plane: int
    origin: int = 0
    gap: int = 0
    start: int = 0
    size: int = 0
    bordered: bool = False
    whole: Place | None = None

    def ints(self) -> list[int]:
        """Return what the engine is given."""
        return [self.start, self.size, *self.shape, self.pitch, self.plane, self.origin, self.gap]

    def part(self, channel: int, count: int) -> Place:
        """Return some of the channels as a value of their own."""
        return Place(
            shape=(count, *self.shape[1:]),
            pitch=self.pitch,
            plane=self.plane,
            origin=self.origin + channel * self.plane,
            gap=self.gap,
            size=self.size,
            bordered=self.bordered,
            whole=self,
        )

    def length(self) -> int:
        """Return the elements from the first place of a channel to its last."""
        return (self.shape[1] - 1) * self.pitch + self.shape[2]


@dataclass(kw_only=True)
class Need:
    """What a value has to offer, gathered from those who write and read it."""

    pitch: int
    around: tuple[int, int, int, int] = (
        0,
        0,
        0,
        0,
    )  # zeros that are read: top, left, bottom, right
    bordered: bool = False
    whole: bool = False  # written in whole vectors
    before: tuple[int, int] = (
        0,
        0,
    )  # rows and columns before it that may be read, whatever is there
    after: tuple[int, int] = (0, 0)


def is_depthwise(step: Step, lanes: int, *, dense: bool) -> bool:
    """Return whether each output channel reads one input channel, by a kernel made for that."""
    return step.weight is not None and step.weight.shape[1] == 1 and lanes == 1 and not dense


def method_of(step: Step, shape: Shape, lanes: int, *, dense: bool) -> str:
    """Return how a convolution's kernel reads its input: `flat`, `phases` or `taps`.

    Flat reads the value itself, for which the strides have to be 1. Phases are copies of every
    n-th row and column. Taps gather what each tap reads, the least to read, but the most to copy.
    """
    a = step.attributes
    assert step.weight is not None
    single = step.weight.shape[2:] == (1, 1) and not any(a["padding"])
    if tuple(a["stride"]) == (1, 1) and single:
        return "flat"
    if lanes == 1 and shape[1] * shape[2] <= SMALL:
        return "taps"
    if tuple(a["stride"]) == (1, 1):
        return "flat"
    return "taps" if is_depthwise(step, lanes, dense=dense) else "phases"


def needs_of(plan: Plan, lanes: int, methods: Sequence[str]) -> list[Need]:
    """Return what each value of a plan has to offer.

    Values that a convolution reads without a copy, makes or adds have rows of one length, so
    that an output channel is one run of numbers.
    """
    needs = [Need(pitch=as_map(shape)[2]) for shape in plan.shapes]
    roots = list(range(len(needs)))

    def root(i: int) -> int:
        while roots[i] != i:
            roots[i] = roots[roots[i]]
            i = roots[i]
        return i

    for step, method in zip(plan.steps, methods, strict=True):
        if step.kind == "linear":
            needs[step.output].whole = lanes > 1
        if method not in ("flat", "phases", "taps"):
            continue
        tied = [step.output, *step.inputs[1:]]
        out = needs[step.output]
        out.whole = True
        for added in step.inputs[1:]:  # whoever made it: sums read whole vectors of it
            needs[added].whole = True
        out.pitch = max(out.pitch, _least_pitch(step, plan, method))
        if method == "flat":
            tied.append(step.inputs[0])
            _surround(needs[step.inputs[0]], step)
        elif method == "taps":
            _allow_shift(needs[step.inputs[0]], step)
        for one in tied[1:]:
            roots[root(one)] = root(tied[0])
    for i in range(len(needs)):
        top = needs[root(i)]
        top.pitch = max(top.pitch, needs[i].pitch)
    for i, need in enumerate(needs):
        need.pitch = needs[root(i)].pitch
    return needs


def _least_pitch(step: Step, plan: Plan, method: str) -> int:
    a, x = step.attributes, plan.shapes[step.inputs[0]]
    assert step.weight is not None
    out = plan.shapes[step.output]
    if method == "flat":
        return max(x[2] + max(int(a["padding"][1]), int(a["padding"][3])), out[2])
    if method == "phases":
        return out[2] + (step.weight.shape[3] - 1) * int(a["dilation"][1]) // int(a["stride"][1])
    return out[2]


def _surround(need: Need, step: Step) -> None:
    wanted = step.attributes["padding"]
    top, left, bottom, right = (max(a, b) for a, b in zip(need.around, wanted, strict=True))
    need.around = (top, left, bottom, right)
    need.bordered = need.bordered or any(wanted)


def _allow_shift(need: Need, step: Step) -> None:
    a = step.attributes
    assert step.weight is not None
    kernel = step.weight.shape[2:]
    reach = [(k - 1) * d for k, d in zip(kernel, a["dilation"], strict=True)]
    need.before = (max(need.before[0], a["padding"][0]), max(need.before[1], a["padding"][1]))
    need.after = (max(need.after[0], reach[0]), max(need.after[1], reach[1]))


def place_all(plan: Plan, needs: list[Need], lanes: int) -> list[Place]:
    """Return where each value lies, but for its start."""
    return [
        place_of(as_map(shape), need, lanes) for shape, need in zip(plan.shapes, needs, strict=True)
    ]


def place_of(shape: tuple[int, int, int], need: Need, lanes: int) -> Place:
    """Return where one value lies, but for its start."""
    channels, height, width = shape
    pitch = need.pitch
    top, left, bottom, right = need.around
    gap = max(top * pitch + left, bottom * pitch + right)
    plane = height * pitch + gap if need.bordered else (height - 1) * pitch + width
    if need.whole:  # vectors end where they end
        length = (height - 1) * pitch + width
        plane = max(plane, up(length * lanes) // lanes)
        if lanes == 1 and plane % VECTOR and not need.bordered:
            plane = up(plane)
    if channels > 1 and lanes == 1 and plane % 1024 == 0:
        plane += VECTOR  # channels would fall on the same cache lines
    elif channels > 1 and lanes > 1 and height * width > 1:
        plane |= 1
    gap = max(gap, plane - height * pitch) if need.bordered else 0
    origin = max(gap, need.before[0] * pitch + need.before[1])
    end = origin + channels * plane + need.after[0] * pitch + need.after[1] + 2 * VECTOR
    if lanes == 1:
        origin, end = up(origin), end + VECTOR
    return Place(
        shape=shape,
        pitch=pitch,
        plane=plane,
        origin=origin,
        gap=gap,
        size=up(end * lanes),
        bordered=need.bordered,
    )
