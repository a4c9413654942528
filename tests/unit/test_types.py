"""Types: what they refuse, what they keep, and what their digests cover."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.errors import DataError, InputError
from secateur.types import (
    ArraySource,
    Artifact,
    Control,
    Fleet,
    Measurement,
    Membership,
    Observations,
    Outcomes,
    Provenance,
    Records,
    Report,
    Scores,
    Series,
    Signal,
    Source,
    canonical_json,
    derive_seed,
    digest_arrays,
)

INPUTS = np.arange(12, dtype=np.float32).reshape(6, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def make_records(**changes):
    fields = {
        "source": ArraySource(values=INPUTS),
        "labels": LABELS,
        "n_classes": 3,
        "ids": np.array([10, 11, 12, 13, 14, 15]),
        "units": np.array([0, 0, 1, 1, 2, 2]),
        "groups": {"sex": np.array(list("abcabc"))},
    }
    return Records(**{**fields, **changes})


def make_membership(**changes):
    fields = {
        "inside": np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]], dtype=bool),
        "roles": ("target", "reference"),
        "pools": {"audit": np.arange(4), "utility": np.array([5, 4])},
        "units": np.arange(6),
        "seed": 0,
    }
    return Membership(**{**fields, **changes})


# --- seeds, JSON, digests of arrays ---


@given(st.integers(0, 2**70), st.lists(st.one_of(st.text(), st.integers(0, 99)), max_size=3))
def test_a_derived_seed_is_a_function_of_its_path_within_63_bits(seed, path):
    assert derive_seed(seed, *path) == derive_seed(seed, *path)
    assert 0 <= derive_seed(seed, *path) < 2**63
    assert derive_seed(seed, *path) != derive_seed(seed + 1, *path)
    assert derive_seed(seed, *path) != derive_seed(seed, *path, "more")


def test_a_derived_seed_tells_a_number_from_its_text_and_a_joined_name():
    assert derive_seed(0, 1) != derive_seed(0, "1")
    assert derive_seed(0, "a", "b") != derive_seed(0, "ab")


def test_canonical_json_does_not_depend_on_the_order_and_refuses_nan():
    assert canonical_json({"b": 1, "a": [1, 2]}) == '{"a":[1,2],"b":1}'
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(math.nan)


def test_a_digest_of_arrays_sees_names_types_shapes_and_values_not_order_or_layout():
    a, b = np.arange(6).reshape(2, 3), np.ones(2)
    base = digest_arrays({"a": a, "b": b})
    assert base == digest_arrays({"b": b, "a": np.asfortranarray(a)})
    others = [
        digest_arrays({"c": a, "b": b}),
        digest_arrays({"a": a.astype(np.int32), "b": b}),
        digest_arrays({"a": a.reshape(3, 2), "b": b}),
        digest_arrays({"a": a + 1, "b": b}),
        digest_arrays({"a": a, "b": b}, extra="x"),
        digest_arrays({"a": a}),
    ]
    assert len({base, *others}) == 7


# --- Records ---


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.zeros(3), r"shape \[records, \.\.\.\], got \(3,\)"),
        (np.array([[0.0], [np.nan], [np.inf]]), r"2 of 3 records .* first at index 1"),
        (np.array([[0.0], [1e300]]), r"1 of 2 records .* index 1"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_inputs_without_a_record_axis_or_not_finite_are_refused(values, match):
    with pytest.raises(DataError, match=match):
        ArraySource(values=values)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"labels": LABELS[:5]}, r"labels need the shape \(6,\) of the inputs, got \(5,\)"),
        ({"labels": LABELS.astype(float)}, r"whole numbers, got dtype float64"),
        ({"labels": LABELS.astype(bool)}, r"whole numbers, got dtype bool"),
        ({"n_classes": 1}, r"at least 2 classes, got n_classes=1"),
        ({"n_classes": 2}, r"in 0 \.\. 1 \(n_classes=2\), got the range 0 \.\. 2"),
        ({"labels": LABELS - 1}, r"in 0 \.\. 2 .* the range -1 \.\. 1"),
        ({"labels": np.ones(6, int)}, r"all 6 labels are 1: one class only"),
        ({"ids": np.array([1, 1, 2, 3, 4, 5])}, r"6 records have 5 different ids"),
        ({"ids": np.arange(5)}, r"ids need the shape \(6,\), got \(5,\)"),
        ({"units": np.arange(7)}, r"units need the shape \(6,\), got \(7,\)"),
        ({"units": np.arange(6) / 2}, r"units must be whole numbers or texts.*float64"),
        ({"groups": ["a"] * 6}, r"groups must be columns by name.*got list"),
        ({"groups": {"class": ["a"] * 6}}, r"named 'class', which stands for the label"),
        ({"groups": {"age": np.arange(2)}}, r"age need the shape \(6,\), got \(2,\)"),
    ],
)
def test_records_refuse_what_cannot_be_audited_with_the_values_seen(changes, match):
    with pytest.raises(DataError, match=match):
        make_records(**changes)


def test_no_records_at_all_are_refused():
    with pytest.raises(DataError, match="0 rows"):
        Records.from_arrays(np.zeros((0, 2)), np.zeros(0, dtype=int))


def test_every_record_is_its_own_unit_unless_told_and_classes_come_from_the_labels():
    records = Records.from_arrays(INPUTS, LABELS)
    assert records.units.tolist() == records.ids.tolist() == list(range(6))
    assert records.n_classes == 3
    assert records.input_shape == (2,)
    assert isinstance(records.source, Source)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=6, unique=True))
def test_take_keeps_inputs_labels_ids_units_and_groups_in_the_order_asked(indices):
    records = make_records(origin={"name": "made"})
    if len(set(LABELS[indices])) < 2:
        with pytest.raises(DataError, match="one class only"):
            records.take(np.array(indices))
        return
    some = records.take(np.array(indices))
    assert np.array_equal(some.gather(np.arange(len(some))), INPUTS[indices])
    assert some.labels.tolist() == LABELS[indices].tolist()
    assert some.ids.tolist() == records.ids[indices].tolist()
    assert some.units.tolist() == records.units[indices].tolist()
    assert some.groups["sex"].tolist() == records.groups["sex"][indices].tolist()
    assert (some.n_classes, some.name, some.origin) == (3, "records", {"name": "made"})


def test_the_digest_of_records_changes_with_any_content():
    inputs = INPUTS.copy()
    inputs[5, 1] += 1
    changes = [
        {},
        {"source": ArraySource(values=inputs)},
        {"labels": np.array([0, 1, 2, 0, 2, 1])},
        {"n_classes": 4},
        {"ids": np.array([10, 11, 12, 13, 15, 14])},
        {"units": np.array([0, 0, 1, 1, 2, 3])},
        {"groups": {"sex": np.array(list("abcabd"))}},
        {"groups": {"age": np.array(list("abcabc"))}},
        {"groups": {}},
    ]
    assert len({make_records(**c).digest for c in changes}) == len(changes)


def test_the_digest_of_records_ignores_name_origin_and_the_width_of_labels():
    base = make_records().digest
    assert make_records(name="x", origin={"a": 1}).digest == base
    assert make_records(labels=LABELS.astype(np.uint8)).digest == base


def test_records_cannot_be_written_to():
    records = make_records()
    for array in (records.labels, records.ids, records.units, records.source.values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9


# --- Membership ---


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"inside": np.zeros((2, 6))}, r"bool\[models, records\], got float64\(2, 6\)"),
        ({"inside": np.zeros(6, bool)}, r"bool\[models, records\], got bool\(6,\)"),
        ({"roles": ("target",)}, r"2 rows of inside but 1 roles"),
        ({"units": np.arange(5)}, r"units need the shape \(6,\), got \(5,\)"),
        ({"pools": {"utility": np.arange(6)}}, r"need the name 'audit', got \['utility'\]"),
        (
            {"pools": {"audit": np.arange(4), "utility": np.array([3, 4])}},
            r"record 3 is in the pools 'audit' and 'utility'.* cannot be audited",
        ),
        ({"pools": {"audit": np.array([0, 1, 2, 2])}}, r"record 2 is in the pools 'audit' and"),
        ({"pools": {"audit": np.array([0, 6])}}, r"'audit' holds indices 0 \.\. 6, .* 6 records"),
        ({"pools": {"audit": np.array([-1, 0])}}, r"'audit' holds indices -1 \.\. 0"),
        (
            {"pools": {"audit": np.arange(3), "utility": np.array([3])}},
            r"model 1 has record 3 as a member, which is not in the pool 'audit'",
        ),
        (
            {"inside": np.array([[0] * 6, [1, 1, 0, 0, 0, 0]], bool)},
            r"model 0 has 0 members of 4 records",
        ),
        (
            {"inside": np.array([[1, 1, 1, 1, 0, 0], [0, 1, 0, 0, 0, 0]], bool)},
            r"model 0 has 4 members of 4 records",
        ),
        (
            {"units": np.array([0, 1, 1, 2, 3, 4])},
            r"1 of 3 units \(persons\) are partly in and partly out of a model, the first is 1;",
        ),
        ({"units": np.array([0, 0, 1, 1, 1, 2])}, r"pool 'audit' and in another pool"),
    ],
)
def test_membership_refuses_what_would_spoil_an_audit(changes, match):
    with pytest.raises(DataError, match=match):
        make_membership(**changes)


def test_members_and_non_members_part_the_audit_pool_for_every_model():
    who = make_membership()
    for model in range(len(who)):
        members, others = who.members(model), who.non_members(model)
        assert sorted([*members, *others]) == who.pool("audit").tolist()
    assert who.pool("utility").tolist() == [4, 5]
    assert who.pool("attack").size == 0


def test_a_given_model_counts_as_a_target():
    who = make_membership(roles=("reference", "given"))
    assert (who.targets.tolist(), who.references.tolist()) == ([1], [0])


def test_the_digest_of_a_membership_changes_with_any_content():
    flipped = make_membership().inside[::-1]
    changes = [
        {},
        {"inside": flipped},
        {"roles": ("reference", "target")},
        {"pools": {"audit": np.arange(4)}},
        {"pools": {"audit": np.arange(4), "population": np.array([4, 5])}},
        {"units": np.array([0, 0, 2, 3, 4, 5])},
        {"seed": 1},
        {"drawn": True},
    ]
    assert len({make_membership(**c).digest for c in changes}) == len(changes)


def test_the_digest_of_a_membership_ignores_the_order_within_a_pool():
    pools = {"utility": np.array([4, 5]), "audit": np.array([3, 1, 0, 2])}
    assert make_membership(pools=pools).digest == make_membership().digest


# --- Provenance, Artifact, Fleet ---


def make_artifact(**changes):
    fields = {
        "tensors": {"w": np.ones((2, 3), np.float32)},
        "builder": "Net()",
        "provenance": Provenance(key={"seed": 1}),
        "masks": {"w": np.ones((2, 3), bool)},
    }
    return Artifact(**{**fields, **changes})


def test_the_digest_of_a_provenance_reads_the_key_alone():
    base = Provenance(key={"a": 1, "b": 2})
    assert base.digest == Provenance(key={"b": 2, "a": 1}, context={"host": "x"}).digest
    assert base.digest != Provenance(key={"a": 1, "b": 3}).digest


@pytest.mark.parametrize(
    "masks", [{"w": np.ones((3, 2), bool)}, {"v": np.ones((2, 3), bool)}, {"w": np.ones(6, bool)}]
)
def test_a_mask_needs_a_tensor_of_its_name_and_shape(masks):
    with pytest.raises(InputError, match="has no tensor of that name and shape"):
        make_artifact(masks=masks)


def test_an_artifact_cannot_be_written_to_and_its_digest_covers_everything():
    with pytest.raises(ValueError, match="read-only"):
        make_artifact().tensors["w"][0, 0] = 5
    changes = [
        {},
        {"tensors": {"w": np.zeros((2, 3), np.float32)}},
        {"builder": "Other()"},
        {"provenance": Provenance(key={"seed": 2})},
        {"masks": {"w": np.zeros((2, 3), bool)}},
        {"masks": {}},
        {"history": {"r": np.ones(2)}},
        {"snapshots": {"r": np.ones(2)}},
    ]
    assert len({make_artifact(**c).digest for c in changes}) == len(changes)


def test_a_fleet_has_one_artifact_per_row_of_its_membership():
    with pytest.raises(InputError, match="1 artifacts but 2 rows of membership"):
        Fleet(artifacts=[make_artifact()], membership=make_membership())
    assert len(Fleet(artifacts=[make_artifact()] * 2, membership=make_membership())) == 2


# --- Signal, Observations, Scores, Outcomes ---


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_must_be_positive_and_finite(temperature):
    with pytest.raises(InputError, match=f"positive and finite, got {temperature}"):
        Signal(name="margin", temperature=temperature)


def test_a_signals_key_names_its_temperature_unless_it_is_one():
    assert Signal(name="loss").key == "loss"
    assert Signal(name="loss", temperature=4).key == "loss@4"
    assert Signal(name="loss", temperature=0.5).key == "loss@0.5"


@given(*[st.floats(1e-6, 1e6)] * 2)
def test_signals_of_different_temperatures_have_different_keys(a, b):
    first, second = (Signal(name="loss", temperature=t).key for t in (a, b))
    assert (first == second) == (a == b)
    near = Signal(name="loss", temperature=float(np.nextafter(a, np.inf))).key
    assert near != first


def make_observations(**changes):
    fields = {
        "views": {"dense": {"loss": np.zeros((2, 6)), "margin": np.zeros((2, 3, 6))}},
        "labels": LABELS,
        "membership": make_membership(),
        "n_classes": 3,
    }
    return Observations(**{**fields, **changes})


@pytest.mark.parametrize("shape", [(3, 6), (2, 5), (6,), (2, 1, 1, 6)])
def test_signals_of_another_shape_than_models_by_records_are_refused(shape):
    with pytest.raises(DataError, match=r"'loss' of view 'dense' has the shape \(.*expected \(2,"):
        make_observations(views={"dense": {"loss": np.zeros(shape)}})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_signals_that_are_not_finite_are_counted_and_refused(bad):
    values = np.zeros((2, 6))
    values[1, 2:4] = bad
    with pytest.raises(DataError, match=r"'loss' of view 'dense' has 2 values that are NaN"):
        make_observations(views={"dense": {"loss": values}})


def test_labels_and_the_primary_view_of_observations_are_checked():
    with pytest.raises(DataError, match=r"labels need the shape \(6,\), got \(5,\)"):
        make_observations(labels=LABELS[:5])
    with pytest.raises(InputError, match=r"no view 'pruned'; there are \['dense'\]"):
        make_observations(primary="pruned")


def test_an_unknown_view_or_signal_is_answered_with_what_there_is():
    seen = make_observations()
    assert seen.ids.tolist() == list(range(6))
    assert seen.signal(Signal(name="margin")).shape == (2, 3, 6)
    with pytest.raises(InputError, match=r"'loss@4' was not observed; .*\['loss', 'margin'\]"):
        seen.signal(Signal(name="loss", temperature=4))
    with pytest.raises(InputError, match=r"no view 'x'; there are \['dense'\]"):
        seen.signal(Signal(name="loss"), view="x")


def test_saved_signals_become_one_view_in_float64():
    values = np.arange(12, dtype=np.float32).reshape(2, 6)
    seen = Observations.from_arrays(
        {"loss": values}, labels=LABELS, membership=make_membership(), view="mine"
    )
    assert (seen.primary, seen.n_classes) == ("mine", 3)
    assert seen.signal(Signal(name="loss")).dtype == np.float64
    assert np.array_equal(seen.signal(Signal(name="loss")), values)


def test_scores_must_be_finite_only_where_they_are_evaluated():
    values = np.array([[0.0, np.nan]])
    assert Scores(values=values, evaluated=np.array([[True, False]])).threshold is None
    with pytest.raises(InputError, match="finite wherever they are evaluated"):
        Scores(values=values, evaluated=np.array([[True, True]]))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"evaluated": np.ones((1, 3), bool)}, r"one shape .* \(1, 2\) and \(1, 3\)"),
        ({"values": np.zeros(2), "evaluated": np.ones(2, bool)}, r"\[targets, records\]"),
        ({"evaluated": np.ones((1, 2))}, r"must be bool, got float64"),
        ({"threshold": np.zeros(2)}, r"one value per target \(1\), got \(2,\)"),
    ],
)
def test_scores_of_the_wrong_shape_or_type_are_refused(changes, match):
    fields = {"values": np.zeros((1, 2)), "evaluated": np.ones((1, 2), bool)}
    with pytest.raises(InputError, match=match):
        Scores(**{**fields, **changes})


def test_outcomes_need_one_column_per_budget():
    assert Outcomes(hit=np.ones((3, 2), bool), budgets=np.zeros(2)).hit.all()
    for hit, budgets in ((np.ones((3, 2), bool), 3), (np.ones((3, 2)), 2), (np.ones(2, bool), 2)):
        with pytest.raises(InputError, match=r"bool\[records, budgets\]"):
            Outcomes(hit=hit, budgets=np.zeros(budgets))


# --- Measurement, Series, Report ---


def make_row(**changes):
    fields = {"subject": "dense", "risk": "membership", "method": "LiRA()", "metric": "auc"}
    return Measurement(**{**fields, "value": 0.6, **changes})


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"value": math.nan}, "auc of dense: value is nan; use None and a status"),
        ({"high": math.inf}, "high is inf"),
        ({"low": -math.inf}, "low is -inf"),
        ({"value": None}, "status 'measured' needs a value"),
        ({"value": None, "status": "exact"}, "status 'exact' needs a value"),
        ({"value": None, "status": "not run"}, "status 'not run' needs a why"),
        ({"status": "not resolvable"}, "status 'not resolvable' needs a why"),
        ({"low": 0.7, "high": 0.8}, r"0\.6 is not within \[0\.7, 0\.8\]"),
        ({"value": 1.2}, r"a rate must be in \[0, 1\], got 1\.2"),
        ({"value": -0.1, "metric": "tpr at fpr 0.1%"}, r"a rate must be in \[0, 1\], got -0\.1"),
    ],
)
def test_a_measurement_that_says_nothing_or_too_much_is_refused(changes, match):
    with pytest.raises(InputError, match=match):
        make_row(**changes)


def test_a_paired_difference_of_rates_may_be_negative_and_other_metrics_large():
    assert make_row(value=-0.1, versus="pruned").value == -0.1
    assert make_row(metric="weights", value=61706.0).value == 61706.0
    assert make_row(value=None, status="not run", why="too few").value is None


def test_the_columns_of_a_series_have_one_length_of_at_most_500():
    fields = {"id": "a", "kind": "roc", "subject": "dense", "method": "m"}
    assert Series(**fields, columns={"x": (1.0,) * 500}).columns["x"][0] == 1.0
    for columns in ({"x": (1.0,), "y": (1.0, 2.0)}, {"x": (1.0,) * 501}):
        with pytest.raises(InputError, match="series 'a': columns need one length of at most 500"):
            Series(**fields, columns=columns)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(max_size=5)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(NAMES, PLAIN, max_size=3)


@st.composite
def rows(draw):
    low, value, high = sorted(draw(st.tuples(NUMBERS, NUMBERS, NUMBERS)))
    keep = draw(st.booleans())
    measured = draw(st.booleans())
    return Measurement(
        subject=draw(NAMES),
        risk=draw(NAMES),
        method=draw(NAMES),
        metric="loss",
        value=value if measured else None,
        low=low if keep else None,
        high=high if keep else None,
        counts=draw(st.dictionaries(NAMES, st.integers() | NUMBERS, max_size=3)),
        status="measured" if measured else "not resolvable",
        why="too few",
        group=draw(NAMES),
        versus=draw(NAMES),
    )


@st.composite
def curves(draw):
    length = draw(st.integers(0, 4))
    cells = st.lists(st.none() | NAMES | NUMBERS, min_size=length, max_size=length).map(tuple)
    columns = draw(st.dictionaries(NAMES, cells, max_size=3))
    kind = draw(NAMES)
    return Series(id=draw(NAMES), kind=kind, subject="s", method="m", columns=columns, note="é")


CONTROLS = st.builds(
    Control,
    id=NAMES,
    status=st.sampled_from(["passed", "raised", "not run"]),
    subject=NAMES,
    saw=NAMES,
    why=NAMES,
    mend=NAMES,
    value=st.none() | NUMBERS,
)
REPORTS = st.builds(
    Report,
    title=st.text(),
    rows=st.lists(rows(), max_size=3).map(tuple),
    series=st.lists(curves(), max_size=2).map(tuple),
    controls=st.lists(CONTROLS, max_size=2).map(tuple),
    provenance=st.builds(Provenance, key=OBJECTS, context=OBJECTS),
    facts=OBJECTS,
    side_files=st.dictionaries(NAMES, NAMES, max_size=2),
)


@settings(max_examples=60)
@given(REPORTS)
def test_a_report_written_as_json_and_read_again_is_the_same_report(report):
    text = canonical_json(report.to_dict())
    again = Report.from_dict(json.loads(text))
    assert again == report
    assert canonical_json(again.to_dict()) == text


def test_a_report_of_another_schema_is_refused():
    plain = Report(title="t", rows=()).to_dict()
    with pytest.raises(InputError, match="report schema '0' is not '1'"):
        Report.from_dict({**plain, "schema": "0"})


@pytest.mark.parametrize(
    "change",
    [
        {"rows": [{"subject": "dense"}]},
        {"rows": [{**Report(title="", rows=(make_row(),)).to_dict()["rows"][0], "extra": 1}]},
        {"rows": None},
        {"series": [{"id": "a"}]},
        {"series": [{"id": "a", "columns": [1]}]},
        {"provenance": {}},
    ],
)
def test_a_report_with_missing_unknown_or_misshapen_fields_is_refused(change):
    plain = Report(title="t", rows=()).to_dict()
    with pytest.raises(InputError, match="not a secateur report"):
        Report.from_dict({**plain, **change})
    without = {k: v for k, v in plain.items() if k not in change}
    with pytest.raises(InputError, match="not a secateur report"):
        Report.from_dict(without)


def test_a_report_does_not_take_a_row_that_a_measurement_refuses():
    row = replace(make_row(), value=0.5)
    plain = Report(title="t", rows=(row,)).to_dict()
    plain["rows"][0]["value"] = 2.0
    with pytest.raises(InputError, match=r"a rate must be in \[0, 1\], got 2\.0"):
        Report.from_dict(plain)


def test_units_may_be_texts_and_labels_that_begin_at_1_are_refused():
    names = np.array(["eva", "ada", "eva", "bob", "ada", "eva"])
    assert Records.from_arrays(INPUTS, LABELS, units=names).units.tolist() == [2, 0, 2, 1, 0, 2]
    objects = names.astype(object)
    assert Records.from_arrays(INPUTS, LABELS, units=objects).units.tolist() == [2, 0, 2, 1, 0, 2]
    with pytest.raises(DataError, match=r"labels begin at 1 \(1 \.\. 2\).*subtract 1"):
        Records.from_arrays(INPUTS, LABELS % 2 + 1)
