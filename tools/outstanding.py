"""What the worlds of docs/evidence.md have not measured of what their recipes ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from secateur.cli.reproduce import cells
from secateur.cli.spelled import parse_step
from secateur.sweeping import read_plan
from tools.counting import number

__all__ = ["unfinished"]


def unfinished(found: dict[str, dict[str, Any]]) -> list[str]:
    """Name the worlds of which cases are missing or failed, and those whose recipe has cases now
    that it did not have when they were swept.

    Args:
        found: sweeps by the world's name.
    """
    left = {name: _left(name, content) for name, content in found.items()}
    named = "; ".join(f"{name} ({', '.join(parts)})" for name, parts in left.items() if parts)
    return [f"**Unfinished** are the cases of {named}."] if named else []


def _left(name: str, content: dict[str, Any]) -> list[str]:
    parts = [f"{len(content[what])} {what}" for what in ("missing", "failed") if content[what]]
    since = _since(name, content)
    if since:
        kinds = ", ".join(f"`{kind}`" for kind in dict.fromkeys(kind for _, kind in since))
        parts.append(
            f"swept by an earlier recipe: {number(len(since), 'case')} of today's not among its "
            f"own, or by other settings, of {kinds}"
        )
    return parts


def _since(name: str, content: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the cases that a cell's recipe asks for and its sweep never did, or by other settings,
    with their methods.

    None where the sweep is no cell's, or names no scale.
    """
    scale = content["facts"].get("scale")
    if name not in cells() or not scale:
        return []
    text = cells()[name].read_text(encoding="utf-8")
    seeds = content["facts"]["seeds"]
    asked = {p["case"]: _same(p.get("steps", ())) for p in content["points"]}
    told = {item["case"] for what in ("failed", "dropped") for item in content[what]}
    plan = read_plan(text, scale=scale, where=name)
    return [
        (case.name, case.method)
        for case in plan.cases
        if asked.get(case.name) != _same(case.steps)
        and case.name not in told
        and not any(f"{case.name}, seed {seed}" in content["missing"] for seed in seeds)
    ]


def _same(steps: Iterable[str]) -> tuple[str, ...]:
    """Return steps as they are spelled with all their settings."""
    return tuple(repr(parse_step(step)) for step in steps)
