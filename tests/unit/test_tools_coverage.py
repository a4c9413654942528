"""Coverage: the truths of its worlds, and that a stopped count goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tools import coverage
from tools.coverage import Case, cases, count_all, counted
from tools.coverage_cases import rates
from tools.coverage_worlds import OWN, WORLDS_OF, Law, World, draw_world

from secateur import store
from secateur.measure import auc_value

LAW = Law(shifts=np.array([0.5, 1.0, 2.5]), within=1.1, between=0.3)


def many(n):
    """Return members, each of a target of its own, and the random numbers."""
    rng = np.random.default_rng(0)
    e = LAW.between * rng.standard_normal(n)
    return rng.choice(LAW.shifts, n) + e + LAW.within * rng.standard_normal(n), rng


def test_the_true_metrics_are_those_of_many_scores():
    members, rng = many(400_000)
    others = rng.standard_normal(400_000)
    truth = LAW.metrics(0.05, 0.7)
    values = np.concatenate([members, others])
    inside = np.arange(800_000) < 400_000
    assert auc_value(values, inside) == pytest.approx(truth["auc"], abs=0.003)
    found, alarms = (members >= 0.7).mean(), (others >= 0.7).mean()
    assert truth["false-positive rate"] == pytest.approx(alarms, abs=0.003)
    assert truth["balanced accuracy"] == pytest.approx((found + 1 - alarms) / 2, abs=0.003)
    assert truth["tpr"] == pytest.approx((members >= np.quantile(others, 0.95)).mean(), abs=0.005)
    precision = 0.1 * found / (0.1 * found + 0.9 * alarms)
    assert truth["precision"] == pytest.approx(precision, abs=0.003)


def test_what_two_runs_find_is_what_two_noises_leave():
    rng = np.random.default_rng(1)
    truth = LAW.found(0.1)
    limit = 1.2815516 * np.sqrt(1 + OWN)
    shares = []
    for _ in range(300):
        e = LAW.between * rng.standard_normal()
        score = rng.choice(LAW.shifts, 4000) + e + LAW.within * rng.standard_normal(4000)
        a, b = (score + np.sqrt(OWN) * rng.standard_normal(4000) > limit for _ in range(2))
        shares.append([(a & b).mean(), (a | b).mean(), (a & b).sum() / (a | b).sum()])
    mean, error = np.mean(shares, axis=0), np.std(shares, axis=0) / np.sqrt(300)
    assert np.array([truth["every run"], truth["any run"], truth["overlap"]]) == pytest.approx(
        mean, abs=4 * error.max()
    )


def test_the_best_that_a_score_allows_is_that_of_equal_gaussians_and_least_where_all_are_alike():
    law = Law(shifts=np.array([1.0]), within=1.0, between=0.0)
    truth = law.information()
    assert truth["reachable accuracy"] == pytest.approx(0.6914625, abs=1e-3)  # Phi(1/2)
    assert truth["adversary's gain"] == pytest.approx(
        2 * truth["jensen-shannon divergence"] - np.log(4)
    )
    none = Law(shifts=np.zeros(1), within=1.0, between=0.0).information()
    assert none["jensen-shannon divergence"] == pytest.approx(0, abs=1e-9)
    assert none["reachable accuracy"] == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("targets", [1, 4, 8])
def test_a_law_speaks_of_this_pool_of_others_or_of_one_target(targets):
    world = World(mean=1.0, variance=0.25, between=0.5)
    drawn = draw_world(np.random.default_rng(0), targets, 50, world)
    law = drawn.law()
    if targets == 8:
        assert np.array_equal(law.shifts, drawn.shifts) and law.spread == pytest.approx(1.25**0.5)
    elif targets == 4:
        assert law.shifts.tolist() == [1.0] and law.spread == pytest.approx(1.5**0.5)
    else:
        assert law.shifts.tolist() == [1.0 + drawn.targets[0]]
        assert law.spread == pytest.approx(1.25**0.5)
    assert drawn.scores.threshold.tolist() == [0.5] * targets


def test_a_case_is_kept_and_read_again_and_counted_anew_where_the_code_is_another(
    tmp_path, monkeypatch
):
    case = Case(count=rates, targets=1, records=50, name="0.02")
    first = counted(case, 200, 0, tmp_path)
    assert [row["worlds"] for row in first["rows"]] == [200]
    calls = []
    again = Case(count=lambda size: calls.append(size) or [], targets=1, records=50, name="0.02")
    monkeypatch.setattr(again.count, "__name__", "rates")
    assert counted(again, 200, 0, tmp_path)["rows"] == first["rows"] and not calls
    counted(again, 100, 0, tmp_path)
    assert len(calls) == 1
    monkeypatch.setattr(coverage, "counted_by", lambda: "other code")
    counted(again, 100, 0, tmp_path)
    assert len(calls) == 2
    assert store.read_document(tmp_path / case.file, what="case")["counted_by"] == "other code"


def test_two_processes_give_the_cases_in_their_order(tmp_path, capsys):
    wanted = [
        Case(count=rates, targets=1, records=n, name=p) for n, p in ((500, "0.3"), (50, "0.02"))
    ]
    found = count_all(wanted, 100, 0, tmp_path, processes=2)
    assert [one["rows"][0]["records"] for one in found] == [500, 50]
    assert "rate 0.02: 1 targets, 50 records" in capsys.readouterr().out


def test_every_case_has_a_file_of_its_own_and_a_world():
    made = list(cases())
    assert len({case.file for case in made}) == len(made)
    worlds = {case.name for case in made if case.count is not rates}
    assert worlds <= set(WORLDS_OF)
