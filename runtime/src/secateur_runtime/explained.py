"""The steps of a plan as a table: where each stands, its zeros, its work, how it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_runtime.plan import Plan, Step

__all__ = ["table"]

TITLES = ("layer", "step", "output", "weights", "zeros %", "multiply-adds", "runs")


def table(plan: Plan, ways: Sequence[str]) -> list[str]:
    """Return the lines of the table: titles, a line for each step, and one of all steps.

    Args:
        plan: of the network.
        ways: how each step runs, in words, empty where it has no choice.

    Example:
        >>> step = Step(kind="relu", inputs=(0,), output=1, layer="act")
        >>> table(Plan(steps=(step,), shapes=((2,), (2,)), input=0, output=1), [""])[1].split()
        ['act', 'relu', '2']
    """
    rows: list[tuple[str, ...]] = [TITLES]
    rows += [_row(plan, step, how) for step, how in zip(plan.steps, ways, strict=True)]
    rows.append(_total(plan))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(n) for cell, n in zip(row, wide, strict=True)).rstrip() for row in rows
    ]


def _row(plan: Plan, step: Step, how: str) -> tuple[str, ...]:
    shape = plan.shapes[step.output]
    name = " + ".join(
        word
        for word in (
            step.kind,
            "sum" if step.kind == "convolution" and len(step.inputs) == 2 else "",
            str(step.attributes.get("activation", "none")).replace("none", ""),
        )
        if word
    )
    sizes = "x".join(map(str, shape))
    if step.weight is None:
        return (step.layer, name, sizes, "", "", "", how)
    zeros = f"{100 * step.weight.share_zero:.1f}"
    work = f"{_work(step, shape):,}"
    return (step.layer, name, sizes, f"{step.weight.size:,}", zeros, work, how)


def _total(plan: Plan) -> tuple[str, ...]:
    weights = [step.weight for step in plan.steps if step.weight is not None]
    size, nonzero = sum(w.size for w in weights), sum(w.n_nonzero for w in weights)
    zeros = f"{100 * (1 - nonzero / size):.1f}" if size else ""
    work = sum(_work(step, plan.shapes[step.output]) for step in plan.steps)
    return ("", "in all", "", f"{size:,}", zeros, f"{work:,}", "")


def _work(step: Step, shape: Sequence[int]) -> int:
    """Return the multiply-adds of a step for one record, zeros left out."""
    return 0 if step.weight is None else step.weight.n_nonzero * _positions(step, shape)


def _positions(step: Step, shape: Sequence[int]) -> int:
    """Return how often each weight is used for one record, the border counted as the rest."""
    return int(np.prod(shape[1:])) if step.kind != "linear" else 1
