"""Plans made step by step, and their comparison with the slow engine on all instruction sets."""

from typing import Any

import numpy as np

from secateur_runtime import reference
from secateur_runtime.plan import Plan, Step, Weight
from secateur_runtime.shapes import output_shape

CLOSE = 2e-5


class Draft:
    """A plan in the making."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self.shapes, self.steps = [shape], []
        self.rng = np.random.default_rng(seed)

    def add(self, kind: str, inputs: list[int], weight: Any = None, **attributes: Any) -> int:
        bias = None
        if weight is not None:
            bias = self.rng.standard_normal(weight.shape[0]).astype(np.float32)
        own = None if weight is None else weight.shape
        shape = output_shape(kind, attributes, own, [self.shapes[i] for i in inputs])
        number = len(self.shapes)
        self.shapes.append(shape)
        self.steps.append(
            Step(
                kind=kind,
                inputs=tuple(inputs),
                output=number,
                attributes=attributes,
                weight=weight,
                bias=bias,
            )
        )
        return number

    def weight(self, shape: tuple[int, ...], zeros: float) -> Weight:
        values = self.rng.standard_normal(shape).astype(np.float32)
        values[self.rng.random(shape) < zeros] = 0
        terms = float(np.prod(shape[1:])) * (1 - zeros)
        return Weight.of(values * np.float32(3 / max(9, terms) ** 0.5))  # so that 6 is in reach

    def convolution(self, source: int, out: int, **changes: Any) -> int:
        kernel = changes.pop("kernel", (3, 3))
        zeros, other = changes.pop("zeros", 0.8), changes.pop("other", None)
        a: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1)}
        a |= {"groups": 1, "activation": "relu"}
        a |= changes
        weight = self.weight((out, self.shapes[source][0] // a["groups"], *kernel), zeros)
        inputs = [source] if other is None else [source, other]
        return self.add("convolution", inputs, weight, **a)

    def plan(self) -> Plan:
        last = len(self.shapes) - 1
        return Plan(steps=tuple(self.steps), shapes=tuple(self.shapes), input=0, output=last)


def compare(plan: Plan, n: int, *, way: str | None = None, threads: int = 1) -> None:
    x = np.random.default_rng(n).standard_normal((n, *plan.shapes[0])).astype(np.float32)
    wanted = reference.run(plan, x)[plan.output]
    steps = range(len(plan.steps))
    ways = {(lanes, i): way for lanes in (1, 16) for i in steps} if way else {}
    from secateur_runtime import native  # the compiled engine is not everywhere

    for isa in native.instruction_sets():
        found = native.NativeEngine(plan, isa=isa, ways=ways).run(x, threads)
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE * scale, err_msg=isa)
