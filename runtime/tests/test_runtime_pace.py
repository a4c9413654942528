"""Runs beside each other are timed in turn, and what the first one makes ready is not counted."""

from __future__ import annotations

from secateur_runtime import pace


def test_runs_take_turns_and_the_first_turn_does_not_count(monkeypatch):
    now, order = [0.0], []
    seconds = {"a": [0.5, 3.0, 2.0], "b": [9.0, 5.0, 6.0]}  # of the first turn, of the others

    def run(name):
        now[0] += seconds[name][order.count(name)]
        order.append(name)

    monkeypatch.setattr(pace.time, "thread_time", lambda: now[0])
    assert pace.least_seconds([lambda: run("a"), lambda: run("b")], 2) == [2.0, 5.0]
    assert order == ["a", "b"] * 3
