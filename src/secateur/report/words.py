"""The answer in plain words; every sentence carries its interval, none gives a verdict."""

from __future__ import annotations

from secateur.report.lookup import (
    best_rows,
    consequences,
    find,
    label,
    short,
    strongest,
    subjects,
)
from secateur.report.notes import accounted_words, alone_words, doubts
from secateur.report.paired import difference
from secateur.report.table import cell
from secateur.types import Measurement, Report

__all__ = ["NO_LESS", "amounts", "answer", "attacker", "changed", "compare"]

UNNAMED = ("these records", "saved signals")
"""What audits write of records that have no name."""

NO_LESS = "no less "
"""How the choice of an epoch begins that is the first with an accuracy, not the nearest."""


def compare(row: Measurement) -> str:
    """Say what a paired difference's interval carries.

    Example:
        >>> from dataclasses import replace
        >>> row = Measurement(subject="a", versus="b", risk="membership", method="m", metric="auc",
        ...                   value=-0.1, low=-0.2, high=-0.05)
        >>> compare(row), compare(replace(row, high=0.01))
        ('leaks less', 'no detectable difference')
    """
    if row.low is None or row.high is None:
        return "not measured"
    if row.high < 0:
        return "leaks less"
    if row.low > 0:
        return "leaks more"
    return "no detectable difference"


def answer(report: Report) -> list[str]:
    """Return the first screen's sentences, most important first."""
    names = subjects(report)
    if not names:
        return ["The report holds no measurements."]
    baseline = str(report.facts.get("baseline", names[0]))
    found = [*doubts(report), attacker(report, baseline)]
    for subject in names:
        found += changed(report, subject, baseline)
    raised = sorted({c.id for c in report.controls if c.status == "raised"})
    if raised:
        found.append(
            f"Read with care: the controls {', '.join(raised)} are raised; each is explained below."
        )
    found += alone_words(report)
    found.append(
        "What is not known: whether a stronger attack finds more, and how much a single person is "
        "exposed. An audit is a lower bound on leakage, not a guarantee."
    )
    return found


def amounts(report: Report) -> list[str]:
    """Return what the baseline's strongest attack amounts to, one sentence or two each."""
    names = subjects(report)
    if not names:
        return []
    baseline = str(report.facts.get("baseline", names[0]))
    rows = consequences(report, baseline)
    name = label(report, baseline)
    found = [
        _whom_to_believe(rows, name),
        _epsilon(rows),
        *accounted_words(report),
        _information(rows),
    ]
    exposed = rows["exposed"]
    if exposed is not None and exposed.value is not None:
        found.append(
            f"Exposure: the {exposed.counts['records']:g} records that looked most exposed on one "
            f"half of the models are called right in {cell(exposed, percent=True, digits=1)} % of "
            "the other half (balanced)."
        )
    return [text for text in found if text]


def _whom_to_believe(rows: dict[str, Measurement | None], name: str) -> str:
    fpr, rare, even = rows["fpr"], rows["precision 1%"], rows["precision 50%"]
    if fpr is None or rare is None or even is None:
        return ""
    if fpr.value is None:
        return f"Whom to believe: not measured, since {_first(fpr.why)}."
    text = (
        f"Whom to believe: against a {name} model, at the threshold that was best on references, "
        f"the attacker accuses {cell(fpr, percent=True, digits=0)} % of the non-members falsely"
    )
    if rare.value is None or even.value is None:
        return (
            f"{text}. How many of those whom he names are members is {rare.status}: "
            f"{_first(rare.why)}."
        )
    return (
        f"{text}. If one in a hundred of those whom he asks about is a member, "
        f"{cell(rare, percent=True, digits=1)} % of those whom he names are members; if every "
        f"second is one, {cell(even, percent=True, digits=0)} %."
    )


def _first(reason: str) -> str:
    """Return what was wrong, without the values seen and how to mend it."""
    return reason.partition(";")[0]


def _epsilon(rows: dict[str, Measurement | None]) -> str:
    bound, estimate = rows["bound"], rows["estimate"]
    if bound is None:
        return ""
    if bound.value is None:
        text = f"Epsilon: no lower bound is given, since {_first(bound.why)}"
    elif bound.value == 0:
        text = "Epsilon: these guesses show no lower bound above 0"
    else:
        text = (
            f"Epsilon: whoever claims differential privacy for this training cannot claim an "
            f"epsilon below {bound.value:.2f} (delta {bound.counts['delta']:g}, "
            f"{100 * bound.confidence:g} % confidence): "
            f"{bound.counts['correct']:g} of {bound.counts['guesses']:g} guesses were right. That "
            "is a lower bound; the true one may be much larger"
            f"{', or infinite' if _promised(rows) is None else ''}"
        )
    if estimate is None or estimate.value is None:
        return f"{text}."
    text += (
        ". An estimate, not a bound, from a Gaussian curve fitted to the AUC: "
        f"{cell(estimate, digits=1)}."
    )
    if bound.value is not None and bound.value > estimate.value:
        text += " It lies below the bound: some records leak more than such a curve says."
    return text


def _promised(rows: dict[str, Measurement | None]) -> float | None:
    promised = rows["accounted"]
    return None if promised is None else promised.value


def _information(rows: dict[str, Measurement | None]) -> str:
    divergence, accuracy = rows["divergence"], rows["accuracy"]
    if divergence is None:
        return ""
    if divergence.value is None or accuracy is None:
        return f"Information: not measured, since {_first(divergence.why)}."
    return (
        f"Information: the scores say {cell(divergence)} nats about who was a member, of the 0.693 "
        "that there are to know; a decision fitted on other records is right in "
        f"{cell(accuracy, percent=True, digits=0)} % (balanced; 50 is a coin; an estimate that is "
        "biased downward)."
    )


def attacker(report: Report, subject: str) -> str:
    """Say what an attacker gains against a model family."""
    rows = best_rows(report, subject)
    data = str(dict(report.facts.get("data", {})).get("name", "these records"))
    whose = data if data in UNNAMED else f"the records of {data}"
    one = dict(report.facts.get("models", {})).get("targets") == 1
    which = (
        f"this one {label(report, subject)} model" if one else f"a {label(report, subject)} model"
    )
    text = (
        f"On {whose}, an attacker who sees the outputs of {which} tells "
        f"its members "
        f"from non-members with an AUC of {cell(rows['auc'])}, where 0.5 is a coin"
    )
    tpr = rows["tpr"]
    if tpr is not None and tpr.value is not None:
        at = tpr.metric.removeprefix("tpr at ").removesuffix(" fpr")
        text += (
            f"; raising a false alarm for {at} of non-members he finds "
            f"{cell(tpr, percent=True, digits=1)} % of the members"
        )
    return f"{text} ({short(strongest(report, subject))})."


def _size(report: Report, subject: str, baseline: str, *, pruned: bool) -> str:
    """Say in which sense a model is small."""
    own = cell(find(report, subject, "kept weights"), percent=True, digits=1)
    other = find(report, subject, "kept of the baseline's weights")
    if other is not None:
        weights = cell(other, percent=True, digits=1)
        start = "pruned" if pruned else "not pruned"
        return (
            f"is another network, {start}, with {weights} % of the weights of "
            f"{label(report, baseline)},"
        )
    return f"keeps {own} % of the weights" if pruned else "is not pruned; it keeps all its weights"


def changed(report: Report, subject: str, baseline: str) -> list[str]:
    """Say what pruning or a defence changed; nothing of other families."""
    kind = dict(report.facts.get("subjects", {}).get(subject, {})).get("kind", "")
    if kind not in ("pruned", "defended"):
        return []
    pruned = kind == "pruned"
    rows = best_rows(report, subject)
    name = label(report, subject)
    method = strongest(report, subject)
    text = (
        f"{name} {_size(report, subject, baseline, pruned=pruned)} at a test accuracy of "
        f"{cell(rows['test'], percent=True, digits=1)} %; its strongest attack reaches an AUC of "
        f"{cell(rows['auc'])}"
    )
    against = difference(report, subject, baseline)
    if against is not None:
        said = (
            f"{cell(against)} {_by(report, against)}" if against.value is not None else against.why
        )
        text += (
            f". Against the {label(report, baseline)} model trained to the end: {compare(against)} "
            f"({said})"
        )
    found = [f"{text}."]
    by_view: dict[str, list[str]] = {}
    for match in report.facts.get("matched", []):
        if match["subject"] == subject:
            by_view.setdefault(match["view"], []).append(match["by"])
    for view, reasons in by_view.items():
        row = difference(report, subject, view)
        if row is not None:
            where = " and ".join(_stopped(report, reasons, view, subject))
            found.append(
                f"Against {label(report, view)}, the dense training stopped {where}: {name} "
                f"{_verb(row)} ({cell(row)} {_by(report, row)})."
            )
    weak = find(report, subject, "auc", method=method, naive=True)
    if _flatters(weak, rows["auc"]):
        who = (
            "who does not prune his own reference models"
            if pruned
            else f"whose own reference models are trained as the {label(report, baseline)} ones"
        )
        found.append(
            f"An attacker {who} would have reported {cell(weak)} for {name}: a flattering number, "
            "shown only as a warning."
        )
    return found


def _by(report: Report, row: Measurement) -> str:
    """Say which attack a difference is of; where each side has its own, of both."""
    both = row not in report.rows  # made of two attacks' numbers
    return f"by {short(row.method)}" + (
        f", {short(strongest(report, row.versus))} on the other one" if both else ""
    )


def _flatters(weak: Measurement | None, strong: Measurement | None) -> bool:
    """Tell whether the naive attacker's number is below the adaptive one's."""
    if weak is None or strong is None or weak.value is None or strong.value is None:
        return False
    return weak.value < strong.value


def _stopped(report: Report, reasons: list[str], view: str, subject: str) -> list[str]:
    """Say by what an epoch was chosen: nearest accuracies, the first that is no less accurate."""
    words = {by: _nearest(report, by.removeprefix(NO_LESS), view, subject) for by in reasons}
    first = [by for by in reasons if by.startswith(NO_LESS)]
    nearest = " and ".join(words[by] for by in reasons if by not in first)
    return [
        *([f"at the nearest {nearest}"] if nearest else []),
        *(f"at the first snapshot of {NO_LESS}{words[by]}" for by in first),
    ]


def _nearest(report: Report, metric: str, view: str, subject: str) -> str:
    """Name the accuracy that was matched, with how near the match is."""
    stopped, own = find(report, view, metric), find(report, subject, metric)
    if stopped is None or own is None or stopped.value is None or own.value is None:
        return metric
    return f"{metric} ({100 * stopped.value:.1f} % beside {100 * own.value:.1f} %)"


def _verb(row: Measurement) -> str:
    text = compare(row)
    return f"shows {text}" if text.startswith("no ") else text
