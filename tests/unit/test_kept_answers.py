"""Answers around records that are kept, so that an audit which goes on does not ask again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from command_line import RECIPE, secateur
from secateur import MeanSignal, NearestRecords, Noise, store
from secateur.attack.membership import LabelOnly, LiRA, Neighbours
from secateur.auditing import audit_fleets
from secateur.data import draw
from secateur.errors import InputError, StoreError
from secateur.probe import means as probing
from secateur.probe.means import Shelf
from secateur.probe.run import observe
from secateur.sweeping import kept
from secateur.sweeping import run as running
from secateur.train import train_fleet
from secateur.types import AUDIT, Signal
from small_world import small_membership, small_recipe, small_records

NOISE, NEAR = Noise(queries=3), NearestRecords(k=2)
WANTED = [
    Signal(name="margin"),
    MeanSignal(name="margin", over=NOISE),
    MeanSignal(name="correct", over=NOISE),
    MeanSignal(name="margin", over=NEAR),
]
ATTACKS = [LiRA(), LabelOnly(perturbations=(NOISE,)), Neighbours(perturbations=(NEAR,))]


@pytest.fixture(scope="module")
def world():
    records = small_records()
    who = small_membership(records)
    recipe = small_recipe(epochs=1)
    return records, train_fleet(recipe, records, who, seed=0, engine="serial")


@pytest.fixture
def asking(monkeypatch):
    """Count the perturbed queries that models are really asked."""
    asked = []
    real = probing.logits_of

    def counted(module, records, **how):
        asked.append(len(how["indices"]))
        return real(module, records, **how)

    monkeypatch.setattr(probing, "logits_of", counted)
    return asked


def seen(world, shelf, wanted=WANTED):
    records, fleet = world
    return observe(fleet, records, signals=wanted, posteriors=False, shelf=shelf).views["dense"]


def test_what_is_kept_is_what_is_asked_to_the_bit_and_asked_once(world, asking, tmp_path):
    plain = seen(world, None)
    queries = len(asking)
    assert queries == len(world[1]) * (3 + 2)
    shelf = Shelf(folder=tmp_path / "answers")
    first = seen(world, shelf)
    assert len(asking) == 2 * queries
    again = seen(world, shelf)
    assert len(asking) == 2 * queries
    assert len(list(shelf.folder.iterdir())) == 2 * len(world[1])
    for key, values in plain.items():
        assert values.dtype == again[key].dtype == np.float32
        np.testing.assert_array_equal(values, first[key])
        np.testing.assert_array_equal(values, again[key])


def test_a_signal_or_a_perturbation_more_asks_for_what_is_new_alone(world, asking, tmp_path):
    shelf = Shelf(folder=tmp_path)
    seen(world, shelf, WANTED[:3])
    before = len(asking)
    seen(world, shelf)  # neighbours too
    assert len(asking) - before == 2 * len(world[1])
    more = MeanSignal(name="log_confidence", over=NOISE)
    found = seen(world, shelf, [*WANTED, more])
    assert len(asking) - before == (2 + 3) * len(world[1])
    np.testing.assert_array_equal(found[more.key], seen(world, None, [WANTED[0], more])[more.key])


def test_other_models_records_members_or_code_are_asked_anew(world, asking, tmp_path):
    records, fleet = world
    shelf = Shelf(folder=tmp_path)
    seen(world, shelf)
    each = 5 * len(fleet)
    others = [
        (records, train_fleet(fleet.recipe, records, fleet.membership, seed=1, engine="serial")),
        (records, replace(fleet, membership=replace(fleet.membership, seed=9))),
    ]
    for other in others:
        before = len(asking)
        found = seen(other, shelf)
        assert len(asking) - before == each
        plain = seen(other, None)
        assert all(np.array_equal(found[key], plain[key]) for key in plain)
    before = len(asking)
    seen(world, Shelf(folder=tmp_path, code={"mine.Noise": "edited"}))
    assert len(asking) - before == each


@pytest.mark.parametrize("harm", ["cut", "altered", "of other signals", "another file"])
def test_a_file_that_is_not_whole_is_asked_for_again_and_mended(world, asking, tmp_path, harm):
    shelf = Shelf(folder=tmp_path)
    plain = seen(world, shelf)
    victim = sorted(tmp_path.iterdir())[0]
    whole = victim.read_bytes()
    if harm == "cut":
        victim.write_bytes(whole[:-40])
    elif harm == "altered":
        at = len(whole) // 2
        victim.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    elif harm == "of other signals":
        store.write_answers(victim, {"other": np.zeros(3, np.float32)})
    else:
        victim.write_text("{}")
    before = len(asking)
    again = seen(world, shelf)
    assert 0 < len(asking) - before <= 3
    assert victim.read_bytes() == whole
    assert all(np.array_equal(plain[key], again[key]) for key in plain)


def test_an_audit_that_was_stopped_asks_the_rest_alone(world, asking, tmp_path):
    records, fleet = world
    whole = audit_fleets(fleet, records, attacks=ATTACKS)
    queries = len(asking)
    stop_at = queries // 2

    def stopping(done, total, name):
        del total
        if name == "observe_model" and done * 5 >= stop_at:
            raise KeyboardInterrupt

    how = {"attacks": ATTACKS, "answers": tmp_path / "answers"}
    with pytest.raises(KeyboardInterrupt):
        audit_fleets(fleet, records, progress=stopping, **how)
    before = len(asking)
    assert queries < before < 2 * queries
    report = audit_fleets(fleet, records, **how)
    assert len(asking) == 2 * queries  # in both together each query once
    assert report.rows == whole.rows
    assert report.provenance.key == whole.provenance.key


def test_a_folder_of_answers_is_a_path(world):
    records, fleet = world
    with pytest.raises(InputError, match=r"answers must be a path, such as 'runs/answers', got 3"):
        audit_fleets(fleet, records, attacks=ATTACKS, answers=3)


@dataclass(frozen=True, kw_only=True)
class Louder:
    """A perturbation of one's own: each number twice."""

    by: float = 2.0

    def __len__(self):
        return 1

    def prepared(self, records, membership, where):
        return self

    def change(self, records, query):
        return lambda inputs: np.float32(self.by) * inputs


def test_the_code_of_ones_own_perturbation_is_part_of_what_answers_are_kept_by(world, tmp_path):
    records, fleet = world
    shelves = []
    real = probing.Asked.about

    def noted(*a):
        shelves.append(a[3])
        return real(*a)

    attack = LabelOnly(perturbations=(Louder(),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing.Asked, "about", noted)
        audit_fleets(fleet, records, attacks=[attack], answers=tmp_path)
    assert any("test_kept_answers" in name for name in shelves[0].code)


FILE = f'''
title = "Asked"
data = "digits"
members = 40
population = 30
utility = 50
targets = 2
references = 4
recipe = "{RECIPE}"
attacks = ["LiRA()", "LabelOnly(perturbations=(Noise(queries=4),))"]
[[method]]
name = "magnitude"
steps = ["Magnitude(rate={{rate}}, retrain_epochs=1)"]
over = {{ rate = [2, 8] }}
'''
ANSWERS = Path("run/seed-0/answers")


def run(*more: str, text: str = FILE):
    """Run the sweep in the current folder, in this process."""
    Path("sweep.toml").write_text(text)
    return secateur(
        *("sweep", "sweep.toml", "--out", "run", "--engine", "serial", "--workers", "1", *more)
    )


def test_a_sweep_asks_each_model_once_and_clean_removes_what_it_keeps(
    tmp_path, monkeypatch, asking
):
    monkeypatch.chdir(tmp_path)
    fewer = FILE.replace("[2, 8]", "[2]")
    done = run(text=fewer)
    assert done.code == 0, done.err
    files = sorted(ANSWERS.iterdir())
    assert len(files) == 2 * 6 and len(asking) == 4 * len(files)
    named = kept.bytes_of_answers(
        [LiRA(), LabelOnly(perturbations=(Noise(queries=4),))], whole_membership(), fleets=2
    )
    written = sum(store.bytes_below(file) for file in files)
    assert named <= written <= named + 2000 * len(files)
    (line,) = [x for x in done.out.splitlines() if "what models answer around records" in x]
    assert f"up to {named / 1e3:.1f} kB a seed" in line
    assert run().code == 0  # a case more
    assert len(asking) == 4 * 3 * 6
    cleaned = secateur("clean", "run")
    assert cleaned.code == 0, cleaned.err
    assert f"{ANSWERS}: deleted" in cleaned.out
    assert not ANSWERS.exists() and Path("run/seed-0/dense").is_dir()
    assert run().code == 0  # its report is there: nobody is asked
    assert len(asking) == 4 * 3 * 6


def whole_membership():
    from secateur.data import digits

    pools = {"population": 30, "utility": 50, AUDIT: 80}
    return draw(digits(), targets=2, references=4, seed=0, pools=pools)


def test_where_the_disk_has_no_room_no_answers_are_kept_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "free_below", lambda folder: 1000)
    monkeypatch.setattr(kept, "free_below", lambda folder: 1000)
    done = run()
    assert done.code == 0, done.err
    assert "more than half of the 1.0 kB that are free there: answers are not kept" in done.out
    assert not ANSWERS.exists()


def test_answers_that_cannot_be_removed_are_said(tmp_path, monkeypatch):
    store.write_answers(tmp_path / "a.npz", {"margin": np.zeros(2, np.float32)})

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refused)
    with pytest.raises(StoreError, match=r"Permission denied.*remove it by hand"):
        store.remove_answers(tmp_path)


def test_an_audit_of_fleets_keeps_answers_where_it_is_told(tmp_path, monkeypatch, asking):
    monkeypatch.chdir(tmp_path)
    sizes = {"members": 40, "population": 30, "utility": 50, "targets": 2, "references": 4}
    given = [text for name, size in sizes.items() for text in (f"--{name}", str(size))]
    trained = secateur("train", "--recipe", RECIPE, "--engine", "serial", *given, "--out", "run")
    assert trained.code == 0, trained.err
    how = ["--attack", "LabelOnly(perturbations=(Noise(queries=4),))", "--workers", "1"]
    verb = ["audit", "run", "--answers", "answers", *how]
    done = secateur(*verb, "--out", "report.json")
    assert done.code == 0, done.err
    assert len(asking) == 4 * 6 == 4 * len(list(Path("answers").iterdir()))
    assert secateur(*verb, "--out", "again.json").code == 0
    assert len(asking) == 4 * 6
    rows = [store.read_report(name).rows for name in ("report.json", "again.json")]
    assert rows[0] == rows[1]


def test_answers_belong_to_fleets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("")
    done = secateur("audit", "--recipe", "mine.py", "--answers", "answers", "--out", "report.json")
    assert done.code == 2
    assert "--answers is for fleets" in done.err
