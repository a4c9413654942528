"""Two plans of one file in one folder: the first keeps its names, the other adds its scale."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import RECIPE, secateur
from secateur import store
from secateur.sweeping import run as running
from secateur.sweeping.names import claim, names_of, settle
from secateur.sweeping.world import World
from secateur.types import Sweep

FILE = f'''
title = "Two plans"
data = "digits"
members = 40
population = 30
utility = 50
targets = 2
references = 2
recipe = "{RECIPE}"
attacks = ["LiRA()"]
[[method]]
name = "mask"
steps = ["RandomMask(rate={{rate}}, epochs=1)"]
over = {{ rate = [2, 4] }}
[scale.draws]
only = ["mask"]
[scale.beside]
attacks = ["LiRA()", "LiRA(variance='shared')"]
only = ["mask rate=4"]
'''


def run(scale: str | None, *more: str):
    """Run the sweep in the current folder, in this process."""
    Path("sweep.toml").write_text(FILE)
    chosen = () if scale is None else ("--scale", scale)
    how = ("--engine", "serial", "--workers", "1")
    return secateur("sweep", "sweep.toml", "--out", "run", *how, *chosen, *more)


def documents() -> dict[str, bytes]:
    return {
        str(p.relative_to("run")): p.read_bytes()
        for p in sorted(Path("run").rglob("*.json"))
        if p.name not in ("context.json", "fleet.json")
    }


def cases(path: str) -> list[str]:
    found = store.read_result(path)
    assert isinstance(found, Sweep)
    return [point.case for point in found.over_seeds()]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_second_scale_overwrites_nothing_and_both_resume_to_their_bytes(elsewhere, monkeypatch):
    first = run("draws")
    assert first.code == 0, first.err
    before = documents()
    assert list(before) == ["seed-0/report.json", "sweep.json"]  # as a folder of one plan was
    assert "reports:" not in first.out and "result: run/sweep.json" in first.out
    other = run("beside")
    assert other.code == 0, other.err
    assert "result: run/sweep-beside.json" in other.out
    assert "reports: run/seed-0/report-beside.json" in other.out
    both = documents()
    assert {name: both[name] for name in before} == before
    assert sorted({*both} - {*before}) == ["seed-0/report-beside.json", "sweep-beside.json"]
    assert cases("run/sweep.json") == ["dense", "mask rate=2", "mask rate=4"]
    assert cases("run/sweep-beside.json") == ["dense", "mask rate=4"]
    monkeypatch.setattr(running, "audit_fleets", None)  # found, not made again
    assert run("beside").code == run("draws").code == 0
    assert documents() == both


@pytest.mark.slow
def test_a_plan_that_was_stopped_after_its_first_report_keeps_its_names(elsewhere, monkeypatch):
    class Stopped(KeyboardInterrupt):
        pass

    def stop(*_, **__):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(running, "result_of", stop)
        assert run("draws").code == 130
    report = Path("run/seed-0/report.json").read_bytes()
    assert run("beside").code == 0
    assert not Path("run/sweep.json").exists()
    assert Path("run/sweep-beside.json").exists()
    monkeypatch.setattr(running, "audit_fleets", None)
    assert run("draws").code == 0
    assert Path("run/seed-0/report.json").read_bytes() == report
    assert cases("run/sweep.json") == ["dense", "mask rate=2", "mask rate=4"]
    assert not Path("run/sweep-of.json").exists()


def test_a_plan_that_wrote_no_report_holds_no_names(elsewhere, monkeypatch):
    make = World.make

    def stopped(self, node, *more, **named):
        if node.steps:
            raise KeyboardInterrupt
        return make(self, node, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(World, "make", stopped)
        assert run("draws").code == 130
    assert names_of(Path("run"), "beside").end == ""


@pytest.mark.parametrize("page", ["run/sweep.json", "run/sweep-beside.json"])
def test_no_page_goes_over_the_result_of_another_plan(elsewhere, page):
    for scale in ("draws", "beside"):
        store.write_sweep(
            Path("run") / names_of(Path("run"), scale).result,
            Sweep(title="", points=(), facts={"scale": scale}),
        )
    for scale in ("draws", "beside", None):
        done = run(scale, "--html", page)
        assert done.code == 2
        assert "would be overwritten" in done.err


def test_names_follow_the_scale_that_came_first(tmp_path):
    assert names_of(tmp_path / "none", "draws").result == "sweep.json"
    claim(tmp_path, "")
    claim(tmp_path, "draws")  # too late
    assert names_of(tmp_path, "").screening(8) == "screening-8.json"
    other = names_of(tmp_path, "a/../b")
    assert (other.result, other.report) == ("sweep-a-..-b.json", "report-a-..-b.json")
    assert other.screening(8) == "screening-8-a-..-b.json"
    settle(tmp_path)
    assert names_of(tmp_path, "draws").end == ""
    claim(tmp_path, "draws")
    assert names_of(tmp_path, "").result == "sweep-unscaled.json"
