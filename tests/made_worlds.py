"""Results of sweeps made by hand, for pages about pruning that protects."""

from __future__ import annotations

STOPPED = "leak - dense at no less test accuracy"


def row(value, low=None, high=None, method="LiRA()", **more):
    return {"value": value, "low": low, "high": high, "method": method, **more}


def spread(value, by=0.002):
    return [value - by, value, value + by]


def case(name, method, *, accuracy, leak, rate=10.0, less=None, reference=None, steps=()):
    return {
        "case": name,
        "method": method,
        "seed": None,
        "steps": list(steps),
        "axes": {},
        "units": {
            "reference_accuracy": [accuracy if reference is None else reference] * 3,
            "test_accuracy": spread(accuracy),
            "leak": spread(leak),
        },
        "rows": {
            "test accuracy": row(accuracy),
            "leak": row(leak, leak - 0.01, leak + 0.01),
            STOPPED: row(less),
            "compression rate": row(rate),
            "kept weights": row(1 / rate),
            "tpr": row(0.02),
            "cpu seconds": row(12.0),
        },
    }


def stopped(epochs, accuracy, leak):
    name = f"early-stopping epochs={epochs}"
    steps = [f"EarlyStopping(epochs={epochs})"]
    return case(name, "early-stopping", accuracy=accuracy, leak=leak, rate=1.0, steps=steps)


def private(noise, accuracy, leak):
    return case(f"dp-sgd noise={noise}", "dp-sgd", accuracy=accuracy, leak=leak, rate=1.0)


def curve(seed, *accuracies):
    columns = {"epoch": [1.0, 9.0, 30.0], "test_accuracy": list(accuracies)}
    return {"kind": "early stopping", "id": f"early-stopping/seed-{seed}", "columns": columns}


def world(leak=0.55, accuracy=0.70, dp=0.6):
    return {
        "points": [
            case("dense", "dense", accuracy=0.66, leak=0.9, rate=1.0),
            case("cross-fit folds=5", "cross-fit", accuracy=accuracy, leak=leak),
            case("cross-fit-dense", "cross-fit-dense", accuracy=0.9, leak=0.5, rate=1.0),
            private(1, 0.7, dp),
            stopped(9, 0.70, 0.8),
        ],
        "series": [curve(0, 0.5, 0.71, 0.66), curve(1, 0.5, 0.69, 0.6), curve(2, 0.5, 0.7, 0.63)],
        "comparisons": [
            {
                "case": "cross-fit folds=5",
                "rival": "dp-sgd noise=1",
                "method": "dp-sgd",
                "rows": {
                    "leak": row(-0.1, -0.12, -0.08),
                    "test accuracy": row(0.0, -0.01, 0.01),
                },
            }
        ],
        "facts": {
            "seeds": [0, 1, 2],
            "targets": 8,
            "references": 32,
            "command": "secateur sweep x",
        },
    }


def snapshots(leak=0.55, less=-0.25, **told):
    """As a sweep without `EarlyStopping` cases: the audit's snapshots alone."""
    found = world(leak=leak)
    found["points"] = [p for p in found["points"] if p["method"] != "early-stopping"]
    found["points"][1]["rows"][STOPPED] = row(less, versus="dense, epoch 9", **told)
    return found


def dense_models(ours, *stops):
    """A world in which our test accuracy is `ours`, and the dense models these alone."""
    found = world(accuracy=ours)
    found["points"] = [found["points"][1], *(stopped(*stop) for stop in stops)]
    return found["points"][0], found


def private_models(*settings, accuracy=0.70, leak=0.6):
    """A world of which these are all the settings of DP-SGD, and our case."""
    found = world(leak=leak, accuracy=accuracy)
    found["points"] = [p for p in found["points"] if p["method"] != "dp-sgd"]
    found["points"] += [private(*setting) for setting in settings]
    return found["points"][1], found


def with_attacks(point, **values):
    spelled = {
        "lira": "LiRA(mode='online')",
        "trees": "WhiteBox(others=(), head='both')",
        "near": "Neighbours(perturbations=(NearestRecords(k=8),))",
        "both": "StackedAttack(others=('dense',), head='both')",
    }
    rows = {f"leak by {spelled[k]}": row(v, v - 0.01, v + 0.01) for k, v in values.items()}
    return {**point, "rows": {**point["rows"], **rows}}
