"""The recipe files that `secateur init` writes are right as written."""

from __future__ import annotations

import pytest

from command_line import secateur
from own_files import SMALL, written
from secateur.cli.init import KINDS
from secateur.own import check_recipe


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "hugging-face"])
def test_a_written_recipe_is_right_as_written_and_trains(tmp_path, kind):
    file = tmp_path / "mine.py"
    assert secateur("init", kind, file).code == 0
    assert check_recipe(file).findings == ()
    some = ("--engine", "serial", "--workers", "1", "--snapshots", "none")
    done = secateur("train", "--recipe", file, *SMALL, *some, "--out", tmp_path / "runs")
    assert done.code == 0, done.err


def test_a_written_recipe_is_never_written_over_unasked(tmp_path):
    file = written(tmp_path, "mine = 1\n")
    done = secateur("init", "images", file)
    assert done.code == 2 and "--force" in done.err
    assert file.read_text() == "mine = 1\n"
    assert secateur("init", "images", file, "--force").code == 0
    assert "def build()" in file.read_text()
    assert secateur("init", "tables", tmp_path / "mine.txt").code == 2


def test_the_recipe_for_hugging_face_says_what_to_install(tmp_path):
    file = tmp_path / "text.py"
    assert secateur("init", "hugging-face", file).code == 0
    try:
        import transformers
    except ImportError:
        done = secateur("check", file)
        assert done.code == 2 and "pip install transformers" in done.err
    else:
        assert transformers and check_recipe(file).findings == ()
