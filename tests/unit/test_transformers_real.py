"""Hugging Face's classifiers, made on the spot: the written recipe and the example, end to end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import secateur as package
from command_line import secateur
from own_files import SMALL
from secateur import own, read_report

pytestmark = pytest.mark.transformers
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "hugging_face_text_classifier.py"
NAMED = "\nMEMBERS = np.arange(0, 500)\nNON_MEMBERS = np.arange(500, 1000)\n"
ONE = ("--workers", "1")
LOSS = [package.LossThreshold(class_wise=False)]


@pytest.fixture
def file(tmp_path):
    """The recipe that `secateur init` writes."""
    assert secateur("init", "hugging-face", tmp_path / "text.py").code == 0
    return tmp_path / "text.py"


def test_the_written_recipe_is_checked_trained_and_audited(file, tmp_path):
    done = secateur("check", file, *ONE)
    assert done.code == 0 and "nothing found" in done.out, done.out + done.err
    some = ("--engine", "serial", *ONE, "--snapshots", "none")
    done = secateur("train", "--recipe", file, *SMALL, *some, "--out", tmp_path / "runs")
    assert done.code == 0, done.err
    out = ("--out", tmp_path / "report.json", "--html", tmp_path / "report.html")
    done = secateur("audit", tmp_path / "runs", *ONE, *out)
    assert done.code == 0, done.err
    report = read_report(tmp_path / "report.json")
    assert report.facts["models"] == {"targets": 1, "references": 2}
    (accuracy,) = (r for r in report.rows if r.metric == "test accuracy")
    assert 0 < accuracy.value <= 1
    (subject,) = report.facts["subjects"].values()
    assert "text.py" in subject["pipeline"][0]


def test_one_network_of_the_written_recipe_is_audited_beside_two_references(file, tmp_path):
    file.write_text(file.read_text(encoding="utf-8") + NAMED, encoding="utf-8")
    torch.manual_seed(0)
    save_file(own.recipe_of(file).build().state_dict(), tmp_path / "net.safetensors")
    few = ("--references", "2", "--attack", "LossThreshold", *ONE)
    named = ("--recipe", file, *few, "--out", tmp_path / "report.json")
    done = secateur("audit", tmp_path / "net.safetensors", *named)
    assert done.code == 0, done.err
    report = read_report(tmp_path / "report.json")
    assert report.facts["models"] == {"targets": 1, "references": 2}
    row = next(r for r in report.rows if r.metric == "auc")
    assert row.low < 0.5 < row.high  # a network that was never trained leaks nothing


def test_ids_that_are_cast_in_the_wrapper_are_exact_and_such_that_are_not_are_refused(file):
    recipe, records = own.recipe_of(file), own.records_of(file)
    rows = np.arange(40)
    tokens, labels = records.gather(rows), records.labels[rows]
    assert (tokens == tokens.astype(np.int64)).all()
    sides = {"members": (tokens[:20], labels[:20]), "non_members": (tokens[20:], labels[20:])}

    class NotCast(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = recipe.build().inner

        def forward(self, tokens):
            return self.inner(input_ids=tokens).logits

    with pytest.raises(package.errors.DataError, match="float32 inputs of shape"):
        package.audit(NotCast(), **sides, attacks=LOSS)
    report = package.audit(recipe.build(), **sides, attacks=LOSS)
    assert next(r for r in report.rows if r.metric == "auc").counts["members"] == 20


def test_the_example_prints_an_audit(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error::secateur.errors.SecateurWarning", EXAMPLE],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert "never a guarantee" in done.stdout and "AUC 0.5 = a coin" in done.stdout
