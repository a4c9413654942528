"""A model card beside an exported file: what it is, how it was made, what was measured of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secateur.errors import InputError
from secateur.report.lookup import best_rows, label, short, strongest, subjects
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
        trained: how many of the steps made the fleet that was exported; what follows are
            conversions. None for all but the last one.
    """

    name: str
    digest: str
    pipeline: tuple[str, ...]
    data: Mapping[str, Any]
    members: int
    facts: Sequence[tuple[str, str]] = ()
    accuracies: Sequence[tuple[str, Measurement]] = ()
    trained: int | None = None


def render(card: Card, report: Report | None = None) -> str:
    """Return the card as Markdown with a Hugging Face front matter.

    Args:
        card: of one file.
        report: an audit of the file, or of the fleet that it comes from.

    Returns:
        Markdown; what users wrote is escaped.

    Raises:
        InputError: the report speaks neither of this file nor of this pipeline.

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
        _table(_data_lines(card)),
        "## How it was made",
        "\n".join(f"{i}. {_code(step)}" for i, step in enumerate(card.pipeline, 1)),
        "## Accuracy",
        _accuracies(card.accuracies),
        "## Audit",
        NO_AUDIT if report is None else _audit(card, report),
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


def _data_lines(card: Card) -> list[tuple[str, str]]:
    found = [("data set", _plain(card.data.get("name", UNKNOWN)))]
    found += [
        (key, f"{int(card.data[key]):,}") for key in ("records", "classes") if key in card.data
    ]
    if "digest" in card.data:
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


COUNTS = ("targets", "references", "members", "non_members", "records")


def _counts(row: Measurement) -> str:
    found = [(k.replace("_", "-"), row.counts[k]) for k in COUNTS if k in row.counts]
    return ", ".join(f"{value:g} {name}" for name, value in found)


def _audit(card: Card, report: Report) -> str:
    subject, steps = _spoken_of(card, report)
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
    raised = sorted({c.id for c in report.controls if c.status == "raised"})
    name = _plain(label(report, subject))
    if steps is None:
        about = "An audit of exactly these bytes."
    elif steps == len(card.pipeline):
        about = f"An audit of the models that this pipeline makes, called {name} there."
    else:
        rest = ", ".join(_code(step) for step in card.pipeline[steps:])
        about = (
            f"An audit of the models that the first {steps} steps of this pipeline make, called "
            f"{name} there. It is not of files: what {rest} changed is not measured."
        )
    controls = (
        f"Raised controls: {', '.join(map(_code, raised))}; the report says what they mean."
        if raised
        else "No control of the audit is raised."
    )
    return f"{about} Report {_code(report.provenance.digest)}.\n\n{_table(lines)}\n\n{controls}"


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
    if _made_by(report, pipeline, trained) is None:
        names = ", ".join(label(report, subject) for subject in subjects(report))
        raise InputError(
            f"the report speaks of {names}, none of which was made by the steps of this file: "
            f"{' -> '.join(step.partition('(')[0] for step in pipeline)}, with the same parameters "
            "and recipe, or without the conversions at the end; give an audit of the fleet that is "
            "exported, or of the file"
        )


def _made_by(report: Report, pipeline: Sequence[str], trained: int) -> tuple[str, int] | None:
    """Return the subject that most of the steps made, no fewer than the trained ones."""
    known: Mapping[str, Any] = dict(report.facts.get("subjects", {}))
    for end in range(len(pipeline), trained - 1, -1):
        for subject in subjects(report):
            made = tuple(dict(known.get(subject, {})).get("pipeline", ()))
            if made == tuple(pipeline[:end]):
                return subject, end
    return None


def _spoken_of(card: Card, report: Report) -> tuple[str, int | None]:
    """Return which subject of a report this file is, and of how many steps; None: of its bytes."""
    files: Mapping[str, Any] = dict(report.facts.get("files", {}))
    for subject, told in files.items():
        digests = told if isinstance(told, Sequence) and not isinstance(told, str) else [told]
        if card.digest in digests:
            return subject, None if len(digests) == 1 else len(card.pipeline)
    trained = max(1, len(card.pipeline) - 1) if card.trained is None else card.trained
    check_speaks(report, card.pipeline, trained=trained)
    found = _made_by(report, card.pipeline, trained)
    assert found is not None  # it was looked at
    return found


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
