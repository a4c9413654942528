"""A made sweep whose answers are known, for the tests of the page of evidence."""

from __future__ import annotations


def row(value, half=0.01, *, metric="", method="LiRA(mode='online')", versus=""):
    ends = (
        {"low": None, "high": None} if half is None else {"low": value - half, "high": value + half}
    )
    return {"value": value, **ends, "metric": metric, "method": method, "versus": versus}


def point(case, method, axes, *, attack, leak, test, against, kept=1.0, early=0.0):
    """One case; `against` are the differences to dense: (leak, half), (test, half)."""
    rows = {
        "test accuracy": row(test),
        "train accuracy": row(0.99),
        "paper's attack": row(attack, 0.005),
        "leak": row(leak),
        "tpr": row(0.2, metric="tpr at 1% fpr"),
        "LiRA": row(leak),
        "LiRA, naive": row(leak - 0.1),
        "kept weights": row(kept, None),
        "compression rate": row(1 / kept, None),
    }
    if case != "dense":
        (d_leak, leak_half), (d_test, test_half) = against
        rows |= {
            "leak - dense": row(d_leak, leak_half),
            "tpr - dense": row(d_leak, leak_half),
            "test accuracy - dense": row(d_test, test_half),
            "leak - dense at equal train accuracy": row(early, 0.02, versus="dense, epoch 9"),
            "leak - dense at equal test accuracy": row(early, 0.02, versus="dense, epoch 9"),
            "tpr - dense at equal test accuracy": row(early, 0.03, metric="tpr at 1% fpr"),
            "leak - dense at no less test accuracy": row(
                leak - 0.70, 0.02, versus="dense, epoch 9"
            ),
        }
    units = {"leak": [leak, leak + 0.01, leak - 0.01], "test_accuracy": [test, test, test + 0.01]}
    return {
        "case": case,
        "method": method,
        "seed": None,
        "axes": axes,
        "rows": rows,
        "units": units,
    }


def made():
    none = ((0, None), (0, None))
    return {
        "schema": "sweep-1",
        "title": "A made world",
        "points": [
            point("dense", "dense", {}, attack=0.70, leak=0.80, test=0.60, against=none),
            point(
                "mia-pruning rate=8", "mia-pruning", {"rate": 8}, kept=0.125,
                attack=0.60, leak=0.70, test=0.60, against=((-0.10, 0.02), (0.0, 0.01)),
            ),
            point(
                "mia-pruning rate=15.78", "mia-pruning", {"rate": 15.78}, kept=0.0634,
                attack=0.70, leak=0.79, test=0.50, against=((-0.01, 0.02), (-0.10, 0.01)),
            ),
            point(
                "min-max strength=3", "min-max", {"strength": 3},
                attack=0.65, leak=0.85, test=0.59, against=((0.05, 0.02), (-0.01, 0.02)),
            ),
            point(
                "random-mask rate=8", "random-mask", {"rate": 8}, kept=0.125,
                attack=0.6, leak=0.70, test=0.60, against=((-0.1, 0.02), (0.0, 0.02)),
            ),
        ],
        "series": [
            {
                "kind": "early stopping",
                "columns": {
                    "epoch": [3.0, 9.0, 20.0],
                    "train_accuracy": [0.7, 0.9, 1.0],
                    "test_accuracy": [0.55, 0.62, 0.60],
                    "auc": [0.6, 0.7, 0.8],
                    "low": [0.59, 0.69, 0.79],
                    "high": [0.61, 0.71, 0.81],
                },
            }
        ],
        "missing": ["dp-sgd noise=1.0, seed 0"],
        "dropped": [],
        "failed": [],
        "facts": {
            "data": "made", "targets": 8, "references": 32, "seeds": [0], "scale": "small",
            "command": "secateur reproduce made",
        },
        "provenance": {"key": {}, "context": {"processor": "a processor", "cores": 2}},
    }  # fmt: skip
