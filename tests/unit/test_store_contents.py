"""What is written is what is read: artifacts, memberships, observations, scores, reports."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from secateur import store
from secateur.errors import StoreError
from secateur.types import (
    Artifact,
    Control,
    Measurement,
    Membership,
    Observations,
    Provenance,
    Report,
    Scores,
    Series,
)

DTYPES = ["bool", "int8", "uint8", "int32", "int64", "float16", "float32", "float64"]
NAME = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ARRAY = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAME,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=8,
)
few = settings(max_examples=40, deadline=None)


def through(what, value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        getattr(store, f"write_{what}")(path, value)
        return getattr(store, f"read_{what}")(path)


def same(a, b):
    assert set(a) == set(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].shape == b[name].shape
        assert a[name].tobytes() == b[name].tobytes()  # bytes, so that NaN equals NaN


@few
@given(
    tensors=st.dictionaries(NAME, ARRAY, max_size=4),
    history=st.dictionaries(NAME, ARRAY, max_size=2),
    snapshots=st.dictionaries(NAME, ARRAY, max_size=2),
    key=st.dictionaries(NAME, JSON, max_size=4),
    builder=NAME,
)
def test_an_artifact_comes_back_with_every_bit_and_without_its_context(
    tensors, history, snapshots, key, builder
):
    masks = {name: np.ones(a.shape, dtype=bool) for name, a in list(tensors.items())[:1]}
    made = Artifact(
        tensors=tensors,
        masks=masks,
        history=history,
        snapshots=snapshots,
        builder=builder,
        provenance=Provenance(key=key, context={"seconds": 3.5}),
    )
    found = through("artifact", made)
    assert found.digest == made.digest
    assert found.builder == builder
    assert dict(found.provenance.key) == key
    assert found.provenance.context == {}
    for part in ("tensors", "masks", "history", "snapshots"):
        same(getattr(found, part), getattr(made, part))


def artifact(array, key=None, context=None):
    return Artifact(
        tensors={"w": array},
        builder="",
        provenance=Provenance(key=key or {}, context=context or {}),
    )


def test_context_and_memory_layout_do_not_change_the_bytes(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    store.write_artifact(tmp_path / "a", artifact(array, context={"time": 1}))
    store.write_artifact(tmp_path / "b", artifact(np.asfortranarray(array), context={"time": 2}))
    store.write_artifact(tmp_path / "c", artifact(np.repeat(array, 2, axis=1)[:, ::2]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()
    np.testing.assert_array_equal(store.read_artifact(tmp_path / "c").tensors["w"], array)


@pytest.mark.parametrize("dtype", ["complex64", "U3", ">f4", object])
def test_an_array_that_the_format_cannot_hold_is_refused_by_name(tmp_path, dtype):
    with pytest.raises(StoreError, match=r"array 'tensors/w' has the dtype .*convert it"):
        store.write_artifact(tmp_path / "a", artifact(np.zeros(3).astype(dtype)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ({"layers": {10: 1, 9: 2}}, "changes when it is read back"),
        ({"rate": float("nan")}, "not plain JSON"),
        ({"when": object()}, "not plain JSON"),
    ],
)
def test_a_provenance_key_that_json_would_change_is_refused(tmp_path, key, why):
    with pytest.raises(StoreError, match=why):
        store.write_artifact(tmp_path / "a", artifact(np.zeros(3), key=key))


@st.composite
def memberships(draw):
    audit, others = draw(st.integers(2, 6)), draw(st.integers(0, 3))
    models = draw(st.integers(1, 4))
    inside = np.zeros((models, audit + others), dtype=bool)
    for m in range(models):
        inside[m, draw(st.integers(0, audit - 1))] = True
    extra = draw(NAME.filter(lambda name: name != "audit"))
    drawn = draw(st.booleans())
    return Membership(
        inside=inside,
        roles=tuple(draw(st.sampled_from(["target", "reference", "given"])) for _ in range(models)),
        pools={"audit": np.arange(audit), extra: np.arange(audit, audit + others)},
        units=np.arange(audit + others),
        seed=draw(st.integers(0, 2**62)),
        drawn=drawn,
        share=draw(st.none() | st.floats(0.01, 0.99)) if drawn else None,
    )


@few
@given(made=memberships())
def test_a_membership_comes_back_equal(made):
    found = through("membership", made)
    assert found.digest == made.digest
    assert (found.roles, found.seed, found.drawn) == (made.roles, made.seed, made.drawn)
    assert found.share == made.share
    same(found.pools, made.pools)
    np.testing.assert_array_equal(found.inside, made.inside)


@few
@given(
    membership=memberships(),
    names=st.lists(st.tuples(NAME, NAME), min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 99),
)
def test_observations_come_back_equal_whatever_their_names(membership, names, seed):
    rng = np.random.default_rng(seed)
    models, records = membership.inside.shape
    views: dict[str, dict[str, np.ndarray]] = {}
    for i, (view, key) in enumerate(names):
        shape = (models, 2, records) if i % 2 else (models, records)
        views.setdefault(view, {})[key] = rng.normal(size=shape).astype(np.float32)
    made = Observations(
        views=views,
        labels=rng.integers(0, 3, records),
        membership=membership,
        n_classes=3,
        primary=names[-1][0],
        posteriors={names[0][0]: rng.random((len(membership.targets), records, 3))},
        ids=np.arange(records) + 7,
    )
    found = through("observations", made)
    assert list(found.views) == list(made.views)
    assert found.primary == made.primary
    assert found.n_classes == 3
    assert found.membership.digest == membership.digest
    for view in views:
        same(found.views[view], made.views[view])
    same(found.posteriors, made.posteriors)
    np.testing.assert_array_equal(found.labels, made.labels)
    np.testing.assert_array_equal(found.ids, made.ids)


@pytest.mark.parametrize("threshold", [None, np.array([0.5, -1.0])])
def test_scores_come_back_equal_also_where_they_are_not_evaluated(threshold):
    values = np.array([[0.1, np.nan, 3.0], [-np.inf, 2.0, 1e-300]])
    made = Scores(values=values, evaluated=np.isfinite(values), threshold=threshold)
    found = through("scores", made)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.evaluated, made.evaluated)
    if threshold is None:
        assert found.threshold is None
    else:
        np.testing.assert_array_equal(found.threshold, threshold)


def report():
    row = Measurement(
        subject="pruned 10x",
        risk="membership",
        method="LiRA(variance='shrunk')",
        metric="auc",
        value=0.1 + 0.2,
        low=0.25,
        high=1 / 3,
        interval="t over targets",
        counts={"targets": 8},
    )
    curve = Series(
        id="roc",
        kind="roc",
        subject="dense",
        method="x",
        columns={"fpr": (0.0, None), "n": ("a", 2)},
    )
    control = Control(id="null", status="passed", subject="dense", saw="é", why="w", mend="m")
    return Report(
        title="Größe",
        rows=(row,),
        series=(curve,),
        controls=(control,),
        provenance=Provenance(key={"seed": 1}, context={"time": "now"}),
        facts={"pools": {"audit": 4}},
        side_files={"scores.npz": "ab"},
    )


def test_a_report_comes_back_equal_and_its_file_is_sorted_indented_json(tmp_path):
    store.write_report(tmp_path / "r.json", report())
    assert store.read_report(tmp_path / "r.json") == report()
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert text == json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert len(content["digest"]) == 64
    assert content["title"] == "Größe"


def test_a_report_of_another_schema_is_refused_with_both_versions(tmp_path):
    content = {**report().to_dict(), "schema": "999"}
    store.write_document(tmp_path / "r.json", content)
    with pytest.raises(StoreError, match=r"r\.json: report schema '999' is not '1'"):
        store.read_report(tmp_path / "r.json")


def test_a_document_that_is_not_plain_json_is_refused(tmp_path):
    with pytest.raises(StoreError, match="cannot be written as JSON"):
        store.write_document(tmp_path / "d.json", {"x": float("inf")})
    assert list(tmp_path.iterdir()) == []


def test_numpy_alone_can_read_the_arrays_of_our_npz_files(tmp_path):
    values = np.array([[0.25, 0.5]])
    made = Scores(values=values, evaluated=np.ones((1, 2), dtype=bool))
    store.write_scores(tmp_path / "s.npz", made)
    with np.load(tmp_path / "s.npz") as file:
        np.testing.assert_array_equal(file["values"], values)
        assert json.loads(file["__meta__"])["format"] == "secateur-scores-1"
