"""Which parts of a report answer what documents on data protection ask for; no legal opinion."""

from __future__ import annotations

from secateur.report.lookup import consequences, series_of, subjects
from secateur.types import Report

__all__ = ["ASKED", "ASKED_HEADERS", "SECTIONS", "asked_table"]

SECTIONS = {
    "models": "Models",
    "amounts": "What the strongest attack amounts to",
    "footprint": "Accuracy, leak, size and speed",
    "controls": "Controls",
    "groups": "By group",
    "exposed": "The most exposed records",
    "attacks": "All attacks",
    "limits": "Limits and threat model",
    "effort": "What the attack costs",
    "made": "How it was made",
}
"""Headings of the page, by the names of their anchors."""

ASKED_HEADERS = ("document", "asks for", "answered here by", "not answered here")
ASKED = (
    (
        "GDPR, article 35",
        "an assessment of the risks to the people whose data are processed, and of the measures "
        "against them",
        ("models", "amounts", "groups", "exposed"),
        "whether the processing is necessary and in proportion, and whether the rest of the risk "
        "is acceptable: the controller decides that",
    ),
    (
        "GDPR, recital 26",
        "the means that are reasonably likely to be used to identify a person, with their cost and "
        "time",
        ("effort", "limits", "attacks", "made"),
        "who would attack, and which other data he holds",
    ),
    (
        "EDPB, Opinion 28/2024",
        "documented tests of how likely personal data can be drawn from a model, directly or by "
        "queries, and how it withstands known attacks",
        ("attacks", "amounts", "controls"),
        "attribute inference, extraction, reconstruction and inversion; whether a likelihood is "
        "insignificant",
    ),
    (
        "ICO, Guidance on AI and data protection: security and data minimisation",
        "which privacy attacks a model is open to, from outside and with its weights in hand",
        ("attacks", "limits"),
        "model inversion; access to data and logs around the model",
    ),
    (
        "NIST, AI 100-2 E2025",
        "attacks by goal, knowledge and capability of the attacker; membership inference is one of "
        "the privacy attacks",
        ("attacks", "limits"),
        "data reconstruction, property inference, model extraction",
    ),
    (
        "NIST, SP 800-226",
        "what a claim of differential privacy rests on: the unit, epsilon, delta, what is not "
        "accounted for",
        ("amounts", "made"),
        "a claim for models that were trained without noise: there is none",
    ),
)
"""In our own words; the documents say more, and only they say what they require."""


def asked_table(report: Report) -> list[dict[str, object]]:
    """Return one row per document; keys are `ASKED_HEADERS`.

    The third column holds (anchor, heading) of the parts that this report has.
    """
    there = _there(report)
    return [
        dict(
            zip(
                ASKED_HEADERS,
                (
                    document,
                    asks,
                    [(part, SECTIONS[part]) for part in parts if part in there],
                    lacks,
                ),
                strict=True,
            )
        )
        for document, asks, parts, lacks in ASKED
    ]


def _there(report: Report) -> set[str]:
    found = {"models", "controls", "attacks", "limits", "effort", "made"}
    if any(any(consequences(report, s).values()) for s in subjects(report)):
        found.add("amounts")
    if any(row.group != "all" for row in report.rows):
        found.add("groups")
    if series_of(report, "most exposed"):
        found.add("exposed")
    return found
