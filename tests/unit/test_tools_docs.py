"""Generated pages: checked without being written, and written where they are stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tools import docs

from command_line import listing

PAGES = ("docs/protects.md", "README.md", "docs/scaling.md", "docs/deploy.md", "docs/runtime.md")


@pytest.fixture
def repository(tmp_path):
    """A copy with the results of one report, and of what cannot be left out."""
    for name in (*PAGES, "docs/dp.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(docs.ROOT / name, tmp_path / name)
    (tmp_path / "docs" / "results").mkdir()
    (tmp_path / "results" / "benchmarks").mkdir(parents=True)
    shutil.copy(docs.ROOT / "results" / "demo.json", tmp_path / "results")
    shutil.copy(
        docs.ROOT / "results" / "benchmarks" / "fleet.json", tmp_path / "results/benchmarks"
    )
    for path in (docs.ROOT / "results").glob("p*.json"):
        shutil.copy(path, tmp_path / "results")
    docs.main([], root=tmp_path)
    return tmp_path


def test_a_check_of_fresh_pages_says_so_and_writes_nothing(repository, capsys):
    before = listing(repository)
    docs.main(["--check"], root=repository)
    assert "are up to date" in capsys.readouterr().out
    assert listing(repository) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("docs/results/demo.md", "Generated", "Written"),
        ("README.md", "<!-- demo table -->\n", "<!-- demo table -->\nmore"),
        ("docs/scaling.md", "<!-- fleet -->\n", "<!-- fleet -->\nmore"),
        ("docs/evidence.md", None, None),
    ],
)
def test_a_stale_page_is_named_and_left_as_it_is_until_it_is_written(
    repository, capsys, name, old, new
):
    page: Path = repository / name
    right = page.read_text()
    if old is None:
        page.unlink()
    else:
        assert old in right
        page.write_text(right.replace(old, new))
    before = listing(repository)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        docs.main(["--check"], root=repository)
    assert "1 of " in str(stopped.value.code) and "make docs" in str(stopped.value.code)
    assert capsys.readouterr().out == f"stale: {name}\n"
    assert listing(repository) == before
    docs.main([], root=repository)
    assert page.read_text() == right


def test_a_word_beside_the_marks_is_nobodys_but_the_authors(repository):
    page = repository / "README.md"
    page.write_text(page.read_text() + "\nMine.\n")
    docs.main(["--check"], root=repository)


def test_an_unknown_option_writes_nothing(repository):
    before = listing(repository)
    with pytest.raises(SystemExit) as stopped:
        docs.main(["--chekc-all"], root=repository)
    assert stopped.value.code == 2 and listing(repository) == before


@pytest.mark.parametrize("text", ["{bad", None])
def test_a_results_file_that_cannot_be_read_is_an_error_that_names_it(repository, capsys, text):
    path = repository / "results" / "paper-adult-mlp.json"
    path.write_text(text or path.read_text().replace("Adult", "Child", 1))
    before = listing(repository)
    with pytest.raises(SystemExit) as stopped:
        docs.main(["--check"], root=repository)
    assert stopped.value.code == 2
    assert "paper-adult-mlp.json" in capsys.readouterr().err
    assert listing(repository) == before
