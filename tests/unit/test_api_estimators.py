"""Estimators of scikit-learn: the same call, and references refitted by `clone`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

import secateur
from secateur.attack.membership import RMIA, LabelOnly, LiRA, LossThreshold
from secateur.auditing.estimators import (
    Fitted,
    given_estimator,
    refit,
)
from secateur.data.coins import with_drawn_references
from secateur.errors import DataError, InputError, MethodError
from secateur.probe.signals import SignalProbe
from secateur.types import Signal
from small_world import small_records

LOSS = (LossThreshold(class_wise=False),)
LIRA = (LiRA(variance="shared"),)
MARGIN = Signal(name="margin")


@pytest.fixture(scope="module")
def sides():
    records = small_records(160)
    x, y = records.gather(np.arange(160)), records.labels
    return (x[:80], y[:80]), (x[80:], y[80:])


@pytest.fixture(scope="module")
def forest(sides):
    return RandomForestClassifier(15, random_state=0).fit(*sides[0])


def value(report, attack):
    return next(r for r in report.rows if (r.metric, r.method) == ("auc", repr(attack))).value


def test_an_estimator_is_scored_by_its_own_probabilities(sides, forest):
    report = secateur.audit(forest, members=sides[0], non_members=sides[1])
    # float32 breaks a few of the ties that a forest of 15 trees has
    right = [forest.predict_proba(x)[np.arange(len(y)), y].round(6) for x, y in sides]
    members, others = right
    by_hand = (members[:, None] > others) + 0.5 * (members[:, None] == others)
    assert value(report, LOSS[0]) == pytest.approx(by_hand.mean(), abs=0.004)
    told = next(c for c in report.controls if c.id == "logits")
    assert told.status == "raised" and "for the zeros among them" in told.saw
    assert not any(r.risk == "size" for r in report.rows)  # it has no weights to count


def test_references_refitted_by_clone_find_more_than_the_bare_loss(sides):
    model = RandomForestClassifier(15, max_depth=4, random_state=0).fit(*sides[0])
    attacks = (LossThreshold(class_wise=False), *LIRA)
    report = secateur.audit(
        model, members=sides[0], non_members=sides[1], references=16, attacks=attacks
    )
    assert report.facts["models"] == {"targets": 1, "references": 16}
    assert value(report, LIRA[0]) > value(report, LOSS[0])
    assert any("sklearn.base.clone" in line for line in report.facts["limits"])


def test_what_nothing_was_learned_of_gives_a_coin(sides):
    """The target was fitted on other people: who is called a member says nothing."""
    other = small_records(300, seed=9)
    model = LogisticRegression().fit(other.gather(np.arange(300)), other.labels)
    report = secateur.audit(
        model, members=sides[0], non_members=sides[1], references=16, attacks=LIRA
    )
    row = next(r for r in report.rows if r.metric == "auc")
    assert row.low - 0.05 < 0.5 < row.high + 0.05


def test_draws_have_the_targets_size_and_hold_every_record_equally_often():
    records = small_records(120)
    alone = secateur.given(records, members=np.arange(90), non_members=np.arange(90, 120))
    who = with_drawn_references(alone, 8, seed=0)
    drawn = who.inside[1:]
    assert (drawn.sum(axis=0) == 6).all()  # three quarters of eight
    assert drawn.sum(axis=1).mean() == 90
    assert who.roles == ("given", *["reference"] * 8)
    other = with_drawn_references(alone, 8, seed=1)
    assert (who.inside[0] == alone.inside[0]).all() and (other.inside != who.inside).any()


def test_each_reference_has_a_random_state_of_its_own_and_the_model_is_left_alone(sides):
    records = small_records(160)
    alone = secateur.given(records, members=np.arange(80), non_members=np.arange(80, 160))
    who = with_drawn_references(alone, 4, seed=0)
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=3))
    model.fit(*sides[0])
    fitted = Fitted(estimator=model, classes=(0, 1, 2))
    members = who.members(1)
    kept = [
        refit(fitted, records, who, (MARGIN,), (members, seed)).kept.signals["margin"]
        for seed in (1, 1, 2)
    ]
    assert (kept[0] == kept[1]).all() and (kept[0] != kept[2]).any()
    assert model[-1].random_state == 3
    by_hand = RandomForestClassifier(5, random_state=1)
    again = make_pipeline(StandardScaler(), by_hand).fit(
        records.gather(members), records.labels[members]
    )
    p = again.predict_proba(records.gather(np.arange(160)))
    log_p = np.log(p + fitted.added).astype(np.float32)
    expected = SignalProbe(signals=(MARGIN,))(log_p, records.labels)["margin"]
    np.testing.assert_allclose(kept[0], expected, rtol=1e-5)


def test_where_there_are_zeros_half_of_the_smallest_above_is_added_to_all(sides, forest):
    records = small_records(160)
    who = secateur.given(records, members=np.arange(80), non_members=np.arange(80, 160))
    given = given_estimator(
        Fitted(estimator=forest, classes=(0, 1, 2)), records, who, attacks=LOSS, seed=0
    )
    assert given.build.added == pytest.approx(1 / 30)  # 15 trees, each sure of its leaves
    shares = forest.predict_proba(records.gather(np.arange(160)))
    smooth = given.build()(torch.from_numpy(np.array(records.gather(np.arange(160))))).exp()
    np.testing.assert_allclose(smooth, (shares + 1 / 30) / 1.1, rtol=1e-5)


def test_a_table_with_words_is_asked_as_the_table_that_it_is(sides):
    pandas = pytest.importorskip("pandas")
    x = np.concatenate([s[0] for s in sides])
    table = pandas.DataFrame({"a": x[:, 0].astype(np.float64), "b": (10 * x[:, 1]).astype(int)})
    table["work"] = np.where(x[:, 2] > 0, "craft", "office")
    table["kind"] = pandas.Categorical(np.where(x[:, 3] > 0, "u", "v"))
    table["late"] = np.where(np.concatenate([s[1] for s in sides]) > 0, "yes", "no")
    inside, outside = table[:80], table[80:]
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["work", "kind"]), remainder="passthrough"),
        RandomForestClassifier(10, random_state=0),
    ).fit(inside.drop(columns="late"), inside["late"])
    report = secateur.audit(model, members=inside, non_members=outside, label="late")
    right = [
        model.predict_proba(t.drop(columns="late"))[np.arange(80), (t["late"] == "yes").astype(int)]
        for t in (inside, outside)
    ]
    by_hand = (right[0][:, None] > right[1]) + 0.5 * (right[0][:, None] == right[1])
    assert value(report, LOSS[0]) == pytest.approx(by_hand.mean(), abs=0.01)
    row = next(r for r in report.rows if r.method == repr(LabelOnly(score="count")))
    assert row.status == "not run" and "categories" in row.why
    with_missing = outside.copy()
    with_missing.loc[with_missing.index[0], "a"] = np.nan
    with pytest.raises(DataError, match="column 'a' has 1 missing values"):
        secateur.audit(model, members=inside, non_members=with_missing, label="late")
    with pytest.raises(DataError, match=r"knows the classes \['no', 'yes'\].*\['maybe'\]"):
        secateur.audit(
            model, members=inside, non_members=outside.assign(late="maybe"), label="late"
        )
    with pytest.raises(DataError, match="different columns, or in another order: work"):
        secateur.audit(
            model, members=inside, non_members=outside.drop(columns="work"), label="late"
        )


@pytest.mark.slow
def test_workers_change_nothing(sides, forest):
    call = {"members": sides[0], "non_members": sides[1], "references": 4, "attacks": [RMIA()]}
    here, apart = (secateur.audit(forest, workers=n, **call) for n in (0, 2))
    assert here.rows == apart.rows


def test_latency_of_an_estimator_is_refused_before_anything_is_refitted(sides, forest):
    members, others = sides
    with pytest.raises(InputError, match=r"^timed=True measures networks"):
        secateur.audit(forest, members=members, non_members=others, references=4, timed=True)


def test_estimators_that_cannot_be_audited_say_so(sides):
    call = {"members": sides[0], "non_members": sides[1]}
    with pytest.raises(InputError, match="LogisticRegression is not fitted"):
        secateur.audit(LogisticRegression(), **call)
    with pytest.raises(InputError, match="predict but no predict_proba"):
        secateur.audit(LinearSVC().fit(*sides[0]), **call)
    fitted = LogisticRegression().fit(*sides[0])
    x, y = sides[0]
    with pytest.raises(DataError, match=r"does not take inputs of shape \(2, 4\)"):
        secateur.audit(
            fitted, members=(x.reshape(80, 2, 4), y), non_members=(x.reshape(80, 2, 4) + 1, y)
        )
    with pytest.raises(InputError, match=r"references must be 0 or at least 2, .*got 1"):
        secateur.audit(fitted, references=1, **call)
    with pytest.raises(InputError, match="does not read build"):
        secateur.audit(fitted, build=LogisticRegression, **call)

    with pytest.raises(MethodError, match=r"SAMIA.*reads whole outputs of references"):
        secateur.audit(fitted, references=2, attacks=[secateur.SAMIA()], **call)
    with pytest.raises(MethodError, match="OnlyOnce could not be refitted on"):
        secateur.audit(OnlyOnce(once=True).start(*sides[0]), references=2, attacks=LIRA, **call)


class OnlyOnce(ClassifierMixin, BaseEstimator):
    """An estimator whose clone cannot be fitted."""

    def __init__(self, once=True):
        self.once = once

    def start(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def fit(self, x, y):
        raise ValueError("not again")

    def predict_proba(self, x):
        return np.full((len(x), len(self.classes_)), 1 / len(self.classes_))
