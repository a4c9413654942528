"""Hugging Face's data sets as records: their form, without the package."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import secateur
from secateur.data.handed import handed_over
from secateur.data.handed_datasets import is_hugging_face, read_columns
from secateur.errors import DataError, InputError
from secateur.own.records import as_records


class ClassLabel:
    def __init__(self, *names):
        self.names = list(names)


class Dataset:
    """As `datasets.Dataset` is read: a length, features, items that are dictionaries."""

    def __init__(self, features=(), change=dict, **columns):
        self.columns, self.change = columns, change
        self.features = {name: dict(features).get(name) for name in columns}

    def __len__(self):
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, i):
        return self.change({name: values[i] for name, values in self.columns.items()})


class Splits(dict):
    pass


class Stream:
    pass


for kind in (Dataset, Splits, Stream):
    kind.__module__ = "datasets.made"


LABELS = {"label": ClassLabel("no", "yes", "perhaps")}
TOKENS = [[1, 2, 3], [4, 5, 0], [6, 0, 0], [7, 8, 9]]


def test_numbers_become_one_row_in_the_order_of_their_columns():
    found = read_columns("it", Dataset(LABELS, b=[1, 2], label=[0, 2], a=[0.5, 1.5]))
    assert found.inputs.dtype == np.float32
    assert found.inputs.tolist() == [[1, 0.5], [2, 1.5]]
    assert found.labels.tolist() == [0, 2] and found.classes == ("no", "yes", "perhaps")


def test_tokens_stay_whole_numbers():
    found = read_columns("it", Dataset(LABELS, input_ids=TOKENS, label=[0, 1, 0, 1]))
    assert found.inputs.dtype.kind == "i" and found.inputs.tolist() == TOKENS


@pytest.mark.parametrize(
    ("mode", "shape"), [("RGB", (3, 2, 4)), ("L", (1, 2, 4)), ("RGBA", (4, 2, 4))]
)
def test_pictures_are_channels_first_and_end_at_one(mode, shape):
    white = Image.new(mode, (4, 2), "white")
    found = read_columns("it", Dataset(LABELS, image=[white], label=[0]))
    assert found.inputs.shape == (1, *shape)
    assert found.inputs.dtype == np.float32 and np.all(found.inputs == 1)


def test_pictures_keep_their_rows_and_columns():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    found = read_columns("it", Dataset(LABELS, image=[Image.fromarray(pixels)], label=[0]))
    assert np.allclose(found.inputs[0] * 255, np.moveaxis(pixels, -1, 0))


def test_its_own_transform_is_what_is_read():
    data = Dataset(
        change=lambda item: {"x": np.array(item["text"].split(), float), "label": item["label"]},
        text=["1 2", "3 4"],
        label=[0, 1],
    )
    assert read_columns("it", data).inputs.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("data", "label", "said"),
    [
        (Dataset(LABELS, text=["a", "b"], label=[0, 1]), None, "tokenise texts"),
        (Dataset(LABELS, x=[1.0, None], label=[0, 1]), None, "no value in column 'x'"),
        (Dataset(LABELS, x=[1.0, 2.0], label=[0, None]), None, "1 labels in column 'label'"),
        (Dataset(LABELS, x=[1.0, 2.0], label=[0, -1]), None, "are -1"),
        (Dataset(LABELS, x=[[1], [1, 2]], label=[0, 1]), None, "pad or cut sequences"),
        (Dataset(x=[1.0], y=[0]), None, "label='y'"),
        (Dataset(x=[1.0], y=[0]), "z", "has no column 'z'; it has x, y"),
        (Dataset(LABELS, label=[0]), None, "no column beside its labels"),
        (
            Dataset(LABELS, input_ids=TOKENS, attention_mask=TOKENS, label=[0, 1, 0, 1]),
            None,
            r"select_columns\(\['input_ids', 'label'\]\)",
        ),
        (Splits(train=Dataset(x=[1.0], label=[0])), None, r"'train' \(1 records\).*ds\['train'\]"),
        (Splits(), None, "without any split"),
        (Stream(), None, "streaming=True"),
        (Dataset(x=[], label=[]), None, "is empty"),
    ],
)
def test_what_cannot_be_read_says_how_to_mend_it(data, label, said):
    with pytest.raises((DataError, InputError), match=said):
        read_columns("members", data, label=label)


def test_a_random_transform_is_refused():
    rng = np.random.default_rng(0)
    data = Dataset(change=lambda item: {**item, "x": rng.normal(size=3)}, x=[0] * 4, label=[0] * 4)
    with pytest.raises(DataError, match="its transform is random"):
        read_columns("members", data)


def test_members_and_non_members_are_audited_as_arrays_are():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)).astype(np.float32), np.arange(40) % 3
    sides = [Dataset(LABELS, x=list(x[s]), label=y[s].tolist()) for s in (slice(20), slice(20, 40))]
    ours, plain = handed_over(*sides), handed_over((x[:20], y[:20]), (x[20:], y[20:]))
    assert np.array_equal(ours.inputs, plain.inputs) and np.array_equal(ours.labels, plain.labels)
    assert np.array_equal(ours.inside, plain.inside)


def test_a_recipe_counts_classes_that_no_record_shows_and_numbers_texts():
    seen = as_records(Dataset(LABELS, x=[[1.0], [2.0]], label=[0, 1]))
    assert seen.n_classes == 3 and seen.input_shape == (1,)
    texts = as_records(Dataset(x=[[1.0], [2.0]], kind=["b", "a"]), label="kind")
    assert texts.labels.tolist() == [1, 0]
    with pytest.raises(DataError, match="to_pandas"):
        as_records(Dataset(LABELS, x=[[1.0]], label=[0]), unit="x")


def test_other_values_are_not_taken_for_its_data_sets():
    assert is_hugging_face(Dataset(x=[1])) and not is_hugging_face({"x": [1]})
    with pytest.raises(InputError, match="Hugging Face Dataset"):
        handed_over(3, 4)


@pytest.mark.parametrize("made", [Splits, dict], ids=["DatasetDict", "dict"])
def test_splits_are_named_with_their_sizes_and_the_call_that_takes_two_of_them(made):
    one, two = Dataset(LABELS, x=[1.0, 2.0], label=[0, 1]), Dataset(LABELS, x=[3.0], label=[0])
    splits = made(validation=two, test=two, train=one)
    mend = r"'train' \(2 records\); give .*members=ds\['train'\], non_members=ds\['test'\]"
    for call in (
        lambda: handed_over(splits, two),
        lambda: handed_over(splits, two, label="label"),
        lambda: as_records(splits),
        lambda: secateur.audit(splits),
    ):
        with pytest.raises(InputError, match=mend):
            call()
    with pytest.raises(InputError, match=r"such as ds\['a'\]$"):
        as_records(made(a=one))
