"""A recipe's code that ends Python, by sys.exit or exit, is an error in words and never silence."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import save_file

from command_line import secateur
from own_files import GOOD, SMALL, TRAIN, written
from own_mistakes import BODY, NAMED, NETWORK, module
from secateur import own
from secateur.errors import InputError
from secateur.parallel import run_tasks

ENDS = r"mine\.py, line \d+, in {}: (it )?ends Python \(exit: {}\); raise an error in its place"


def in_forward(when, code="3"):
    """Return the good recipe with a network that ends Python unless this holds."""
    return module(BODY + f"        return self.body(x) if {when} else exit({code})\n")


@pytest.mark.parametrize(
    ("text", "where", "code"),
    [
        (in_forward("False"), r"the network", 3),
        (in_forward("self.training"), r"the network", 3),
        (in_forward("not self.training", ""), r"the first step of training", 0),
        (GOOD.replace(NETWORK, "exit('no weights')"), r"build\(\)", "no weights"),
        (GOOD.replace("    rng = ", "    raise SystemExit\n    rng = "), r"records\(\)", 0),
        (GOOD + TRAIN.replace("steps.step()", "exit(1)"), r"train\(\)", 1),
    ],
)
def test_check_finds_it_with_its_line(tmp_path, text, where, code):
    done = secateur("check", written(tmp_path, text), "--fpr", "0.05", "--workers", "1")
    assert done.code == 1 and not done.err, done.err
    words = re.sub(r"\s+", " ", done.out)
    assert re.search(ENDS.format(where, code), words), done.out


@pytest.mark.parametrize(
    "more",
    [("serial", "1"), pytest.param(("processes", "2"), marks=pytest.mark.slow), ("stacked", "1")],
    ids=["serial", "processes", "stacked"],
)
@pytest.mark.parametrize(
    ("text", "where"),
    [
        (in_forward("len(x) < 9"), "forward"),  # not in the rehearsal
        (in_forward("not self.training"), "forward"),
        (GOOD.replace(NETWORK, "exit(3)"), r"build\(\)"),
        (GOOD + TRAIN.replace("steps.step()", "exit(3)"), r"train\(\)"),
    ],
    ids=["a batch", "training", "build", "train"],
)
def test_a_training_that_it_ends_says_so_with_exit_code_2(tmp_path, text, where, more):
    if more[0] == "stacked" and "def train" in text:
        pytest.skip("own training code is not stacked")
    file, (engine, workers) = written(tmp_path, text), more
    some = ("--engine", engine, "--workers", workers, "--snapshots", "none")
    done = secateur("train", "--recipe", file, *SMALL, *some, "--out", tmp_path / "runs")
    assert done.code == 2, (done.code, done.out, done.err)
    assert re.search(ENDS.format(where, 3), re.sub(r"\s+", " ", done.err)), done.err


@pytest.mark.parametrize("ends", ["len(x) < 9", "False", "not self.training"])
def test_an_audit_that_it_ends_says_so_with_exit_code_2(tmp_path, ends):
    file = written(tmp_path, in_forward(ends) + NAMED)
    torch.manual_seed(0)
    save_file(own.recipe_of(file).build().state_dict(), tmp_path / "net.safetensors")
    few = ("--references", "2", "--attack", "LossThreshold", "--workers", "1")
    named = ("--recipe", file, *few, "--out", tmp_path / "report.json")
    done = secateur("audit", tmp_path / "net.safetensors", *named)
    assert done.code == 2, (done.code, done.out, done.err)
    assert re.search(ENDS.format("forward", 3), re.sub(r"\s+", " ", done.err)), done.err
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_task_that_ends_python_is_not_tried_again(workers):
    with pytest.raises(InputError, match=r"ends Python \(exit: 5\)"):
        run_tasks("sys:exit", [5], workers=workers)


def test_what_ends_a_command_on_purpose_keeps_its_exit_code(tmp_path):
    done = secateur("check", written(tmp_path, GOOD.replace("6, 16", "7, 16")), "--workers", "1")
    assert done.code == 1 and "shape" in done.out
