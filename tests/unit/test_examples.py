"""Every example runs as it stands, in a process of its own, and prints what an audit says."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = (
    "own_cnn_on_image_folder",
    "table_in_csv",
    "saved_logits",
    "scikit_learn_model",
    "hugging_face_text_classifier",
)
SLOW = {"own_cnn_on_image_folder", "table_in_csv", "scikit_learn_model"}
NOT_OURS = {"hugging_face_text_classifier": "transformers"}  # what no extra of ours installs


def run(name, folder):
    return subprocess.run(
        [sys.executable, "-W", "error::secateur.errors.SecateurWarning", EXAMPLES / f"{name}.py"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_every_example_is_run_here():
    assert {p.stem for p in EXAMPLES.glob("*.py")} == set(NAMES)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES]
)
def test_an_example_prints_an_audit_or_says_what_is_missing(name, tmp_path):
    needed = NOT_OURS.get(name)
    done = run(name, tmp_path)
    if needed is not None and importlib.util.find_spec(needed) is None:
        assert done.returncode == 1
        assert f"pip install {needed}" in done.stderr and "Traceback" not in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert "never a guarantee" in done.stdout and "AUC 0.5 = a coin" in done.stdout
    assert not list(tmp_path.iterdir())  # nothing is left behind
