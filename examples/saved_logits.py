"""Audit a model of which nothing but its saved outputs is at hand; no torch is loaded.

Run it: python examples/saved_logits.py
It makes outputs first, in place of yours.
"""

from __future__ import annotations

import numpy as np

import secateur


def make_outputs(
    inside: np.ndarray, labels: np.ndarray, *, seed: int, classes: int = 10
) -> np.ndarray:
    """Return made logits `[records, classes]`, surer of the true class of members."""
    rng = np.random.default_rng(seed)
    hard = np.random.default_rng(0).normal(size=len(labels))  # of every model alike
    logits = rng.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += 3 + hard + inside
    return logits


def main() -> None:
    """Audit the outputs alone, then beside those of an attacker's own models."""
    rng = np.random.default_rng(1)
    n = 1000
    labels = rng.integers(0, 10, n)
    inside = rng.random(n) < 0.5
    target = {"logits": make_outputs(inside, labels, seed=2), "labels": labels}

    alone = secateur.audit(target, members=inside)
    print(secateur.render_text(alone))

    trained_on = rng.random((16, n)) < 0.5
    outputs = [make_outputs(row, labels, seed=10 + i) for i, row in enumerate(trained_on)]
    references = {"logits": np.stack(outputs), "inside": trained_on}
    report = secateur.audit(target, members=inside, references=references)
    print(secateur.render_text(report))


if __name__ == "__main__":
    main()
