"""What an audit says of time and memory, and of which file it says it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from secateur.attack.membership import LossThreshold
from secateur.auditing import audit, speed
from secateur.data import digits, draw
from secateur.deploy import Onnx, Pack
from secateur.models import MLP
from secateur.report.footprint import footprint_table
from secateur.train import Recipe, apply, train_fleet

RECORDS = digits()
RECIPE = Recipe(build=MLP(widths=(64, 16, 10)), epochs=1)


@pytest.fixture(scope="module")
def report():
    who = draw(
        RECORDS,
        targets=1,
        references=2,
        pools={"audit": 400, "population": 50, "utility": 50},
        seed=0,
    )
    place = {"seed": 0, "engine": "serial"}
    dense = train_fleet(RECIPE, RECORDS, who, **place)
    fleets = [dense, apply(Onnx(), dense, RECORDS, **place), apply(Pack(), dense, RECORDS, **place)]
    patch = pytest.MonkeyPatch()
    patch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    patch.setattr(speed, "latency", shortened(speed.latency))
    try:
        return audit(fleets, RECORDS, attacks=[LossThreshold()], timed=True)
    finally:
        patch.undo()


def shortened(latency):
    """Return a latency that times for a moment only."""

    def timed(runs, inputs, *, batch, progress=None):
        return latency(runs, inputs, batch=batch, rounds=2, seconds=1e-6)

    return timed


def rows(report, start, subject):
    return {r.metric: r for r in report.rows if r.metric.startswith(start) and r.subject == subject}


def test_every_model_is_timed_on_one_thread_and_on_all_at_1_and_32_records(report):
    wanted = {f"{n}{t}" for n in ("1 record", "32 records") for t in ("", ", 3 threads")}
    for subject in ("dense", "onnx", "pack"):
        found = rows(report, "latency, ", subject)
        assert set(found) == {f"latency, {name}" for name in wanted}
        assert all(0 < r.value <= r.counts["p95"] and r.unit == "ms" for r in found.values())
        assert all(("3 threads" in r.method) == ("3 threads" in m) for m, r in found.items())
        faster = rows(report, "speed-up, ", subject)
        assert set(faster) == ({f"speed-up, {n}" for n in wanted} if subject != "dense" else set())
        assert all(r.versus == "dense" for r in faster.values())


def test_the_rows_say_whether_the_file_itself_ran(report):
    why = {
        s: rows(report, "latency, ", s)["latency, 1 record"].why for s in ("dense", "onnx", "pack")
    }
    assert why["onnx"].endswith("the first target's file")
    assert why["dense"].endswith("an ONNX file made of the first target's tensors")
    assert "not its packed file, which no runtime runs" in why["pack"]


def test_peak_memory_is_measured_and_shown_in_the_table(report):
    found = rows(report, "peak memory, ", "onnx")
    assert set(found) == {"peak memory, 1 record", "peak memory, 32 records"}
    assert all(64 * 16 * 4 < r.value < 1e9 for r in found.values())
    line = next(line for line in footprint_table(report) if line["model"] == "onnx")
    assert line["peak MB"] == f"{found['peak memory, 1 record'].value / 1e6:.1f}"
    assert line["all threads"].endswith("3 threads")
    assert np.isfinite(float(line["speed-up"].partition("x")[0]))


def test_memory_that_the_system_does_not_tell_is_not_run_and_says_why(monkeypatch):
    def refuse(data, shape, *, batch):
        raise speed.InputError("no memory is told here")

    monkeypatch.setattr(speed, "peak_memory", refuse)
    file = speed.Timed("m", b"", "a file")
    row = speed._memory(file, (64,), 1)
    assert (row.value, row.status, row.why) == (None, "not run", "no memory is told here")
