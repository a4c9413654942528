"""A model card beside an exported file: what it is, how it was made, what was measured of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secateur.errors import InputError
from secateur.report.lookup import (
    best_rows,
    consequences,
    label,
    short,
    strongest,
    subjects,
)
from secateur.report.table import cell
from secateur.types import Measurement, Report

__all__ = ["Card", "check_speaks", "render"]

UNKNOWN = "not stated"
NO_AUDIT = (
    "No audit was given. What an attacker learns from this file about who was in its training data "
    "is not known; `secateur audit` measures a lower bound of it."
)
LIMITS = (
    "An audit is a lower bound on leakage, not a guarantee: a stronger attack may find more.",
    "Its numbers are means over models that the same pipeline makes from other draws of members, "
    "unless a line says that they are of this model.",
    "The audit's attackers query the model. Whoever has the file has its weights too, and may find "
    "more in them.",
    "A file whose digest is another one is another model: nothing here speaks of it.",
)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card says of the file; everything else comes from a report.

    Args:
        name: of the file.
        digest: SHA-256 of its bytes.
        pipeline: spellings of the recipe and all steps, in order.
        data: name, number of records, classes and digest of the data set.
        members: how many records the model was trained on.
        facts: further lines of the table (label, value), such as sizes.
        accuracies: (label, measurement) of exactly these bytes.
    """

    name: str
    digest: str
    pipeline: tuple[str, ...]
    data: Mapping[str, Any]
    members: int
    facts: Sequence[tuple[str, str]] = ()
    accuracies: Sequence[tuple[str, Measurement]] = ()


def render(card: Card, report: Report | None = None, *, digests: bool = False) -> str:
    """Return the card as Markdown with a Hugging Face front matter.

    Args:
        card: of one file.
        report: an audit of the file, or of the fleet that it comes from.
        digests: name those of the records and of the report too. They are sums over records,
            members and seeds: whoever knows all but one of these tests a guess at it by them.

    Returns:
        Markdown; what users wrote is escaped.

    Raises:
        InputError: the report speaks neither of this file nor of this pipeline, or of other
            records.

    Example:
        >>> text = render(Card(name="m.onnx", digest="ab", pipeline=("Recipe()",),
        ...     data={"name": "digits", "records": 10, "classes": 2}, members=5))
        >>> text.splitlines()[1], NO_AUDIT in text
        ('library_name: secateur', True)
    """
    parts = [
        _front(card, report),
        f"# {_plain(card.name)}",
        "One model as the file that a device gets, made and measured by secateur.",
        "## The file",
        _table(
            [
                ("file", _code(card.name)),
                ("SHA-256", _code(card.digest)),
                *((_plain(k), _plain(v)) for k, v in card.facts),
            ]
        ),
        "## Training data",
        _table(_data_lines(card, digests=digests)),
        "## How it was made",
        "\n".join(f"{i}. {_code(step)}" for i, step in enumerate(card.pipeline, 1)),
        "## Accuracy",
        _accuracies(card.accuracies),
        "## Audit",
        NO_AUDIT if report is None else _audit(card, report, digests=digests),
        "## Limits",
        "\n".join(f"- {text}" for text in LIMITS),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(card: Card, report: Report | None) -> str:
    head: dict[str, Any] = {
        "library_name": "secateur",
        "tags": ["secateur", "compressed", *(["membership-inference-audit"] if report else [])],
    }
    accuracy = next((m for k, m in card.accuracies if k == "test accuracy"), None)
    if accuracy is not None and accuracy.value is not None:
        name = str(card.data.get("name", UNKNOWN))
        metric = {"type": "accuracy", "name": "test accuracy", "value": round(accuracy.value, 4)}
        result = {
            "task": {"type": "other", "name": "classification"},
            "dataset": {"type": name, "name": name},
            "metrics": [metric],
        }
        head["model-index"] = [{"name": card.name, "results": [result]}]
    # JSON is YAML, and its quoting is the same for whatever users wrote
    lines = [
        f"{key}: {value if key == 'library_name' else json.dumps(value)}"
        for key, value in head.items()
    ]
    return "\n".join(["---", *lines, "---"])


def _data_lines(card: Card, *, digests: bool) -> list[tuple[str, str]]:
    found = [("data set", _plain(card.data.get("name", UNKNOWN)))]
    found += [
        (key, f"{int(card.data[key]):,}") for key in ("records", "classes") if key in card.data
    ]
    if digests and "digest" in card.data:
        found.append(("digest of the records", _code(card.data["digest"])))
    return [*found, ("members (records that this model was trained on)", f"{card.members:,}")]


def _accuracies(found: Sequence[tuple[str, Measurement]]) -> str:
    if not found:
        return "Not measured."
    lines = [
        (_plain(name), f"{cell(row, percent=True, digits=1)} %, {_counts(row)}")
        for name, row in found
    ]
    return "Of exactly these bytes; 95 % Clopper-Pearson intervals in brackets.\n\n" + _table(lines)


_HIDDEN = ("expected_false_positive_units", "realised_fpr")  # the report has them


def _counts(row: Measurement) -> str:
    shown = {k.replace("_", " "): v for k, v in row.counts.items() if k not in _HIDDEN}
    return ", ".join(f"{name} {value:g}" for name, value in shown.items())


def _audit(card: Card, report: Report, *, digests: bool) -> str:
    subject, whole, left = _spoken_of(card, report)
    rows = best_rows(report, subject)
    lines = [
        ("strongest attack", _plain(short(strongest(report, subject)))),
        ("AUC", _with_kind(rows["auc"])),
        ("balanced accuracy %", _with_kind(rows["balanced"], percent=True)),
    ]
    if rows["tpr"] is not None:
        lines.append((f"{rows['tpr'].metric} %", _with_kind(rows["tpr"], percent=True)))
    lines += [
        ("train accuracy %", _with_kind(rows["train"], percent=True)),
        ("test accuracy %", _with_kind(rows["test"], percent=True)),
    ]
    lines += _promised(report, subject, whole=not left)
    lines += [] if left else _times(report, subject)
    raised = sorted({c.id for c in report.controls if c.status == "raised"})
    called = f"called {_plain(label(report, subject))} there."
    about = f"An audit of the models that this pipeline makes, {called}"
    if whole:
        about = "An audit of exactly these bytes."
    elif left:
        about = (
            f"An audit of the models as they were before {', '.join(map(_code, left))}, {called} "
            "It is not one of this file: what those steps change in it was not measured."
        )
    controls = (
        f"Raised controls: {', '.join(map(_code, raised))}; the report says what they mean."
        if raised
        else "No control of the audit is raised."
    )
    about += f" Report {_code(report.provenance.digest)}." if digests else ""
    return f"{about}\n\n{_table(lines)}\n\n{controls}"


def _promised(report: Report, subject: str, *, whole: bool) -> list[tuple[str, str]]:
    """Return the epsilon that the training promised, or why it promises none any more.

    A promise is quoted only where the audited models went through all steps: a later one may have
    voided it.
    """
    row = consequences(report, subject)["accounted"]
    if row is None:
        return []
    said = f"none: {row.why}" if row.value is None else f"{row.value:.2f}, {row.why}"
    if row.value is not None and not whole:
        said = "not known: the audit is of models before steps that may have voided it"
    return [(_plain(row.metric), _plain(said))]


def _times(report: Report, subject: str) -> list[tuple[str, str]]:
    """Return latencies and peak memory, where the audit measured them."""
    found = []
    for row in report.rows:
        if row.subject == subject and row.risk == "latency" and row.value is not None:
            said = f"{row.value:.3g} {row.unit or 'times the baseline'}"
            found.append((_plain(row.metric), f"{said} ({_plain(row.method)}; {_counts(row)})"))
    return found


def _with_kind(row: Measurement | None, *, percent: bool = False) -> str:
    text = cell(row, percent=percent, digits=1 if percent else 3)
    if row is None or row.low is None:
        return text
    of = "this model, " if row.estimand == "this model" else ""
    return f"{text} ({of}{row.interval}, {_counts(row)})"


def check_speaks(report: Report, pipeline: Sequence[str], *, trained: int) -> None:
    """Refuse a report that cannot speak of what a pipeline makes, before it is made.

    Args:
        report: an audit.
        pipeline: spellings of the recipe and all steps, in order.
        trained: how many of them made the fleet that is exported.

    Raises:
        InputError: no model of the report was made by these steps, all or up to the conversions.
    """
    known: Mapping[str, Any] = dict(report.facts.get("subjects", {}))
    made = {tuple(dict(known.get(s, {})).get("pipeline", ())) for s in subjects(report)}
    if not made & {tuple(pipeline[:end]) for end in range(trained, len(pipeline) + 1)}:
        names = ", ".join(label(report, subject) for subject in subjects(report))
        raise InputError(
            f"the report speaks of {names}, none of which was made by the steps of this file: "
            f"{' -> '.join(step.partition('(')[0] for step in pipeline)}, with the same parameters "
            "and recipe, or without the conversions at the end; give an audit of the fleet that is "
            "exported, or of the file"
        )


def _spoken_of(card: Card, report: Report) -> tuple[str, bool, tuple[str, ...]]:
    """Return which subject of a report this file is, whether the report is of its bytes alone, and
    which steps of its pipeline the audited models had not gone through.
    """
    files: Mapping[str, Any] = dict(report.facts.get("files", {}))
    for subject, told in files.items():
        digests = told if isinstance(told, Sequence) and not isinstance(told, str) else [told]
        if card.digest in digests:
            return subject, len(digests) == 1, ()
    data = dict(report.facts.get("data", {})).get("digest")
    if data not in (None, card.data.get("digest", data)):
        raise InputError(
            f"the report {report.title!r} is of other records (digest {data}) than those that "
            f"{card.name} was trained on ({card.data['digest']}); give an audit of the fleet that "
            "was exported"
        )
    known: Mapping[str, Any] = dict(report.facts.get("subjects", {}))
    for end in range(len(card.pipeline), 0, -1):
        for subject in subjects(report):
            if tuple(dict(known.get(subject, {})).get("pipeline", ())) == card.pipeline[:end]:
                return subject, False, card.pipeline[end:]
    raise InputError(
        f"the report {report.title!r} speaks neither of the file {card.name} nor of models that "
        f"were made by {list(card.pipeline)[:2]}...; give an audit of the fleet that was exported"
    )


def _table(lines: Sequence[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in lines)])


def _plain(value: object) -> str:
    """Return text in which nothing is markup."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|#!])", r"\\\1", text)


def _code(value: object) -> str:
    """Return text as code, whatever it holds."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}"
