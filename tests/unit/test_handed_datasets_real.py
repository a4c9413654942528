"""Hugging Face's own data sets, made on the spot, as records and under an audit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import secateur
from secateur.data.handed_datasets import read_columns
from secateur.errors import DataError, InputError
from secateur.own.records import as_records

pytestmark = pytest.mark.datasets
N = 60
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
LABELS = (np.arange(N) % 3).tolist()


@pytest.fixture(scope="module")
def hf():
    import datasets

    return datasets


def features(hf, **columns):
    return hf.Features(label=hf.ClassLabel(names=["a", "b", "c"]), **columns)


def test_pictures_are_read_as_they_were_put_in(hf):
    columns = {"image": [Image.fromarray(p) for p in PIXELS], "label": LABELS}
    data = hf.Dataset.from_dict(columns, features=features(hf, image=hf.Image()))
    found = read_columns("members", data)
    assert np.allclose(found.inputs * 255, np.moveaxis(PIXELS, -1, 1), atol=1e-4)
    assert found.labels.tolist() == LABELS and found.classes == ("a", "b", "c")
    assert as_records(data).input_shape == (3, 8, 8)


@pytest.mark.parametrize("form", [None, "numpy", "torch"])
def test_tokens_and_numbers_are_read_in_every_format(hf, form):
    tokens = RNG.integers(0, 9, (N, 5))
    ids = hf.List(hf.Value("int64")) if hasattr(hf, "List") else hf.Sequence(hf.Value("int64"))
    data = hf.Dataset.from_dict(
        {"input_ids": tokens.tolist(), "label": LABELS}, features=features(hf, input_ids=ids)
    ).with_format(form)
    found = read_columns("members", data)
    assert np.array_equal(found.inputs, tokens) and found.labels.tolist() == LABELS
    table = hf.Dataset.from_dict(
        {"a": tokens[:, 0].tolist(), "b": tokens[:, 1].tolist(), "y": LABELS}
    ).with_format(form)
    assert np.array_equal(read_columns("members", table, label="y").inputs, tokens[:, :2])


def test_an_audit_of_its_data_sets_is_the_audit_of_their_arrays(hf):
    import torch

    x = RNG.normal(size=(2 * N, 4)).astype(np.float32)
    y = np.arange(2 * N) % 3
    net = torch.nn.Linear(4, 3)
    sides = [
        hf.Dataset.from_dict({"x": x[s].tolist(), "label": y[s].tolist()}).with_format("numpy")
        for s in (slice(N), slice(N, None))
    ]
    ours = secateur.audit(net, members=sides[0], non_members=sides[1], seed=0)
    arrays = secateur.audit(net, members=(x[:N], y[:N]), non_members=(x[N:], y[N:]), seed=0)
    assert ours.rows == arrays.rows


def test_a_transform_is_used_and_other_forms_are_refused(hf):
    data = hf.Dataset.from_dict({"text": ["1 2", "3 4"], "label": [0, 1]})
    with pytest.raises(DataError, match="tokenise texts"):
        read_columns("members", data)
    numbers = data.with_transform(
        lambda batch: {
            "x": [np.array(t.split(), float) for t in batch["text"]],
            "label": batch["label"],
        }
    )
    assert read_columns("members", numbers).inputs.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(InputError, match=r"ds\['train'\]"):
        read_columns("members", hf.DatasetDict(train=data))
    with pytest.raises(InputError, match="streaming=True"):
        read_columns("members", data.to_iterable_dataset())


def test_a_dataset_dict_is_refused_by_the_names_of_its_splits(hf):
    one = hf.Dataset.from_dict({"x": [1.0, 2.0], "label": [0, 1]})
    splits = hf.DatasetDict(train=one, test=one)
    for call in (lambda: read_columns("members", splits), lambda: as_records(splits)):
        with pytest.raises(InputError, match=r"'train' \(2 records\).*non_members=ds\['test'\]"):
            call()
