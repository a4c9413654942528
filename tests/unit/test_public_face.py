"""The public face: every name is there, none loads more than it needs."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import secateur


@pytest.mark.parametrize("name", secateur.__all__)
def test_every_public_name_is_found_and_is_the_one_of_its_room(name):
    value = getattr(secateur, name)
    if name == "__version__":
        assert value == version("secateur")
        return
    assert value.__name__ == name
    assert value.__module__.startswith("secateur.")


def test_a_name_that_does_not_exist_is_an_attribute_error_as_in_any_module():
    with pytest.raises(AttributeError, match="module 'secateur' has no attribute 'LIRA'"):
        _ = secateur.LIRA
    assert not hasattr(secateur, "nothing")


def test_dir_and_star_import_show_every_public_name():
    assert set(secateur.__all__) <= set(dir(secateur))
    found: dict[str, object] = {}
    exec("from secateur import *", found)
    assert set(secateur.__all__) <= set(found)


def test_every_attack_is_public():
    from secateur.attack import learned, membership

    attacks = {*learned.__all__, *membership.__all__} - {"pseudo_targets"}
    assert attacks <= set(secateur.__all__)


def test_no_public_name_is_also_the_name_of_a_module():
    modules = {m.name for m in pkgutil.iter_modules(secateur.__path__)}
    assert not modules & set(secateur.__all__)


def test_type_checkers_see_the_names_that_are_loaded_lazily():
    tree = ast.parse(Path(secateur.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    lazy = {name: f"secateur.{room}" for name, room in secateur._ROOM_OF.items()}
    assert typed == lazy
    assert sorted([*lazy, "__version__"]) == sorted(secateur.__all__)


@pytest.mark.parametrize(
    "code",
    [
        "import secateur",
        "import secateur; dir(secateur); secateur.__version__",
        "from secateur import LiRA, RMIA, Records, draw, auc, read_report; LiRA()",
    ],
)
def test_torch_is_not_loaded_before_it_is_needed(code):
    check = f"{code}\nimport sys\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
