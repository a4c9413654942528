"""Epsilon bounds of jax_privacy 2.0.0 and dp-accounting 0.6.0, kept so that tests need neither.

Run in an environment with numpy, scipy, attrs, dm-tree, absl-py and
`pip install --no-deps jax-privacy==2.0.0 dp-accounting==0.6.0` (jax itself is not needed):

    python tests/oracles/epsilon.py > tests/oracles/epsilon.json
"""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib.metadata import distribution, version
from pathlib import Path

COUNTS = (  # canaries, guesses, correct
    (10, 10, 10),
    (100, 100, 100),
    (100, 100, 60),
    (1000, 100, 90),
    (1000, 100, 80),
    (1000, 1000, 700),
    (5000, 300, 280),
    (20000, 2000, 1300),
    (20000, 40, 40),
)
DELTAS = (1e-9, 1e-5, 1e-3)
RATES = (  # members, true positives, non-members, false positives
    (500, 500, 500, 0),
    (500, 100, 500, 1),
    (200, 150, 300, 60),
    (64, 20, 64, 30),
)


def auditing():
    """Load the one module, since the package imports jax."""
    place = Path(str(distribution("jax_privacy").locate_file("jax_privacy/auditing.py")))
    spec = importlib.util.spec_from_file_location("auditing", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules["auditing"] = module
    spec.loader.exec_module(module)
    return module


def scores_of(ones, n):
    return [1.0] * ones + [0.0] * (n - ones)


def main():
    import dp_accounting

    peer = auditing()
    auditor, fixed = peer.CanaryScoreAuditor, peer.Explicit(0.5)
    one_run = [
        {
            "canaries": m,
            "guesses": r,
            "correct": v,
            "delta": delta,
            "p_value_at_1": float(peer._one_run_p_value(m, r, v, 1.0, delta)),
            "one_run": float(peer._epsilon_one_run(0.0, m, r, v, 0.05, delta)),
            "fdp": float(peer._epsilon_one_run_fdp(0.0, m, r, v, 0.05, delta)),
        }
        for m, r, v in COUNTS
        for delta in DELTAS
    ]
    rates = [
        {
            "members": p,
            "true_positives": tp,
            "non_members": n,
            "false_positives": fp,
            "delta": delta,
            "epsilon": float(
                auditor(scores_of(tp, p), scores_of(fp, n)).epsilon_clopper_pearson(
                    0.05, delta, one_sided=False, threshold_strategy=fixed
                )
            ),
        }
        for p, tp, n, fp in RATES
        for delta in (0.0, 1e-5, 1e-2)
    ]
    gaussian = [
        {
            "mu": mu,
            "delta": delta,
            "epsilon": float(dp_accounting.get_epsilon_gaussian(1 / mu, delta)),
        }
        for mu in (0.1, 0.5, 1.0, 3.0, 10.0)
        for delta in (1e-10, 1e-5, 1e-2)
    ]
    found = {
        "command": "python tests/oracles/epsilon.py > tests/oracles/epsilon.json",
        "versions": {
            name: version(name) for name in ("jax-privacy", "dp-accounting", "numpy", "scipy")
        },
        "one_run": one_run,
        "rates": rates,
        "gaussian": gaussian,
    }
    json.dump(found, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
