"""What a sweep of the evidence is of, how it was made and what it took, in words."""

from __future__ import annotations

import re
from typing import Any

from secateur.context import COMMIT, MADE, TOOK
from tools.verdicts import DENSE, cases

__all__ = ["about"]

WIDTH = re.compile(r"\bwidth=([0-9.]+)")


def about(content: dict[str, Any]) -> str:
    """Return the paragraph that stands under a sweep's heading.

    Args:
        content: the sweep.
    """
    facts = content["facts"]
    context = content["provenance"]["context"]
    text = (
        f"{content['title']}. {facts['targets']} targets, {facts['references']} references, seeds "
        f"{facts['seeds']}, scale {facts.get('scale') or 'not named'}; made by "
        f"`{facts.get('command', 'secateur sweep')}` on {context.get('processor', 'a machine')}, "
        f"{context.get('cores', '?')} cores{_when(context)}."
    )
    note = [facts["note"]] if facts.get("note") else []
    return " ".join([text, *_how(content), *_cost(content), *note])


def _when(context: dict[str, Any]) -> str:
    """Say when a sweep was audited, and by which commit of the code."""
    made = f", audited on {context[MADE][:10]}" if MADE in context else ""
    return made + (f" by commit {context[COMMIT]}" if COMMIT in context else "")


def _how(content: dict[str, Any]) -> list[str]:
    """Say what a model is, on how much it is trained, and what of the paper's network it is not."""
    recipe = content["facts"].get("recipe")
    if not recipe:
        return []
    trained = (cases(content).get(DENSE) or {"rows": {}})["rows"].get("train accuracy") or {}
    members = trained.get("counts", {}).get("members")
    on = "" if members is None else f", each on about {members:.0f} records"
    words = [f"Dense models: `{recipe}`{on}."]
    width = WIDTH.search(recipe)
    if width and float(width[1]) < 1:
        words.append(
            f"The network has {100 * float(width[1]):g} % of the paper's channels: what is said "
            "here is said of it, not of the paper's network."
        )
    return words


def _cost(content: dict[str, Any]) -> list[str]:
    """Say what the trainings of all cases took."""
    took = content["provenance"]["context"].get(TOOK)
    audits = "audits come on top" if took is None else f"audits took {took / 60:.0f} minutes on top"
    rows = [p["rows"].get("cpu seconds") or {} for p in cases(content).values()]
    known = [r["value"] * r["counts"]["models"] for r in rows if r.get("value") is not None]
    if not known:
        return []
    every = "" if len(known) == len(rows) else f", of {len(known)} of the {len(rows)} cases"
    return [
        f"Trainings, those that cases share counted in each: {sum(known) / 3600:.1f} CPU "
        f"hours{every}; {audits}."
    ]
