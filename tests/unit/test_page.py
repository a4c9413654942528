"""The page and the table: pure functions of the report, escaped, and without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from secateur import store
from secateur.errors import MissingExtraError
from secateur.report import html, main_table, render_text
from secateur.report.charts import charts, leak_points
from secateur.report.words import answer, compare
from secateur.types import Control, Measurement, Report, Series

HOSTILE = "<script>alert(1)</script>"
METHOD = "LiRA(mode='online', variance='shrunk', weight=8.0, centre='mean')"


def row(subject, metric, value, low=None, high=None, **more):
    fields = {"risk": "membership", "method": METHOD, "threat": "adaptive", **more}
    interval = "t over targets" if low is not None else "none"
    counts = {"targets": 8.0}
    return Measurement(
        subject=subject,
        metric=metric,
        value=value,
        low=low,
        high=high,
        interval=interval,
        counts=counts,
        **fields,
    )


def subject_rows(name, auc, test, kept):
    use = {"risk": "utility", "method": "accuracy", "threat": ""}
    size = {"risk": "size", "method": "count of non-zeros", "threat": "", "status": "exact"}
    return [
        row(name, "train accuracy", 0.99, 0.98, 1.0, **use),
        row(name, "test accuracy", test, test - 0.01, test + 0.01, **use),
        row(name, "kept weights", kept, **size),
        row(name, "auc", auc, auc - 0.02, auc + 0.02),
        row(name, "balanced accuracy", 0.6, 0.55, 0.65),
        row(name, "tpr at 1% fpr", 0.1, 0.05, 0.15),
    ]


def made(data=HOSTILE, difference=(-0.05, -0.08, -0.02)):
    view = "dense, epoch 3"
    rows = [
        *subject_rows("dense", 0.7, 0.9, 1.0),
        *subject_rows("admm", 0.65, 0.89, 0.1),
        *subject_rows(view, 0.66, 0.88, 1.0),
        row("admm", "auc", *difference, versus="dense"),
        row("admm", "auc", 0.0, -0.01, 0.01, versus=view),
        row("admm", "auc", 0.55, 0.5, 0.6, threat="naive"),
    ]
    roc = {"fpr": (0.01, 0.1, 1.0), "tpr": (0.1, 0.4, 1.0), "low": (0.0, 0.3, 1.0)}
    roc["high"] = (0.2, 0.5, 1.0)
    series = (
        Series(id="roc", kind="roc", subject="admm", method=METHOD, columns=roc),
        Series(
            id="stop",
            kind="early stopping",
            subject="dense",
            method=METHOD,
            columns={
                "epoch": (1.0, 3.0),
                "train_accuracy": (0.8, 0.99),
                "test_accuracy": (0.8, 0.88),
                "auc": (0.55, 0.66),
                "low": (0.5, 0.6),
                "high": (0.6, 0.7),
            },
        ),
        Series(
            id="hist",
            kind="histogram",
            subject="admm",
            method=METHOD,
            columns={
                "left": (0.0, 1.0),
                "right": (1.0, 2.0),
                "members": (0.4, 0.6),
                "non_members": (0.7, 0.3),
            },
        ),
        Series(
            id="conv",
            kind="convergence",
            subject="admm",
            method="ADMM",
            columns={
                "update": (1.0, 2.0),
                "layer": (HOSTILE, HOSTILE),
                "residual": (0.5, 0.05),
                "rho": (0.01, 1.0),
            },
        ),
    )
    control = Control(
        id="gap", status="raised", subject="admm", saw="a gap", why="overfitting", mend="stop"
    )
    kinds = {"dense": "dense", "admm": "pruned", view: "stopped"}
    facts = {
        "data": {"name": data, "records": 100, "classes": 2, "digest": "d"},
        "pools": {"audit": 50},
        "models": {"targets": 8, "references": 32},
        "subjects": {n: {"pipeline": ["R"], "label": n, "kind": k} for n, k in kinds.items()},
        "strongest": dict.fromkeys(kinds, METHOD),
        "matched": [{"subject": "admm", "by": "test accuracy", "epoch": 3, "view": view}],
        "baseline": "dense",
        "threat_model": "outputs",
        "limits": ["a lower bound"],
        "command": "secateur audit",
        "seed": 0,
    }
    return Report(
        title=f"Audit of {data}", rows=tuple(rows), series=series, controls=(control,), facts=facts
    )


@pytest.fixture(scope="module")
def page():
    return html.render(made())


@pytest.mark.slow
def test_the_page_is_the_same_bytes_in_one_process_and_in_others(page, tmp_path):
    assert html.render(made()) == page
    store.write_report(tmp_path / "r.json", made())
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.html"
        subprocess.run(
            [sys.executable, "-m", "secateur.cli", "report", tmp_path / "r.json", "--html", out],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
        )
        assert out.read_text(encoding="utf-8") == page


def test_what_users_wrote_stays_text(page):
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\\u003cscript\\u003ealert(1)" in page


def test_nothing_is_fetched_and_the_page_is_small(page):
    assert len(page.encode()) < 2_000_000
    assert "default-src 'none'" in page
    outside = re.sub(r"<script[^>]*>.*?</script>", "<script>", page, flags=re.S)
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=", outside)
    assert "@import" not in outside
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", outside).replace("http-equiv", "")


def test_charts_show_the_report_and_nothing_else(page):
    report = made()
    names = [name for name, _, _ in charts(report)]
    assert names == ["leak", "roc", "histograms", "convergence"]
    points = {p["model"]: p for p in leak_points(report)}
    assert points["admm"]["auc"] == 0.65
    assert (points["admm"]["low"], points["admm"]["high"]) == (0.63, 0.67)
    for name, _, spec in charts(report):
        assert f'id="chart-{name}"' in page
        written = re.search(rf'id="spec-{name}">(.*?)</script>', page, re.S)
        assert json.loads(written[1]) == json.loads(json.dumps(spec))


def test_no_verdict_is_given(page):
    body = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    visible = re.sub(r"<style.*?</style>", "", body, flags=re.S).lower()
    for word in ("private", " safe", "protected"):
        assert word not in visible
    assert "lower bound" in visible


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((-0.05, -0.08, -0.02), "leaks less"),
        ((0.05, 0.02, 0.08), "leaks more"),
        ((-0.01, -0.03, 0.01), "no detectable difference"),
    ],
)
def test_words_carry_the_interval(difference, words):
    report = made(difference=difference)
    wanted = next(r for r in report.rows if r.versus == "dense")
    assert compare(wanted) == words
    sentence = next(s for s in answer(report) if "trained to the end" in s)
    assert words in sentence


def test_the_table_and_its_text_name_every_model_with_its_interval():
    report = made(data="digits")
    text = render_text(report, width=200)
    for line in main_table(report):
        assert line["model"] in text
        assert "[" in line["AUC"]
    assert "never a guarantee" in text
    assert "gap (admm)" in text


def test_a_report_without_measurements_has_a_page_without_charts():
    bare = Report(title="t", rows=(), facts=made().facts)
    found = html.render(bare)
    assert "vegaEmbed" not in found
    assert "<h2>Charts</h2>" not in found


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'secateur\[report\]'"):
        html.render(made())
