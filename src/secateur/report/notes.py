"""What stands below the tables, in words: intervals, how attacks were chosen, promises."""

from __future__ import annotations

from secateur.report.lookup import chosen_on, consequences, label, subjects
from secateur.types import Report

__all__ = ["accounted_words", "chosen_words", "intervals_words", "not_run_words"]


def intervals_words(report: Report) -> str:
    """Say of what the intervals speak: of the pipeline, or of the one model that was audited."""
    targets = dict(report.facts.get("models", {})).get("targets", "?")
    if targets == 1:
        return (
            "95 % intervals over the records of this one model; they do not speak of other models "
            "of its pipeline"
        )
    return f"95 % intervals, t over {targets} targets where there are 8 or more"


def accounted_words(report: Report) -> list[str]:
    """Return of every model family what its training promised, where it promised anything."""
    found = []
    for name in subjects(report):
        promised = consequences(report, name)["accounted"]
        if promised is None:
            continue
        who = label(report, name)
        if promised.value is None:
            found.append(
                f"Accounted epsilon of {who}: none, since {promised.why.partition(';')[0]}."
            )
            continue
        found.append(
            f"Accounted epsilon of {who}, an upper bound from the training's noise: "
            f"{promised.value:.2f} (delta {promised.counts['delta']:g}); tuning on the same "
            "members is not accounted."
        )
    return found


def not_run_words(report: Report) -> list[str]:
    """Say of every attack that did not run why, and of which models."""
    found: dict[tuple[str, str], list[str]] = {}  # by method and reason
    for row in report.rows:
        if (row.risk, row.metric, row.group, row.status) == ("membership", "auc", "all", "not run"):
            found.setdefault((row.method, row.why), []).append(label(report, row.subject))
    everyone = len(subjects(report))
    whom = {
        key: "" if len(who) == everyone else f" on {', '.join(who)}" for key, who in found.items()
    }
    together: dict[tuple[str, str], list[str]] = {}  # by whom and reason
    for method, why in found:
        together.setdefault((whom[method, why], why), []).append(method)
    return [f"Did not run{who}: {', '.join(m)}, since {why}." for (who, why), m in together.items()]


CHOSEN = (
    "the strongest attack is the one with the largest AUC on references that play targets; at a "
    "low false alarm rate another attack may find more"
)
CHOICES = {
    "number of references": "with so few references the attack is the one recommended for their "
    "number, not chosen",
    "order": "the attack is the first that was asked for and ran, since it could not be chosen on "
    "references",
}


def chosen_words(report: Report) -> str:
    """Say on what the strongest attack was chosen."""
    reasons = [chosen_on(report, s) for s in subjects(report)]
    told = [CHOICES[r] for r in reasons if r in CHOICES]
    return told[0] if told else CHOSEN
