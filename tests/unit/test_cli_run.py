"""The verbs on real digits, small: train, prune, audit, report, and a run that was interrupted."""

from __future__ import annotations

import json
import shutil

import pytest

from command_line import listing, secateur, train
from secateur import store
from secateur.cli.progress import Bar
from secateur.cli.runs import open_runs
from secateur.store.arrays import _MEMBERSHIP, read_npz, write_npz


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    dense = train(folder / "dense")
    assert dense.code == 0, dense.err
    for name, method in (
        ("mag", "Magnitude(rate=4, retrain_epochs=1)"),
        ("admm", "ADMM(rate=4, updates=1, epochs_per_update=1, retrain_epochs=1)"),
    ):
        done = secateur(
            *("prune", folder / "dense", "--method", method, "--name", name),
            *("--workers", "1", "--out", folder / name),
        )
        assert done.code == 0, done.err
        if name == "admm":
            assert "secateur: warning: ADMM has not converged in 1.weight" in done.err
            assert len(done.err.splitlines()) < 20
        else:
            assert "warning" not in done.err
            assert "6 models in" in done.out and "weights kept in each" in done.out
    return folder


@pytest.fixture(scope="module")
def report(runs):
    done = secateur(
        *("audit", runs / "dense", runs / "mag", runs / "admm", "--workers", "1"),
        *("--attack", "LiRA(mode='offline')", "--attack", "LossThreshold"),
        *("--out", runs / "report.json"),
    )
    assert done.code == 0, done.err
    return runs / "report.json", done


def test_train_writes_a_fleet_that_says_how_to_draw_its_records_again(runs):
    plan = store.read_fleet_plan(runs / "dense")
    assert plan.data["data"] == "digits"
    assert plan.data["pools"] == {"audit": 80, "population": 30, "utility": 50}
    assert plan.snapshot_epochs == (1, 3)
    fleets, records, seed = open_runs((runs / "dense", runs / "mag"), None)
    assert [f.name for f in fleets] == ["dense", "mag"]
    assert len(records) == 160 and records.digest == plan.records_digest and seed == 0


def test_a_fleet_stored_before_shares_were_has_its_coins_drawn_again(runs, tmp_path):
    shutil.copytree(runs / "dense", tmp_path / "old")
    file = tmp_path / "old" / "membership.npz"
    fields, arrays = read_npz(file, form=_MEMBERSHIP)
    assert fields.pop("share") == 0.5
    write_npz(file, form=_MEMBERSHIP, fields=fields, arrays=arrays)
    assert store.read_membership(file).share is None
    assert store.read_fleet_plan(tmp_path / "old").membership.share is None
    (opened,), _, _ = open_runs((tmp_path / "old",), None)
    assert opened.membership.share == 0.5


def test_pruned_fleets_keep_the_membership_and_the_asked_share(runs):
    (dense, mag), _, _ = open_runs((runs / "dense", runs / "mag"), None)
    assert dense.membership.digest == mag.membership.digest
    for artifact in mag.artifacts:
        kept = sum(int(m.sum()) for m in artifact.masks.values())
        total = sum(m.size for m in artifact.masks.values())
        assert kept == total // 4


def test_the_same_command_again_trains_nothing_and_changes_no_byte_of_the_fleet(runs):
    before = store.fleet_digest(runs / "dense")
    models = {k: v for k, v in listing(runs / "dense").items() if k.startswith("models")}
    again = train(runs / "dense")
    assert again.code == 0 and "6 models in" in again.out
    assert store.fleet_digest(runs / "dense") == before
    assert models == {k: v for k, v in listing(runs / "dense").items() if k.startswith("models")}


def test_another_seed_is_another_fleet_and_is_refused_in_the_same_folder(runs):
    done = train(runs / "dense", "--seed", "1")
    assert done.code == 2
    assert "holds another fleet" in done.err and "choose another folder" in done.err


def test_audit_names_the_fleets_the_attacks_and_the_command(runs, report):
    path, done = report
    found = store.read_report(path)
    assert set(found.facts["subjects"]) >= {"dense", "mag", "admm"}
    assert {r.method for r in found.rows if r.risk == "membership"} >= {
        repr_of
        for repr_of in found.provenance.key["attacks"]
        if repr_of.startswith(("LiRA(mode='offline'", "LossThreshold"))
    }
    assert found.facts["command"].startswith("secateur audit ")
    assert "--attack 'LossThreshold'" in found.facts["command"] or (
        "--attack LossThreshold" in found.facts["command"]
    )
    assert str(path) in done.out and "AUC" in done.out


def test_an_audit_repeats_itself_in_every_row(runs, report):
    path, _ = report
    again = secateur(
        *("audit", runs / "dense", runs / "mag", runs / "admm", "--workers", "1"),
        *("--attack", "LiRA(mode='offline')", "--attack", "LossThreshold"),
        *("--out", runs / "again.json"),
    )
    assert again.code == 0
    first, second = store.read_report(path), store.read_report(runs / "again.json")
    assert first.rows == second.rows and first.controls == second.controls


def test_report_shows_the_same_table_as_the_audit(report):
    path, audited = report
    shown = secateur("report", path)
    assert shown.code == 0
    assert audited.out.startswith(shown.out.rstrip("\n"))


def test_report_writes_a_page_and_the_table_when_asked(report, tmp_path):
    pytest.importorskip("vl_convert")
    path, _ = report
    quiet = secateur("report", path, "--html", tmp_path / "a.html")
    assert quiet.code == 0 and "AUC" not in quiet.out
    loud = secateur("report", path, "--html", tmp_path / "b.html", "--table")
    assert loud.code == 0 and "AUC" in loud.out
    for name in ("a.html", "b.html"):
        page = (tmp_path / name).read_text(encoding="utf-8")
        assert page.lower().startswith("<!doctype html") and "dense" in page


def test_fleets_of_two_draws_are_not_compared(runs, tmp_path):
    assert train(tmp_path / "other", "--seed", "5").code == 0
    done = secateur("audit", runs / "dense", tmp_path / "other", "--out", tmp_path / "r.json")
    assert done.code == 2
    assert "were trained on different records; before and after must be one draw" in done.err
    assert not (tmp_path / "r.json").exists()


def test_data_that_changed_since_the_training_are_refused(runs, monkeypatch):
    real = store.read_fleet_plan(runs / "dense").data["data"]
    assert real == "digits"
    from secateur.cli import runs as module
    from secateur.types import Records

    def other(name, folder):
        from secateur.data import load

        records = load(name, folder)
        return Records.from_arrays(
            records.source.values * 0.5, records.labels, n_classes=10, name="digits"
        )

    monkeypatch.setattr(module, "load", other)
    done = secateur("audit", runs / "dense", "--out", runs / "never.json")
    assert done.code == 2
    assert "was trained on records with the digest" in done.err
    assert "point --data-dir to the same files" in done.err


def test_an_interrupted_run_says_how_to_resume_and_ends_with_the_same_bytes(
    runs, tmp_path, monkeypatch
):
    def stop(self, done, total, what):
        del self, total, what
        if done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "__call__", stop)
        stopped = train(tmp_path / "a folder")
    assert stopped.code == 130
    assert "stopped with 2 of 6 models of 'dense' finished, in" in stopped.err
    last = stopped.err.splitlines()[-1]
    assert last.startswith("resume with: secateur train --data digits")
    assert last.endswith(f"--out '{tmp_path}/a folder'")
    unfinished = secateur("prune", tmp_path / "a folder", "--out", tmp_path / "pruned")
    assert unfinished.code == 2
    assert "4 of 6 models are missing" in unfinished.err
    assert not (tmp_path / "pruned").exists()
    assert train(tmp_path / "a folder").code == 0
    assert store.fleet_digest(tmp_path / "a folder") == store.fleet_digest(runs / "dense")


def test_an_interrupt_anywhere_else_has_the_same_exit_code_and_command(runs, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("secateur.auditing.audit_fleets", stop)
    done = secateur("audit", runs / "dense", "--out", runs / "x.json")
    assert done.code == 130
    assert done.err.splitlines()[-1] == (
        f"resume with: secateur audit {runs / 'dense'} --out {runs / 'x.json'}"
    )


def test_an_error_that_is_none_of_ours_keeps_its_traceback(runs, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("secateur.auditing.audit_fleets", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        secateur("audit", runs / "dense", "--out", runs / "x.json")


def test_the_report_is_json_that_other_programs_can_read(report):
    path, _ = report
    content = json.loads(path.read_text(encoding="utf-8"))
    assert {"rows", "series", "controls", "facts", "digest"} <= set(content)
