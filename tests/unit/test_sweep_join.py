"""Draws of one file that were swept apart, put together: what one sweep of all would have found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_sweep import FILE, run, without_times

from command_line import secateur
from secateur import store
from secateur.errors import InputError
from secateur.sweeping import Limits, join, read_plan
from secateur.types import Measurement, Point, Provenance, Series, Sweep

ALL = FILE.replace("targets = 2", "seeds = [0, 1]\ntargets = 2\ncompare = ['decay+mask']")


def point(case, seed, *, accuracy=0.7, leak=0.6, steps=()):
    def row(metric, value):
        return Measurement(
            subject=case, risk="membership", method="LiRA()", metric=metric, value=value
        )

    return Point(
        case=case,
        method=case,
        seed=seed,
        steps=steps,
        axes={},
        rows={
            "test accuracy": row("accuracy", accuracy),
            "leak": row("auc", leak),
            "kept weights": replace(row("kept weights", 1.0), status="exact"),
        },
        units={"test_accuracy": (accuracy,) * 2, "leak": (leak,) * 2},
    )


def part(*seeds, cases=("dense", "admm"), facts=None, **fields):
    return Sweep(
        title=fields.pop("title", "t"),
        points=tuple(point(c, s, leak=0.6 + s / 100) for s in seeds for c in cases),
        facts={"seeds": list(seeds), "data": "digits", "command": f"run {seeds}", **(facts or {})},
        **fields,
    )


def of_case(found, case):
    (point,) = [p for p in found.points if p.case == case and p.seed is None]
    return point


def test_joined_draws_are_what_one_sweep_of_all_of_them_finds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(text=ALL).code == 0
    Path("run").rename("all")
    results = []
    for seed in ("1", "0"):
        assert run("--seed", seed, text=ALL).code == 0
        Path("run").rename(seed)
        results.append(f"{seed}/sweep.json")
    done = secateur("join", *results, "--out", "both.json", "--html", "both.html")
    assert done.code == 0, done.err
    assert "result: both.json" in done.out
    assert "seeds 0, 1" in " ".join(Path("both.html").read_text().split())
    whole, joined = (without_times(store.read_document(f, what="s")) for f in _files())
    assert joined["comparisons"]
    parts = joined["facts"].pop("parts")
    assert [p["seeds"] for p in parts] == [[0], [1]]
    assert all(p["command"].startswith("secateur sweep") for p in without_command(parts))
    assert joined == whole


def _files():
    return "all/sweep.json", "both.json"


def without_command(parts):
    """Read the parts' commands from the file: `without_times` leaves them out."""
    kept = store.read_document("both.json", what="s")["facts"]["parts"]
    assert len(kept) == len(parts)
    return kept


def test_means_and_intervals_are_over_all_seeds_in_rising_order():
    found = join([part(2), part(0, 1)])
    assert found.facts["seeds"] == [0, 1, 2]
    assert [p.seed for p in found.points if p.case == "dense"] == [0, 1, 2, None]
    leak = of_case(found, "admm").rows["leak"]
    assert leak.value == pytest.approx(0.61)
    assert leak.interval == "t over seeds"
    assert [p["command"] for p in found.facts["parts"]] == ["run (0, 1)", "run (2,)"]
    assert "command" not in found.facts


def test_a_joined_sweep_can_be_joined_with_a_further_draw():
    at_once = join([part(0), part(1), part(2)])
    step_by_step = join([join([part(0), part(1)]), part(2)])
    assert step_by_step == at_once


def test_where_a_case_is_not_in_every_draw_that_is_said_and_the_common_draws_are_taken():
    found = join([part(0), part(1, cases=("dense",))])
    assert found.missing == ("admm, seed 1",)
    assert of_case(found, "dense").rows["leak"].value == pytest.approx(0.6)
    failing = part(1, cases=("dense",), failed=({"case": "admm", "seed": 1, "why": "w"},))
    found = join([part(0), failing])
    assert found.missing == ()
    assert [p.case for p in found.points if p.seed is None] == ["dense"]


def test_curves_keys_and_machines_of_all_parts_are_kept():
    def made(seed, processor):
        where = {
            "processor": processor,
            "cores": 2,
            "made": f"2026-01-0{seed + 1}",
            "audit_seconds": 60.0,
        }
        curve = Series(
            kind="early stopping",
            id=f"early-stopping/seed-{seed}",
            subject="dense",
            method="",
            columns={},
        )
        key = {"audits": {f"seed-{seed}/report.json": f"k{seed}"}}
        return part(seed, series=(curve,), provenance=Provenance(key=key, context=where))

    found = join([made(0, "A"), made(1, "B"), made(2, "A")])
    assert [s.id for s in found.series] == [f"early-stopping/seed-{s}" for s in (0, 1, 2)]
    assert found.provenance.key["audits"] == {f"seed-{s}/report.json": f"k{s}" for s in (0, 1, 2)}
    assert found.provenance.context["processor"] == "A; B"
    assert found.provenance.context["made"] == "2026-01-03"
    assert found.provenance.context["audit_seconds"] == 180.0
    assert [p["processor"] for p in found.facts["parts"]] == ["A", "B", "A"]


def test_controls_that_any_part_raised_are_kept_with_its_seeds():
    one = part(1, facts={"controls": [{"id": "convergence", "subject": "admm", "seeds": [1]}]})
    other = part(
        0,
        facts={
            "controls": [
                {"id": "convergence", "subject": "admm", "seeds": [0]},
                {"id": "references", "subject": "", "seeds": [0]},
            ]
        },
    )
    assert join([one, other]).facts["controls"] == [
        {"id": "convergence", "subject": "admm", "seeds": [0, 1]},
        {"id": "references", "subject": "", "seeds": [0]},
    ]
    assert "controls" not in join([one, part(0)]).facts  # of that part nobody knows


def test_with_limits_the_case_to_ship_is_picked_over_all_draws():
    found = join([part(0), part(1)], limits=Limits(max_leak=0.7))
    assert found.pick["case"] in ("dense", "admm")
    assert join([part(0), part(1)]).pick == {}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (part(1, title="u"), "the title is 't' and 'u'"),
        (part(1, facts={"data": "mnist"}), "data is 'digits' and 'mnist'"),
        (part(1, facts={"references": 8}), "references is None and 8"),
        (part(1, facts={"sizes": {"members": 8}}), "sizes is None and {'members': 8}"),
        (part(1, facts={"attacks": ["LiRA()"]}), r"attacks is None and \['LiRA\(\)'\]"),
        (part(0), "seed 0 is in sweep 1 and in sweep 2"),
        (Sweep(title="t", points=()), "sweep 2 does not say its seeds"),
    ],
)
def test_sweeps_that_are_not_of_one_file_are_refused(other, words):
    with pytest.raises(InputError, match=words):
        join([part(0), other])


def test_cases_of_one_name_with_other_steps_are_refused():
    other = part(1)
    changed = tuple(replace(p, steps=("ADMM(rate=9)",)) for p in other.points)
    with pytest.raises(InputError, match=r"the pipeline of 'dense' is \(\) and \('ADMM\(rate=9\)'"):
        join([part(0), replace(other, points=changed)])


def test_one_sweep_or_sweeps_of_a_funnel_are_refused():
    with pytest.raises(InputError, match="two sweeps or more, got 1"):
        join([part(0)])
    with pytest.raises(InputError, match="with a funnel cannot be joined"):
        join([part(0, facts={"funnel": [2]}), part(1, facts={"funnel": [2]})])


def test_a_seed_that_the_file_has_not_and_seeds_of_a_funnel_are_refused():
    plan = read_plan(ALL)
    assert plan.of_seeds(()).seeds == (0, 1)
    assert plan.of_seeds((1,)).seeds == (1,)
    with pytest.raises(InputError, match="seed 5 is not among the file's, which are 0, 1"):
        plan.of_seeds((1, 5))
    funnel = read_plan(ALL.replace("references = 4", "references = 4\nfunnel = [2]"))
    assert funnel.of_seeds((1, 0)).seeds == (0, 1)
    with pytest.raises(InputError, match="cannot be swept apart"):
        funnel.of_seeds((0,))


def test_nothing_is_written_over_what_is_joined(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        store.write_sweep(f"{seed}.json", part(seed))
    before = Path("1.json").read_bytes()
    done = secateur("join", "0.json", "1.json", "--out", "1.json")
    assert done.code == 2
    assert "would be overwritten" in done.err
    assert Path("1.json").read_bytes() == before
    done = secateur("join", "0.json", "0.json", "--out", "2.json")
    assert done.code == 2
    assert "seed 0 is in 0.json and in 0.json" in done.err
    done = secateur("join", "0.json", "1.json", "--out", "2.json", "--max-leak", "0.1")
    assert done.code == 1
    assert Path("2.json").exists()
