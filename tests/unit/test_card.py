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


def test_an_audit_of_the_models_before_the_last_steps_says_that_it_is_none_of_this_file():
    report = made_report()
    name = report.rows[0].subject
    pipeline = tuple(report.facts["subjects"][name]["pipeline"])
    card = replace(CARD, pipeline=(*pipeline, "Onnx()"), data=report.facts["data"])
    text = render(card, report)
    about = text.split("## Audit")[1]
    assert "before `Onnx()`" in about and "It is not one of this file" in about
    assert "AUC" in text.split("## Audit")[1]


def test_only_an_audit_of_the_whole_pipeline_is_called_one():
    report = made_report()
    name = report.rows[0].subject
    pipeline = tuple(report.facts["subjects"][name]["pipeline"])
    text = render(replace(CARD, pipeline=pipeline, data=report.facts["data"]), report)
    about = text.split("## Audit")[1]
    assert "An audit of the models that this pipeline makes" in about and "before" not in about


def test_digests_by_which_a_guess_is_tested_stand_in_the_card_where_they_are_asked_for():
    report = made_report()
    name = report.rows[0].subject
    pipeline = tuple(report.facts["subjects"][name]["pipeline"])
    card = replace(CARD, pipeline=pipeline, data={**report.facts["data"], "digest": "r0"})
    secrets = ("r0", report.provenance.digest)
    assert not any(f"`{digest}`" in render(card, report) for digest in secrets)
    assert all(f"`{digest}`" in render(card, report, digests=True) for digest in secrets)


def test_a_report_of_other_records_is_refused_though_the_pipeline_is_spelled_alike():
    report = made_report()
    name = report.rows[0].subject
    pipeline = tuple(report.facts["subjects"][name]["pipeline"])
    with pytest.raises(InputError, match=r"of other records \(digest r0\)"):
        render(replace(CARD, pipeline=pipeline), report)


def test_a_promised_epsilon_and_times_are_quoted_but_not_times_of_another_form():
    report = made_report()
    name = report.rows[0].subject
    pipeline = tuple(report.facts["subjects"][name]["pipeline"])
    about = {"subject": name, "estimand": "property"}
    more = (
        Measurement(
            **about,
            risk="membership",
            method="DPSGD()",
            metric="accounted epsilon at delta 1e-5",
            value=None,
            status="not run",
            why="ADMM(rate=4.0) read the members",
        ),
        Measurement(
            **about,
            risk="latency",
            method="some runtime",
            metric="latency, 1 record",
            value=1.25,
            unit="ms",
            counts={"p95": 2.5},
        ),
    )
    report = replace(report, rows=(*report.rows, *more))
    card = replace(CARD, data=report.facts["data"])
    text = render(replace(card, pipeline=pipeline), report)
    assert "none: ADMM(rate=4.0) read the members" in text
    assert "1.25 ms (some runtime; p95 2.5)" in text
    other = render(replace(card, pipeline=(*pipeline, "Onnx()")), report)
    assert "none: ADMM(rate=4.0) read the members" in other and "1.25 ms" not in other


def test_a_promise_made_before_the_last_steps_is_not_quoted_for_the_file():
    report = made_report()
    name = report.rows[0].subject
    pipeline = tuple(report.facts["subjects"][name]["pipeline"])
    promise = Measurement(
        subject=name,
        risk="membership",
        method="DPSGD()",
        metric="accounted epsilon at delta 1e-5",
        value=3.25,
        status="exact",
        estimand="property",
        why="an upper bound",
    )
    report = replace(report, rows=(*report.rows, promise))
    card = replace(CARD, data=report.facts["data"], pipeline=pipeline)
    assert "3.25, an upper bound" in render(card, report)
    later = render(replace(card, pipeline=(*pipeline, "ADMM(rate=4.0)")), report)
    assert "3.25" not in later and "may have voided it" in later


def test_an_audit_of_the_bytes_is_told_from_one_of_the_pipeline():
    report = made_report()
    name = report.rows[0].subject
    facts = {**report.facts, "files": {name: [CARD.digest]}}
    assert "An audit of exactly these bytes" in render(CARD, replace(report, facts=facts))


def test_a_report_of_other_models_is_refused():
    report = made_report()
    with pytest.raises(InputError, match="speaks neither of the file"):
        render(replace(CARD, data=report.facts["data"]), report)


def test_no_card_gives_a_verdict():
    for text in (render(CARD), render(replace(CARD, members=1))):
        assert not {"private", "safe", "protected"} & set(text.lower().split())
