"""Records as people have them are read by one reader, which says a fault in the same words."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

from secateur.data.handed import handed_over
from secateur.errors import InputError
from secateur.own import as_records

X = np.arange(12, dtype=np.float32).reshape(6, 2)
Y = np.array([0, 1, 1, 0, 1, 0])
TABLE = pandas.DataFrame({"a": X[:, 0], "town": list("babcab"), "y": Y})


class Items:
    """A data set of these pairs."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        return self.pairs[i]


def by_recipe(found, label="y"):
    """Read as a recipe file's records()."""
    return as_records(found, label=label if isinstance(found, pandas.DataFrame) else None)


def by_audit(found, label="y"):
    """Read as the members of an audit."""
    other = found if isinstance(found, pandas.DataFrame) else (X + 100, Y)
    return handed_over(found, other, label=label if other is found else None)


BAD = {
    "three arrays": ((X, Y, Y), "got tuple of 3"),
    "a tensor's worth of numbers": (X, r"got ndarray of shape \(6, 2\)"),
    "rows of two lengths": (([[1.0], [2.0, 3.0]], [0, 1]), "give all records one shape"),
    "texts as inputs": ((X.astype(str), Y), "inputs are of type"),
    "one number": ((3.0, [0]), "inputs are the one number"),
    "one-hot labels": ((X, np.eye(2)[Y]), r"look one-hot; give class numbers: labels.argmax\(1\)"),
    "fewer labels": ((X, Y[:-1]), "6 inputs, but 5 labels"),
    "no items": (Items([]), "is empty"),
    "no pairs": (Items([X[0], X[1]]), r"item 0 of the data set is ndarray of shape \(2,\)"),
    "pictures without a transform": (Items([(object(), 1)]), "ToTensor"),
    "items of two shapes": (Items([(X[0], 0), (X[0][:1], 1)]), r"item 1 has the shape \(1,\)"),
    "labels of two shapes": (Items([(X[0], 0), (X[1], [1])]), "labels of different shapes"),
    "no such column": (TABLE.rename(columns={"y": "z"}), "there 0 times; the columns are a, town"),
    "two columns of labels": (pandas.concat([TABLE, TABLE[["y"]]], axis=1), "there 2 times"),
    "labels alone": (TABLE[["y"]], "no column to learn from"),
    "labels that are missing": (TABLE.assign(y=["n", None] * 3), "3 of 6 labels"),
}


@pytest.mark.parametrize("read", [by_recipe, by_audit])
@pytest.mark.parametrize("name", BAD)
def test_both_faces_refuse_the_same_records_in_the_same_words(name, read):
    found, message = BAD[name]
    with pytest.raises(InputError, match=message):
        read(found)


def test_both_faces_read_the_same_columns():
    recipe = by_recipe(TABLE).gather(np.arange(6))
    audit = handed_over(TABLE, TABLE.assign(a=TABLE["a"] + 100), label="y")
    assert [c.values for c in audit.columns] == [(), ("a", "b", "c")]
    assert np.array_equal(recipe[:, 0], audit.inputs[:6, 0])
    assert np.array_equal(recipe[:, 1:].argmax(1), audit.inputs[:6, 1])


def test_labels_in_one_column_are_mended_by_taking_it_and_not_by_argmax():
    with pytest.raises(InputError, match=r"give labels\[:, 0\]"):
        as_records((X, Y[:, None]))
    assert np.array_equal(handed_over((X, Y[:, None]), (X + 100, Y)).labels[:6], Y)


def test_columns_of_one_name_are_refused_and_none_is_lost():
    double = pandas.concat([TABLE, TABLE[["a"]] + 1], axis=1)
    with pytest.raises(InputError, match="columns of one name: a;"):
        by_audit(double)


def test_values_that_are_no_numbers_do_not_pass_for_a_random_transform():
    gaps = np.where(X == 4, np.nan, X)
    pairs = Items(list(zip(gaps, Y, strict=True)))
    assert np.isnan(handed_over(pairs, (X + 100, Y)).inputs[:6]).sum() == 1
