"""A user's own columns beside a data set: units and groups out of a CSV file."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import RECIPE, SMALL, secateur
from secateur import read_report
from secateur.data import digits, with_columns
from secateur.errors import DataFileError
from secateur.types import Records

N = 6


@pytest.fixture
def records():
    return Records.from_arrays(np.eye(N), np.arange(N) % 2, groups={"site": ["x"] * N})


def put(folder, text, name="c.csv"):
    path = folder / name
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


ROWS = "unit,age\n" + "".join(f"p{i // 2},{20 + i % 3}\n" for i in range(N))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (ROWS, "c.csv"),
        (ROWS, "c.csv.gz"),
        (ROWS.replace("\n", "\r\n"), "c.csv"),
        ("\ufeff" + ROWS, "c.csv"),
        (ROWS.replace("p0", '"p0"').replace(",2", ", 2"), "c.csv"),
    ],
    ids=["plain", "gzipped", "windows", "byte order mark", "quoted"],
)
def test_units_and_groups_come_out_of_a_table(records, tmp_path, text, name):
    found = with_columns(records, put(tmp_path, text, name))
    assert found.units.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.groups["age"].tolist() == ["20", "21", "22"] * 2
    assert found.groups["site"].tolist() == ["x"] * N
    assert found.digest != records.digest


def test_without_a_column_of_units_they_stay_and_a_group_of_the_same_name_is_replaced(
    records, tmp_path
):
    found = with_columns(records, put(tmp_path, "site\n" + "y\n" * N))
    assert found.units.tolist() == records.units.tolist()
    assert found.groups["site"].tolist() == ["y"] * N


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: the first row must hold 1 to 100 different names, got \[\]"),
        ("unit,,age\n", "different names"),
        ("a,a\n", "different names"),
        (ROWS + "p9,3\n", "has 7 rows below its names, but records has 6 records"),
        (ROWS.replace("p1,22", "p1"), "line 4: 1 values for 2 columns"),
        (ROWS.replace("p1,22", "p1, "), "line 4: an empty value"),
        (ROWS.encode("utf-16"), "is not UTF-8 text"),
        ('unit\n"open', "line 2"),
        ("class\n" + "a\n" * N, "named 'class', which stands for the label"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(records, tmp_path, text, message):
    with pytest.raises(Exception, match=message) as caught:
        with_columns(records, put(tmp_path, text))
    assert caught.type.__module__ == "secateur.errors"


def test_no_file_is_named(records, tmp_path):
    with pytest.raises(DataFileError, match=r"there is no file of columns .*nowhere"):
        with_columns(records, tmp_path / "nowhere")


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_columns_or_are_refused(tmp_path_factory, data):
    records = Records.from_arrays(np.eye(N), np.arange(N) % 2)
    path = put(tmp_path_factory.mktemp("c"), data)
    try:
        assert len(with_columns(records, path)) == N
    except ValueError as error:
        assert type(error).__module__ == "secateur.errors"


def test_columns_go_from_the_command_line_to_the_report_and_keep_a_person_together(tmp_path):
    n = len(digits())
    table = "unit,site\n" + "".join(f"{i % (n // 2)},{'ab'[i % 2]}\n" for i in range(n))
    put(tmp_path, table)
    done = secateur(
        *("train", *SMALL, "--members", "300", "--recipe", RECIPE, "--snapshots", "none"),
        *("--columns", tmp_path / "c.csv", "--workers", "1", "--out", tmp_path / "dense"),
    )
    assert done.code == 0, done.err
    done = secateur(
        *("audit", tmp_path / "dense", "--attack", "LossThreshold", "--group", "site"),
        *("--workers", "1", "--out", tmp_path / "r.json"),
    )
    assert done.code == 0, done.err
    report = read_report(tmp_path / "r.json")
    assert {row.group for row in report.rows} >= {"site=a", "site=b"}
    put(tmp_path, table.replace(",a\n", ",c\n"))
    done = secateur("audit", tmp_path / "dense", "--workers", "1", "--out", tmp_path / "s.json")
    assert done.code == 2
    assert "was trained on records with the digest" in done.err
