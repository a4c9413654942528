"""Rules of thumb of the compiled engine: how many records at once, and how a layer runs."""

from __future__ import annotations

import math

from secateur_runtime.plan import Plan, Step

__all__ = ["FEW", "LANES", "WEIGHTED", "can_be_code", "side_by_side", "usual_way"]

LANES = 16
"""Pictures that lie side by side where there are many."""
FEW = 6
"""Pictures left over that are still run side by side, the other lanes empty."""
NARROW = 4
"""Output channels of a group for which no input is worth sharing."""
WEIGHTED = ("convolution", "linear")
BREAK_EVEN = 0.5
"""Share of zeros from which on a layer is run sparse, where nothing was measured."""


def side_by_side(n: int) -> int:
    """Return how many of n pictures are run side by side; the rest follow one by one."""
    return n if n % LANES >= FEW else n - n % LANES


def can_be_code(step: Step) -> bool:
    """Return whether code can be made for a step; the engine's limit is 64 taps.

    Along one axis 32: there a border has at most 65 forms, which the engine holds.
    """
    assert step.weight is not None
    kernel = step.weight.shape[2:]
    return math.prod(kernel) <= 64 and max(kernel, default=1) <= 32


def usual_way(plan: Plan, step: Step, lanes: int, *, generate: bool) -> str:
    """Return how a step with weights runs where nothing was measured.

    Code is read once for each piece of it, which one place does not repay. Layers with little to
    share are sparse at any share of zeros; code for them spares the copies that strides take.
    """
    assert step.weight is not None
    each = step.weight.shape[0] // step.attributes.get("groups", 1)
    zeros = step.weight.share_zero
    places = math.prod(plan.shapes[step.output][1:])
    code = generate and lanes > 1 and can_be_code(step)
    if each < NARROW:
        strided = max(step.attributes.get("stride", (1, 1))) > 1
        return "code" if code and (strided or places >= 256) else "sparse"
    if zeros < BREAK_EVEN:
        return "dense"
    repaid = places >= 4 or zeros >= 0.97
    return "code" if code and repaid else "sparse"
