"""The card says what was measured, of which bytes, and nothing more."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from report_fixture import made_report
from secateur.errors import InputError
from secateur.report.card import NO_AUDIT, Card, render
from secateur.types import Measurement

CARD = Card(
    name="model.onnx",
    digest="ab" * 32,
    pipeline=("Trained(epochs=3)", "Onnx()"),
    data={"name": "digits", "records": 1797, "classes": 10, "digest": "cd" * 32},
    members=300,
    facts=(("bytes", "1,234"),),
    accuracies=(
        (
            "test accuracy",
            Measurement(
                subject="m",
                risk="utility",
                method="accuracy",
                metric="test accuracy",
                value=0.9,
                low=0.85,
                high=0.94,
                interval="Clopper-Pearson",
                counts={"records": 200.0},
            ),
        ),
    ),
)


def front(text):
    _, head, _ = text.split("---\n", 2)
    return dict(line.split(": ", 1) for line in head.splitlines())


def test_without_an_audit_the_card_says_that_nothing_is_known():
    text = render(CARD)
    assert NO_AUDIT in text
    assert "membership-inference-audit" not in front(text)["tags"]


def test_the_front_matter_is_data_whatever_the_names_hold():
    text = render(replace(CARD, name='a: "b"\n--- # <x>', data={"name": "x: y"}))
    head = front(text)
    (entry,) = json.loads(head["model-index"])
    assert entry["name"] == 'a: "b"\n--- # <x>'
    assert entry["results"][0]["dataset"]["name"] == "x: y"
    assert entry["results"][0]["metrics"][0]["value"] == 0.9


def test_what_users_wrote_is_no_markup():
    text = render(replace(CARD, data={"name": "<b>|`x`*y*"}, pipeline=("a `b` | c",)))
    body = text.split("---\n", 2)[2]
    assert "<b>" not in body and r"\`x\`\*y\*" in body and "*y*" not in body
    assert "`` a `b` \\| c ``" in text


def test_the_audit_of_the_fleet_is_quoted_with_interval_and_counts():
    report = made_report()
    name = report.rows[0].subject
    pipeline = tuple(report.facts["subjects"][name]["pipeline"])
    text = render(replace(CARD, pipeline=(*pipeline, "Onnx()")), report)
    assert f"the first {len(pipeline)} steps of this pipeline make" in text
    assert "what `Onnx()` changed is not measured" in text
    assert report.provenance.digest in text
    assert "AUC" in text.split("## Audit")[1]


def test_an_audit_of_the_bytes_is_told_from_one_of_the_pipeline():
    report = made_report()
    name = report.rows[0].subject
    facts = {**report.facts, "files": {name: [CARD.digest]}}
    assert "An audit of exactly these bytes" in render(CARD, replace(report, facts=facts))


def test_a_report_of_other_models_is_refused():
    with pytest.raises(InputError, match="none of which was made by the steps of this file"):
        render(CARD, made_report())


def test_no_card_gives_a_verdict():
    for text in (render(CARD), render(replace(CARD, members=1))):
        assert not {"private", "safe", "protected"} & set(text.lower().split())
