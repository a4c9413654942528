"""What stands below the tables, in words: intervals, how attacks were chosen, promises."""

from __future__ import annotations

from secateur.measure.membership import FEWEST_FOR_T
from secateur.report.lookup import (
    chosen_on,
    consequences,
    find,
    is_given,
    label,
    short,
    strongest,
    subjects,
)
from secateur.types import Measurement, Report
from secateur.types.phrases import ALONE, how_references_were_made

__all__ = [
    "accounted_words",
    "alone_words",
    "chosen_words",
    "doubts",
    "intervals_words",
    "not_run_words",
    "raised_ids",
    "references_words",
    "simpler_words",
]

BARE = "class_wise=False"


def alone_words(report: Report) -> list[str]:
    """Say of an audit without references which attacker was not tried; else nothing."""
    found = [line for line in map(str, report.facts.get("limits", [])) if line.startswith(ALONE)]
    if found or dict(report.facts.get("models", {})).get("references") != 0:
        return found
    return [
        f"{ALONE}an attacker who trains models of his own usually finds more; he was not tried."
    ]


def simpler_words(report: Report) -> list[str]:
    """Say of every family where the bare loss finds surely more than the attack that was chosen."""
    told = "this network" if is_given(report) else "these models"
    found = []
    for name in subjects(report):
        leading = find(report, name, "auc", method=strongest(report, name))
        row = _bare_loss(report, name)
        if leading is None or row is None or leading.high is None or row.low is None:
            continue
        if row.low > leading.high:
            needs = (
                "needs no references" if BARE in row.method else "needs them for thresholds alone"
            )
            found.append(
                f"{label(report, name)}: LossThreshold, which {needs}, finds more (AUC "
                f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]) than the attack that was chosen "
                f"on references: a sign that the references do not resemble {told}."
            )
    return found


def _bare_loss(report: Report, subject: str) -> Measurement | None:
    """Return the AUC of the loss threshold that finds most; None where none was measured."""
    rows = [
        r
        for r in report.rows
        if (r.subject, r.metric, r.group, r.versus) == (subject, "auc", "all", "")
        and r.method.startswith("LossThreshold(")
        and r.threat != "naive"
        and r.value is not None
    ]
    return max(rows, key=lambda r: r.value or 0.0, default=None)


def intervals_words(report: Report) -> str:
    """Say of what the intervals speak: of the pipeline, or of the one model that was audited."""
    targets = dict(report.facts.get("models", {})).get("targets", "?")
    if targets == 1:
        return (
            "95 % intervals over the records of this one model; they do not speak of other models "
            "of its pipeline"
        )
    if not isinstance(targets, int):
        return "95 % intervals; each row of the JSON names its kind"
    if targets >= FEWEST_FOR_T:
        return f"95 % intervals, t over {targets} targets"
    kinds = {
        "differences": any(row.versus for row in report.rows),
        "accuracies": any(row.risk == "utility" for row in report.rows),
    }
    apart = " and ".join(kind for kind, held in kinds.items() if held)
    return f"95 % intervals, two-way bootstrap over {targets} targets and their records" + (
        f"; {apart}: t over {targets} targets" if apart else ""
    )


def doubts(report: Report) -> list[str]:
    """Return what must be read before any number: that the model did not know its own members."""
    return [
        f"Read this first, since the numbers may say nothing: {c.saw}"
        for c in report.controls
        if (c.id, c.status) == ("given-model", "raised")
    ]


def references_words(report: Report) -> str:
    """Say how many references there are, and how they were made."""
    count = dict(report.facts.get("models", {})).get("references", "?")
    if count == 0:
        return "no references"
    return f"{count} references {_how(report)}"


def _how(report: Report) -> str:
    """Say how the references were made, as far as the report knows."""
    if "kept" in report.facts:
        return "as they were given"
    given = is_given(report)
    first = subjects(report)[0] if given else ""
    steps = dict(report.facts.get("subjects", {}).get(first, {})).get("pipeline", ())
    return how_references_were_made(steps, given=given)


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
    kinds: dict[tuple[str, str], str] = {}
    for row in report.rows:
        if (row.risk, row.metric, row.group, row.status) == ("membership", "auc", "all", "not run"):
            found.setdefault((row.method, row.why), []).append(label(report, row.subject))
            kinds[row.method, row.why] = _lacks(row)
    everyone = len(subjects(report))
    whom = {
        key: "" if len(who) == everyone else f" on {', '.join(who)}" for key, who in found.items()
    }
    there = dict(report.facts.get("models", {})).get("references")
    everywhere = [key for key in found if not whom[key]]
    told, grouped = [], set()
    for what in LACKS:
        keys = [key for key in everywhere if kinds[key] == what]
        if len(keys) > 1:
            names = ", ".join(dict.fromkeys(short(method) for method, _ in keys))
            why = keys[0][1]
            needed = NEEDED.get(what, what)
            needed += " in and out of every record" if there and what == REFS else ""
            told.append(
                f"Did not run: {len(keys)} attacks need {needed}: {names}. Of the first: {why}."
            )
            grouped |= set(keys)
    together: dict[tuple[str, str], list[str]] = {}  # by whom and reason
    for key in found:
        if key not in grouped:
            together.setdefault((whom[key], key[1]), []).append(key[0])
    return told + [
        f"Did not run{who}: {', '.join(methods)}, since {why}."
        for (who, why), methods in together.items()
    ]


REFS = "references"
LACKS = {
    REFS: ("reference models", "each reference"),
    "population records": ("with population records",),
    "signals": (),
}
"""What several attacks may lack; with words by which the reasons of older reports say so."""
NEEDED = {"signals": "signals that were not saved"}


def _lacks(row: Measurement) -> str:
    """Return what an attack that did not run lacks; empty where that is not known."""
    for name in row.counts:
        if name.startswith("lacks "):
            return name.removeprefix("lacks ")
    said = (what for what, words in LACKS.items() if any(word in row.why for word in words))
    return next(said, "")


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


def raised_ids(report: Report) -> tuple[str, ...]:
    """Return the controls that are raised, once each, in order of their names."""
    return tuple(sorted({c.id for c in report.controls if c.status == "raised"}))
