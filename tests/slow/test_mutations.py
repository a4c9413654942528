"""The tests are strong: a changed sign, factor or index makes one of them fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = "tests/unit/test_attack_membership.py"
MEASURE = "tests/unit/test_measure.py"
COMPRESS = ("tests/unit/test_compress_masks.py", "tests/unit/test_compress_admm.py")

# (file, what stands there, what it becomes, tests that must notice)
MUTANTS = [
    (
        "attack/membership/lira.py",
        "- self._log_density(targets, out)",
        "+ self._log_density(targets, out)",
        (ATTACKS,),
    ),
    ("attack/membership/lira.py", "-0.5 * (", "-1.0 * (", (ATTACKS,)),
    (
        "attack/membership/lira.py",
        "(moments.count - 1 + self.weight)",
        "(moments.count + self.weight)",
        (ATTACKS,),
    ),
    (
        "attack/membership/lira.py",
        "moments.squares / (moments.count - 1)",
        "moments.squares / moments.count",
        (ATTACKS,),
    ),
    ("attack/membership/lira.py", "(targets - out.centre)", "(out.centre - targets)", (ATTACKS,)),
    ("attack/membership/rmia.py", 'else "right"', 'else "left"', (ATTACKS,)),
    ("attack/membership/rmia.py", "np.log1p(self.a)", "np.log1p(-self.a / 2)", (ATTACKS,)),
    (
        "attack/membership/rmia.py",
        "ratio_x - np.log(self.gamma)",
        "ratio_x + np.log(self.gamma)",
        (ATTACKS,),
    ),
    (
        "attack/membership/references.py",
        "away.sum(axis=0) / count",
        "away.sum(axis=0) / len(values)",
        (ATTACKS,),
    ),
    (
        "attack/membership/references.py",
        "gain = true / len(members) - false",
        "gain = true / len(members) + false",
        (ATTACKS,),
    ),
    (
        "attack/membership/thresholds.py",
        "sign: ClassVar[float] = -1.0",
        "sign: ClassVar[float] = 1.0",
        (ATTACKS,),
    ),
    ("measure/roc.py", "(roc.tpr[1:] + roc.tpr[:-1]) / 2", "roc.tpr[1:]", (MEASURE,)),
    ("measure/roc.py", "s[1:] != s[:-1]", "s[1:] <= s[:-1]", (MEASURE,)),
    ("measure/roc.py", "(tp + before) / 2", "tp", (MEASURE,)),
    (
        "measure/roc.py",
        "roc.fpr, fpr + 1e-12",
        "roc.fpr, fpr - 1e-12",
        (MEASURE,),
    ),
    ("measure/interval.py", "values.std(ddof=1)", "values.std(ddof=0)", (MEASURE,)),
    ("measure/interval.py", "0.5 + confidence / 2", "confidence", (MEASURE,)),
    ("measure/interval.py", "n - hits + 1)", "n - hits)", (MEASURE,)),
    (
        "measure/interval.py",
        "return t_interval(a - b, confidence)",
        "return t_interval(b - a, confidence)",
        (MEASURE,),
    ),
    ("measure/utility.py", "0.5 + (train - outside) / 2", "0.5 + (train - outside)", (MEASURE,)),
    (
        "compress/admm.py",
        'now.params[name] - state[f"Z/',
        'now.params[name] + state[f"Z/',
        COMPRESS,
    ),
    ("compress/admm.py", "+ w[name] - z[name] for", "- w[name] + z[name] for", COMPRESS),
]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m[0]}: {m[1][:40]}")
def test_a_mutant_is_noticed(mutant, tmp_path):
    file, old, new, tests = mutant
    shutil.copytree(ROOT / "src" / "secateur", tmp_path / "secateur")
    target = tmp_path / "secateur" / file
    text = target.read_text(encoding="utf-8")
    if old not in text:
        pytest.fail(f"{file} no longer holds {old!r}: write the mutant anew")
    target.write_text(text.replace(old, new), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, f"no test noticed:\n{run.stdout[-2000:]}"
