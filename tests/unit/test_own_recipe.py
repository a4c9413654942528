"""A recipe file of a user's goes the whole road, in any process, and a changed one is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pandas
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from command_line import listing, secateur
from own_files import GOOD, SMALL, TRAIN, written
from secateur.cli.runs import open_runs
from secateur.cli.spelled import parse_recipe
from secateur.errors import DataError, InputError
from secateur.own import as_records, recipe_of, records_of, shares
from secateur.own.module import _loaded
from secateur.store.documents import write_document
from secateur.types import Records

ONE = ("--engine", "serial", "--workers", "1")


@pytest.mark.parametrize("more", ["", TRAIN])
def test_a_recipe_file_is_trained_pruned_and_audited_from_any_folder(tmp_path, monkeypatch, more):
    file = written(tmp_path / "work", GOOD + more)
    monkeypatch.chdir(file.parent)
    done = secateur("train", "--recipe", "mine.py", *SMALL, *ONE, "--out", "runs")
    assert done.code == 0, done.err
    runs = file.parent / "runs"
    monkeypatch.chdir(tmp_path)
    small = tmp_path / "small"
    method = ("--method", "Magnitude(rate=2, retrain_epochs=1)")
    done = secateur("prune", runs, *method, *ONE, "--out", small)
    assert done.code == 0, done.err
    report = tmp_path / "report.json"
    attack = ("--attack", "LossThreshold", "--workers", "1")
    done = secateur("audit", runs, small, *attack, "--out", report)
    assert done.code == 0, done.err
    assert "magnitude" in done.out
    told = json.loads(report.read_text(encoding="utf-8"))
    del told["facts"]["command"]  # as it was typed
    assert "file='mine.py'" in str(told)
    assert str(tmp_path) not in str(told)
    plan = json.loads((small / "fleet.json").read_text(encoding="utf-8"))["plan"]
    assert plan.pop("data")["data"] == str(file)
    assert str(tmp_path) not in str(plan)  # so that a fleet is the same wherever its file lies


def test_a_fleet_of_another_data_set_knows_where_its_recipe_file_lies(tmp_path, monkeypatch):
    own = GOOD.replace("Linear(6, 16)", "Linear(64, 16)").replace("Linear(16, 3)", "Linear(16, 10)")
    own = own.replace("nn.Sequential(", "nn.Sequential(nn.Flatten(), ")
    file = written(tmp_path / "work", own)
    monkeypatch.chdir(file.parent)
    asked = ("--data", "digits", "--recipe", "mine.py", *SMALL, *ONE)
    done = secateur("train", *asked, "--out", tmp_path / "runs")
    assert done.code == 0, done.err
    monkeypatch.chdir(tmp_path)
    method = ("--method", "Magnitude(rate=2, retrain_epochs=0)")
    done = secateur("prune", "runs", *method, *ONE, "--out", "small")
    assert done.code == 0, done.err
    file.unlink()
    done = secateur("audit", "runs", "small", "--out", "report.json", "--workers", "1")
    assert done.code == 2 and f"cannot read the recipe file {file}" in done.err


def test_a_fleet_whose_spelling_holds_the_folder_is_opened_and_reported_without_it(tmp_path):
    file = written(tmp_path / "work")
    done = secateur("train", "--recipe", file, *SMALL, *ONE, "--out", tmp_path / "runs")
    assert done.code == 0, done.err
    manifest = tmp_path / "runs" / "fleet.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    (spelled,) = content["plan"]["pipeline"]
    content["plan"]["pipeline"] = [spelled.replace("file='mine.py'", f"file='{file}'")]
    del content["digest"]
    write_document(manifest, content)
    (fleet,), records, _ = open_runs([tmp_path / "runs"], None)
    assert fleet.recipe == recipe_of(file) and fleet.pipeline == (repr(fleet.recipe),)
    assert str(tmp_path) not in str(fleet.pipeline) and len(records)


def test_what_travels_to_a_worker_loads_the_file_there(tmp_path):
    recipe = recipe_of(written(tmp_path, GOOD + TRAIN))
    records = records_of(recipe.build.path)
    assert records.name == "mine.py"
    sent = pickle.dumps((recipe, 1))
    here = recipe.train(records, seed=3).state_dict()
    for name in [name for name in sys.modules if name.startswith("own_")]:
        if name != "own_files" and not name.startswith("own_training"):
            del sys.modules[name]
    _loaded.cache_clear()
    there = pickle.loads(sent)[0].train(records, seed=3).state_dict()
    assert len(sent) < 1000 + 2 * len(GOOD + TRAIN)  # its text, and nothing that it made
    assert all(torch.equal(here[name], there[name]) for name in here)


@pytest.mark.slow
def test_worker_processes_make_the_same_bytes_as_this_one(tmp_path):
    file = written(tmp_path / "work", GOOD + TRAIN)
    for name, engine in (("here", ONE), ("there", ("--engine", "processes", "--workers", "2"))):
        done = secateur("train", "--recipe", file, *SMALL, *engine, "--out", tmp_path / name)
        assert done.code == 0, done.err
    here, there = (listing(tmp_path / name / "models") for name in ("here", "there"))
    assert here == there and len(here) == 3


def test_a_file_that_was_changed_is_refused_when_its_fleet_is_opened(tmp_path):
    file = written(tmp_path / "work")
    runs = tmp_path / "runs"
    assert secateur("train", "--recipe", file, *SMALL, *ONE, "--out", runs).code == 0
    file.write_text(GOOD.replace("16), nn.ReLU", "16), nn.Tanh"), encoding="utf-8")
    done = secateur("audit", runs, "--attack", "LossThreshold", "--out", tmp_path / "r.json")
    assert done.code == 2
    assert "querying" not in done.err  # it is said at once
    assert "was changed" in done.err and "put the old text back" in done.err
    assert not (tmp_path / "r.json").exists()
    file.unlink()
    done = secateur("audit", runs, "--attack", "LossThreshold", "--out", tmp_path / "r.json")
    assert done.code == 2 and "put it back" in done.err


ELSEWHERE = """
import pickle, sys
import numpy as np, torch
from pathlib import Path
from secateur.errors import InputError
from secateur.types import Records
build, train = pickle.loads(Path(sys.argv[1]).read_bytes())
assert not build.path.exists()
try:
    torch.manual_seed(3)
    made = build()
    records = Records.from_arrays(np.eye(6), [0, 1, 2, 0, 1, 2])
    taught = train(records, seed=0)
except InputError as error:
    sys.exit(str(error))
print(float(sum(p.detach().sum() for net in (made, taught) for p in net.parameters())))
"""


def elsewhere(folder, recipe):
    """Build and train as a worker does on a machine that has no such file."""
    sent = folder / "sent"
    sent.write_bytes(pickle.dumps((recipe.build, recipe.train)))
    shutil.rmtree(recipe.build.path.parent)
    command = [sys.executable, "-c", ELSEWHERE, str(sent)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_machine_without_the_file_runs_the_text_that_was_sent_along(tmp_path):
    recipe = recipe_of(written(tmp_path / "work", GOOD + TRAIN))
    torch.manual_seed(3)
    nets = recipe.build(), recipe.train(records_of_six(), seed=0)
    done = elsewhere(tmp_path, recipe)
    assert done.returncode == 0, done.stderr
    here = float(sum(p.detach().sum() for net in nets for p in net.parameters()))
    assert float(done.stdout) == here


def records_of_six():
    return Records.from_arrays(np.eye(6), [0, 1, 2, 0, 1, 2])


def test_a_machine_without_the_files_neighbours_says_so_and_how_to_mend_it(tmp_path):
    written(tmp_path / "work", "WIDE = 16\n", "left_at_home.py")
    text = "from left_at_home import WIDE\n" + GOOD + TRAIN
    done = elsewhere(tmp_path, recipe_of(written(tmp_path / "work", text)))
    assert done.returncode == 1 and "No module named 'left_at_home'" in done.stderr
    assert "was sent to this machine by itself" in done.stderr and "on a disk that" in done.stderr


def test_a_text_that_was_sent_is_no_part_of_the_spelling_and_must_fit_its_digest(tmp_path):
    recipe = recipe_of(written(tmp_path / "work"))
    again = pickle.loads(pickle.dumps(recipe.build))
    assert again == recipe.build and repr(again) == repr(recipe.build) and b"nn." in again.text
    (tmp_path / "work" / "mine.py").unlink()
    object.__setattr__(again, "text", again.text + b"# more\n")
    with pytest.raises(InputError, match="was changed"):
        again()
    with pytest.raises(TypeError, match="text"):
        type(again)(file=again.file, digest=again.digest, text=b"print(1)")


def test_a_neighbour_that_the_file_imports_counts_as_its_content(tmp_path):
    work = tmp_path / "work"
    written(work, "WIDE = 16\n", "neighbour_of_mine.py")
    file = written(work, "from neighbour_of_mine import WIDE\nimport neighbour_of_mine\n" + GOOD)
    alone = written(tmp_path / "alone", GOOD)
    assert recipe_of(file).build.digest != recipe_of(alone).build.digest
    assert recipe_of(alone).build.digest == recipe_of(written(tmp_path / "b")).build.digest


def test_a_neighbour_of_another_folder_is_not_taken_for_the_one_beside_the_file(tmp_path):
    for place in ("one", "two"):
        written(tmp_path / place, f"NAME = {place!r}\n", "namesake_of_mine.py")
        written(tmp_path / place, "import namesake_of_mine\n" + GOOD)
    recipe_of(tmp_path / "one" / "mine.py")
    with pytest.raises(InputError, match="of the same name was loaded before it"):
        recipe_of(tmp_path / "two" / "mine.py")


def test_its_spelling_reads_back_as_itself(tmp_path):
    hooks = '\nfrom secateur.train import SGD, RandomFlip\nRECIPE = {"hooks": (RandomFlip(),), '
    file = written(tmp_path, GOOD + TRAIN + hooks + '"optimiser": SGD(lr=0.2)}')
    recipe = recipe_of(file)
    assert parse_recipe(repr(recipe), tmp_path) == recipe == parse_recipe(str(file))
    assert recipe.optimiser.lr == 0.2


def test_random_states_are_afterwards_what_they_were(tmp_path):
    file = written(tmp_path, "import numpy, torch\ntorch.manual_seed(3)\n" + GOOD)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    recipe_of(file)
    records_of(file)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:", "line 1 is no Python"),
        ("1 / 0", r"line 1, in the file itself: ZeroDivisionError"),
        ("import nothing_of_this_name", "install it, or put it into"),
        ("raise SystemExit(3)", "__main__"),
        ("x = 1", "has no function build"),
        ("build = len\nRECIPE = {'epoch': 3}", "keys among optimiser, epochs"),
        ("build = len\ntrain = 3", "train in .* must be a function"),
        ("build = len\nRECIPE = {'epochs': 'many'}", "epochs must be a whole number"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        recipe_of(written(tmp_path, text))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "must give a Records, a pair"),
        ("return open('of_no_such_name')", r"Path\(__file__\)"),
        ("return [[1, 2]], [0.5]", "labels must be whole numbers"),
        ("return [[1.0], [2.0]], [[0, 1], [1, 0]]", "look one-hot"),
        ("return [[1.0], [2.0, 3.0]], [0, 1]", "give all records one shape"),
    ],
)
def test_records_that_are_none_are_refused_with_the_line(tmp_path, body, message):
    with pytest.raises(InputError, match=message):
        records_of(written(tmp_path, f"def records():\n    {body}\n"))


def test_a_build_that_fails_names_its_line_on_the_command_line(tmp_path):
    file = written(tmp_path, GOOD.replace("return nn.Sequential", "return nn.Sequential(0)\n    #"))
    done = secateur("train", "--recipe", file, "--out", tmp_path / "runs")
    assert done.code == 2 and "in build()" in done.err
    assert not (tmp_path / "runs").exists()


def test_shares_leave_room_for_every_pool():
    for n in (4, 10, 999, 60_000):
        members, population, utility = shares(n)
        assert 0 < 2 * members + population + utility <= n


X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 1, 0])


class Pictures(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(X[i]), int(Y[i])


@pytest.mark.parametrize(
    "form",
    [
        (X, Y),
        (torch.from_numpy(X), torch.from_numpy(Y)),
        (X.tolist(), Y.tolist()),
        Pictures(),
        TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        Records.from_arrays(X, Y),
    ],
    ids=["arrays", "tensors", "lists", "dataset", "tensor dataset", "records"],
)
def test_every_form_gives_the_same_records(form):
    found = as_records(form)
    assert np.array_equal(found.gather(np.arange(4)), X)
    assert np.array_equal(found.labels, Y)
    assert found.digest == Records.from_arrays(X, Y).digest


@pytest.mark.parametrize("said", [{"unit": "who"}, {"groups": ("age",)}, {"label": "class"}])
def test_a_column_that_is_named_beside_arrays_is_refused_and_not_passed_over(said):
    x, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    items = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    word = next(iter(said)).upper()
    for found in ((x, y), items, Records.from_arrays(x, y)):
        with pytest.raises(DataError, match=f"{word}.*Records.from_arrays"):
            as_records(found, **said)


def test_records_keep_their_own_number_of_classes():
    records = Records.from_arrays(np.eye(4, dtype=np.float32), [0, 1, 0, 1])
    assert as_records(records, n_classes=2) is records
    with pytest.raises(DataError, match="Records of 2 classes; say CLASSES = 2"):
        as_records(records, n_classes=3)


def test_a_table_gives_numbers_as_they_are_and_texts_as_one_input_per_value():
    table = pandas.DataFrame(
        {
            "age": [30, 40, 50],
            "town": ["b", "a", "b"],
            "who": ["x", "y", "x"],
            "ill": ["n", "y", "n"],
        }
    )
    found = as_records(table, label="ill", unit="who", groups=("town",))
    assert found.gather(np.arange(3)).tolist() == [[30, 0, 1], [40, 1, 0], [50, 0, 1]]
    assert found.labels.tolist() == [0, 1, 0]
    assert found.units.tolist() == [0, 1, 0]
    assert found.groups["town"].tolist() == ["b", "a", "b"]


@pytest.mark.parametrize(
    ("table", "label", "message"),
    [
        ({"a": [1, 2], "y": [0, 1]}, None, 'needs LABEL = "column"'),
        ({"a": [1, 2], "y": [0, 1]}, "z", "which is there 0 times"),
        ({"a": [1, None], "y": [0, 1]}, "y", "1 of 2 values of the column 'a' are missing"),
        ({"y": [0, 1]}, "y", "no column to learn from"),
        ({"a": pandas.to_datetime(["2020", "2021"]), "y": [0, 1]}, "y", "holds datetime64"),
        ({"a": [str(i) for i in range(200)], "y": [0, 1] * 100}, "y", "200 different texts"),
    ],
)
def test_a_table_that_cannot_be_learned_from_says_which_column(table, label, message):
    with pytest.raises(DataError, match=message):
        as_records(pandas.DataFrame(table), label=label)
