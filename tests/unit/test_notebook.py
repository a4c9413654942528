"""What typed objects show in a notebook: small escaped tables, and a report's charts."""

from __future__ import annotations

import re
from base64 import b64decode

import numpy as np

from report_fixture import HOSTILE, made_report
from secateur.report import notebook
from secateur.types import Fleet, Membership, Report, Scores, Sweep

IMAGE = re.compile(r'src="data:image/svg\+xml;base64,([^"]+)"')


def test_a_report_shows_its_roc_and_its_leak_as_pictures_that_run_nothing():
    shown = made_report()._repr_html_()
    pictures = [b64decode(found).decode() for found in IMAGE.findall(shown)]
    assert len(pictures) == 2 and all(p.startswith("<svg") and "<path" in p for p in pictures)
    assert not [p for p in pictures if "<script" in p or "href" in p]
    assert "<script" not in shown and HOSTILE not in shown and "Click" not in shown
    assert shown.index("<table") < shown.index("<img")


def test_without_series_or_the_extra_there_is_no_picture(monkeypatch):
    assert "<img" not in Report(title="none", rows=())._repr_html_()
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    shown = notebook.pictures(made_report())
    assert "<img" not in shown and "secateur[report]" in shown


def who():
    inside = np.array([[True, False, True, False], [False, True, True, False]])
    return Membership(
        inside=inside,
        roles=("target", "reference"),
        pools={"audit": np.arange(4)},
        units=np.arange(4),
        seed=0,
    )


def test_a_measurement_shows_its_value_with_interval_and_counts_or_why_there_is_none():
    rows = made_report().rows
    row = next(r for r in rows if r.metric == "auc" and r.low is not None)
    shown = row._repr_html_()
    assert f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" in shown
    assert all(f"<td>{name}</td><td>{count:g}</td>" in shown for name, count in row.counts.items())
    absent = next(r for r in rows if r.status == "not run")
    assert "not run" in absent._repr_html_()
    assert not [r for r in rows if "<script" in r._repr_html_() or "</script" in r._repr_html_()]


def test_membership_fleet_scores_and_sweep_show_small_tables():
    assert "<td>models, target</td><td>1</td>" in who()._repr_html_()
    assert "<td>records, pool audit</td><td>4</td>" in who()._repr_html_()
    fleet = Fleet(artifacts=[None, None], membership=who(), name="<b>x", pipeline=("ADMM()",))
    assert "Fleet &lt;b&gt;x" in fleet._repr_html_() and "ADMM()" in fleet._repr_html_()
    evaluated = np.array([[True, True, False], [False, False, False]])
    scores = Scores(values=np.where(evaluated, 0.5, np.nan), evaluated=evaluated)
    assert "<td>0</td><td>2</td><td>0.5</td>" in scores._repr_html_()
    assert "<td>1</td><td>0</td><td>-</td>" in scores._repr_html_()
    many = Scores(values=np.zeros((10, 3)), evaluated=np.ones((10, 3), np.bool_))
    assert "and 2 more" in many._repr_html_()
    assert "<b>many</b>" in Sweep(title="many", points=())._repr_html_()
