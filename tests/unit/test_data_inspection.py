"""What `secateur data check` sees: counts that add up, and twins that a slow search finds too."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import secateur
from secateur.data import DataFile, DataSet, digits, planted_records
from secateur.data import twins as twins_module
from secateur.data.inspection import inspect_records
from secateur.data.twins import NEAR, Nearest, blocks_of, content_keys, nearly_equal
from secateur.errors import DataError, InputError
from secateur.measure import near_duplicates_control
from secateur.types import AUDIT, ByteSource, Membership, Records


def made(inputs: np.ndarray, **changes) -> Records:
    labels = changes.pop("labels", np.arange(len(inputs)) % 2)
    return Records.from_arrays(inputs.astype(np.float32), labels, **changes)


def slow_nearest(records: Records, i: int) -> tuple[float, set[int]]:
    """Return the distance to the nearest other record, and which ones are that near."""
    x = records.gather(np.arange(len(records))).reshape(len(records), -1).astype(np.float64)
    distances = np.sqrt(((x - x[i]) ** 2).sum(axis=1))
    distances[i] = np.inf
    return distances.min(), set(np.flatnonzero(distances == distances.min()).tolist())


def slow_equal(records: Records, parts: np.ndarray | None = None) -> dict:
    """Compare all with all."""
    n = len(records)
    x = records.gather(np.arange(n)).reshape(n, -1)
    same = (x[:, None] == x[None]).all(axis=2)
    other = same & ~np.eye(n, dtype=bool)
    sets = {tuple(np.flatnonzero(row).tolist()) for row in same if row.sum() > 1}
    parts = np.full(n, "all") if parts is None else parts
    return {
        "records": int(other.any(axis=1).sum()),
        "sets": len(sets),
        "other_labels": sum(len(set(records.labels[list(s)])) > 1 for s in sets),
        "other_units": int(
            (other & (records.units[:, None] != records.units[None])).any(axis=1).sum()
        ),
        "across": {
            (a, b): int(other[np.ix_(parts == a, parts == b)].any(axis=1).sum())
            for a in sorted(set(parts))
            for b in sorted(set(parts))
        },
    }


# -- counts -----------------------------------------------------------------------------------


def test_classes_groups_units_and_values_are_counted():
    inputs = np.linspace(-2, 3, 24).reshape(6, 2, 2)
    records = made(
        inputs,
        labels=np.array([0, 2, 2, 2, 0, 2]),
        n_classes=4,
        name="six",
        units=np.array([7, 7, 7, 8, 8, 9]),
        groups={
            "sex": np.array(["f", "m", "f", "f", "m", "f"]),
            "age": np.array([3, 3, 1, 1, 1, 1]),
        },
    )
    seen = inspect_records(records, parts=np.array(["a", "a", "b", "b", "b", "b"]))
    assert (seen.name, seen.records, seen.input_shape) == ("six", 6, (2, 2))
    assert seen.classes == (2, 0, 4, 0)
    assert seen.majority == pytest.approx(4 / 6)
    assert seen.values == (-2.0, 3.0)
    assert seen.digest == records.digest
    assert seen.groups == {"sex": {"f": 4, "m": 2}, "age": {"1": 4, "3": 2}}
    assert seen.parts == {"a": 2, "b": 4}
    assert (seen.units, seen.shared_units, seen.most_per_unit) == (3, 2, 3)
    assert seen.equal.records == seen.near.records == 0


def test_pictures_kept_as_bytes_are_seen_as_their_values():
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    records = Records(source=ByteSource(values=values), labels=np.array([0, 1, 0]), n_classes=2)
    assert inspect_records(records).values == (0.0, pytest.approx(220 / 255))


@pytest.mark.parametrize("sample", [0, -1, 121])
def test_a_sample_beyond_the_records_is_refused(sample):
    with pytest.raises(InputError, match=rf"must be in 1 \.\. 120 \(all records\), got {sample}"):
        inspect_records(planted_records(120, seed=0), sample=sample)


def test_parts_of_another_length_are_refused():
    with pytest.raises(InputError, match=r"parts need the shape \(120,\) .* got \(119,\)"):
        inspect_records(planted_records(120, seed=0), parts=np.full(119, "a"))


def test_progress_ends_with_all_records(monkeypatch):
    monkeypatch.setattr(twins_module, "BLOCK_BYTES", 4 * 10 * 50)
    told = []
    inspect_records(planted_records(120, seed=0), progress=lambda *now: told.append(now))
    assert told == [(n, 120, "inspection") for n in (0, 50, 100, 120)]


# -- equal records ----------------------------------------------------------------------------


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 40), kinds=st.integers(2, 30))
def test_equal_records_are_those_that_a_comparison_of_all_with_all_finds(seed, n, kinds):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(kinds, 3))[rng.integers(0, kinds, n)]
    labels = np.concatenate([[0, 1], rng.integers(0, 2, n - 2)])
    records = made(inputs, labels=labels, units=rng.integers(0, max(1, n // 2), n))
    parts = rng.choice(["test", "train"], n)
    parts[:2] = ["test", "train"]
    found = inspect_records(records, parts=parts).equal
    assert {k: getattr(found, k) for k in slow_equal(records)} == slow_equal(records, parts)


def test_twins_are_found_across_blocks(monkeypatch):
    inputs = np.random.default_rng(0).normal(size=(120, 5))
    inputs[119] = inputs[0]
    monkeypatch.setattr(twins_module, "BLOCK_BYTES", 4 * 5 * 7)
    seen = inspect_records(made(inputs, units=np.zeros(120, int)))
    assert (seen.equal.records, seen.equal.sets, seen.equal.other_units) == (2, 1, 0)
    assert seen.equal.other_labels == 1


def test_minus_zero_equals_zero_and_the_smallest_change_does_not():
    inputs = np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, np.nextafter(np.float32(1), 2)], [5, 5]])
    keys = content_keys(inputs.astype(np.float32))
    assert keys[0] == keys[1] != keys[2]
    assert inspect_records(made(inputs)).equal.records == 2


def test_blocks_hold_every_record_once_and_stay_within_their_bounds(monkeypatch):
    monkeypatch.setattr(twins_module, "BLOCK_BYTES", 4 * 10 * 33)
    records = planted_records(120, seed=0)
    blocks = list(blocks_of(records))
    assert [start for start, _ in blocks] == [0, 33, 66, 99]
    assert np.array_equal(
        np.concatenate([b for _, b in blocks]), records.gather(np.arange(120)).reshape(120, -1)
    )
    monkeypatch.setattr(twins_module, "BLOCK_CELLS", 1000)
    assert max(len(b) for _, b in blocks_of(records, beside=50)) == 20
    assert {len(b) for _, b in blocks_of(records, beside=10**9)} == {1}


# -- nearly equal records -----------------------------------------------------------------------


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(3, 60),
    rows=st.integers(1, 40),
    far=st.sampled_from([0.0, 3.0, 100.0]),
)
def test_the_nearest_other_record_is_that_of_a_slow_search(seed, n, rows, far):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, 6)) + far  # far from zero, products of float32 are rough
    inputs[rng.integers(0, n, n // 3)] = inputs[0] + 1e-4
    records = made(inputs)
    chosen = np.sort(rng.choice(n, size=int(rng.integers(1, n + 1)), replace=False))
    search = Nearest(records, chosen)
    everything = records.gather(np.arange(n))
    for start in range(0, n, rows):
        search.add(start, everything[start : start + rows])
    distances, who = search.nearest
    for i, distance, other in zip(chosen.tolist(), distances, who.tolist(), strict=True):
        best, all_best = slow_nearest(records, i)
        assert other != i
        assert distance == pytest.approx(best, rel=1e-4 if far == 100 else 1e-6, abs=1e-4 * far)
        if len(all_best) == 1 and far == 0:
            assert other in all_best


def test_a_near_twin_is_found_where_float32_products_cannot_tell_it():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(400, 50)).astype(np.float32) + 100
    inputs[7] = inputs[300] + np.float32(1e-4)
    seen = inspect_records(made(inputs, units=np.arange(400) // 2), sample=400)
    assert seen.equal.records == 0
    assert (seen.near.records, seen.near.other_units) == (2, 2)


def test_the_criterion_is_that_of_the_audits_control():
    records = planted_records(200, seed=0)
    inputs = np.array(records.gather(np.arange(200)))
    inputs[:20] = inputs[20:40]
    inputs[40:50] = inputs[50:60] * (1 + 1e-5)
    inputs[60:70] = inputs[70:80] * 1.2
    records = Records.from_arrays(inputs, records.labels, n_classes=2)
    inside = np.random.default_rng(0).random((3, 200)) < 0.5
    who = Membership(
        inside=inside,
        roles=np.array(["target", "reference", "reference"]),
        pools={AUDIT: np.arange(200)},
        units=np.arange(200),
        seed=0,
    )
    control = near_duplicates_control(records, who)
    seen = inspect_records(records, sample=200)
    assert (seen.equal.records, seen.near.records) == (40, 20)
    assert control.saw.startswith("60 of 200 records")


def test_near_is_a_thousandth_of_the_median():
    distances = np.array([2.0, 2.0, 2.0, 2.0 * NEAR, 2.0 * NEAR * 1.001, 0.0, 9.0])
    assert nearly_equal(distances).tolist() == [False, False, False, True, False, True, False]


def test_near_twins_are_counted_by_unit_and_across_parts():
    inputs = np.random.default_rng(0).normal(size=(100, 8))
    inputs[60] = inputs[0] + 1e-6  # train and test
    inputs[61] = inputs[62] + 1e-6  # both test, one unit
    units = np.arange(100)
    units[61] = 62
    parts = np.repeat(["train", "test"], 50)
    near = inspect_records(made(inputs, units=units), parts=parts, sample=100).near
    assert (near.records, near.other_units, near.sample) == (4, 2, 100)
    assert near.across == {
        ("test", "test"): 2,
        ("test", "train"): 1,
        ("train", "test"): 1,
        ("train", "train"): 0,
    }


def test_a_seed_draws_the_same_sample_and_another_a_different_one():
    records = planted_records(300, seed=0)
    first, again, other = (
        inspect_records(records, sample=20, seed=s).near.typical for s in (0, 0, 1)
    )
    assert first == again != other


def test_the_default_sample_shrinks_where_the_search_would_take_long(monkeypatch):
    records = planted_records(300, seed=0)
    assert inspect_records(records).near.sample == 300
    monkeypatch.setattr("secateur.data.inspection.MOST_WORK", 300 * 10 * 40)
    assert inspect_records(records).near.sample == 40
    assert inspect_records(records, sample=200).near.sample == 200
    monkeypatch.setattr("secateur.data.inspection.MOST_WORK", 1)
    assert inspect_records(records).near.sample == 1


def test_two_records_are_enough():
    seen = inspect_records(made(np.array([[0.0], [1.0]])))
    assert (seen.near.sample, seen.near.typical, seen.equal.records) == (2, 1.0, 0)


# -- over the command line ------------------------------------------------------------------------


@pytest.fixture
def known(monkeypatch):
    """Make records a data set of the command line."""

    def knows(records: Records, **changes) -> None:
        facts = {"name": "made", "about": "numbers", "origin": "ask", "read": lambda _: records}
        data_set = DataSet(**{**facts, **changes})
        monkeypatch.setattr("secateur.data.named.DATA_SETS", (data_set,))

    return knows


def test_check_shows_digits():
    done = secateur("data", "check", "digits", "--sample", "100")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "records: 1,797",
        "input: 1 x 8 x 8, values 0 .. 1",
        f"digest: {digits().digest}",
        "classes: 10; 0=178, 1=182, 2=177, 3=183, 4=181, 5=182, 6=181, 7=179, 8=174, 9=180",
        "largest class: 3, 10.2% of the records",
        "units: 1,797, each with one record",
        "equal records: none among all 1,797",
        *done.out.splitlines()[7:],
    ]
    assert "nearly equal records: 0 of a sample of 100, 0 with a twin of another unit" in done.out
    assert "looking for duplicates: 1797 of 1797" in done.err


def test_check_shows_groups_units_parts_and_twins(known):
    inputs = np.random.default_rng(0).normal(size=(60, 4))
    inputs[50] = inputs[0]
    inputs[1] = inputs[2] + 1e-6
    units = np.arange(60)
    units[[3, 4]] = 5
    column = np.arange(60) % 25
    records = made(inputs, units=units, groups={"town": column, "sex": np.repeat(["f", "m"], 30)})
    known(records, parts=(("train", 40), ("test", 20)), n_records=60)
    done = secateur("data", "check", "made")
    assert done.code == 0, done.err
    text = re.sub(r"\n  +", " ", done.out)
    assert "group sex: f=30, m=30\n" in text
    assert "group town: 0=3, 1=3, 2=3" in text and ", and 5 values more\n" in text
    assert "parts: train=40, test=20\n" in text
    assert "units: 58, of which 1 own more than one record (at most 3)\n" in text
    assert (
        "equal records: 2 of 60 (3.33%) equal another one, in 1 sets; 0 sets hold different labels;"
        " 2 of these records have a twin of another unit"
    ) in text
    assert "equal records of test with a twin in train: 1 of 20" in text
    assert "equal records within train: 0 of 40" in text
    assert "nearly equal records: 2 of a sample of 60, 2 with a twin of another unit" in text
    assert "nearly equal records within train: 2" in text


def test_a_column_that_names_parts_is_shown_as_parts(known):
    inputs = np.random.default_rng(0).normal(size=(30, 4))
    inputs[29] = inputs[0]
    known(made(inputs, groups={"part": np.repeat(["train", "val"], [20, 10])}))
    done = secateur("data", "check", "made")
    assert done.code == 0, done.err
    assert "parts: train=20, val=10\n" in done.out and "group part" not in done.out
    assert "equal records of val with a twin in train: 1 of 10" in done.out


def test_check_says_whether_the_files_are_the_published_ones(known, tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"abd")
    md5 = "md5:900150983cd24fb0d6963f7d28e17f72"
    files = tuple(DataFile(path=p, checksum=md5) for p in ("a", "b", "gone"))
    known(planted_records(30, seed=0), files=(*files, DataFile(path="a")))
    done = secateur("data", "check", "made", "--data-dir", tmp_path)
    assert done.code == 0, done.err
    assert done.out.splitlines()[:3] == [
        f"file: {tmp_path}/a: as published (MD5)",
        f"file: {tmp_path}/b: not the published bytes (MD5)",
        "records: 30",
    ]


def test_check_of_other_records_than_the_published_parts_shows_no_parts(known):
    known(planted_records(30, seed=0), parts=(("train", 20), ("test", 11)))
    done = secateur("data", "check", "made")
    assert done.code == 0 and "parts" not in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnits"], "did you mean 'mnist'?"),
        (["mnist"], "give --data-dir or set SECATEUR_DATA"),
        (["mnist", "--data-dir", "nowhere"], "mnist needs train-images-idx3-ubyte: no file at any"),
        (["digits", "--sample", "0"], "--sample"),
        (["digits", "--sample", "1798"], "the sample must be in 1 .. 1797 (all records), got 1798"),
    ],
)
def test_a_check_that_cannot_be_done_ends_with_exit_code_2_and_the_reason(arguments, message):
    done = secateur("data", "check", *arguments)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""


def test_values_that_are_no_numbers_do_not_pass_as_a_range(known):
    records = planted_records(30, seed=0)
    values = np.array(records.source.values)
    values[3, 2] = np.nan

    class Lazy:
        shape = values.shape

        def gather(self, indices):
            return values[indices]

        def digest(self):
            return "x"

    known(replace(records, source=Lazy()))
    with pytest.raises(DataError, match="index 3"):
        inspect_records(replace(records, source=Lazy()))
    done = secateur("data", "check", "made")
    assert done.code == 2 and "NaN or infinite" in done.err
