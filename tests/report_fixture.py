"""A small made report with a row of every kind that an audit writes, three of its names hostile."""

from __future__ import annotations

from secateur.types import Control, Measurement, Provenance, Report, Series

HOSTILE = "<script>alert(1)</script>"
STOPPED = "dense, epoch 2"
PRUNED = "admm & </script><b>"
LIRA = "LiRA(mode='online', variance='shrunk', weight=8.0, centre='mean')"
RMIA = "RMIA(mode='online', temperature=4.0, gamma=1.0, a=0.3)"
NASR = "NasrAttack(epochs=40, lr=0.001, batch_size=64, members_known=0.5)"
KINDS = {"dense": "dense", PRUNED: "pruned", STOPPED: "stopped"}
COUNTS = {"targets": 8.0, "members": 30.0, "non_members": 30.0, "references": 32.0}
WEAK = "naive"


def attack_row(subject, metric, value, half=0.02, *, method=LIRA, **more):
    """A measured row with a t interval."""
    fields = {"threat": "adaptive", "counts": COUNTS, "better": "lower", **more}
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=metric,
        value=value,
        low=value - half,
        high=value + half,
        interval="t over targets",
        **fields,
    )


def unmeasured_row(subject, metric, status, why, *, method=LIRA, **more):
    """A row that says why it has no value."""
    return Measurement(
        subject=subject,
        risk="membership",
        method=method,
        metric=metric,
        value=None,
        status=status,
        why=why,
        **more,
    )


def consequence_rows(name):
    """What `auditing/consequences.py` writes of the strongest attack of one subject."""
    bound = {"delta": 1e-5, "guesses": 240.0, "correct": 200.0}
    return [
        attack_row(name, "false-positive rate", 0.25),
        attack_row(name, "precision at 1% prior", 0.03, 0.01),
        attack_row(name, "precision at 10% prior", 0.2),
        attack_row(name, "precision at 50% prior", 0.7),
        Measurement(
            subject=name,
            risk="membership",
            method=LIRA,
            metric="epsilon at delta 1e-05",
            value=1.25,
            low=1.25,
            interval="lower bound",
            counts=bound,
            threat="adaptive",
            why="lower bound",
        ),
        attack_row(name, "epsilon at delta 1e-05, gdp fit", 3.5, 0.5, why="an estimate"),
        attack_row(name, "adversary's gain", -1.3, unit="nats"),
        attack_row(name, "jensen-shannon divergence", 0.05, unit="nats"),
        attack_row(name, "reachable accuracy", 0.65),
    ]


def subject_rows(name, *, auc, test, kept):
    """What `auditing/run.py` writes of one subject."""
    about = {"subject": name, "risk": "utility", "method": "accuracy"}
    t = {"interval": "t over targets", "counts": {"targets": 8.0}}
    use = [
        Measurement(metric="train accuracy", value=0.99, low=0.98, high=1.0, **about, **t),
        Measurement(
            metric="test accuracy", value=test, low=test - 0.01, high=test + 0.01, **about, **t
        ),
        Measurement(
            subject=name,
            risk="size",
            method="count of non-zeros",
            metric="kept weights",
            value=kept,
            status="exact",
            estimand="property",
            counts={"kept": 100 * kept, "prunable": 100.0},
        ),
        attack_row(name, "balanced accuracy", 0.55, method="gap attack", threat=""),
    ]
    attacks = [
        row
        for method, found in ((LIRA, auc), (RMIA, auc - 0.03))
        for row in (
            attack_row(name, "auc", found, method=method),
            attack_row(name, "balanced accuracy", found - 0.1, method=method),
            attack_row(name, "accuracy", found - 0.1, method=method),
            unmeasured_row(
                name,
                "tpr at 1% fpr",
                "not resolvable",
                "2.4 false positives are expected, at least 10 are needed; the lowest is 0.05",
                method=method,
                threat="adaptive",
                counts={**COUNTS, "expected_false_positive_units": 2.4},
            ),
            attack_row(name, "tpr at 5% fpr", 0.2, method=method),
        )
    ]
    if KINDS[name] == "stopped":
        return [*use, *attacks, *consequence_rows(name)]
    return [
        *use,
        *attacks,
        *consequence_rows(name),
        unmeasured_row(
            name, "auc", "not run", "NasrAttack needs posteriors", method=NASR, threat="insider"
        ),
    ]


def made_series():
    """All four kinds of series."""
    roc = {"fpr": (0.0, 0.05, 0.5, 1.0), "tpr": (0.0, 0.2, 0.7, 1.0), "low": (0.0, 0.1, 0.6, 1.0)}
    histogram = {"left": (0.0, 1.0), "right": (1.0, 2.0), "members": (0.4, 0.6)}
    curve = {
        "epoch": (1.0, 2.0, 3.0),
        "train_accuracy": (0.7, 0.9, 0.99),
        "test_accuracy": (0.7, 0.86, 0.9),
        "auc": (0.52, 0.6, 0.7),
        "low": (0.5, 0.58, 0.68),
        "high": (0.54, 0.62, 0.72),
    }
    residual = {
        "update": (1.0, 1.0, 2.0, 2.0),
        "layer": ("1.weight", "3.weight", "1.weight", "3.weight"),
        "residual": (0.6, 0.4, 0.08, 0.02),
        "rho": (0.01, 0.01, 3.0, 3.0),
    }
    each = [
        series
        for name in KINDS
        for series in (
            Series(
                id=f"roc/{name}/{LIRA}",
                kind="roc",
                subject=name,
                method=LIRA,
                columns={**roc, "high": (0.1, 0.3, 0.8, 1.0)},
            ),
            Series(
                id=f"histogram/{name}/{LIRA}",
                kind="histogram",
                subject=name,
                method=LIRA,
                columns={**histogram, "non_members": (0.7, 0.3)},
            ),
        )
    ]
    return (
        Series(
            id="early-stopping/dense",
            kind="early stopping",
            subject="dense",
            method=LIRA,
            columns=curve,
        ),
        *each,
        Series(
            id=f"convergence/{PRUNED}",
            kind="convergence",
            subject=PRUNED,
            method="ADMM",
            columns=residual,
        ),
    )


def made_report(*, against_dense=(-0.05, 0.02), against_stopped=(0.0, 0.02), series=True):
    """The report.

    Args:
        against_dense: (value, half width) of the paired difference from the dense model.
        against_stopped: the same, from the stopped one.
        series: with curves and histograms.
    """
    differences = [
        attack_row(PRUNED, metric, *pair, versus=versus, why="paired over the same targets")
        for versus, pair in (("dense", against_dense), (STOPPED, against_stopped))
        for metric in ("auc", "tpr at 5% fpr")
    ]
    rows = (
        *subject_rows("dense", auc=0.7, test=0.9, kept=1.0),
        *subject_rows(PRUNED, auc=0.65, test=0.89, kept=0.1),
        *subject_rows(STOPPED, auc=0.66, test=0.86, kept=1.0),
        attack_row(PRUNED, "auc", 0.55, threat=WEAK),
        *differences,
    )
    controls = (
        Control(id="gap", status="raised", subject=PRUNED, saw=HOSTILE, why="gap", mend="stop"),
        Control(
            id="null",
            status="passed",
            subject="dense",
            saw="0.500 [0.480, 0.520]",
            why="a shuffled split",
            mend="look for an error in the split",
            value=0.5,
            low=0.48,
            high=0.52,
        ),
    )
    return Report(
        title=f"Membership audit of {HOSTILE}",
        rows=rows,
        series=made_series() if series else (),
        controls=controls,
        provenance=Provenance(
            key={"records": "r0", "membership": "m0", "fleets": {}, "attacks": [LIRA], "seed": 0},
            context={"cores": 2, "flags": ["avx2"], "versions": {"numpy": "2.0"}},
        ),
        facts={
            "data": {"name": HOSTILE, "records": 100, "classes": 2, "digest": "r0"},
            "pools": {"audit": 60, "utility": 40},
            "models": {"targets": 8, "references": 32},
            "subjects": {
                n: {"pipeline": ["Recipe()"], "label": n, "kind": k} for n, k in KINDS.items()
            },
            "baseline": "dense",
            "strongest": dict.fromkeys(KINDS, LIRA),
            "matched": [
                {"subject": PRUNED, "by": by, "epoch": 2, "view": STOPPED}
                for by in ("train accuracy", "test accuracy")
            ],
            "threat_model": "The attacker sees outputs.",
            "limits": ["A lower bound."],
            "seed": 0,
        },
    )
