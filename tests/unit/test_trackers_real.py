"""Reports in the real trackers, read back, with every way out of this machine closed."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

import secateur
from command_line import secateur as run
from pages import HOUSE, blocks_of, commands
from report_fixture import made_report
from saved_signals import save_npz, world
from secateur import store
from secateur.errors import StoreError
from secateur.trackers import MLflow, TensorBoard, WandB
from secateur.trackers.sending import sent

pytestmark = pytest.mark.trackers
WHAT = sent(made_report(), page=False, every_row=False)


@pytest.fixture(autouse=True)
def closed(monkeypatch, tmp_path):
    """Only this machine can be reached, and the working folder is a new one."""
    asked = socket.getaddrinfo
    connect = socket.socket.connect

    def local(host, *more, **named):
        if host not in (None, "", "localhost", "127.0.0.1", "::1"):
            raise AssertionError(f"asked for {host}")
        return asked(host, *more, **named)

    def only_local(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
            raise AssertionError(f"connected to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    monkeypatch.setattr(socket.socket, "connect", only_local)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in [n for n in os.environ if n.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_mlflow_holds_metrics_settings_and_files(tmp_path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/runs.db"
    said = secateur.track(made_report(), MLflow(uri=uri, experiment="audits", page=True))
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name("audits")
    (run_,) = client.search_runs([experiment.experiment_id])
    assert run_.info.run_id in said and run_.info.status == "FINISHED"
    assert run_.data.metrics == pytest.approx(dict(WHAT.metrics))
    assert WHAT.settings.items() <= run_.data.tags.items()
    names = {item.path for item in client.list_artifacts(run_.info.run_id)}
    assert names == {"report.json", "report.html"}
    kept = client.download_artifacts(run_.info.run_id, "report.json", str(tmp_path))
    assert store.read_report(kept) == made_report()


def test_mlflow_adds_a_second_report_to_an_experiment_that_is_there(tmp_path):
    from mlflow import MlflowClient

    tracker = MLflow(uri=f"sqlite:///{tmp_path}/runs.db", page=False, every_row=True)
    tracker(made_report())
    tracker(made_report())
    client = MlflowClient(tracking_uri=tracker.uri, registry_uri=tracker.uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "secateur"]
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_mlflow_refuses_a_store_that_is_none():
    with pytest.raises(StoreError, match="did not take the report"):
        MLflow(uri="nothing://here", page=False)(made_report())


def test_an_absent_server_is_said_and_the_environment_is_left_as_it_was():
    before = dict(os.environ)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1"):
        MLflow(uri="http://127.0.0.1:9", page=False)(made_report())
    assert {n: v for n, v in os.environ.items() if n.startswith("MLFLOW")} == {
        n: v for n, v in before.items() if n.startswith("MLFLOW")
    }


def test_tensorboard_holds_scalars_texts_and_files(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    place = secateur.track(made_report(), TensorBoard(folder="logs", step=3))
    found = EventAccumulator(str(place))
    found.Reload()
    values = {tag: found.Scalars(tag)[0] for tag in found.Tags()["scalars"]}
    assert {tag: v.value for tag, v in values.items()} == pytest.approx(
        dict(WHAT.metrics), rel=1e-6
    )
    assert {v.step for v in values.values()} == {3}
    texts = {t.removesuffix("/text_summary") for t in found.Tags()["tensors"]}
    assert texts == set(WHAT.settings)
    assert store.read_report(tmp_path / place / "report.json") == made_report()
    assert (tmp_path / place / "report.html").read_text().startswith("<!doctype html>")


def test_releases_in_one_run_make_a_curve_and_keep_each_its_files(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    titles = {1: "first", 2: "second"}
    for step, title in titles.items():
        report = replace(made_report(), title=title)
        place = secateur.track(report, TensorBoard(folder="logs", run="net", step=step))
    assert Path(place) == Path("logs") / "net"
    found = EventAccumulator(place)
    found.Reload()
    curves = [[v.step for v in found.Scalars(tag)] for tag in found.Tags()["scalars"]]
    assert curves and all(steps == [1, 2] for steps in curves)
    for step, title in titles.items():
        assert store.read_report(tmp_path / place / f"report-{step}.json").title == title
        assert (tmp_path / place / f"report-{step}.html").is_file()


def test_weights_and_biases_keeps_an_offline_run(tmp_path):
    place = Path(secateur.track(made_report(), WandB(folder=str(tmp_path), page=False)))
    (kept,) = place.glob("run-*.wandb")
    records = ended(kept)
    summary = {
        "/".join(u.nested_key) or u.key: json.loads(u.value_json)
        for r in records
        if r.HasField("summary")
        for u in r.summary.update
    }
    assert summary.items() >= WHAT.metrics.items()
    config = {
        u.key: u.value_json for r in records if r.HasField("run") for u in r.run.config.update
    }
    assert {k: json.loads(config[k]) for k in WHAT.settings} == dict(WHAT.settings)
    saved = {f.path for r in records if r.HasField("files") for f in r.files.files}
    assert saved == {"report.json"}
    assert store.read_report(place / "files" / "report.json") == made_report()
    assert not [
        r for r in records if r.HasField("run") and (r.run.host != "-" or r.run.git.remote_url)
    ]
    assert not {r.WhichOneof("record_type") for r in records} & {"stats", "output", "environment"}


def ended(path):
    """Return a run's records once its last one is there: its service writes on after `finish`."""
    for _ in range(300):
        records = list(read(path))
        if records and records[-1].HasField("exit"):
            return records
        time.sleep(0.1)
    raise AssertionError(f"{path} has no end")


def read(path):
    """Return the records of a run's file: blocks of 32 KiB, parts with a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, held = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        held += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(held)
            held = b""
            yield record


def test_the_commands_of_the_page_send_a_report_from_a_file(tmp_path):
    store.write_report(tmp_path / "report.json", made_report())
    page = (HOUSE / "docs" / "trackers.md").read_text(encoding="utf-8")
    (block,) = (b for b in blocks_of(page) if b.said("not run"))
    ran = [run(*words[1:]) for words in commands(block.text, block.language)]
    assert [done.code for done in ran] == [0, 0, 0], [done.err for done in ran]
    assert all("tracked: " in done.out for done in ran)
    assert {"mlflow.db", "logs", "wandb"} <= {path.name for path in tmp_path.iterdir()}


def test_an_audit_is_sent_when_it_is_written(tmp_path):
    where = save_npz(tmp_path, world())
    done = run("attack", *where, "--attack", "LiRA", "--out", "r.json", "--track", "TensorBoard")
    assert done.code == 0 and "tracked: tensorboard" in done.out, done.err
    (kept,) = (tmp_path / "tensorboard").glob("*/report.json")
    assert kept.read_bytes() == (tmp_path / "r.json").read_bytes()
