"""`secateur audit --recipe`: a user's own network file, and references that are kept."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from command_line import listing, secateur
from own_files import GOOD, written
from secateur import own, store
from secateur.report.notes import not_run_words
from secateur.train import make

NAMED = "\nMEMBERS = np.arange(0, 200)\nNON_MEMBERS = np.arange(200, 400)\n"
FEW = ("--references", "3", "--attack", "LossThreshold", "--workers", "1")


@pytest.fixture
def mine(tmp_path):
    """A recipe file and the weights of a network of its own."""
    file = written(tmp_path, GOOD + NAMED)
    torch.manual_seed(0)
    save_file(own.recipe_of(file).build().state_dict(), tmp_path / "net.safetensors")
    return file


def audited(mine, *more):
    at = mine.parent
    named = ("--recipe", mine, *FEW, "--out", at / "report.json")
    return secateur("audit", at / "net.safetensors", *named, *more)


def test_an_own_network_is_audited_beside_references_that_are_kept_beside_the_report(mine):
    done = audited(mine, "--html", mine.parent / "report.html")
    assert done.code == 0, done.err
    folder = mine.parent / "report-models"
    assert f"training references into {folder}; an interrupted run goes on" in done.err
    report = store.read_report(mine.parent / "report.json")
    assert report.facts["models"] == {"targets": 1, "references": 3}
    row = next(r for r in report.rows if r.metric == "auc")
    assert row.estimand == "this model" and row.counts["members"] == 200
    assert len(list((folder / "models").glob("*.safetensors"))) == 3
    assert "made" in report.provenance.context and (mine.parent / "report.html").is_file()


def test_scores_in_another_folder_than_the_report_are_refused_before_any_training(mine):
    done = audited(mine, "--scores", mine.parent / "elsewhere" / "risk.csv")
    assert done.code == 2 and "is in another folder than --out" in done.err, done.err
    assert not (mine.parent / "report-models").exists()


def test_a_stopped_audit_writes_no_report_and_trains_what_is_missing_when_given_again(
    mine, monkeypatch
):
    whole = audited(mine, "--folder", mine.parent / "whole")
    assert whole.code == 0, whole.err
    rows = store.read_report(mine.parent / "report.json").rows
    (mine.parent / "report.json").unlink()
    shard, calls = make.make_shard, []

    def stopping(*given):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return shard(*given)

    monkeypatch.setattr(make, "make_shard", stopping)
    stopped = audited(mine)
    assert stopped.code == 130 and "2 of 3 models" in stopped.err and "resume with:" in stopped.err
    assert not (mine.parent / "report.json").exists()
    again = audited(mine)
    assert again.code == 0 and len(calls) == 4  # two, the stopped one, and that one again
    assert store.fleet_digest(mine.parent / "whole") == store.fleet_digest(
        mine.parent / "report-models"
    )

    def told(found):
        return [r for r in found if "seconds" not in r.metric]

    assert told(store.read_report(mine.parent / "report.json").rows) == told(rows)


def test_the_audited_network_can_be_named_and_its_references_alone_are_no_fleet(mine):
    done = audited(mine, "--name", "net of <May>")
    assert done.code == 0, done.err
    assert "net of <May>" in done.out
    assert "a given model" not in done.out
    report = store.read_report(mine.parent / "report.json")
    assert report.facts["subjects"]["model"]["label"] == "net of <May>"
    folder = mine.parent / "report-models"
    pruned = secateur("prune", folder, "--method", "Magnitude()", "--out", mine.parent / "small")
    assert pruned.code == 2 and "holds references alone" in pruned.err
    assert "secateur train" in pruned.err and not (mine.parent / "small").exists()


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_a_name_that_nobody_could_read_is_refused_before_any_training(mine, name):
    done = audited(mine, "--name", name)
    assert done.code == 2 and "name must be a printable text" in done.err
    assert not (mine.parent / "report-models").exists()


def test_a_name_is_of_one_network(mine):
    out = mine.parent / "x.json"
    assert (
        "does not read name"
        in secateur("audit", "--recipe", mine, *FEW, "--name", "a", "--out", out).err
    )
    assert "--name belongs" in secateur("audit", mine.parent, "--name", "a", "--out", out).err


def test_without_population_records_rmia_says_in_one_line_which_command_sets_them_apart(mine):
    done = audited(mine, "--attack", "RMIA", "--attack", "RMIA(mode='offline')")
    assert done.code == 0, done.err
    report = store.read_report(mine.parent / "report.json")
    (line,) = not_run_words(report)
    assert line.count("RMIA") >= 2 and "`secateur train --population N`" in line
    assert "pools={" not in line


def test_a_recipe_alone_trains_targets_too(mine):
    out = mine.parent / "all.json"
    done = secateur("audit", "--recipe", mine, *FEW, "--out", out)
    assert done.code == 0, done.err
    assert store.read_report(out).facts["models"] == {"targets": 8, "references": 3}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("audit --out {}/new.json", "say what is audited"),
        ("audit {}/net.safetensors --folder {}/f --out {}/new.json", "--folder belongs to an"),
        ("audit {}/net.safetensors --out {}/new.json", "net.safetensors --recipe FILE.py"),
        ("audit {0}/net.onnx --out {0}/new.json", "net.onnx --recipe FILE.py"),
        ("audit {0}/mine.py --out {0}/new.json", "audit what it trains by --recipe"),
        ("audit {0}/net.pt --out {0}/new.json", "give that file with --recipe FILE.py"),
        ("audit {0}/t.npz --out {0}/new.json", "`secateur attack --target"),
        ("audit {0}/notes.txt --out {0}/new.json", "nothing that an audit takes: folders of fl"),
        ("audit {0}/d {0}/net.safetensors --out {0}/new.json", "`secateur init` writes one"),
        ("audit {}/gone.onnx --recipe {}/mine.py --out {}/new.json", "there is no file"),
        ("audit {}/mine.py --recipe {}/mine.py --out {}/new.json", "is no file of a network"),
        ("audit {}/a {}/b --recipe {}/mine.py --out {}/new.json", "of one network, got 2"),
        ("audit {}/net.safetensors --recipe Recipe() --out {}/new.json", "takes a recipe file"),
        ("audit {}/net.safetensors --recipe {}/bare.py --out {}/new.json", "add MEMBERS ="),
        ("audit --recipe {}/mine.py --partial --out {}/new.json", "--partial is for fleets"),
        ("audit --recipe {}/mine.py --out {}/mine.py", "would be overwritten"),
        ("audit {}/net.safetensors --recipe {}/other.py --out {}/new.json", "does not fit"),
    ],
)
def test_a_mistake_is_said_before_anything_is_written(mine, arguments, words):
    written(mine.parent, GOOD, "bare.py")
    written(mine.parent, GOOD.replace("16", "17") + NAMED, "other.py")
    for name in ("net.onnx", "net.pt", "t.npz", "notes.txt"):
        (mine.parent / name).write_bytes(b"?")
    before = listing(mine.parent)
    done = secateur(*arguments.format(*[mine.parent] * 4).split())
    assert done.code == 2 and words in done.err, done.err
    assert listing(mine.parent) == before
