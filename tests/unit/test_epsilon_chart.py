"""Test accuracy over accounted epsilon: what the chart is made from, and when it is there."""

from __future__ import annotations

import re

import pytest

from secateur.report.charts.epsilon import epsilon_chart, epsilon_points
from secateur.report.sweep_page import render_sweep_page
from secateur.types import Measurement, Point, Sweep


def row(metric, value, **more):
    return Measurement(subject="x", risk="r", method="m", metric=metric, value=value, **more)


def point(case, method, test, epsilon=None, *, seed=None, audited=0.3, why=""):
    rows = {
        "test accuracy": row("test accuracy", test, low=test - 0.01, high=test + 0.01),
        "leak": row("auc", 0.6),
        "epsilon bound": row("epsilon at delta 1e-05", audited),
    }
    if epsilon is not None or why:
        status = "not run" if why else "exact"
        rows["accounted epsilon"] = row("accounted", epsilon, status=status, why=why)
    return Point(case=case, method=method, seed=seed, steps=(), axes={}, rows=rows)


def sweep(*points):
    return Sweep(title="x", points=points, facts={"targets": 8, "references": 4, "seeds": [0]})


DENSE = point("dense", "dense", 0.9)
CURVE = (
    point("dp noise=0.2", "dp-sgd", 0.8, 400.0),
    point("dp noise=8", "dp-sgd", 0.7, 0.9),
    point("dp noise=1", "dp-sgd", 0.75, 16.0, seed=0),
)


def test_points_are_cases_over_seeds_with_an_accounted_epsilon_the_smallest_first():
    found = epsilon_points(sweep(DENSE, *CURVE, point("pruned", "dp-sgd", 0.8, why="void")))
    assert [(p["case"], p["epsilon"]) for p in found] == [
        ("dp noise=8", 0.9),
        ("dp noise=0.2", 400.0),
    ]
    assert (found[0]["low"], found[0]["high"]) == pytest.approx((0.69, 0.71))
    assert (found[0]["audited"], found[0]["leak"]) == (0.3, 0.6)


def test_the_chart_holds_the_points_on_a_logarithmic_axis_and_the_dense_level():
    spec = epsilon_chart(sweep(DENSE, *CURVE))
    level, marked = spec["layer"]
    assert level["data"]["values"] == [{"test": 0.9, "case": "dense"}]
    assert marked["data"]["values"] == epsilon_points(sweep(*CURVE))
    for layer in marked["layer"]:
        assert layer["encoding"]["x"]["scale"]["type"] == "log"


def test_there_is_no_level_without_a_dense_case():
    assert len(epsilon_chart(sweep(*CURVE))["layer"]) == 1


@pytest.mark.parametrize("points", [(DENSE,), (DENSE, CURVE[0]), (CURVE[0], CURVE[2])])
def test_fewer_than_two_epsilons_make_no_curve(points):
    assert epsilon_chart(sweep(*points)) == {}


def test_an_epsilon_of_zero_has_no_logarithm_and_is_left_out():
    spec = epsilon_chart(sweep(*CURVE, point("dp noise=999", "dp-sgd", 0.5, 0.0)))
    assert [p["epsilon"] for p in spec["layer"][0]["data"]["values"]] == [0.9, 400.0]


def test_the_page_of_a_sweep_shows_the_curve_where_dp_sgd_was_swept_and_only_there():
    page = render_sweep_page(sweep(DENSE, *CURVE))
    assert 'id="chart-epsilon"' in page
    assert "Accuracy against leak and epsilon" in page
    assert re.search(r"<noscript><svg.*accounted epsilon", page, re.DOTALL)
    assert render_sweep_page(sweep(DENSE, *CURVE)) == page
    assert 'id="chart-epsilon"' not in render_sweep_page(sweep(DENSE, CURVE[0]))
