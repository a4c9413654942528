"""The GitHub Actions example: its steps run here as they stand, but for installs and sizes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "github-actions.yml"
SIZES = "--targets 8 --references 32"
SMALLER = {
    SIZES: "--targets 2 --references 4 --snapshots none --engine serial --workers 1 "
    '--recipe "Recipe(build=MLP(widths=(64, 16, 10)), epochs=5)"',
    '"ADMM(rate=10)"': '"ADMM(rate=10, updates=2, epochs_per_update=1, retrain_epochs=1)" '
    "--engine serial --workers 1",
    "--out audit/report.json": "--attack LossThreshold --workers 1 --out audit/report.json",
}
NAMES = ["Install", "Train and prune", "Audit", "Gate"]


def workflow():
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def steps():
    return workflow()["jobs"]["audit"]["steps"]


def commands():
    """Return every step that runs a command, by name."""
    return {step["name"]: step["run"] for step in steps() if "run" in step}


@pytest.fixture
def checkout(tmp_path):
    """A folder as the job finds it, and the command on its path."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "secateur"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m secateur.cli "$@"\n')
    command.chmod(0o755)
    return tmp_path


def run(command, folder):
    """Run a step as a runner does: bash, which ends at the first command that fails."""
    found = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in found.stderr
    return found


def test_the_file_is_a_workflow_whose_steps_are_all_known_here():
    found = workflow()
    assert set(found) == {"name", True, "permissions", "jobs"}  # YAML reads `on` as true
    assert set(found[True]) == {"pull_request", "schedule"}
    assert found["permissions"] == {"contents": "read"}
    assert list(commands()) == NAMES
    assert all(("uses" in step) != ("run" in step) for step in steps())
    assert all("@" in step["uses"] for step in steps() if "uses" in step)


def test_fleets_are_found_again_by_what_they_are_trained_with_and_not_by_the_policy():
    (cache,) = (step for step in steps() if step.get("uses", "").startswith("actions/cache"))
    hashed = cache["with"]["key"].partition("hashFiles(")[2].partition(")")[0]
    assert hashed == "'**/*.py', '.github/workflows/audit.yml'"
    assert "restore-keys" not in cache["with"]  # other sources' fleets are not taken
    assert cache["with"]["path"] in commands()["Train and prune"]


def test_what_is_installed_is_there_and_has_the_extra_that_is_asked_for():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert commands()["Install"].startswith('pip install "./secateur[report]"')
    assert project["name"] == "secateur" and "report" in project["optional-dependencies"]


@pytest.mark.slow
def test_each_step_runs_in_turn_and_the_gate_is_shut_on_a_report_of_too_few_models(checkout):
    text = commands()
    for long, short in SMALLER.items():
        assert any(long in command for command in text.values())
        text = {name: command.replace(long, short) for name, command in text.items()}
    for name in NAMES[1:3]:
        done = run(text[name], checkout)
        assert done.returncode == 0, done.stderr
    shut = run(text["Gate"], checkout)
    assert shut.returncode == 1, shut.stderr
    told = json.loads((checkout / "audit" / "gate.json").read_text())
    broken = [f["rule"] for f in told["findings"] if not f["holds"]]
    assert "min_references 16" in broken and "min_targets 8" in broken
    assert not any(rule.startswith("max_age_days") for rule in broken)
    policy = checkout / "examples" / "policy.toml"
    policy.write_text('max_age_days = 90\nsubject = "admm"\n')
    assert run(text["Gate"], checkout).returncode == 0  # the same step, and the gate is open
    policy.write_text("max_age = 90\n")
    assert run(text["Gate"], checkout).returncode == 2
    (upload,) = (s["with"]["path"] for s in steps() if "upload-artifact" in s.get("uses", ""))
    names = {path.name for path in (checkout / upload).iterdir()}
    assert names == {"report.json", "report.html", "gate.json"}  # no per-record file, no model
    (kept,) = (s["with"]["path"] for s in steps() if "actions/cache" in s.get("uses", ""))
    assert {path.name for path in (checkout / kept).iterdir()} == {"dense", "admm"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_job_runs_as_it_stands_and_the_example_policy_is_judged(checkout):
    for name in NAMES[1:3]:
        done = run(commands()[name], checkout)
        assert done.returncode == 0, done.stderr
    gate = run(commands()["Gate"], checkout)
    told = json.loads((checkout / "audit" / "gate.json").read_text())
    held = [f["holds"] for f in told["findings"]]
    assert gate.returncode == (0 if all(held) else 1) and len(held) > 10
    counted = [f for f in told["findings"] if f["rule"].startswith("min_")]
    assert counted and all(f["holds"] for f in counted)
    again = run(commands()["Train and prune"], checkout)  # what the cache brings back is found
    assert again.returncode == 0 and "40 of 40" in again.stderr
