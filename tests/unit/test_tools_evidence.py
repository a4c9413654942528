"""The page of evidence and our side of claims, from a made sweep whose answers are known."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

from secateur import store

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import claims, evidence, verdicts  # noqa: E402


def row(value, half=0.01, *, metric="", method="LiRA(mode='online')"):
    ends = (
        {"low": None, "high": None} if half is None else {"low": value - half, "high": value + half}
    )
    return {"value": value, **ends, "metric": metric, "method": method}


def point(case, method, axes, *, attack, leak, test, against, kept=1.0, stopped=0.0):
    """One case; `against` are the differences to dense: (leak, half), (test, half)."""
    rows = {
        "test accuracy": row(test),
        "train accuracy": row(0.99),
        "paper's attack": row(attack, 0.005),
        "leak": row(leak),
        "tpr": row(0.2, metric="tpr at 1% fpr"),
        "LiRA": row(leak),
        "LiRA, naive": row(leak - 0.1),
        "kept weights": row(kept, None),
        "compression rate": row(1 / kept, None),
    }
    if case != "dense":
        (d_leak, leak_half), (d_test, test_half) = against
        rows |= {
            "leak - dense": row(d_leak, leak_half),
            "tpr - dense": row(d_leak, leak_half),
            "test accuracy - dense": row(d_test, test_half),
            "leak - dense at equal train accuracy": row(stopped, 0.02),
            "leak - dense at equal test accuracy": row(stopped, 0.02),
        }
    units = {"leak": [leak, leak + 0.01, leak - 0.01], "test_accuracy": [test, test, test + 0.01]}
    return {
        "case": case,
        "method": method,
        "seed": None,
        "axes": axes,
        "rows": rows,
        "units": units,
    }


def made():
    none = ((0, None), (0, None))
    return {
        "schema": "sweep-1",
        "title": "A made world",
        "points": [
            point("dense", "dense", {}, attack=0.70, leak=0.80, test=0.60, against=none),
            point(
                "mia-pruning rate=8", "mia-pruning", {"rate": 8}, kept=0.125,
                attack=0.60, leak=0.70, test=0.60, against=((-0.10, 0.02), (0.0, 0.01)),
            ),
            point(
                "mia-pruning rate=15.78", "mia-pruning", {"rate": 15.78}, kept=0.0634,
                attack=0.70, leak=0.79, test=0.50, against=((-0.01, 0.02), (-0.10, 0.01)),
            ),
            point(
                "min-max strength=3", "min-max", {"strength": 3},
                attack=0.65, leak=0.85, test=0.59, against=((0.05, 0.02), (-0.01, 0.02)),
            ),
            point(
                "random-mask rate=8", "random-mask", {"rate": 8}, kept=0.125,
                attack=0.6, leak=0.70, test=0.60, against=((-0.1, 0.02), (0.0, 0.02)),
            ),
        ],
        "missing": ["dp-sgd noise=1.0, seed 0"],
        "dropped": [],
        "failed": [],
        "facts": {
            "data": "made", "targets": 8, "references": 32, "seeds": [0], "scale": "small",
            "command": "secateur reproduce made",
        },
        "provenance": {"key": {}, "context": {"processor": "a processor", "cores": 2}},
    }  # fmt: skip


@pytest.fixture
def text():
    return evidence.page({"made": made()})


def test_the_same_results_give_the_same_bytes(text):
    assert evidence.page({"made": copy.deepcopy(made())}) == text


def test_without_results_the_page_says_so_and_nothing_else():
    text = evidence.page({})
    assert "no results file yet" in text
    assert "## " not in text


def test_an_effect_is_named_where_the_interval_excludes_zero_and_only_there(text):
    assert "- mia-pruning rate=8: lower, -10.0 [-11.0, -9.0] (not paired)" in text
    assert "- mia-pruning rate=15.78: no detectable effect, +0.0 [-1.0, +1.0]" in text
    assert "AUC of the strongest higher, +0.050 [+0.030, +0.070]" in text
    assert "its\ntrain accuracy" not in text
    assert "test accuracy is nearest: no detectable effect in 2 of 2 cases" in text


def test_a_control_of_equal_rate_is_paired_with_the_pruned_case(text):
    assert "- mia-pruning rate=8 minus random mask, trained to the end: AUC no detectable" in text
    assert "mia-pruning rate=15.78 minus random" not in text


def test_dp_sgd_stands_beside_the_control_that_is_normalised_alike_where_it_was_trained(text):
    assert "replaces batch normalisation" not in text
    found = made()
    none = ((-0.1, 0.01), (0.0, 0.02))
    found["points"] += [
        point("group-norm", "group-norm", {}, attack=0.68, leak=0.75, test=0.58, against=none),
        point("dp-sgd noise=1.0", "dp-sgd", {}, attack=0.55, leak=0.60, test=0.58, against=none),
    ]
    text = evidence.page({"made": found})
    assert (
        "- dp-sgd noise=1.0 minus the dense network with group normalisation: paper's attack "
        "lower, -13.0 [-14.0, -12.0] (not paired) points; AUC of the strongest lower, -0.150 "
        "[-0.150, -0.150]; test accuracy no detectable effect, +0.0 [+0.0, +0.0] points"
    ) in text


def test_what_is_recommended_keeps_accuracy_and_is_not_said_to_beat_early_stopping(text):
    assert "mia-pruning rate=8 has the lowest AUC" in text
    assert "Stopping the dense training earlier does no detectably worse" in text
    found = made()
    for p in found["points"][1:]:
        p["rows"]["leak - dense"] = row(0.0, 0.02)
    assert "No case leaks detectably less" in evidence.page({"made": found})


def test_what_was_not_measured_is_named(text):
    assert "Not measured: dp-sgd noise=1.0, seed 0." in text
    found = made()
    found["points"][1]["rows"]["paper's attack"] = {**row(0.0), "value": None}
    assert "- mia-pruning rate=8: not measured, not measured" in evidence.page({"made": found})
    found["points"] = found["points"][1:]
    assert "nothing is said" in evidence.page({"made": found})


def test_no_word_calls_a_model_safe(text):
    lowered = text.lower()
    for word in ("protected", "private", "is safe", "secure"):
        assert word not in lowered.replace("differential privacy", "")


def test_a_difference_is_paired_where_the_sweep_kept_the_numbers():
    points = verdicts.cases(made())
    a, b = points["mia-pruning rate=8"], points["random-mask rate=8"]
    found = verdicts.between(a, b, "leak")
    assert found.paired
    assert (found.value, found.low, found.high) == pytest.approx((0.0, 0.0, 0.0))
    assert not verdicts.between(a, points["dense"], "paper's attack").paired


def test_claims_take_the_largest_fall_and_say_that_it_flatters():
    (entry,) = claims.MEASURES["fall below dense"](verdicts.cases(made()))
    assert entry["value"] == pytest.approx(10.0)
    assert (entry["low"], entry["high"]) == pytest.approx((9.0, 11.0))
    assert entry["case"] == "dense minus mia-pruning rate=8"
    assert "the largest of 2 differences, which flatters; not paired" in entry["note"]
    (entry,) = claims.MEASURES["fall below min-max"](verdicts.cases(made()))
    assert entry["value"] == pytest.approx(5.0)


def test_claims_take_the_rates_from_what_was_kept():
    points = verdicts.cases(made())
    (entry,) = claims.MEASURES["rate of 15.78"](points)
    assert entry["value"] == pytest.approx(15.77, abs=0.01)
    assert "-10.0 [-11.0, -9.0] points" in entry["note"]
    (entry,) = claims.MEASURES["largest rate"](points)
    assert entry["value"] == pytest.approx(8.0)
    (entry,) = claims.MEASURES["min-max attack accuracy"](points)
    assert (entry["value"], entry["case"]) == (65.0, "min-max strength=3")


def test_our_side_is_filled_from_results_and_back_to_text(tmp_path, monkeypatch):
    import tomllib

    store.write_document(tmp_path / "paper-made.json", made())
    monkeypatch.setattr(claims, "RESULTS", tmp_path)
    entries = tomllib.loads(claims.CLAIMS.read_text(encoding="utf-8"))["claim"]
    filled = claims.filled(entries)
    text = claims.as_toml(filled)
    again = tomllib.loads(text)["claim"]
    first = again[0]["ours"][0]
    assert (first["world"], first["scale"], first["file"]) == (
        "made", "small", "results/paper-made.json",
    )  # fmt: skip
    assert first["hardware"] == "a processor, 2 cores"
    assert again[4]["ours"] == claims.NOT_YET
    assert claims.as_toml(again) == text
    assert [{k: c[k] for k in claims.FIELDS} for c in again] == [
        {k: c[k] for k in claims.FIELDS} for c in entries
    ]


def test_a_file_of_another_kind_is_refused(tmp_path):
    store.write_document(tmp_path / "paper-x.json", {"schema": "report-1"})
    with pytest.raises(SystemExit, match="is not 'sweep-1'"):
        verdicts.sweeps(tmp_path)


def test_the_page_in_the_docs_is_what_the_results_give():
    on_disk = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert on_disk == evidence.page(verdicts.sweeps(ROOT / "results"))
