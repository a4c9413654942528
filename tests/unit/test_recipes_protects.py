"""The recipes of pruning that protects: what was chosen where, and what is frozen elsewhere."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from secateur.attack.membership import (
    LabelOnly,
    Neighbours,
    StackedAttack,
    VectorLiRA,
    WhiteBox,
)
from secateur.auditing import needed_signals
from secateur.cli.spelled import parse_attack, parse_recipe, parse_step
from secateur.data import NearestRecords, Recombinations
from secateur.defend import (
    DPSGD,
    SELENA,
    CrossFit,
    EarlyStopping,
    InSampleDistillation,
    MinMax,
    RelaxLoss,
    Subsample,
)
from secateur.sweeping import read_plan
from secateur.sweeping.tree import tree_of
from secateur.train import Taught
from secateur.train.hooks import MEMBERS
from secateur.train.met import share_met

ROOT = Path(__file__).parents[2]
FILES = {file.stem: file for file in sorted((ROOT / "recipes" / "protects").glob("*.toml"))}
WORLDS = ("location30", "adult", "fashion-mnist", "mnist", "cifar10-cnn")
PICTURES = ("fashion-mnist", "mnist", "cifar10-cnn")
IMPROVED = ("location30", "fashion-mnist")
FROZEN = {"adult": "location30", "mnist": "fashion-mnist", "cifar10-cnn": "fashion-mnist"}
RIVALS = ("min-max", "relaxloss", "label-smoothing", "hamp", "past")
EPOCHS = ("epochs", "teacher_epochs", "retrain_epochs", "epochs_per_update")
EXCEPTIONS = {
    ("adult", "dp-sgd"): "tuned in each world by itself: the test of what was taken",
    ("mnist", "dp-sgd"): "tuned in each world by itself: the test of what was taken",
    ("cifar10-cnn", "dp-sgd"): "tuned in each world by itself: the test of what was taken",
    ("adult", "early-stopping"): "epochs of the world's own snapshots, in its favour",
    ("mnist", "early-stopping"): "epochs of the world's own snapshots, in its favour",
    ("cifar10-cnn", "early-stopping"): "epochs of the world's own snapshots, in its favour",
    ("adult", "subsampled-dense"): "stopped at epochs of the world's own snapshots, in its favour",
    (
        "adult",
        "subsampled-many-dense",
    ): "stopped at epochs of the world's own snapshots, in its favour",
    ("adult", "relaxloss"): "upper and alpha of 30 classes make no sense for two",
    ("adult", "cross-fit-mixup"): "it lost on Location-30, and is not carried on",
}
TUNED = {
    "location30": "location30-mlp",
    "adult": "adult-mlp",
    "fashion-mnist": "fashion-mnist-lenet5",
    "mnist": "mnist-lenet5",
    "cifar10": "cifar10-cnn",
}


def plan_of(name, scale=None):
    return read_plan(FILES[name].read_text(encoding="utf-8"), scale=scale, where=name)


def scales_of(name):
    return (None, *tomllib.loads(FILES[name].read_text(encoding="utf-8")).get("scale", {}))


def methods_of(case):
    return tuple(map(parse_step, case.steps))


def kinds(plan, kind):
    """Every method of a kind in a plan, with its case; what one stands around, too."""
    every = [(case, m) for case in plan.cases for m in methods_of(case)]
    every += [(case, m.method) for case, m in every if isinstance(m, Subsample)]
    return [(case, m) for case, m in every if isinstance(m, kind)]


def trained(case, recipe):
    """For how many epochs a case of defences alone trains."""
    for method in methods_of(case):
        recipe = method.defended(recipe)
    return recipe.epochs


def taken(data):
    """What tools.tune_dpsgd took in a world, by noise, and for which recipe."""
    path = ROOT / "results" / "experiments" / f"dpsgd-{TUNED[data]}.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    spelled = {float(k): v.replace("device='cpu', ", "") for k, v in found["taken"].items()}
    return {k: parse_step(v) for k, v in spelled.items()}, parse_recipe(found["recipe"])


@pytest.mark.parametrize("name", FILES)
def test_dp_sgd_is_what_tuning_took_wherever_a_noise_was_tuned(name):
    plan = plan_of(name)
    known, recipe = taken(plan.data)
    used = [m for _, m in kinds(plan, DPSGD)]
    for case, _ in kinds(plan, DPSGD):
        own = parse_recipe(plan.recipe)
        for before in methods_of(case)[:-1]:
            own = before.defended(own)
        assert own == recipe, case.name
    for method in used:
        assert method == known.get(method.noise_multiplier, method)
    assert name not in WORLDS or {m.noise_multiplier for m in used} & known.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_noise_that_was_not_tuned_has_the_settings_of_the_nearest_that_was(name):
    plan = plan_of(name)
    known, _ = taken(plan.data)
    for _, method in kinds(plan, DPSGD):
        near = min(known, key=lambda noise: abs(noise - method.noise_multiplier))
        assert method == replace(known[near], noise_multiplier=method.noise_multiplier)


def scaled(method, factor):
    """A method with all its epochs, and those of what stands inside it, times a factor."""
    changed = {}
    for field in fields(method):
        value = getattr(method, field.name)
        if field.name in EPOCHS and value is not None:
            changed[field.name] = round(value * factor)
        elif is_dataclass(value) and field.name in ("prune", "teacher", "method"):
            changed[field.name] = scaled(value, factor)
    return replace(method, **changed)


def settings(plan, factor):
    """What each method is tried with; where a rival is stopped is the world's own, and left out."""
    found = {}
    for case in plan.cases:
        methods = methods_of(case)
        stopped = len(methods) > 1 and isinstance(methods[0], EarlyStopping)
        last = methods[-1]
        if case.method in RIVALS and "epochs" in case.axes:
            assert stopped or isinstance(last, MinMax)
            last = ("stopped", repr(replace(last, epochs=None) if not stopped else last))
        else:
            last = ("whole", repr(scaled(last, factor)))
        found.setdefault(case.method, set()).add(last)
    return found


@pytest.mark.parametrize("scale", [None, "draws", "beside"])
@pytest.mark.parametrize("name", FROZEN)
def test_elsewhere_settings_are_the_chosen_ones_at_the_same_multiples_of_the_dense_epochs(
    name, scale
):
    plan, source = plan_of(name, scale), plan_of(FROZEN[name], scale)
    factor = parse_recipe(plan.recipe).epochs / parse_recipe(source.recipe).epochs
    here, chosen = settings(plan, 1), settings(source, factor)
    for method in here.keys() | chosen.keys():
        if (name, method) not in EXCEPTIONS:
            assert here.get(method) == chosen.get(method), method


def test_every_exception_is_one():
    for name, method in EXCEPTIONS:
        plan, source = plan_of(name), plan_of(FROZEN[name])
        factor = parse_recipe(plan.recipe).epochs / parse_recipe(source.recipe).epochs
        if (name, method) == ("mnist", "dp-sgd"):
            continue  # the same was taken on both
        assert settings(plan, 1).get(method) != settings(source, factor).get(method), method


@pytest.mark.parametrize("name", WORLDS)
def test_each_rival_without_epochs_of_its_own_has_two_of_them_in_the_draws(name):
    plan = plan_of(name, "draws")
    recipe = parse_recipe(plan.recipe)
    grid = {trained(c, recipe) for c in plan.cases if c.method == "early-stopping"}
    for rival in RIVALS:
        own = {trained(case, recipe) for case in plan.cases if case.method == rival}
        if name in PICTURES and rival == "hamp":
            assert not own  # the same pictures are asked about for fewer methods
            continue
        assert len(own) == 2 and own <= {*grid, recipe.epochs}, rival
    assert len(plan.cases) <= 34


@pytest.mark.parametrize("name", FILES)
def test_steps_and_attacks_go_together_at_every_scale(name):
    for scale in scales_of(name):
        plan = plan_of(name, scale)
        tree_of(plan, parse_recipe(plan.recipe), parse_step)
        assert len({repr(parse_attack(text)) for text in plan.attacks}) == len(plan.attacks)


@pytest.mark.parametrize("name", WORLDS)
def test_whether_a_label_travels_is_asked_beside_the_record_alone(name):
    for scale in (None, "draws"):
        attacks = [parse_attack(text) for text in plan_of(name, scale).attacks]
        near = [a for a in attacks if isinstance(a, Neighbours)]
        kinds_of = {(a.use, type(p)) for a in near for p in a.perturbations}
        assert {("joint", NearestRecords), ("alone", NearestRecords)} <= kinds_of
        assert VectorLiRA() in attacks
        if scale == "draws":
            assert ("joint", Recombinations) in kinds_of


@pytest.mark.parametrize("name", WORLDS)
def test_the_control_inside_the_sample_is_the_student_of_cross_fit(name):
    plan = plan_of(name)

    def shared(method):
        names = ("teacher", "teacher_epochs", "prune", "epochs", "alpha", "temperature")
        return repr([getattr(method, n) for n in names])

    wanted = ("cross-fit", "cross-fit-mixed-labels")
    ours = {shared(m) for case, m in kinds(plan, CrossFit) if case.method in wanted}
    assert {shared(m) for _, m in kinds(plan, InSampleDistillation)} == ours


@pytest.mark.parametrize("name", FILES)
def test_a_student_that_meets_hard_labels_says_so_in_its_name(name):
    for scale in scales_of(name):
        for case, method in kinds(plan_of(name, scale), CrossFit):
            told = "alpha" in case.axes or case.method == "cross-fit-mixed-labels"
            assert told or method.alpha == 0
            if case.method == "cross-fit-mixed-labels":
                assert method.alpha > 0


@pytest.mark.parametrize("name", ["location30", "adult"])
def test_relaxloss_has_the_form_of_tables_where_records_are_rows(name):
    recipe = parse_recipe(plan_of(name).recipe)
    classes = recipe.build.widths[-1]
    for _, method in kinds(plan_of(name), RelaxLoss):
        assert method.flattening == "all"
        assert 1 / classes < method.upper < 1  # the right class stays the likelier
        assert method.alpha < math.log(classes)  # a level that knows more than guessing


@pytest.mark.parametrize("name", IMPROVED)
def test_what_is_chosen_is_chosen_on_no_draw_that_judges_it(name):
    plan = plan_of(f"{name}-improve")
    judged = {seed for scale in scales_of(name) for seed in plan_of(name, scale).seeds}
    assert not {*plan.seeds} & judged
    assert any("Recombinations(" in text for text in plan.attacks)
    look = plan_of(f"{name}-improve", "look")
    assert (look.seeds, look.targets, look.references) == (plan.seeds, 4, 16)
    assert len(look.cases) <= 26


@pytest.mark.parametrize("name", IMPROVED)
def test_recombined_students_of_an_improvement_take_equally_many_steps(name):
    cases = [c for c in plan_of(f"{name}-improve").cases if c.method == "recombined"]
    steps = [c.axes["times"] * c.axes["epochs"] for c in cases]
    assert max(steps) <= 1.1 * min(steps)
    assert {c.axes["times"] for c in cases} >= {4, 16}


@pytest.mark.parametrize("name", ["location30", "adult"])
@pytest.mark.parametrize(("scale", "who"), [("draws", "subsampled"), ("fresh", "subsampled-many")])
def test_as_few_members_without_teachers_stand_beside_the_student_that_knows_few(name, scale, who):
    """The control: the same network, members and steps, without teachers."""
    drawn = kinds(plan_of(name, scale), Subsample)
    (ours,) = [m for c, m in drawn if c.method == who]
    assert ours.share == ours.known
    assert Subsample(share=ours.share, method=ours.method.prune) in [m for _, m in drawn]
    dense = [m for c, m in drawn if c.method == f"{who}-dense"]
    assert {m.share for m in dense} == {ours.share}
    stopped = {m.epochs for _, m in kinds(plan_of(name), EarlyStopping)}
    assert {m.epochs for m in dense} <= stopped


def test_the_student_that_knows_few_was_chosen_on_a_draw_that_judges_nothing():
    for name, scale in (("subsampled", "known"), ("subsampled-many", "even")):
        (ours,) = [m for c, m in kinds(plan_of("location30"), Subsample) if c.method == name]
        assert ours in [m for _, m in kinds(plan_of("location30-improve", scale), Subsample)]
    seen = {*plan_of("location30", "draws").seeds, *plan_of("location30-improve").seeds}
    assert not {*plan_of("location30", "fresh").seeds} & seen
    fewer = [m for _, m in kinds(plan_of("location30-improve", "subsampled"), Subsample)]
    in_sample = [m for m in fewer if isinstance(m.method, InSampleDistillation)]
    same = [m for m in fewer if isinstance(m.method, SELENA) and m.share == in_sample[0].share]
    assert in_sample[0].method.prune in [m.method.prune for m in same]
    assert Subsample(share=in_sample[0].share, method=in_sample[0].method.prune) in fewer


@pytest.mark.parametrize(
    ("name", "scale"),
    [("location30", "fresh"), ("adult", "fresh"), *((name, "draws") for name in PICTURES)],
)
def test_no_epoch_of_a_reference_ends_with_a_batch_of_a_few_records(name, scale):
    """References have one number of members, targets many: a last batch of two would be theirs
    alone, and make them worse models than those that are attacked.
    """
    plan = plan_of(name, scale)
    recipe = parse_recipe(plan.recipe)
    units = np.arange(plan.sizes["members"])
    for case, method in kinds(plan, Taught):
        trained = {int(n) for n in method.split(units, seed=0).sum(1)}
        if method.pool == MEMBERS:
            trained.add(round(share_met(method) * len(units)))
        for n in trained - {0}:
            last = n % recipe.batch_size
            assert last == 0 or last >= recipe.batch_size / 8, (case.name, n)


@pytest.mark.parametrize("name", ["location30", "adult"])
def test_the_students_of_tables_are_compared_with_each_rival(name):
    plan = plan_of(name, "draws")
    methods = {case.method for case in plan.cases}
    assert {"subsampled", "recombined", "selena-pruned"} <= {*plan.compare} & methods
    assert "subsampled-mask" in methods


@pytest.mark.parametrize("name", WORLDS)
def test_dp_sgd_has_settings_to_put_ours_between_in_the_draws(name):
    assert len({m.noise_multiplier for _, m in kinds(plan_of(name, "draws"), DPSGD)}) >= 2


@pytest.mark.parametrize("name", WORLDS)
def test_nine_numbers_of_the_answer_are_read_where_there_is_more_in_it_than_one(name):
    plan = plan_of(name)
    classes = parse_recipe(plan.recipe).build().state_dict().popitem()[1].numel()
    several = {"VectorLiRA(coordinates=9)", "WhiteBox(coordinates=9)"}  # of ten classes all
    assert several & {*plan.attacks} == (several if classes > 2 else set())
    asked = map(parse_attack, plan_of(name, "draws" if name in PICTURES else "fresh").attacks)
    read = max(a.coordinates for a in asked if isinstance(a, WhiteBox))
    assert read == classes - 1 or classes == 2  # all of them


@pytest.mark.parametrize(
    ("name", "scales"),
    [
        *((name, ("draws", "beside")) for name in WORLDS),
        ("location30-improve", ("look", "further", "asked", "subsampled")),
        ("location30-improve", ("sparse", "known", "many")),
        ("fashion-mnist-improve", ("look", "subsampled")),
    ],
)
def test_dense_models_are_found_again_by_scales_that_share_a_folder(name, scales):
    """What attacks read of snapshots stands in the dense models' keys."""
    plans = [plan_of(name, scale) for scale in scales]
    wanted = {
        tuple(needed_signals([parse_attack(text) for text in plan.attacks], perturbed=False))
        for plan in plans
    }
    assert len(wanted) == 1
    assert len({(plan.targets, plan.references) for plan in plans}) == 1


@pytest.mark.parametrize("name", WORLDS)
def test_students_are_seen_beside_the_dense_model_by_all_means_at_once(name):
    attacks = [parse_attack(text) for text in plan_of(name, "beside").attacks]
    both = [a for a in attacks if isinstance(a, WhiteBox) and a.others == ("dense",)]
    assert {bool(a.around) for a in both} == {False, True}


@pytest.mark.parametrize("name", WORLDS)
def test_around_a_record_is_asked_for_labels_alone_for_outputs_and_beside_weights(name):
    plan = plan_of(name, "draws")
    attacks = [parse_attack(text) for text in plan.attacks]
    ways = {m.recombine for _, m in kinds(plan, SELENA) if m.recombine}
    for kind in (LabelOnly, Neighbours, StackedAttack, WhiteBox):
        around = [
            p
            for a in attacks
            if isinstance(a, kind)
            for p in getattr(a, "around", ()) or getattr(a, "perturbations", ())
        ]
        assert {p.way for p in around if isinstance(p, Recombinations)} == ways, kind


@pytest.mark.parametrize("name", IMPROVED)
def test_canaries_are_planted_under_every_rival_of_the_draws_by_the_same_attacks(name):
    draws, planted = plan_of(name, "draws"), plan_of(name, "canaries")
    assert planted.canaries and not draws.canaries
    assert planted.attacks == draws.attacks
    methods = {case.method for case in draws.cases}
    assert methods <= {case.method for case in planted.cases}
    stopped = {case.name for case in draws.cases if case.method == "early-stopping"}
    assert stopped <= {case.name for case in planted.cases}
