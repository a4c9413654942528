"""A sweep's file, its tree of fleets, its front and its pick."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secateur.cli.spelled import parse_recipe, parse_step
from secateur.errors import InputError
from secateur.measure import t_interval
from secateur.report.sweep_table import full_table
from secateur.report.sweep_words import notes
from secateur.sweeping.front import DRAWS, Limits, clearly_beaten, pick, with_front
from secateur.sweeping.points import over_seeds
from secateur.sweeping.reading import read_plan
from secateur.sweeping.screen import dropped
from secateur.sweeping.tree import chain, made, teachers_to_keep, tree_of
from secateur.types import Measurement, Point, Sweep

GRID = """
data = "digits"
seeds = [0, 3]
[[method]]
name = "both"
steps = ["WeightDecay(strength={strength})", "Magnitude(rate={rate})"]
over = { strength = [1.0, 3.0], rate = [2, 4] }
[[method]]
name = "decay"
steps = ["WeightDecay(strength={s})"]
over = { s = [3.0] }
[[method]]
name = "mask"
steps = ["RandomMask(rate=4, allocation='{way}')"]
over = { way = ["uniform", "erk"] }
[scale.small]
seeds = [1]
targets = 2
"""
RECIPE = parse_recipe("Recipe(build=MLP(widths=(64, 8, 10)), epochs=1)")


def nodes_of(text):
    return tree_of(read_plan(text), RECIPE, parse_step)


def test_teachers_are_kept_where_another_case_asks_them_something_else():
    steps = {
        "own": "CrossFit(folds=4)",
        "told": "CrossFit(folds=4, alpha=0.5)",  # the same questions: their answers serve
        "made": "CrossFit(folds=4, recombine='mixed')",
        "again": "CrossFit(folds=4, recombine='mixed', epochs=9)",  # whose answers are not kept
        "fewer": "CrossFit(folds=3, recombine='mixed')",
        "longer": "CrossFit(folds=4, teacher_epochs=9, recombine='mixed')",
        "pool": "DMP()",
    }
    text = "".join(f'[[method]]\nname = "{n}"\nsteps = ["{s}"]\n' for n, s in steps.items())
    kept = teachers_to_keep(nodes_of(text))
    assert {node.label for node in nodes_of(text) if node.steps in kept} == {
        "own",
        "told",
        "made",
        "again",
    }
    alone = text.partition('[[method]]\nname = "made"')[0]
    assert teachers_to_keep(nodes_of(alone)) == frozenset()
    both = "".join(
        f'[[method]]\nname = "{n}"\nsteps = ["{steps[n]}"]\n' for n in ("made", "again", "pool")
    )
    kept = teachers_to_keep(nodes_of(both))
    assert {node.label for node in nodes_of(both) if node.steps in kept} == {"made", "again"}


def test_every_combination_is_one_case_named_by_its_values():
    names = [case.name for case in read_plan(GRID).cases]
    assert names == [
        "both strength=1.0 rate=2",
        "both strength=1.0 rate=4",
        "both strength=3.0 rate=2",
        "both strength=3.0 rate=4",
        "decay s=3.0",
        "mask way=uniform",
        "mask way=erk",
    ]
    assert read_plan(GRID).cases[6].steps == ("RandomMask(rate=4, allocation='erk')",)


def test_only_keeps_cases_by_their_names_or_their_methods():
    few = read_plan(f'{GRID}only = ["mask way=erk", "both strength=3.0 rate=2"]', scale="small")
    assert [case.name for case in few.cases] == ["both strength=3.0 rate=2", "mask way=erk"]
    few = read_plan(f'only = ["mask", "decay s=3.0"]{GRID}')
    assert [case.name for case in few.cases] == ["decay s=3.0", "mask way=uniform", "mask way=erk"]
    with pytest.raises(InputError, match=r"'mask way=eerk', .* did you mean 'mask way=erk'"):
        read_plan(f'only = ["mask way=eerk"]{GRID}')
    with pytest.raises(InputError, match="compare names 'both', which is no method"):
        read_plan(f'only = ["mask"]\ncompare = ["both"]{GRID}')


def test_a_scale_replaces_keys_and_leaves_the_rest():
    plan = read_plan(GRID, scale="small")
    assert (plan.seeds, plan.targets, plan.references) == ((1,), 2, 32)
    assert plan.cases == read_plan(GRID).cases


@pytest.mark.parametrize("references", [*range(2, 20), 32, 64, 255])
def test_the_example_of_a_funnel_that_is_refused_is_a_funnel_that_is_taken(references):
    def plan(rounds: str):
        return read_plan(f"references = {references}\nfunnel = {rounds}\n{GRID}")

    with pytest.raises(InputError, match=rf"below {references}, .*, got \[2, 999\]") as refused:
        plan("[2, 999]")
    _, _, example = str(refused.value).partition("such as ")
    if references == 2:
        assert not example
        assert "of which there are none; leave it out" in str(refused.value)
        return
    example = example.removesuffix(", got [2, 999]")
    assert str(list(plan(example).funnel)) == example


def test_a_list_on_an_axis_is_spelled_as_a_tuple():
    plan = read_plan(
        '[[method]]\nname="a"\nsteps=["ADMM(rho={rho})"]\nover={rho=[[0.1, 3.0], [1.0]]}'
    )
    assert [c.steps[0] for c in plan.cases] == ["ADMM(rho=(0.1, 3.0))", "ADMM(rho=(1.0,))"]


def test_braces_of_a_dictionary_are_no_axis():
    text = '[[method]]\nname="a"\nsteps=["X(sizes={\'fc\': 4}, other={})"]'
    assert read_plan(text).cases[0].steps == ("X(sizes={'fc': 4}, other={})",)


def test_common_beginnings_are_one_fleet_and_a_case_that_ends_there_names_it():
    nodes = nodes_of(GRID)
    assert len({n.steps for n in nodes}) == len(nodes) == 1 + 2 + 4 + 2
    first = next(n for n in nodes if n.steps == ("WeightDecay(strength=1.0)",))
    assert (first.case, first.name) == (None, "weightdecay-strength=1.0")
    shared = next(n for n in nodes if n.steps == ("WeightDecay(strength=3.0)",))
    assert shared.label == "decay s=3.0"
    children = [n for n in nodes if n.parent == shared.steps]
    assert [n.name for n in children] == ["both-strength=3.0-rate=2", "both-strength=3.0-rate=4"]
    assert all(n.recipe == shared.recipe != RECIPE for n in children)


def test_a_chain_holds_what_models_start_from_and_no_more():
    nodes = nodes_of(GRID)
    both = next(n for n in nodes if n.label == "both strength=3.0 rate=2")
    assert [n.label for n in chain(nodes, both)] == ["decay s=3.0", "both strength=3.0 rate=2"]
    plain = nodes_of('[[method]]\nname="m"\nsteps=["Magnitude(rate=2)"]')
    assert [n.label for n in chain(plain, plain[1])] == ["dense", "m"]


def test_a_defence_on_the_way_to_another_defence_is_not_trained():
    text = '[[method]]\nname="m"\nsteps=["WeightDecay(strength=1.0)", "WeightDecay(strength=2.0)"]'
    nodes = nodes_of(text)
    assert len(nodes) == 3
    assert [n.label for n in made(nodes)] == ["dense", "m"]


def test_folders_differ_even_where_names_differ_in_signs_alone():
    text = "\n".join(
        f'[[method]]\nname="{name}"\nsteps=["Magnitude(rate={rate})"]'
        for name, rate in (("a b", 2), ("a-b", 3), ("A b", 4))
    )
    assert len({n.name.lower() for n in nodes_of(text)}) == 4


@pytest.mark.parametrize("name", ["lessons", "Answers"])
def test_no_fleet_lies_where_a_sweep_keeps_what_it_removes(name):
    text = f'[[method]]\nname="{name}"\nsteps=["Magnitude(rate=2)"]'
    dense, own = nodes_of(text)
    assert (dense.name, own.name, own.label) == ("dense", f"{name}-2", name)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ('["Magnitude(rate=2)", "WeightDecay()"]', "fresh weights, so that Magnitude before it"),
        ('["WeightDecay()", "DPSGD()"]', "so that WeightDecay.* before it is lost"),
        (
            '["SmallDense(rate=2)", "WeightDecay()", "DPSGD()"]',
            "so that WeightDecay.* before it is lost",
        ),
        (
            '["ADM(rate=2)"]',
            "m: unknown pruning method, defence or conversion 'ADM'; did you mean 'ADMM'",
        ),
        ('["Magnitude(rat=2)"]', "Magnitude has no parameter 'rat'; did you mean 'rate'"),
    ],
)
def test_steps_that_cannot_stand_are_refused_with_the_cases_name(steps, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        nodes_of(f'[[method]]\nname="m"\nsteps={steps}')


def test_a_network_that_dp_sgd_trains_is_not_lost():
    nodes = nodes_of('[[method]]\nname="m"\nsteps=["SmallDense(rate=2)", "DPSGD()"]')
    assert nodes[-1].recipe.train.build == nodes[1].recipe.build != RECIPE.build


def test_two_cases_of_the_same_steps_are_refused():
    twice = "".join(f'[[method]]\nname="{n}"\nsteps=["Magnitude(rate=2)"]\n' for n in "ab")
    with pytest.raises(InputError, match="'a' and 'b' have the same steps"):
        nodes_of(twice)


def row(metric: str, value: float, **more: object) -> Measurement:
    return Measurement(
        subject="x",
        risk="r",
        method="m",
        metric=metric,
        value=value,
        **more,  # type: ignore[arg-type]
    )


def point(case: str, test, leak, kept: float = 1.0, seed: int | None = None) -> Point:
    test, leak = np.atleast_1d(test).astype(float), np.atleast_1d(leak).astype(float)
    return Point(
        case=case,
        method=case,
        seed=seed,
        steps=(),
        axes={},
        rows={
            "test accuracy": row("test accuracy", test.mean()),
            "leak": row("auc", leak.mean()),
            "kept weights": row("kept weights", kept, status="exact"),
            "bytes": row("bytes", 1000 * kept, status="exact"),
        },
        units={"test_accuracy": tuple(test), "leak": tuple(leak)},
    )


def with_epsilon(found: Point, value: float | None) -> Point:
    void = {} if value is not None else {"status": "not run", "why": "read members without noise"}
    about = {"status": "exact", "counts": {"delta": 1e-5}, **void}
    promised = replace(row("accounted epsilon at delta 1e-05", 0.0), **{"value": value, **about})
    return replace(found, rows={**found.rows, "accounted epsilon": promised})


def test_over_seeds_the_accounted_epsilon_is_the_largest_which_holds_for_all():
    worlds = [with_epsilon(point("dp", 0.8, 0.6, seed=s), 5.0 + s) for s in (0, 1)]
    assert over_seeds(worlds).rows["accounted epsilon"].value == 6.0


def test_a_sweep_says_in_words_and_rows_what_noise_promises_and_where_it_is_void():
    points = [
        with_epsilon(point("dp", 0.8, 0.6), 5.25),
        with_epsilon(point("dp+admm", 0.7, 0.6), None),
        point("dense", 0.9, 0.7),
    ]
    found = Sweep(title="t", points=points)
    words = " ".join(notes(found))
    assert "(delta 1e-05), an upper bound from the training's noise: 5.25 for dp. " in words
    assert "No accounted epsilon, for the reason in the seed's report: dp+admm." in words
    cells = {line["case"]: line["epsilon, accounted"] for line in full_table(found)}
    assert cells == {"dp": "5.25", "dp+admm": "not run", "dense": "-"}
    assert "epsilon" not in " ".join(notes(Sweep(title="t", points=points[2:])))


def brute_front(points):
    """Name the cases that no other one beats, pair by pair."""

    def beats(a, b):
        pairs = [
            (np.mean(a.units["test_accuracy"]), np.mean(b.units["test_accuracy"])),
            (-np.mean(a.units["leak"]), -np.mean(b.units["leak"])),
            (-a.rows["kept weights"].value, -b.rows["kept weights"].value),
        ]
        return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)

    return {p.case for p in points if not any(beats(o, p) for o in points)}


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_comparing_pair_by_pair_gives(seed):
    rng = np.random.default_rng(seed)
    points = [
        point(str(i), rng.random(4).round(1), rng.random(4).round(1), rng.choice([0.1, 0.5, 1.0]))
        for i in range(7)
    ]
    found = with_front(points)
    assert {p.case for p in found if p.front} == brute_front(points)
    by_case = {p.case: p for p in found}
    for p in found:
        assert bool(p.beaten_by) != p.front
        if p.beaten_by:
            assert by_case[p.beaten_by].rows["kept weights"].value <= p.rows["kept weights"].value


def test_kept_weights_that_differ_by_rounding_decide_nothing():
    better = point("a", [0.9, 0.8], [0.5, 0.5], 0.1250)
    rounded = point("b", [0.5, 0.6], [0.6, 0.6], 0.1249)
    smaller = point("c", [0.5, 0.6], [0.6, 0.6], 0.1)
    front = {p.case: p.front for p in with_front([better, rounded, smaller])}
    assert front == {"a": True, "b": False, "c": True}


def test_how_sure_the_front_is_follows_the_paired_difference():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.1, 8)  # targets differ much, cases on one target little
    noise = rng.normal(0, 0.01, 8)
    noise -= noise.mean()
    a = point("a", 0.7 + shared, 0.6 + shared)
    b = point("b", 0.7 + shared - 0.02 + noise, 0.6 + shared + 0.02 - noise)
    sure = {p.case: p.sure for p in with_front([a, b])}
    assert sure["a"] > 0.99
    assert sure["b"] < 0.01
    alone = point("b", 0.7 + shared[::-1] - 0.02, 0.6 + shared[::-1] + 0.02)
    assert 0.05 < {p.case: p.sure for p in with_front([a, alone])}["b"] < 0.95


def test_the_draws_have_the_width_of_the_t_interval():
    values = np.array([0.5, 0.6, 0.9, 0.7])
    _, low, high = t_interval(values)
    for limit, share in ((low, 0.975), (high, 0.025), (values.mean(), 0.5)):
        found = pick([point("a", values, [0.5] * 4)], Limits(min_accuracy=limit))
        assert found["holds"]["min_accuracy"] == pytest.approx(share, abs=0.02)


def test_one_target_gives_a_front_without_a_share():
    (only,) = with_front([point("a", [0.9], [0.5])])
    assert (only.front, only.sure) == (True, None)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"max_leak": float("nan")}, r"--max-leak\) must be a share .* got nan"),
        ({"min_accuracy": float("nan")}, r"--min-accuracy\) must be a share .* got nan"),
        ({"min_accuracy": 83}, r"such as 0\.9 for 90 %, got 83"),
        ({"max_bytes": float("inf")}, r"--max-bytes\) must be a finite number above 0, got inf"),
        ({"max_bytes": 0}, r"must be a finite number above 0, got 0"),
    ],
)
def test_a_limit_that_no_case_can_be_held_against_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        Limits(**asked)


def test_the_pick_is_the_most_accurate_case_within_all_limits():
    points = [
        point("leaky", [0.95, 0.96], [0.8, 0.81]),
        point("large", [0.9, 0.91], [0.55, 0.56], 1.0),
        point("good", [0.85, 0.86], [0.55, 0.56], 0.1),
        point("poor", [0.7, 0.71], [0.5, 0.51], 0.1),
    ]
    assert pick(points, Limits(max_leak=0.6))["case"] == "large"
    found = pick(points, Limits(max_leak=0.6, max_bytes=200, min_accuracy=0.5))
    assert found["case"] == "good"
    assert found["holds"]["max_bytes"] == 1.0
    assert found["again"] <= found["all_hold"] <= min(found["holds"].values())
    assert found["draws"] == DRAWS


def test_the_luckiest_of_many_equal_cases_is_not_sure_on_units_that_did_not_pick_it():
    rng = np.random.default_rng(1)
    limits = Limits(max_leak=0.6)
    by_luck = [
        point(str(i), [0.9 + 0.001 * i] * 8, rng.normal(0.605, 0.02, 8)) for i in range(40)
    ]  # all leak more than the limit in truth; a few do not on these targets
    lucky = pick(by_luck, limits)
    assert lucky["case"] is not None
    assert lucky["apart"] < 0.5 < lucky["all_hold"]
    truly = pick([point("a", [0.9] * 8, rng.normal(0.55, 0.02, 8))], limits)
    assert truly["apart"] > 0.95
    few = pick([point("a", [0.9] * 3, [0.5, 0.5, 0.6])], limits)
    assert few["apart"] is None
    assert few["all_hold"] is not None


def test_halvings_give_what_going_through_all_of_them_gives():
    from itertools import combinations

    rng = np.random.default_rng(2)
    points = [point(str(i), rng.normal(0.8, 0.02, 6), rng.normal(0.6, 0.02, 6)) for i in range(5)]
    held = []
    for chosen in combinations(range(6), 3):
        one, other = list(chosen), [i for i in range(6) if i not in chosen]
        mean = {p.case: [np.array(p.units["leak"])[h].mean() for h in (one, other)] for p in points}
        fits = [p for p in points if mean[p.case][0] <= 0.6]
        if fits:
            best = max(fits, key=lambda p: np.array(p.units["test_accuracy"])[one].mean())
            held.append(mean[best.case][1] <= 0.6)
    assert 0 < np.mean(held) < 1
    assert pick(points, Limits(max_leak=0.6))["apart"] == pytest.approx(np.mean(held), abs=0.06)


def test_where_no_case_fits_the_nearest_one_says_by_how_much():
    points = [point("a", [0.9, 0.9], [0.8, 0.8]), point("b", [0.8, 0.8], [0.62, 0.62])]
    found = pick(points, Limits(max_leak=0.6, min_accuracy=0.75))
    assert (found["case"], found["nearest"]) == (None, "b")
    assert found["misses"] == pytest.approx({"max_leak": 0.02})


def test_a_round_leaves_out_what_is_worse_on_every_target_and_not_what_is_smaller():
    steady = np.array([0.0, 0.01, 0.02, 0.01])
    dense = point("dense", 0.9 + steady, 0.6 + steady)
    bad = point("bad", 0.8 + steady, 0.7 + steady + 0.001 * np.arange(4))
    small = point("small", 0.8 + steady, 0.7 + steady, 0.1)
    assert [d["case"] for d in dropped([dense, bad, small], references=8, keep="dense")] == ["bad"]
    worse_alone = point("half", 0.8 + steady, 0.5 + steady)
    assert clearly_beaten(worse_alone, [dense]) is None
    noisy = point("noisy", 0.85 + np.array([0.3, -0.3, 0.1, 0.0]), 0.7 + steady)
    assert clearly_beaten(noisy, [dense]) is None
    single = point("one", [0.1], [0.9])
    assert clearly_beaten(single, [point("dense", [0.9], [0.5])]) is None


def test_a_round_never_leaves_out_the_dense_fleet():
    steady = np.array([0.0, 0.01, 0.02])
    dense = point("dense", 0.7 + steady, 0.7 + steady)
    better = point("better", 0.9 + steady, 0.5 + steady)
    assert dropped([dense, better], references=8, keep="dense") == []


def test_over_seeds_the_worlds_are_the_units():
    means = [0.6, 0.7, 0.65]
    points = [point("a", [m - 0.1, m + 0.1], [m, m], seed=s) for s, m in enumerate(means)]
    found = over_seeds(points)
    expected = t_interval(np.array(means))
    test = found.rows["test accuracy"]
    assert (test.value, test.low, test.high) == pytest.approx(expected)
    assert (test.interval, test.counts["seeds"]) == ("t over seeds", 3)
    assert found.units["leak"] == pytest.approx(means)
    assert found.rows["bytes"].low is None


def test_what_one_seed_lacks_is_not_averaged_over_the_others():
    missing = Measurement(
        subject="x", risk="r", method="m", metric="auc", value=None, status="not run", why="none"
    )
    a, b = point("a", [0.5, 0.6], [0.5, 0.5], seed=0), point("a", [0.5, 0.6], [0.5, 0.5], seed=1)
    b = Point(**{**vars(b), "rows": {**b.rows, "leak": missing}})
    found = over_seeds([a, b]).rows["leak"]
    assert found.value is None
    assert "not in every seed: none" in found.why


def test_a_sweep_and_its_dictionary_are_inverse():
    sweep = Sweep(
        title="t",
        points=tuple(with_front([point("a", [0.9, 0.8], [0.5, 0.6])])),
        dropped=({"case": "b", "why": "w"},),
        missing=("c, seed 0",),
        pick={"case": None},
    )
    assert Sweep.from_dict(sweep.to_dict()).to_dict() == sweep.to_dict()
    with pytest.raises(InputError, match="sweep schema 'sweep-0'"):
        Sweep.from_dict({**sweep.to_dict(), "schema": "sweep-0"})
    with pytest.raises(InputError, match="not a secateur sweep"):
        Sweep.from_dict({"schema": sweep.schema})
