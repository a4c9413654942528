"""What the attack costs whoever makes it: models to train, questions to ask, time."""

from __future__ import annotations

from typing import Any

from secateur.report.lookup import find, label, strongest, subjects
from secateur.types import Report

__all__ = ["effort_words"]


def effort_words(report: Report) -> list[str]:
    """Return what the attacker of this report had to do, one sentence or two each.

    Nothing is told that the report does not say: saved signals hold no costs.
    """
    models: dict[str, Any] = dict(report.facts.get("models", {}))
    found = []
    if "references" in models:
        found.append(_references(report, int(models["references"])))
    asked = dict(report.facts.get("pools", {})).get("audit")
    if asked:
        found.append(_questions(report, int(asked)))
    found.append(
        "Beside it stands what nobody can count here: getting records of the same people, and "
        "knowing how the model was trained."
    )
    return found


def _references(report: Report, count: int) -> str:
    if not count:
        return "Models to train: none; this attacker asks the model under audit alone."
    members = _members(report)
    text = f"Models to train: {count} reference models"
    text += f", each on about {members:,.0f} records" if members else ""
    times = _times(report)
    if not times:
        return f"{text}; what they took is not known."
    text += ". One took, in CPU seconds on the machine named below, this step alone: "
    return f"{text}{'; '.join(times)}. What is pruned or defended is trained before."


def _times(report: Report) -> list[str]:
    found = []
    for subject in subjects(report):
        kind = dict(report.facts.get("subjects", {}).get(subject, {})).get("kind", "")
        row = find(report, subject, "cpu seconds per model")
        if kind != "stopped" and row is not None and row.value:
            found.append(f"{label(report, subject)} {row.value:.3g}")
    return found


def _members(report: Report) -> float:
    rows = (r for r in report.rows if r.metric == "train accuracy" and "members" in r.counts)
    row = next(rows, None)
    return 0.0 if row is None else row.counts["members"]


def _questions(report: Report, asked: int) -> str:
    forms = next((c.value for c in report.controls if c.id == "augmented-queries" and c.value), 1)
    times = "" if forms == 1 else f", each in {forms:g} forms"
    text = f"Questions: every model answers {asked:,} records{times}"
    perturbed = {strongest(report, s).partition("(")[0] for s in subjects(report)}
    several = perturbed & {"LabelOnly"}
    return text + (
        ", and many changed copies of each for the label-only attack." if several else " once."
    )
