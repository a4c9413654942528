"""`secateur export`, and the audit of the file that it wrote."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from command_line import listing, secateur, train
from secateur import store
from secateur.models import logits_of, rebuild


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    assert train(folder / "dense").code == 0
    method = "Magnitude(rate=4, retrain_epochs=1)"
    done = secateur("prune", folder / "dense", "--method", method, "--out", folder / "pruned")
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def exported(runs):
    done = secateur(
        *("export", runs / "pruned", "--format", "safetensors", "--workers", "1"),
        *("--out", runs / "model.safetensors"),
    )
    assert done.code == 0, done.err
    return done


def test_the_file_is_the_model_and_the_note_states_its_digest(runs, exported):
    data = (runs / "model.safetensors").read_bytes()
    note = json.loads((runs / "model.safetensors.json").read_text())
    digest = hashlib.sha256(data).hexdigest()
    assert note["sha256"] == digest
    assert digest in exported.out
    fleet = store.open_fleet(runs / "pruned")
    first = fleet.artifacts[int(fleet.membership.targets[0])]
    state = load_file(runs / "model.safetensors")
    assert all(
        torch.equal(state[k], torch.from_numpy(np.array(v))) for k, v in first.tensors.items()
    )
    assert str(runs) not in (runs / "model.safetensors.json").read_text()


def test_the_card_states_the_accuracy_of_these_bytes(runs, exported):
    card = (runs / "model.safetensors.md").read_text()
    fleet = store.open_fleet(runs / "pruned")
    from secateur.cli.runs import open_runs

    (fleet,), records, _ = open_runs((runs / "pruned",), None)
    row = int(fleet.membership.targets[0])
    pool = fleet.membership.pool("utility")
    module = rebuild(fleet.artifacts[row], fleet.recipe.build)
    right = (logits_of(module, records, indices=pool).argmax(axis=1) == records.labels[pool]).mean()
    assert f"test accuracy | {100 * right:.1f} [" in card
    assert fleet.pipeline[0].split("(")[0] in card


def test_another_export_of_the_model_has_the_same_bytes(runs, exported):
    again = runs / "again.safetensors"
    done = secateur("export", runs / "pruned", "--format", "safetensors", "--out", again)
    assert done.code == 0
    assert again.read_bytes() == (runs / "model.safetensors").read_bytes()


def test_the_audit_of_a_file_names_its_digest_and_is_of_this_one_model(runs, exported):
    report = runs / "report.json"
    done = secateur(
        *("audit", runs / "dense", runs / "model.safetensors", "--attack", "LiRA"),
        *("--out", report, "--html", runs / "page.html", "--workers", "1"),
    )
    assert done.code == 0, done.err
    found = store.read_report(report)
    digest = hashlib.sha256((runs / "model.safetensors").read_bytes()).hexdigest()
    (subject,) = found.facts["files"]
    assert found.facts["files"][subject] == [digest]
    auc = next(r for r in found.rows if r.subject == subject and r.metric == "auc")
    assert (auc.estimand, auc.counts["targets"]) == ("this model", 1)
    size = next(r for r in found.rows if r.subject == subject and r.metric == "bytes of the file")
    assert size.value == (runs / "model.safetensors").stat().st_size
    assert digest[:12] in (runs / "page.html").read_text()
    card = secateur(
        *("export", runs / "pruned", "--format", "safetensors", "--report", report),
        *("--out", runs / "model.safetensors"),
    )
    assert card.code == 0, card.err
    assert "An audit of exactly these bytes" in (runs / "model.safetensors.md").read_text()


def test_a_file_that_was_changed_is_refused(runs, exported):
    copy = runs / "copy.safetensors"
    data = bytearray((runs / "model.safetensors").read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    note = (runs / "model.safetensors.json").read_text()
    (runs / "copy.safetensors.json").write_text(note)
    done = secateur("audit", runs / "dense", copy, "--out", runs / "no.json")
    assert done.code == 2
    assert "is not the file that was exported" in done.err
    (runs / "copy.safetensors.json").unlink()
    done = secateur("audit", runs / "dense", copy, "--out", runs / "no.json")
    assert done.code == 2
    assert "has no note copy.safetensors.json beside it" in done.err
    assert not (runs / "no.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "tflite"), "formats by name are packed, onnx, onnx-int8, safetensors"),
        (("--format", "ADMM()"), "is a pruning method"),
        (("--format", "safetensors", "--model", "99"), "the fleet has the models 0 .. 5"),
        (("--format", "safetensors", "--model", "4"), "is a reference"),
        (("--format", "Shrink()"), "changes the model and makes no file; name it with --step"),
        (("--format", "onnx", "--step", "Pack()"), "makes a file already"),
        (("--format", "safetensors", "--step", "Magnitude()"), "is a pruning method"),
        (("--format", "safetensors", "--model", "4"), "model 4 is a reference"),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_left(runs, arguments, words):
    before = set(listing(runs))
    done = secateur("export", runs / "pruned", *arguments, "--out", runs / "no.bin")
    assert done.code == 2
    assert words in done.err
    assert set(listing(runs)) == before


def test_a_file_stands_in_no_fleet_and_a_fleet_is_no_file(runs, exported):
    for place in (runs / "dense" / "x.bin", runs / "dense" / "deep" / "x.bin"):
        done = secateur("export", runs / "pruned", "--format", "safetensors", "--out", place)
        assert done.code == 2 and "would lie inside the fleet" in done.err
        assert not place.exists()
    done = secateur(
        *("export", runs / "model.safetensors", "--format", "packed", "--out", runs / "no.bin"),
    )
    assert done.code == 2 and "is a file, and what is exported is a model of a fleet" in done.err


@pytest.mark.parametrize(
    "change",
    [
        {"model": "x"},
        {"model": -1},
        {"model": True},
        {"steps": []},
        {"steps": 5},
        {"steps": [["Safetensors()"]]},
        {"format": "secateur-export-2"},
        {"parent": None},
    ],
)
def test_a_note_of_another_form_is_refused(runs, exported, change):
    note = json.loads((runs / "model.safetensors.json").read_text())
    del note["digest"]
    copy = runs / "copy.safetensors"
    copy.write_bytes((runs / "model.safetensors").read_bytes())
    store.write_document(runs / "copy.safetensors.json", {**note, **change})
    done = secateur("audit", runs / "dense", copy, "--out", runs / "no.json")
    assert done.code == 2
    assert "is no note of an exported file of the format 'secateur-export-1'" in done.err


def test_a_file_whose_fleet_is_elsewhere_says_which_folder_is_missing(runs, exported):
    place = runs / "deep" / "er"
    place.mkdir(parents=True)
    for name in ("model.safetensors", "model.safetensors.json"):
        (place / name).write_bytes((runs / name).read_bytes())
    done = secateur("audit", runs / "dense", place / "model.safetensors", "--out", runs / "no.json")
    assert done.code == 2
    assert f"{place / 'pruned'} is no folder; put file and note back" in done.err


def test_an_audit_overwrites_no_note_and_no_card(runs, exported):
    for name in ("model.safetensors.json", "model.safetensors.md"):
        before = (runs / name).read_bytes()
        done = secateur("audit", runs / "model.safetensors", "--out", runs / name)
        assert done.code == 2 and "would be overwritten" in done.err
        assert (runs / name).read_bytes() == before
    done = secateur("audit", runs / "dense", runs / "nothing.onnx", "--out", runs / "no.json")
    assert done.code == 2 and "neither the folder of a fleet nor a file" in done.err


def test_a_report_of_the_dense_fleet_is_no_audit_of_a_pruned_file(runs):
    report = runs / "dense.json"
    done = secateur("audit", runs / "dense", "--attack", "LossThreshold", "--out", report)
    assert done.code == 0, done.err
    before = set(listing(runs))
    done = secateur(
        *("export", runs / "pruned", "--format", "packed", "--report", report),
        *("--out", runs / "no.packed"),
    )
    assert done.code == 2
    assert "speaks of dense, none of which was made by the steps of this file" in done.err
    assert set(listing(runs)) == before


def test_an_onnx_file_says_what_goes_in_and_comes_out(runs):
    pytest.importorskip("onnxruntime")
    done = secateur(
        *("export", runs / "pruned", "--format", "Onnx(shape=(1, 8, 8))", "--workers", "1"),
        *("--out", runs / "model.onnx"),
    )
    assert done.code == 0, done.err
    assert "input input: tensor(float), (batch, 1, 8, 8)" in done.out
    card = (runs / "model.onnx.md").read_text()
    assert "| output logits | tensor(float), (batch, 10) |" in card
    assert "onnxruntime " in card


def test_a_packed_file_is_set_beside_its_bound_and_the_dense_file(runs):
    done = secateur(
        *("export", runs / "pruned", "--format", "packed", "--workers", "1"),
        *("--out", runs / "model.packed"),
    )
    assert done.code == 0, done.err
    assert "entropy bound" in done.out and "by gzip" in done.out
    assert "converting by Pack: 1 of 1" in done.err
    assert f"next: secateur audit DENSE_FLEET {runs / 'model.packed'}" in done.out


def test_exporting_into_the_fleet_itself_is_refused(runs):
    done = secateur(
        *("export", runs / "pruned", "--format", "safetensors", "--into", runs / "pruned"),
        *("--out", runs / "no.bin"),
    )
    assert done.code == 2
    done = secateur(
        *("export", runs / "pruned", "--format", "safetensors"),
        *("--out", runs / "pruned" / "fleet.json"),
    )
    assert done.code == 2
    assert store.open_fleet(runs / "pruned", recipe=None).name == "magnitude"


def test_a_dense_model_made_into_a_file_is_not_called_pruned(runs):
    done = secateur(
        *("export", runs / "dense", "--format", "safetensors", "--all", "--workers", "1"),
        *("--out", runs / "dense.safetensors", "--into", runs / "files"),
    )
    assert done.code == 0, done.err
    done = secateur(
        *("audit", runs / "dense", runs / "files", runs / "pruned", "--attack", "LiRA"),
        *("--out", runs / "kinds.json", "--workers", "1"),
    )
    assert done.code == 0, done.err
    facts = store.read_report(runs / "kinds.json").facts
    kinds = {name: entry["kind"] for name, entry in facts["subjects"].items()}
    assert kinds["dense safetensors"] == "defended"
    assert kinds["magnitude"] == "pruned"
    assert len(facts["files"]["dense safetensors"]) == 2  # every target's digest


@pytest.mark.slow
def test_a_file_is_audited_and_made_again_after_references_were_cleaned(runs):
    thin, file, report = runs / "thin", runs / "clean.bin", runs / "thin.json"
    assert train(thin).code == 0
    common = ("export", thin, "--format", "safetensors", "--workers", "1", "--out", file)
    assert secateur(*common, "--all").code == 0
    written = file.read_bytes()
    assert secateur("clean", thin, runs / "thin.safetensors", "--workers", "1").code == 0
    done = secateur(*common)
    assert done.code == 0, done.err
    assert file.read_bytes() == written
    done = secateur("audit", thin, file, "--attack", "LossThreshold", "--out", report)
    assert done.code == 0, done.err
    (digests,) = store.read_report(report).facts["files"].values()
    assert digests == [hashlib.sha256(written).hexdigest()]


def test_a_file_named_as_the_folder_of_such_files_is_refused_before_any_work(runs):
    done = secateur("export", runs / "dense", "--format", "onnx", "--out", runs / "dense.onnx")
    assert done.code == 2
    assert "the folder of the fleet of such files" in done.err
    assert not (runs / "dense.onnx").exists()
