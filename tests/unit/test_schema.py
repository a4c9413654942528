"""The published schema: every report keeps it, and an altered one does not."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import get_args

import pytest
from jsonschema import Draft202012Validator

from command_line import secateur as run
from command_line import train
from report_fixture import made_report
from secateur import store
from secateur.attack.membership import LiRA
from secateur.auditing.signals import audit_signals
from secateur.data import planted_world
from secateur.report.schema import report_schema
from secateur.types import SCHEMA_VERSION, Control, Measurement, Series
from secateur.types.report import Estimand, Interval, Status

SCHEMA = json.loads(report_schema())
VALIDATOR = Draft202012Validator(SCHEMA)
RESULTS = Path(__file__).parents[2] / "results"
REPORTS = [
    p for p in sorted(RESULTS.glob("*.json")) if json.loads(p.read_text()).get("schema") == "1"
]


def errors(content):
    return [f"{list(e.absolute_path)}: {e.message}" for e in VALIDATOR.iter_errors(content)]


def written(path, report):
    store.write_report(path, report)
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema"]["const"] == SCHEMA_VERSION


@pytest.mark.parametrize("path", REPORTS, ids=lambda p: p.stem)
def test_published_reports_keep_the_schema(path):
    assert errors(json.loads(path.read_text())) == []


def test_there_are_published_reports():
    assert len(REPORTS) >= 8


def test_a_fresh_report_of_fleets_keeps_the_schema(tmp_path):
    assert train(tmp_path / "dense").code == 0
    asked = ("--attack", "LossThreshold", "--workers", "1", "--out", tmp_path / "r.json")
    assert run("audit", tmp_path / "dense", *asked).code == 0
    assert errors(json.loads((tmp_path / "r.json").read_text())) == []


def test_a_fresh_report_of_saved_signals_keeps_the_schema(tmp_path):
    world = planted_world(records=100, targets=2, references=8, shift=1.0, seed=0)
    assert errors(written(tmp_path / "r.json", audit_signals(world, [LiRA()]))) == []


@pytest.mark.parametrize(
    ("kind", "name"), [(Measurement, "row"), (Series, "series"), (Control, "control")]
)
def test_the_schema_has_the_fields_of_the_types(kind, name):
    fields = {f.name for f in dataclasses.fields(kind)}
    assert set(SCHEMA["$defs"][name]["properties"]) == fields
    assert set(SCHEMA["$defs"][name]["required"]) == fields
    assert set(SCHEMA["properties"]) == {*made_report().to_dict(), "digest"}


@pytest.mark.parametrize(
    ("field", "kind"), [("status", Status), ("estimand", Estimand), ("interval", Interval)]
)
def test_the_schema_has_the_words_of_the_types(field, kind):
    assert SCHEMA["$defs"]["row"]["properties"][field]["enum"] == list(get_args(kind))


def spoil(content, *path, value):
    """Change one value; ... removes it."""
    spoiled = copy.deepcopy(content)
    place = spoiled
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return spoiled


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "2"),
        (("digest",), "0"),
        (("digest",), ...),
        (("rows",), {}),
        (("title",), None),
        (("notes",), "more"),
        (("rows", 0, "value"), None),  # measured without a value
        (("rows", 0, "value"), "0.5"),
        (("rows", 0, "status"), "fine"),
        (("rows", 0, "interval"), "some"),
        (("rows", 0, "confidence"), 95),
        (("rows", 0, "metric"), ...),
        (("rows", 0, "colour"), "red"),
        (("rows", 0, "counts", "targets"), "eight"),
        (("series", 0, "columns", "fpr"), [0.0] * 501),
        (("series", 0, "columns", "fpr"), 0.5),
        (("controls", 0, "status"), "failed"),
        (("provenance", "key"), ...),
        (("provenance", "context", "made"), 5),
        (("facts", "models", "targets"), 0),
        (("side_files", "scores.npz"), "abc"),
    ],
)
def test_an_altered_report_does_not_keep_the_schema(tmp_path, path, value):
    content = written(tmp_path / "r.json", made_report())
    assert errors(content) == []
    assert errors(spoil(content, *path, value=value)) != []


def test_a_row_without_a_value_must_say_why(tmp_path):
    content = written(tmp_path / "r.json", made_report())
    number = next(i for i, r in enumerate(content["rows"]) if r["status"] == "not resolvable")
    assert errors(spoil(content, "rows", number, "why", value="")) != []


def test_the_command_prints_the_schema_without_a_report():
    done = run("report", "--schema")
    assert done.code == 0 and json.loads(done.out) == SCHEMA
