"""UCI Adult: who earns more than 50,000 dollars a year, from the US census of 1994."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from secateur.data.bounded import refuse_other_content, unpacked
from secateur.data.dataset import DataFile, DataSet, find_file, mended_by, put_into
from secateur.errors import DataFileError
from secateur.types import Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ADULT", "CATEGORIES", "FEATURES", "NUMERIC", "adult"]

# The columns of a line, in its order: numbers, and words with the values that they take. `?` says
# that the value is missing, and is a value of its own. `fnlwgt` is read but is no feature: it says
# how many people of the population a record stands for, and nothing about the person.
NUMERIC = ("age", "education-num", "capital-gain", "capital-loss", "hours-per-week")
_WORDS = {
    "workclass": (
        "? Federal-gov Local-gov Never-worked Private Self-emp-inc Self-emp-not-inc State-gov "
        "Without-pay"
    ),
    "education": (
        "10th 11th 12th 1st-4th 5th-6th 7th-8th 9th Assoc-acdm Assoc-voc Bachelors Doctorate "
        "HS-grad Masters Preschool Prof-school Some-college"
    ),
    "marital-status": (
        "Divorced Married-AF-spouse Married-civ-spouse Married-spouse-absent Never-married "
        "Separated Widowed"
    ),
    "occupation": (
        "? Adm-clerical Armed-Forces Craft-repair Exec-managerial Farming-fishing "
        "Handlers-cleaners Machine-op-inspct Other-service Priv-house-serv Prof-specialty "
        "Protective-serv Sales Tech-support Transport-moving"
    ),
    "relationship": "Husband Not-in-family Other-relative Own-child Unmarried Wife",
    "race": "Amer-Indian-Eskimo Asian-Pac-Islander Black Other White",
    "sex": "Female Male",
    "native-country": (
        "? Cambodia Canada China Columbia Cuba Dominican-Republic Ecuador El-Salvador England "
        "France Germany Greece Guatemala Haiti Holand-Netherlands Honduras Hong Hungary India "
        "Iran Ireland Italy Jamaica Japan Laos Mexico Nicaragua Outlying-US(Guam-USVI-etc) Peru "
        "Philippines Poland Portugal Puerto-Rico Scotland South Taiwan Thailand Trinadad&Tobago "
        "United-States Vietnam Yugoslavia"
    ),
}
CATEGORIES = {name: tuple(words.split()) for name, words in _WORDS.items()}
COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation"),
    *("relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week"),
    *("native-country", "income"),
)
LABELS = ("<=50K", ">50K")
# What each input stands for, in its order: the numbers, then one input for each value of the words
FEATURES = (*NUMERIC, *(f"{c}={value}" for c, values in CATEGORIES.items() for value in values))

PARTS = {"adult.data": "train", "adult.test": "test"}
LABEL_ENDS = {"adult.data": "", "adult.test": "."}
MOST_BYTES = 2**24  # the larger file has 4 MB
MOST_DIGITS = 7
COUNTS = {"adult.data": 32_561, "adult.test": 16_281}
SHA256 = {
    "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
}
ADDRESS = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult"
ORIGIN = put_into("", f"adult.data and adult.test ({ADDRESS})")

Row = dict[str, str]


def adult(folder: Path) -> Records:
    """Read UCI Adult: 32,561 training and 16,281 test records of people, 2 classes.

    Inputs are the columns named by `FEATURES`: the five numbers, with mean 0 and variance 1 over
    the training part, then 0 or 1 for each value of the eight columns of words, where `?` (missing)
    counts as a value. The sampling weight `fnlwgt` is left out. The data do not say which records
    are of one person, so every record is its own unit.

    Args:
        folder: holds `adult.data` and `adult.test`, itself or in `adult`.

    Returns:
        Records with inputs `[48842, 107]`, labels 0 for `<=50K` and 1 for `>50K` dollars a year,
        and the groups `sex`, `race`, `age` (decades, such as `30-39`) and `part` (`train`, `test`).

    Raises:
        DataFileError: a file is missing, truncated, altered, or not of this format; the message
            names line and column.

    Reference: Becker & Kohavi, Adult, UCI 1996.
    """
    with mended_by(ORIGIN):
        parts = {file: _part(Path(folder), file) for file in PARTS}
    rows = [row for part in parts.values() for row in part]
    n_train = len(parts["adult.data"])
    columns = [_standardised([int(row[name]) for row in rows], n_train) for name in NUMERIC]
    for name, values in CATEGORIES.items():
        column = np.array([row[name] for row in rows])
        columns.extend((column == value).astype(np.float32) for value in values)
    decades = [int(row["age"]) // 10 * 10 for row in rows]
    groups = {
        "sex": np.array([row["sex"] for row in rows]),
        "race": np.array([row["race"] for row in rows]),
        "age": np.array([f"{decade}-{decade + 9}" for decade in decades]),
        "part": np.array([PARTS[file] for file, part in parts.items() for _ in part]),
    }
    labels = np.array([LABELS.index(row["income"].rstrip(".")) for row in rows])
    inputs = np.stack(columns, axis=1)
    return Records.from_arrays(inputs, labels, n_classes=2, name="adult", groups=groups)


def _part(folder: Path, file: str) -> list[Row]:
    path = find_file(folder, (file, f"adult/{file}"), what=f"adult needs {file}")
    data = unpacked(path, most=MOST_BYTES)
    rows = list(_rows(path, data, file))
    if len(rows) != COUNTS[file]:
        raise DataFileError(f"{path} holds {len(rows)} records, the canonical file {COUNTS[file]}")
    refuse_other_content(path, data, sha256=SHA256[file], what=f"Adult's {file}")
    return rows


def _rows(path: Path, data: bytes, file: str) -> Iterator[Row]:
    """Yield each line's cells by column; the remark on top and empty lines at the end are none."""
    ends = tuple(label + LABEL_ENDS[file] for label in LABELS)
    lines = data.decode("ascii", errors="replace").rstrip("\r\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if number == 1 and line.startswith("|"):
            continue
        cells = line.rstrip("\r").split(", ", len(COLUMNS))
        if len(cells) != len(COLUMNS):
            raise DataFileError(
                f"{path}, line {number}: {line.count(', ') + 1} columns with comma and blank "
                f"between, expected {len(COLUMNS)}; the file is truncated or not {file}"
            )
        row = dict(zip(COLUMNS, cells, strict=True))
        for place, (column, cell) in enumerate(row.items(), start=1):
            values = ends if column == "income" else CATEGORIES.get(column)
            if not (_is_number(cell) if values is None else cell in values):
                raise DataFileError(
                    f"{path}, line {number}, column {place} ({column}): {cell[:20]!r} is not "
                    f"{_expected(values)}"
                )
        yield row


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdecimal() and len(cell) <= MOST_DIGITS


def _expected(values: tuple[str, ...] | None) -> str:
    if values is None:
        return f"a whole number of at most {MOST_DIGITS} digits"
    return f"one of {', '.join(values[:3])}{' ...' if len(values) > 3 else ''}"


def _standardised(values: list[int], n_train: int) -> NDArray[np.float32]:
    """Return (value - mean) / standard deviation, both over the first `n_train` values.

    The sums are of whole numbers, exact on every machine, so that the records' digest is too.
    """
    train = values[:n_train]
    total = sum(train)
    variance = (n_train * sum(v * v for v in train) - total * total) / (n_train * n_train)
    deviation = math.sqrt(variance) or 1.0  # a column of one value becomes 0
    scaled: NDArray[np.float64] = (np.array(values, np.float64) - total / n_train) / deviation
    return scaled.astype(np.float32)


ADULT = DataSet(
    name="adult",
    about="48,842 people of the US census, 107 features, 2 classes of income",
    files=(
        DataFile(
            path="adult.data",
            url=f"{ADDRESS}/adult.data",
            checksum="md5:5d7c39d7b8804f071cdd1f2a7c460872",
            n_bytes=3_974_305,
        ),
        DataFile(
            path="adult.test",
            url=f"{ADDRESS}/adult.test",
            checksum="md5:35238206dfdf7f1fe215bbb874adecdc",
            n_bytes=2_003_153,
        ),
    ),
    others=("adult/adult.data",),
    origin=ORIGIN,
    read=adult,
    terms="UCI, CC BY 4.0",
    recipe="Recipe(build=MLP(widths=(107, 128, 64, 2)), optimiser=Adam(lr=0.001), epochs=20, "
    "batch_size=128)",
    sizes=(5_000, 2_000, 10_000),
    n_records=48_842,
)
