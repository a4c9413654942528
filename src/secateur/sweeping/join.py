"""Draws of one file that were swept apart, put together as one sweep over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secateur.context import COMMIT, MADE, TOOK, made_by
from secateur.errors import InputError
from secateur.sweeping.compare import comparisons
from secateur.sweeping.front import Limits, pick, with_front
from secateur.sweeping.result import comparable, missing_of, raised_in
from secateur.types import RAISED, Point, Provenance, Sweep

__all__ = ["PARTS", "join"]

PARTS = "parts"
"""The fact of a joined sweep that says of each part which seeds, made when, where and how."""
OF_A_PART = ("seeds", "command", "note", RAISED, PARTS)
"""The facts in which parts may differ."""


def join(
    sweeps: Sequence[Sweep], *, limits: Limits | None = None, names: Sequence[str] = ()
) -> Sweep:
    """Return what one sweep over all of their seeds would have found.

    Values over seeds, fronts and comparisons are computed anew from the seeds' own points; those
    stay as they are.

    Args:
        sweeps: two or more of the same file at the same scale, no seed in two of them.
        limits: which case to pick.
        names: of the sweeps, such as their files, for the messages.

    Returns:
        The sweep, seeds in rising order; its fact `parts` says where each part was made.

    Raises:
        InputError: fewer than two sweeps, of different files, of one seed, or with a funnel.

    Example:
        >>> from secateur.types import Measurement, Point, Sweep
        >>> def draw(seed, auc):
        ...     leak = Measurement(subject="dense", risk="membership", method="RMIA()",
        ...                        metric="auc", value=auc)
        ...     point = Point(case="dense", method="dense", seed=seed, steps=(), axes={},
        ...                   rows={"leak": leak})
        ...     return Sweep(title="t", points=(point,), facts={"seeds": [seed]})
        >>> found = join([draw(1, 0.75), draw(0, 0.5)])
        >>> found.facts["seeds"], found.points[-1].rows["leak"].value
        ([0, 1], 0.625)
    """
    _check(sweeps, names or [f"sweep {n}" for n in range(1, len(sweeps) + 1)])
    parts = sorted(sweeps, key=lambda s: min(s.facts["seeds"]))
    seeds = sorted(seed for s in parts for seed in s.facts["seeds"])
    points = sorted(
        (p for s in parts for p in s.points if p.seed is not None), key=lambda p: p.seed or 0
    )
    failed = tuple(f for s in parts for f in s.failed)
    labels = list(dict.fromkeys(p.case for p in points))
    whole = with_front(comparable(labels, points, seeds, failing={f["case"] for f in failed}))
    there = {(p.case, p.seed) for p in points} | {(f["case"], f["seed"]) for f in failed}
    return Sweep(
        title=parts[0].title,
        points=(*points, *whole),
        series=tuple(series for s in parts for series in s.series),
        failed=failed,
        missing=missing_of(labels, seeds, there, also=[m for s in parts for m in s.missing]),
        pick=pick(whole, limits) if limits else {},
        comparisons=comparisons(whole, _compared(parts)),
        provenance=_provenance(parts),
        facts={
            **{k: v for k, v in parts[0].facts.items() if k not in OF_A_PART},
            "seeds": seeds,
            **_raised(parts, seeds),
            PARTS: [told for s in parts for told in _told(s)],
        },
    )


def _check(sweeps: Sequence[Sweep], names: Sequence[str]) -> None:
    if len(sweeps) < 2:
        raise InputError(f"to join takes two sweeps or more, got {len(sweeps)}")
    of_seed: dict[int, list[str]] = {}
    for name, one in zip(names, sweeps, strict=True):
        if not one.facts.get("seeds"):
            raise InputError(f"{name} does not say its seeds; sweep it anew")
        for fact, own, its in _differing(sweeps[0], one):
            raise InputError(
                f"{names[0]} and {name} are not of one file at one scale: {fact} is {own!r} and "
                f"{its!r}; join sweeps that differ in their seeds alone"
            )
        for seed in one.facts["seeds"]:
            of_seed.setdefault(seed, []).append(name)
    for seed, where in of_seed.items():
        if len(where) > 1:
            raise InputError(f"seed {seed} is in {' and in '.join(where)}; give each seed once")
    if sweeps[0].facts.get("funnel"):
        raise InputError(
            "sweeps with a funnel cannot be joined: each chose in its own first seed which cases "
            "go on; sweep all seeds of such a file at once"
        )


def _differing(first: Sweep, other: Sweep) -> list[tuple[str, Any, Any]]:
    """Return what differs beside the seeds: its name, and both values."""
    pairs: list[tuple[str, Any, Any]] = [("the title", first.title, other.title)]
    for name in sorted({*first.facts, *other.facts} - set(OF_A_PART)):
        pairs.append((name, first.facts.get(name), other.facts.get(name)))
    own, its = _steps(first.points), _steps(other.points)
    pairs += [(f"the pipeline of {case!r}", own[case], its[case]) for case in own if case in its]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _steps(points: Sequence[Point]) -> dict[str, tuple[str, ...]]:
    return {p.case: tuple(p.steps) for p in points}


def _compared(parts: Sequence[Sweep]) -> list[str]:
    """Return the methods whose cases the sweeps set beside every other."""
    cases = {c.case for s in parts for c in s.comparisons}
    return list(dict.fromkeys(p.method for s in parts for p in s.points if p.case in cases))


def _raised(parts: Sequence[Sweep], seeds: Sequence[int]) -> dict[str, Any]:
    """Return the controls that any part's audits raised; nothing where a part did not keep them."""
    if not all(RAISED in s.facts for s in parts):
        return {}
    told = [(c, seed) for s in parts for c in s.facts[RAISED] for seed in c["seeds"]]
    of_seed = {seed: [(c["id"], c["subject"]) for c, at in told if at == seed] for seed in seeds}
    return {RAISED: raised_in(of_seed)}


def _told(part: Sweep) -> list[Mapping[str, Any]]:
    """Return of each part that a sweep consists of which seeds it has, and how it was made."""
    if PARTS in part.facts:
        return list(part.facts[PARTS])
    context = part.provenance.context
    return [
        {
            "seeds": list(part.facts["seeds"]),
            **{k: part.facts[k] for k in ("command", "note") if k in part.facts},
            **{k: context[k] for k in ("processor", "cores", MADE, COMMIT) if k in context},
        }
    ]


def _provenance(parts: Sequence[Sweep]) -> Provenance:
    """Return the keys of all audits; of the parts' contexts the first, with every processor."""
    audits = {k: v for s in parts for k, v in dict(s.provenance.key).get("audits", {}).items()}
    contexts = [s.provenance.context for s in parts]
    names = dict.fromkeys(
        name for c in contexts for name in str(c.get("processor", "")).split("; ") if name
    )
    first = {k: v for k, v in contexts[0].items() if k not in (MADE, COMMIT, TOOK)}
    context = {**first, "processor": "; ".join(names), **made_by(contexts)}
    return Provenance(key={"audits": audits}, context=context if any(contexts) else {})
