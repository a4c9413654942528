"""The page of single records: the same bytes, escaped, and refusals that say how to mend."""

from __future__ import annotations

import json
import re

import pytest

import saved_signals
from command_line import secateur as run
from secateur.errors import InputError
from secateur.report.records_page import MOST_RECORDS, SHOWN, render_records_page

HEAD = "record,model,attack,models_asked,mean_score\n"
HOSTILE = "</script><script>alert(1)</script>"


def page_of(*lines, head=HEAD):
    return render_records_page(head + "".join(f"{line}\n" for line in lines), name="risk.csv")


def data_of(page):
    return json.loads(re.search(r'id="lines">(.*?)</script>', page)[1])


def test_every_record_is_in_the_page_in_the_order_of_the_file():
    lines = [f"p{i},dense,LiRA(),2,{i / 7}" for i in range(SHOWN + 50)]
    page = page_of(*lines)
    assert page_of(*lines) == page
    assert [line[0] for line in data_of(page)] == [f"p{i}" for i in range(SHOWN + 50)]
    assert data_of(page)[3] == ["p3", "2", "0.428571"]
    assert page.count("<tr><td>") == SHOWN
    assert "The first 200 of 250 lines" in page


def test_columns_of_one_value_stand_above_and_those_of_several_in_the_table():
    assert "model: dense; attack: LiRA()" in page_of("a,dense,LiRA(),2,1", "b,dense,LiRA(),2,1")
    assert data_of(page_of("a,dense,LiRA(),2,1", "b,admm,LiRA(),2,1"))[1] == ["b", "admm", "2", "1"]


def test_records_are_counted_once_however_many_models_judged_them():
    one = page_of("a,dense,LiRA(),2,1", "b,dense,LiRA(),2,1")
    assert "2 records; model: dense" in one
    both = page_of(*(f"{r},{m},LiRA(),2,1" for m in ("dense", "admm") for r in "abc"))
    assert "3 records under 2 models" in both and "6 records" not in both


def test_names_stay_text_and_nothing_is_fetched():
    page = page_of(f"{HOSTILE},{HOSTILE},<b>,2,1", head="record,model,attack,models_asked,<i>\n")
    for raw in (HOSTILE, "<b>", "<i>", "http:", "https:"):
        assert raw not in page
    assert data_of(page)[0][0] == HOSTILE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column record, model, attack, models_asked"),
        ("a,b\n1,2\n", "has no column record"),
        (HEAD, "holds 0 lines"),
        (HEAD.replace(",", ";") + "a;b;c;1;2\n", "parts its columns by semicolons, .* with commas"),
        (HEAD.replace(",", "\t") + "a\tb\tc\t1\t2\n", "parts its columns by tabs"),
        (HEAD + "a,b,c,1\n", "line 1 has 4 cells, the header has 5"),
        (HEAD + '"a,b,c,1,2\n', "is no CSV table"),
        (HEAD + "a,b,c,1,2\n" * (MOST_RECORDS + 1), "a page shows 1 to 100000"),
    ],
)
def test_what_is_no_table_of_records_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        render_records_page(text, name="risk.csv")


def test_a_table_that_a_spreadsheet_saved_with_its_mark_of_utf8_is_the_same_table(risks):
    out = risks.with_name("risk.html")
    assert run("report", risks, "--html", out).code == 0
    plain = data_of(out.read_text())
    risks.write_bytes(b"\xef\xbb\xbf" + risks.read_bytes())
    done = run("report", risks, "--html", out)
    assert (done.code, done.err) == (0, "") and data_of(out.read_text()) == plain


@pytest.fixture
def risks(tmp_path):
    named = saved_signals.save_npz(tmp_path, saved_signals.world())
    out = ("--out", tmp_path / "r.json", "--scores", tmp_path / "scores.npz")
    assert run("attack", *named, "--attack", "LiRA", *out).code == 0
    assert run("report", tmp_path / "r.json", "--records", tmp_path / "risk.csv").code == 0
    return tmp_path / "risk.csv"


def test_the_command_makes_the_page_of_a_table(risks):
    out = risks.with_name("risk.html")
    done = run("report", risks, "--html", out)
    assert (done.code, done.err) == (0, "")
    assert "keep it no longer than needed" in done.out
    assert "`secateur clean` does not delete it" in done.out
    records = risks.read_text().splitlines()[1:]
    assert [line[0] for line in data_of(out.read_text())] == [r.split(",")[0] for r in records]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "is shown alone, as a page"),
        (("r.json", "--html", "x.html"), "is shown alone, as a page"),
        (("--html", "x.html", "--table"), "is shown alone, as a page"),
        (("--html", "risk.csv"), "would be overwritten"),
    ],
)
def test_a_table_alone_becomes_a_page(risks, more, message):
    named = [risks.parent / word if "." in word else word for word in more]
    done = run("report", risks, *named)
    assert done.code == 2 and message in done.err
    assert not (risks.parent / "x.html").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfea", "is not in UTF-8"), (b"", "is empty"), (b'{"a": 1}', "is a JSON file")],
)
def test_a_file_that_is_no_text_is_one_message(tmp_path, content, message):
    (tmp_path / "risk.csv").write_bytes(content)
    done = run("report", tmp_path / "risk.csv", "--html", tmp_path / "x.html")
    assert done.code == 2 and message in done.err
    assert not (tmp_path / "x.html").exists()
