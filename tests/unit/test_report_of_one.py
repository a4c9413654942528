"""What a report of one model, or of models without references, says of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from report_fixture import LIRA, PRUNED, attack_row, made_report, unmeasured_row
from secateur import audit
from secateur.attack.membership import RMIA, AttackP, LiRA, LossThreshold
from secateur.auditing.signals import audit_signals
from secateur.cli.checks import refuse_without_references
from secateur.cli.init import KINDS, write
from secateur.data import planted_world
from secateur.errors import DataError, NotEnoughReferencesError
from secateur.models import MLP
from secateur.report.charts import charts
from secateur.report.first import first_screen
from secateur.report.notes import not_run_words
from secateur.report.table import render_text
from secateur.train import Recipe

ALONE = "No reference models: an attacker who trains models of his own"


def saved(targets, references):
    """The report of saved signals of so many models."""
    world = planted_world(records=200, targets=targets, references=references, shift=1.0, seed=0)
    return audit_signals(world, [LossThreshold(class_wise=False)])


def of_models(**models):
    report = made_report()
    return replace(report, facts={**report.facts, "models": models})


@pytest.mark.parametrize("targets", [1, 8])
@pytest.mark.parametrize("references", [0, 16])
def test_whom_saved_signals_without_references_leave_out_is_said_first(targets, references):
    report = saved(targets, references)
    text = " ".join(render_text(report).split())
    alone = references == 0
    assert first_screen(report).unknown[0].startswith(ALONE) is alone
    assert report.facts["limits"][0].startswith(ALONE) is alone
    assert ("has no model of his own" in report.facts["threat_model"]) is alone
    assert (ALONE in text and "he was not tried" in text) is alone


@pytest.mark.parametrize(("references", "alone"), [(0, True), (16, False)])
def test_a_report_that_does_not_say_it_itself_is_read_by_its_number_of_references(
    references, alone
):
    report = of_models(targets=8, references=references)
    assert first_screen(report).unknown[0].startswith(ALONE) is alone


@pytest.mark.parametrize(("targets", "one"), [(1, True), (8, False)])
def test_limits_of_saved_signals_are_those_of_so_many_models(targets, one):
    limits = " ".join(saved(targets, 16).facts["limits"])
    assert ("This-model risk" in limits) is one
    assert ("Pipeline risk" in limits) is not one


@pytest.mark.parametrize(("targets", "one"), [(1, True), (8, False)])
def test_the_caption_of_the_roc_says_whose_band_it_is(targets, one):
    captions = {name: text for name, text, _ in charts(of_models(targets=targets, references=16))}
    assert ("of this one model" in captions["roc"]) is one
    assert ("over targets" in captions["roc"]) is not one


def handed(what):
    """The report of a model that was handed over, with two references."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 4)).astype("float32"), np.arange(80) % 2
    sides = {"members": (x[:40], y[:40]), "non_members": (x[40:], y[40:])}
    if what == "network":
        build = MLP(widths=(4, 2))
        more = {"recipe": Recipe(build=build, epochs=1)}
        model = build()
    else:
        from sklearn.linear_model import LogisticRegression

        model, more = LogisticRegression().fit(x[:40], y[:40]), {}
    attacks = [LossThreshold(class_wise=False)]
    return audit(model, **sides, **more, references=2, attacks=attacks)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("network", "through the recipe that was given; whether it is the one that trained"),
        ("estimator", "through the given estimator's own settings; whether they are those"),
    ],
)
def test_references_of_a_given_model_are_not_said_to_share_its_pipeline(what, said):
    report = handed(what)
    for text in (report.facts["threat_model"], " ".join(render_text(report).split())):
        assert said in text and "not verified" in text
        assert "identical pipeline" not in text


def test_references_of_a_fleet_went_through_its_own_pipeline():
    assert "identical pipeline" in " ".join(render_text(made_report()).split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_file_says_that_it_must_be_how_the_audited_network_was_trained(kind, tmp_path):
    write(kind, tmp_path / "mine.py", force=False)
    above = (tmp_path / "mine.py").read_text().partition("RECIPE = ")[0]
    assert "audit a network that exists, this must" in above.splitlines()[-2]


BARE = "LossThreshold(class_wise=False)"


@pytest.mark.parametrize(
    ("value", "more", "told"),
    [
        (0.80, {}, True),
        (0.66, {}, False),  # its interval reaches into the other
        (0.80, {"threat": "naive"}, False),
        (0.80, {"group": "site=a"}, False),
        (0.80, {"versus": "dense"}, False),
    ],
)
def test_a_loss_threshold_that_surely_finds_more_is_on_the_first_screen(value, more, told):
    report = made_report()
    report = replace(
        report, rows=(*report.rows, attack_row(PRUNED, "auc", value, method=BARE, **more))
    )
    for text in (first_screen(report).lead, " ".join(render_text(report).split())):
        assert ("needs no references, finds more (AUC 0.800 [0.780, 0.820])" in text) is told
        assert ("the references do not resemble" in text) is told


def test_of_a_given_network_the_sign_is_that_references_do_not_resemble_it():
    report = made_report()
    rows = (*report.rows, attack_row("dense", "auc", 0.95, method="LossThreshold()"))
    facts = {**report.facts, "subjects": {"dense": {"kind": "given", "label": "given"}}}
    lead = first_screen(replace(report, rows=rows, facts={**facts, "baseline": "dense"})).lead
    assert "needs them for thresholds alone" in lead and "do not resemble this network." in lead


def columns(references, short):
    """Saved margins of references, the first `short` records in none of them."""
    world = planted_world(records=200, targets=1, references=references, shift=1.0, seed=0)
    who = world.membership
    inside = who.inside.copy()
    inside[np.ix_(who.references, who.pools["audit"][:short])] = False
    return replace(world, membership=replace(who, inside=inside))


def test_few_records_with_too_few_references_are_no_lack_of_references():
    with pytest.raises(NotEnoughReferencesError) as found:
        LiRA(variance="per record")(columns(16, 2))
    message = str(found.value)
    assert "2 of 100 records are in fewer than 2 references: " in message
    assert message.endswith("0 in and 16 out of 16 references; draw each record into half of them")
    with pytest.raises(NotEnoughReferencesError, match="draw at least 4 references"):
        LiRA(variance="per record")(columns(2, 2))
    with pytest.raises(NotEnoughReferencesError, match="2 of 100 records are in no reference:"):
        LiRA()(columns(16, 2))


@pytest.mark.parametrize(
    ("count", "mend"), [(16, "draw each record into half of them"), (0, "--references 2 or more")]
)
def test_the_command_asks_for_more_references_only_where_there_are_too_few(count, mend):
    with pytest.raises(NotEnoughReferencesError, match=mend):
        refuse_without_references([LiRA()], columns(count, 2).membership)


@pytest.mark.parametrize("attack", [RMIA(temperature=1.0), AttackP()])
def test_a_missing_population_is_mended_where_models_are_drawn_and_where_signals_are_saved(attack):
    world = planted_world(records=80, targets=1, references=8, shift=1.0, seed=0)
    who = world.membership
    bare = replace(world, membership=replace(who, pools={"audit": who.pools["audit"]}))
    with pytest.raises(DataError, match=r"in saved signals the array `population` names them"):
        attack(bare)


@pytest.mark.parametrize(("count", "need"), [(0, ""), (16, " in and out of every record")])
def test_attacks_that_lack_references_stand_in_one_line_and_others_keep_their_own(count, need):
    why = "{} needs at least 2 reference models in and 2 out of every record"
    rows = [
        *(
            unmeasured_row("dense", "auc", "not run", why.format(name), method=method)
            for name, method in (("LiRA", LIRA), ("BaVarIA", "BaVarIA()"))
        ),
        unmeasured_row("dense", "auc", "not run", "no gradients", method="White()"),
    ]
    report = made_report()
    facts = {"subjects": {"dense": {}}, "baseline": "dense", "models": {"references": count}}
    lines = not_run_words(replace(report, rows=tuple(rows), facts=facts))
    assert lines == [
        f"Did not run: 2 attacks need references{need}: LiRA online, shrunk, BaVarIA. "
        f"Of the first: {why.format('LiRA')}.",
        "Did not run: White(), since no gradients.",
    ]
