"""What a sweep says of its numbers beside the tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secateur.report.sweep_page import render_sweep_page
from secateur.report.sweep_table import against_dense, render_sweep
from secateur.report.sweep_words import notes, pick_words
from secateur.types import NEVER_AS_ACCURATE, Measurement, Point, Sweep

EARLIER = "leak - dense at no less test accuracy"


def row(value, low=None, high=None, why="", versus=""):
    status = "measured" if value is not None else "not run"
    interval = "t over targets" if low is not None else "none"
    return Measurement(
        subject="x", risk="membership", method="LiRA()", metric="auc", value=value, low=low,
        high=high, interval=interval, status=status, why=why, versus=versus,
    )  # fmt: skip


def less(*ends):
    return row(*ends, versus="dense")


def point(case="admm", **rows):
    found = {"test accuracy": row(0.8), "leak": row(0.6), "leak - dense": less(-0.1, -0.2, 0.0)}
    return Point(
        case=case, method=case, seed=None, steps=(), axes={}, rows=found | rows, units={}
    )  # fmt: skip


def picked(earlier):
    pick = {"limits": {"max_leak": 0.7}, "case": "admm", "all_hold": None}
    rows = {} if earlier is None else {EARLIER: earlier}
    return " ".join(pick_words(Sweep(title="t", points=[point(**rows)], pick=pick)))


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        (
            less(-0.1, -0.2, -0.05),
            "Its leak is lower than that of the dense models stopped no less",
        ),
        (less(0.1, 0.05, 0.2), "Its leak is higher than that of the dense models stopped no less"),
        (less(-0.01, -0.05, 0.03), "Its leak is not detectably different from that of the dense"),
        (less(-0.01), "stopped no less accurate: -0.010, without an interval."),
        (row(None, why=NEVER_AS_ACCURATE), f"accurate is not known: {NEVER_AS_ACCURATE}."),
    ],
)
def test_the_named_case_stands_beside_stopping_earlier(earlier, said):
    assert said in picked(earlier)
    assert "Its leak" not in picked(None)


def test_where_no_snapshot_is_as_accurate_the_table_says_so_and_other_reasons_are_told():
    rows = {EARLIER: row(None, why=NEVER_AS_ACCURATE)}
    few = {"leak - dense": row(None, why="needs at least 2 targets")}
    found = Sweep(title="t", points=[point(**rows), point("mask", **few)])
    first, second = against_dense(found)
    assert first["AUC - dense at no less test acc."] == "never as accurate"
    assert second["AUC - dense"] == "not run"
    words = notes(found)
    assert (
        "Leak beside the dense model stopped no less accurate not known: "
        f"{NEVER_AS_ACCURATE} on references, where the snapshot is chosen (admm)." in words
    )
    assert "Leak beside the dense model not run: needs at least 2 targets (mask)." in words


CONTROLS = [
    {"id": "convergence", "subject": "admm", "seeds": [0]},
    {"id": "convergence", "subject": "admm, later", "seeds": [0]},
    {"id": "references", "subject": "the audit", "seeds": [0]},
]


def test_raised_controls_are_named_with_their_cases():
    sweep = Sweep(title="t", points=[point(), point("other")], facts={"controls": CONTROLS})
    said = " ".join(notes(sweep))
    assert "raised controls: convergence (admm); references. The seeds' reports say" in said
    for quiet in ({"controls": []}, {}):
        assert "raised controls" not in " ".join(notes(replace(sweep, facts=quiet)))


def test_a_control_that_is_raised_on_the_named_case_stands_beside_it():
    pick = {"limits": {"max_leak": 0.7}, "case": "admm", "all_hold": None}
    sweep = Sweep(title="t", points=[point()], pick=pick, facts={"controls": CONTROLS})
    assert "Controls raised on it: convergence." in pick_words(sweep)
    quiet = replace(sweep, pick={**pick, "case": "other"})
    assert "Controls raised" not in " ".join(pick_words(quiet))


def test_where_no_case_has_the_numbers_for_a_limit_the_reason_is_said():
    pick = {"limits": {"max_leak": 0.7}, "case": None, "nearest": None}
    nothing = Sweep(title="t", points=[], pick=pick)
    assert pick_words(nothing) == ["No case is there yet to hold against: leak at most 0.7."]
    without = replace(nothing, points=[point(leak=row(None, why="too few references"))])
    assert pick_words(without) == [
        "No case has the numbers (too few references) to hold against: leak at most 0.7."
    ]


def of_seeds(*cases):
    """Points over seeds and of single ones, as a sweep whose second seed is not whole has them."""
    whole = [point(case) for case in ("dense", "admm")]
    return [*(replace(point(case), seed=seed) for case, seed in cases), *whole]


def test_where_one_seed_is_not_whole_it_is_said_of_which_everything_is():
    points = of_seeds(("dense", 0), ("admm", 0), ("dense", 1))
    said = " ".join(notes(Sweep(title="t", points=points, facts={"targets": 4})))
    assert "All of this is of seed 0 alone, since not every case is there in seed 1 too" in said
    assert "95 % intervals over 4 targets" in said
    alone = " ".join(notes(Sweep(title="t", points=of_seeds(("dense", 0), ("admm", 0)))))
    assert "All of this is of seed" not in alone


def test_a_smoke_run_says_first_that_no_number_of_it_means_anything():
    found = Sweep(title="t", points=[point()], facts={"scale": "smoke", "targets": 2})
    small = replace(found, facts={"scale": "small", "targets": 2})
    said = "no number of it means anything"
    page, text = render_sweep_page(found), render_sweep(found)
    assert said in page.partition("</header>")[0]
    assert text.startswith("Scale smoke: it shows that the recipe runs")
    assert said not in render_sweep_page(small) and said not in render_sweep(small)


def test_few_targets_are_said_to_be_halved_in_few_ways():
    pick = {"limits": {"max_leak": 0.7}, "case": "admm", "draws": 4000, "holds": {"max_leak": 1.0}}
    pick |= {"all_hold": 1.0, "again": 1.0, "apart": 1.0}
    for count, said in ((4, "(there are 6 ways to halve 4 targets)."), (13, "of the halvings.")):
        found = Sweep(title="t", points=[point()], pick=pick, facts={"targets": count})
        assert pick_words(found)[-1].endswith(said)


def test_the_papers_attack_has_a_column_where_it_ran():
    for left_out in ({}, {"paper's attack": row(None, why="not among the attacks")}):
        rows = against_dense(Sweep(title="t", points=[point(**left_out)]))
        assert "paper's attack acc. %" not in rows[0]
    seen = point("seen", **{"paper's attack": row(0.61, 0.6, 0.62)})
    rows = {r["case"]: r for r in against_dense(Sweep(title="t", points=[point(), seen]))}
    assert rows["seen"]["paper's attack acc. %"] == "61.0 [60.0, 62.0]"
    assert rows["admm"]["paper's attack acc. %"] == "-"


def test_one_target_has_no_intervals_and_no_table_no_caption():
    one, several = (
        " ".join(notes(Sweep(title="t", points=[point()], facts={"targets": n}))) for n in (1, 8)
    )
    assert "One of the targets alone: no intervals" in one
    assert "in brackets" not in one
    assert "[ ] = 95 % intervals over 8 targets" in several
    assert "in brackets the share of redraws of the targets" in several
    assert "intervals" not in " ".join(notes(Sweep(title="t", points=[])))


def test_the_page_explains_the_columns_that_it_has():
    page = render_sweep_page(Sweep(title="t", points=[point(**{EARLIER: less(0.1, 0.0, 0.2)})]))
    assert "the first kept epoch that is no less accurate" in page
    assert "first epoch of at least the case&#39;s test accuracy" in page
    assert "AUC - dense at no less test acc." in render_sweep(
        Sweep(title="t", points=[point(**{EARLIER: less(0.1, 0.0, 0.2)})]), width=200
    )
