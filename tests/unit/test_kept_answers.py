"""Answers around records that are kept, so that an audit which goes on does not ask again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import RECIPE, secateur
from secateur import MeanSignal, NearestRecords, Noise, store
from secateur.attack.membership import LabelOnly, LiRA, Neighbours
from secateur.auditing import audit_fleets
from secateur.data import draw
from secateur.errors import InputError, SecateurWarning, StoreError
from secateur.models import rebuild
from secateur.probe import means as probing
from secateur.probe import shelf as shelving
from secateur.probe.run import observe
from secateur.probe.shelf import Keeping, Shelf
from secateur.sweeping import kept
from secateur.train import train_fleet
from secateur.types import AUDIT, Records, Signal
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


def shelf_in(folder, world, wanted=WANTED, **more):
    """Return a shelf for these models, as an audit makes it."""
    records, fleet = world
    asked = probing.Asked.about(records, fleet.membership, wanted)
    more = {"network": {"network": "one"}, "questions": asked.digests(records), **more}
    return Shelf(keeping=Keeping(folder, more.pop("writes", True)), **more)


def seen(world, shelf, wanted=WANTED):
    records, fleet = world
    return observe(fleet, records, signals=wanted, posteriors=False, shelf=shelf).views["dense"]


def test_what_is_kept_is_what_is_asked_to_the_bit_and_asked_once(world, asking, tmp_path):
    plain = seen(world, None)
    queries = len(asking)
    assert queries == len(world[1]) * (3 + 2)
    shelf = shelf_in(tmp_path / "answers", world)
    first = seen(world, shelf)
    assert len(asking) == 2 * queries
    again = seen(world, shelf)
    assert len(asking) == 2 * queries
    assert len(list(shelf.keeping.folder.iterdir())) == 2 * len(world[1])
    for key, values in plain.items():
        assert values.dtype == again[key].dtype == np.float32
        np.testing.assert_array_equal(values, first[key])
        np.testing.assert_array_equal(values, again[key])


def test_a_signal_or_a_perturbation_more_asks_for_what_is_new_alone(world, asking, tmp_path):
    models = len(world[1])
    shelf = shelf_in(tmp_path, world)
    seen(world, shelf, WANTED[:3])
    before = len(asking)
    seen(world, shelf)  # neighbours too
    assert len(asking) - before == 2 * models
    more = MeanSignal(name="log_confidence", over=NOISE)
    found = seen(world, shelf, [*WANTED, more])
    assert len(asking) - before == (2 + 3) * models
    np.testing.assert_array_equal(found[more.key], seen(world, None, [WANTED[0], more])[more.key])
    before = len(asking)
    seen(world, shelf, [WANTED[0], more])  # fewer are there, too
    seen(world, shelf, [*WANTED, more])
    assert len(asking) == before


def test_models_of_a_part_of_a_fleet_are_those_of_the_whole(world, asking, tmp_path):
    records, fleet = world
    seen(world, shelf_in(tmp_path, world))
    before = len(asking)
    part = (records, fleet.part([0, 2, 3]))
    found = seen(part, shelf_in(tmp_path, part))
    assert len(asking) == before
    assert all(np.array_equal(found[k], v[[0, 2, 3]]) for k, v in seen(world, None).items())


def other_models(records, fleet):
    again = train_fleet(fleet.recipe, records, fleet.membership, seed=1, engine="serial")
    return records, again


def other_labels(records, fleet):
    inputs = records.gather(np.arange(len(records)))
    other = Records.from_arrays(
        inputs, 1 - np.minimum(records.labels, 1), n_classes=records.n_classes
    )
    return other, fleet


def other_inputs(records, fleet):
    inputs = records.gather(np.arange(len(records))) + np.float32(1)
    return Records.from_arrays(inputs, records.labels, n_classes=records.n_classes), fleet


@pytest.mark.parametrize("change", [other_models, other_labels, other_inputs])
def test_other_models_and_other_records_are_asked_anew(world, asking, tmp_path, change):
    seen(world, shelf_in(tmp_path, world))
    records, fleet = change(*world)
    shelf = shelf_in(tmp_path, (records, fleet))
    for model in range(len(fleet)):
        module = rebuild(fleet.artifacts[model], fleet.recipe.build)
        asked = probing.Asked.about(records, fleet.membership, WANTED)
        before = len(asking)
        found, why = asked.means(module, records, fleet.artifacts[model], shelf)
        assert len(asking) - before == 5 and not why
        plain, _ = asked.means(module, records)
        assert all(np.array_equal(found[key], plain[key]) for key in plain)


@pytest.mark.parametrize(
    "more",
    [
        {"network": {"network": "another"}},
        {"network": {"network": "one", "mine.Net": "edited"}},
        {"device": "cuda"},
    ],
)
def test_another_network_or_device_is_asked_anew(world, asking, tmp_path, more):
    seen(world, shelf_in(tmp_path, world))
    before = len(asking)
    seen(world, shelf_in(tmp_path, world, **more))
    assert len(asking) - before == 5 * len(world[1])


@pytest.mark.parametrize("what", ["REVISION", "_installed"])
def test_another_revision_or_version_asks_anew(world, asking, tmp_path, monkeypatch, what):
    seen(world, shelf_in(tmp_path, world))
    before = len(asking)
    other = {"REVISION": 2, "_installed": lambda name: f"{name} 9"}
    monkeypatch.setattr(shelving, what, other[what])
    seen(world, shelf_in(tmp_path, world))
    assert len(asking) - before == 5 * len(world[1])


class Table:
    """A perturbation that is spelled alike whatever it adds."""

    def __init__(self, by):
        self.by = by

    def __repr__(self):
        return "Table()"

    def __len__(self):
        return 1

    def prepared(self, records, membership, where):
        return self

    def change(self, records, query):
        return lambda inputs: inputs + np.float32(self.by)


def test_two_perturbations_of_one_spelling_are_two_questions(world, asking, tmp_path):
    found = []
    for by in (0.5, 2.0):
        wanted = [WANTED[0], MeanSignal(name="margin", over=Table(by))]
        found.append(seen(world, shelf_in(tmp_path, world, wanted), wanted)[wanted[1].key])
    assert len(asking) == 2 * len(world[1])
    assert not np.array_equal(*found)


class Negated(torch.nn.Sequential):
    """A network of the same tensors that answers otherwise."""

    def forward(self, x):
        return -super().forward(x)


def negated():
    """Return one."""
    return Negated(*small_recipe().build().children())


def test_the_same_tensors_in_another_network_are_asked_anew(world, asking, tmp_path):
    records, fleet = world
    how = {"attacks": ATTACKS, "answers": tmp_path}
    audit_fleets(fleet, records, **how)
    before = len(asking)
    other = replace(fleet, recipe=replace(fleet.recipe, build=negated))
    report = audit_fleets(other, records, **how)
    assert len(asking) - before == 5 * len(fleet)
    assert report.rows == audit_fleets(other, records, attacks=ATTACKS).rows


@pytest.mark.parametrize("harm", ["cut", "altered", "of fewer records", "another file"])
def test_a_file_that_is_not_whole_is_asked_for_again_and_mended(world, asking, tmp_path, harm):
    shelf = shelf_in(tmp_path, world)
    plain = seen(world, shelf)
    victim = sorted(tmp_path.iterdir())[0]
    whole = victim.read_bytes()
    if harm == "cut":
        victim.write_bytes(whole[:-40])
    elif harm == "altered":
        at = len(whole) // 2
        victim.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    elif harm == "of fewer records":
        store.write_answers(victim, {"margin": np.zeros(3, np.float32)})
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


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_asked(
    world, asking, tmp_path
):
    records, fleet = world
    (tmp_path / "answers").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        audit_fleets(fleet, records, attacks=ATTACKS, answers=tmp_path / "answers")
    assert not asking


def test_an_audit_goes_on_where_the_disk_is_full_and_says_so_once(world, tmp_path, monkeypatch):
    records, fleet = world
    whole = audit_fleets(fleet, records, attacks=ATTACKS)

    def full(path, *more, **named):
        raise StoreError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(store, "write_answers", full)
    with pytest.warns(SecateurWarning, match="is not kept: cannot write .*No space left") as said:
        report = audit_fleets(fleet, records, attacks=ATTACKS, answers=tmp_path)
    assert len(said) == 1
    assert report.rows == whole.rows


def test_a_folder_may_be_read_alone(world, asking, tmp_path):
    records, fleet = world
    audit_fleets(fleet, records, attacks=ATTACKS, answers=tmp_path)
    first, before = sorted(tmp_path.glob("*.npz"))[0], len(asking)
    first.unlink()
    audit_fleets(fleet, records, attacks=ATTACKS, answers=tmp_path, keep_answers=False)
    assert 0 < len(asking) - before <= 3
    assert not first.exists()


def test_one_call_takes_the_folder_for_fleets_and_refuses_it_for_a_network(world, asking, tmp_path):
    import secateur

    records, fleet = world
    how = {"attacks": ATTACKS, "answers": tmp_path}
    secateur.audit(fleet, records, **how)
    before = len(asking)
    secateur.audit(fleet, records, **how)
    assert len(asking) == before
    module = rebuild(fleet.artifacts[0], fleet.recipe.build)
    with pytest.raises(InputError, match="an audit of a network does not read answers"):
        secateur.audit(module, records, members=np.arange(10), answers=tmp_path)


def test_a_folder_of_answers_is_a_path(world):
    records, fleet = world
    with pytest.raises(InputError, match=r"answers must be a path, such as 'runs/answers', got 3"):
        audit_fleets(fleet, records, attacks=ATTACKS, answers=3)


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
    files = sorted(ANSWERS.glob("*.npz"))
    assert len(files) == 2 * 6 and len(asking) == 4 * len(files)
    named = kept.bytes_of_answers(
        [LiRA(), LabelOnly(perturbations=(Noise(queries=4),))], whole_membership(), fleets=2
    )
    written = sum(store.bytes_below(file) for file in files)
    assert named <= written <= named + 2000 * len(files)
    (line,) = [x for x in done.out.splitlines() if "what models answer around records" in x]
    assert f"about {named / 1e3:.1f} kB a seed" in line
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
    monkeypatch.setattr(kept, "free_below", lambda folder: 1000)
    done = run()
    assert done.code == 0, done.err
    assert "more than half of the 1.0 kB that are free there: new answers are not kept" in done.out
    assert not ANSWERS.exists()


def test_answers_that_are_there_take_no_more_room(tmp_path, monkeypatch, asking):
    monkeypatch.chdir(tmp_path)
    assert run().code == 0
    queries = len(asking)
    for report in Path("run").rglob("report.json"):
        report.unlink()
    sorted(ANSWERS.glob("*.npz"))[0].unlink()
    monkeypatch.setattr(kept, "free_below", lambda folder: 5000)
    done = run()
    assert done.code == 0, done.err
    assert "new answers are not kept" not in done.out
    assert len(asking) == queries + 4  # the one that was lost, and it is kept again
    assert len(list(ANSWERS.glob("*.npz"))) == 3 * 6


def test_clean_removes_a_folder_of_an_audits_answers(world, tmp_path):
    records, fleet = world
    audit_fleets(fleet, records, attacks=ATTACKS, answers=tmp_path / "answers")
    assert "persons" in (tmp_path / "answers" / "answers.txt").read_text()
    cleaned = secateur("clean", tmp_path / "answers")
    assert cleaned.code == 0, cleaned.err
    assert "deleted" in cleaned.out and not (tmp_path / "answers").exists()


def test_clean_takes_nothing_that_an_audit_did_not_write(world, tmp_path):
    records, fleet = world
    (tmp_path / "mine.npz").write_bytes(b"mine")
    audit_fleets(fleet, records, attacks=ATTACKS, answers=tmp_path)
    assert secateur("clean", tmp_path).code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["mine.npz"]
    (tmp_path / "answers.txt").write_text("somebody's own")
    assert not store.is_answers(tmp_path)


def test_answers_that_cannot_be_removed_are_said(tmp_path, monkeypatch):
    audited = tmp_path / f"{'0' * 64}.npz"
    store.write_answers(audited, {"margin": np.zeros(2, np.float32)})

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
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
    assert len(asking) == 4 * 6 == 4 * len(list(Path("answers").glob("*.npz")))
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
