"""The bar of long runs: what it counts, and where its time left comes from."""

from __future__ import annotations

import pytest

from secateur.cli import progress
from secateur.cli.progress import Bar


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def lines_of(clock, capsys, calls):
    with Bar("training") as bar:
        for seconds, done in calls:
            clock[0] += seconds
            bar(done, 10, "train")
    return capsys.readouterr().err.splitlines()


def test_the_time_left_follows_from_the_tasks_of_this_run(clock, capsys):
    assert lines_of(clock, capsys, [(5, 0), (60, 1), (60, 2)]) == [
        "training: 0 of 10",
        "training: 1 of 10, about 540 s left",
        "training: 2 of 10, about 480 s left",
    ]


def test_what_an_earlier_run_finished_took_no_time_of_this_one(clock, capsys):
    assert lines_of(clock, capsys, [(5, 8), (60, 9), (60, 10)]) == [
        "training: 8 of 10",
        "training: 9 of 10, about 60 s left",
        "training: 10 of 10",
    ]


def test_a_second_stage_begins_anew_under_its_name(clock, capsys):
    with Bar("training", observe="querying") as bar:
        bar(0, 1, "train")
        bar(1, 1, "train")
        clock[0] += 1000
        bar(0, 2, "observe")
        clock[0] += 3
        bar(1, 2, "observe")
    assert capsys.readouterr().err.splitlines()[2:] == [
        "querying: 0 of 2",
        "querying: 1 of 2, about 3 s left",
    ]
