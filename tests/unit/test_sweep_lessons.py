"""Teachers that a sweep keeps: for how long, in how much room, and what is said of them."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from command_line import RECIPE, secateur
from secateur import store
from secateur.cli.spelled import parse_step
from secateur.defend import SELENA, CrossFit
from secateur.errors import BudgetSpentError, StoreError
from secateur.sweeping import kept, read_plan, tree_of
from secateur.sweeping import run as running
from secateur.sweeping.world import Clock, World
from secateur.train import apply, train_fleet
from secateur.train.shared_teachers import bytes_of_lessons, teachers_of
from small_world import small_membership, small_recipe, small_records

FILE = f'''
title = "Taught"
data = "digits"
members = 40
population = 30
utility = 50
targets = 2
references = 2
recipe = "{RECIPE}"
attacks = ["LossThreshold()"]
[[method]]
name = "taught"
steps = ["CrossFit(folds=2, alpha={{alpha}})"]
over = {{ alpha = [0.0, 0.5] }}
[[method]]
name = "made"
steps = ["CrossFit(folds=2, recombine='mixed', times=1)"]
[[method]]
name = "fewer"
steps = ["CrossFit(folds=3)"]
'''
FLEETS = ["dense", "taught alpha=0.0", "taught alpha=0.5", "made", "fewer"]
LESSONS = Path("run/seed-0/lessons")


def run(*more: str, text: str = FILE):
    """Run the sweep in the current folder, in this process."""
    Path("sweep.toml").write_text(text)
    return secateur(
        *("sweep", "sweep.toml", "--out", "run", "--engine", "serial", "--workers", "1", *more)
    )


def models(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.safetensors"))
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Run it once, and note what lies there before each fleet and before the audit."""
    folder = tmp_path_factory.mktemp("whole")
    seen: dict[str, list[str]] = {}

    def noting(what, real):
        def noted(*a, **k):
            label = what or a[1].label
            seen[label] = sorted(p.name for p in LESSONS.rglob("*.safetensors"))
            return real(*a, **k)

        return noted

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(World, "make", noting("", World.make))
        patch.setattr(running, "audit_fleets", noting("audit", running.audit_fleets))
        done = run()
        assert done.code == 0, done.err
        (folder / "printed").write_text(done.out)
    return folder, seen


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stopped_before(monkeypatch, label: str, error: BaseException) -> None:
    make = World.make

    def stopped(self, node, *more, **named):
        if node.label == label:
            raise error
        return make(self, node, *more, **named)

    monkeypatch.setattr(World, "make", stopped)


def test_teachers_go_as_soon_as_no_case_asks_them_and_all_before_the_audit(whole):
    folder, seen = whole
    assert list(seen) == [*FLEETS, "audit"]
    found = {name: len(files) for name, files in seen.items()}
    kept_files = 4 * (1 + 2)  # of each model what was said, and two teachers
    assert found == {
        "dense": 0,
        "taught alpha=0.0": 0,
        "taught alpha=0.5": kept_files,
        "made": kept_files,
        "fewer": 0,
        "audit": 0,
    }
    assert not list(folder.rglob("lessons"))


@pytest.mark.slow
def test_a_budget_that_ends_in_a_round_leaves_its_teachers_to_the_round(elsewhere, monkeypatch):
    one = FILE[: FILE.index('[[method]]\nname = "made"')].replace("[0.0, 0.5]", "[0.5]")
    text = "funnel = [2]\n" + one.replace("references = 2", "references = 4")
    make = World.make

    def ending(self, node, place, *, rows, subjects):
        if node.label != "dense" and self.has(node, self.rows()):
            make(self, node, place, rows=rows[:1], subjects=subjects)
            raise BudgetSpentError("spent")
        return make(self, node, place, rows=rows, subjects=subjects)

    with monkeypatch.context() as patch:
        patch.setattr(World, "make", ending)
        assert run("--budget", "1h", text=text).code == 0
    assert len(list(LESSONS.rglob("*.safetensors"))) == 1  # what one model was taught in the round
    assert run(text=text).code == 0
    assert not LESSONS.exists()


@pytest.mark.slow
def test_a_spent_budget_says_where_secrets_lie_and_clean_removes_them(
    whole, elsewhere, monkeypatch
):
    with monkeypatch.context() as patch:
        stopped_before(patch, "made", BudgetSpentError("spent"))
        done = run("--budget", "1h")
    assert done.code == 0, done.err
    assert f"{LESSONS}: teachers, and what they said of members, are kept there" in done.out
    assert "secrets: whoever has them tells members from others" in done.out
    assert "to remove them now: secateur clean run" in done.out
    held = store.bytes_below(LESSONS)
    assert held > 0
    cleaned = secateur("clean", "run")
    assert cleaned.code == 0, cleaned.err
    assert f"{LESSONS}: deleted, {held / 1e6:,.1f} MB freed" in cleaned.out
    assert not LESSONS.exists()
    again = secateur("clean", "run")
    assert again.code == 0
    assert "deleted" not in again.out and "no teachers" in again.out
    assert run().code == 0
    assert models(elsewhere / "run") == models(whole[0] / "run")


def test_a_sweep_that_was_stopped_says_so_goes_on_with_its_teachers_and_removes_them(
    whole, elsewhere, monkeypatch
):
    with monkeypatch.context() as patch:
        stopped_before(patch, "made", KeyboardInterrupt())
        done = run()
    assert done.code == 130
    assert "secrets: whoever has them tells members from others" in done.err
    assert "secateur clean run" in done.err and "resume with: secateur sweep" in done.err
    (LESSONS / "left-by-an-older-plan").mkdir()
    done = run()
    assert done.code == 0, done.err
    assert "secrets" not in done.err + done.out.partition("Taught")[2].partition("result:")[2]
    assert not LESSONS.exists()
    assert models(elsewhere / "run") == models(whole[0] / "run")


@pytest.mark.slow
def test_a_failing_method_does_not_hold_the_teachers_of_others(elsewhere, monkeypatch):
    from secateur.errors import MethodError

    seen = []
    audit = running.audit_fleets
    monkeypatch.setattr(
        running, "audit_fleets", lambda *a, **k: seen.append(LESSONS.exists()) or audit(*a, **k)
    )
    stopped_before(monkeypatch, "made", MethodError("diverged"))
    assert run().code == 0
    assert seen == [False]


def test_clean_leaves_a_sweep_that_runs_alone(elsewhere):
    file = LESSONS / "kind" / "a.safetensors"
    store.write_lesson(file, np.zeros((1, 1, 2), np.float32), seconds=0)
    with store.only_run_in("run"):
        done = secateur("clean", "run")
    assert done.code == 2
    assert "another run works in run" in done.err
    assert file.exists()


def test_a_secret_that_cannot_be_removed_is_said(tmp_path, monkeypatch):
    store.write_lesson(tmp_path / "kind/a.safetensors", np.zeros((1, 1, 2), np.float32), seconds=0)

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refused)
    with pytest.raises(StoreError, match="which tells members from others; remove it by hand"):
        store.remove_lessons(tmp_path)


@pytest.mark.slow
def test_where_the_disk_has_no_room_teachers_are_trained_anew_to_the_same_result(
    whole, elsewhere, monkeypatch
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(kept.shutil, "disk_usage", lambda path: usage(10**9, 0, 40_000))
    seen = []
    make = World.make

    def noted(self, node, *more, **named):
        found = make(self, node, *more, **named)
        seen.append((node.label, [p.name for p in LESSONS.rglob("teacher-*")]))
        return found

    monkeypatch.setattr(World, "make", noted)
    done = run()
    assert done.code == 0, done.err
    assert "taught alpha=0.0: its teachers and what they say would take" in done.err
    assert "the teachers are not kept" in done.err
    assert "train them anew, to the same result" in done.err
    assert "that is more than half of the 40.0 kB that are free there" in done.out
    assert [label for label, _ in seen] == FLEETS and not any(files for _, files in seen)
    assert models(elsewhere / "run") == models(whole[0] / "run")
    rows = [json.loads((f / "run/sweep.json").read_text())["points"] for f in (elsewhere, whole[0])]
    assert [[r for r in p["rows"].values() if r["risk"] != "cost"] for p in rows[0]] == [
        [r for r in p["rows"].values() if r["risk"] != "cost"] for p in rows[1]
    ]


def test_the_bytes_that_teachers_take_are_named_before(whole):
    folder, _ = whole
    (line,) = [x for x in (folder / "printed").read_text().splitlines() if x.startswith("disk:")]
    assert "beside the fleets up to" in line and "secrets" in line


@pytest.mark.parametrize("method", [CrossFit(folds=3), SELENA(teachers=4, left_out=2)])
def test_named_bytes_are_those_that_are_written(tmp_path, method):
    records = small_records()
    who = small_membership(records)
    recipe = small_recipe(epochs=1)
    fleet = train_fleet(recipe, records, who, seed=0, engine="serial")
    answers, teachers = bytes_of_lessons(method, recipe, records, who)
    how = {"seed": 0, "engine": "serial", "lessons": tmp_path, "keep_teachers": True}
    apply(method, fleet, records, **how)
    said, taught = 0, 0
    for path in tmp_path.iterdir():
        arrays = load_file(path)
        del arrays["seconds"]
        size = sum(a.nbytes for a in arrays.values())
        taught += size if path.name.startswith("teacher-") else 0
        said += 0 if path.name.startswith("teacher-") else size
    assert taught == len(who) * teachers
    assert said == pytest.approx(len(who) * answers, rel=0.3)  # models differ in their members


def test_at_once_are_those_kinds_of_teachers_that_cases_to_come_ask():
    records = small_records()
    who = small_membership(records)
    recipe = small_recipe(epochs=1)

    def most(*steps):
        text = "".join(f'[[method]]\nname = "m{i}"\nsteps = ["{s}"]\n' for i, s in enumerate(steps))
        return kept.kept_at_once(tree_of(read_plan(text), recipe, parse_step), records, who)

    four, two = "CrossFit(folds=4{})", "CrossFit(folds=2{})"
    alone = [most(one.format("")) for one in (four, two)]
    assert alone[0] == 2 * alone[1] > 0
    made = ", recombine='mixed'"
    (answers, teachers) = bytes_of_lessons(parse_step(four.format("")), recipe, records, who)
    assert most(four.format(""), four.format(made)) == len(who) * (answers + teachers)
    assert most(four.format(""), four.format(", alpha=0.5")) == alone[0]
    assert most(four.format(""), two.format("")) == alone[0]  # one after the other
    assert most(four.format(""), two.format(""), four.format(", alpha=0.5")) == sum(alone)
    assert most("RandomMask(rate=4)") == 0


def test_teachers_have_one_name_where_they_are_the_same_networks():
    recipe = small_recipe(epochs=2)
    first = teachers_of(CrossFit(folds=3), recipe)
    assert first == teachers_of(CrossFit(folds=3, alpha=0.5, epochs=9), recipe)
    others = [
        teachers_of(CrossFit(folds=4), recipe),
        teachers_of(CrossFit(folds=3, teacher_epochs=3), recipe),
        teachers_of(CrossFit(folds=3), small_recipe(epochs=3)),
    ]
    assert len({first, *others}) == 4


def test_the_clock_is_not_asked_of_what_is_there(whole, elsewhere, monkeypatch):
    shutil.copytree(whole[0] / "run", "run")
    monkeypatch.setattr(Clock, "limit", None)
    assert run("--budget", "1h").code == 0
    assert not LESSONS.exists()
