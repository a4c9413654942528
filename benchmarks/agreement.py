"""Do our scores put records in the order of published packages' scores, on the same signals?

    make peers      # an environment of its own, .venv-peers
    .venv-peers/bin/python -m benchmarks.agreement [--out results/experiments/agreement.json]

Spearman's rank correlation per case; 0.999 is asked for. Where it is less, `defect` names what the
other package does, and `shown` is the outcome of a reproducer that has nothing of ours in it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks import agreement_peers as peers
from benchmarks.agreement_peers import CLASSES, POPULATION, RECORDS, REFERENCES
from secateur import store
from secateur.attack.membership import RMIA, LiRA, LossThreshold
from secateur.context import hardware
from secateur.measure import auc_value
from secateur.types import Membership, Observations

ENOUGH = 0.999


def world(*, balanced: bool = True, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return margins `[models, records]` and who is inside; model 0 is the target."""
    rng = np.random.default_rng(seed)
    n = RECORDS + POPULATION
    inside = np.zeros((REFERENCES + 1, n), dtype=bool)
    inside[0, :RECORDS] = rng.random(RECORDS) < 0.5
    if balanced:
        ranks = rng.random((REFERENCES, RECORDS)).argsort(axis=0)
        inside[1:, :RECORDS] = ranks < REFERENCES // 2
    else:
        inside[1:, :RECORDS] = rng.random((REFERENCES, RECORDS)) < 0.5
    hardness = rng.normal(2, 2, size=n)
    spread = rng.uniform(0.5, 1.5, size=n)
    margins = hardness + spread * rng.normal(size=inside.shape) + 1.5 * inside
    return margins, inside


def ours(attack: Any, margins: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return our scores of the audit pool."""
    n = inside.shape[1]
    log_p = -np.logaddexp(0, -margins)
    who = Membership(
        inside=inside,
        roles=("target", *("reference",) * REFERENCES),
        pools={"audit": np.arange(RECORDS), "population": np.arange(RECORDS, n)},
        units=np.arange(n),
        seed=0,
    )
    seen = Observations.from_arrays(
        {"margin": margins, "log_confidence": log_p, "loss": -log_p},
        labels=np.arange(n) % CLASSES,
        membership=who,
    )
    return attack(seen).values[0, :RECORDS]


Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One of our attacks beside one of theirs.

    `within` compares within each class, where the other attack has a free threshold per class.
    `defect` is what they do, and `show` a reproducer, where less than 0.999 is expected of random
    halves (`coins`) or of any world.
    """

    attack: str
    package: str
    score: Scores
    theirs: Scores
    within: bool = False
    defect: str = ""
    show: Callable[[], str] | None = None
    only_coins: bool = False


def by(attack: Any) -> Scores:
    """Return our attack as a function of margins and membership."""
    return lambda margins, inside: ours(attack, margins, inside)


def lira(theirs: Scores, package: str, **more: Any) -> Case:
    """Return LiRA beside another LiRA."""
    attack = LiRA(**more.pop("parameters"))
    return Case(attack=repr(attack), package=package, score=by(attack), theirs=theirs, **more)


ONLINE = {"variance": "per record"}
OFFLINE = {"variance": "per record", "mode": "offline"}
CASES = (
    lira(peers.sacro("online-carlini"), "sacroml", parameters=ONLINE),
    lira(peers.sacro("offline"), "sacroml", parameters=OFFLINE),
    lira(
        peers.sacro("online-carlini", fix_variance=True),
        "sacroml",
        parameters={"variance": "shared"},
    ),
    lira(peers.privacyguard_lira(online=True), "privacyguard-platform", parameters=ONLINE),
    lira(
        peers.privacyguard_lira(online=False),
        "privacyguard-platform",
        parameters=OFFLINE,
        defect="offline LiRA is the negative log-density, as in LiRA's released code, and not the "
        "paper's one-sided probability",
        show=peers.two_sided,
    ),
    Case(
        attack=repr(RMIA(mode="offline", temperature=1.0)),
        package="privacyguard-platform",
        score=by(RMIA(mode="offline", temperature=1.0)),
        theirs=peers.privacyguard_rmia(online=False),
        defect="the mean over models out takes a fixed number of them, and zeros where there are "
        "fewer",
        show=peers.zeros_averaged,
        only_coins=True,
    ),
    Case(
        attack=repr(RMIA(temperature=1.0)),
        package="privacyguard-platform",
        score=by(RMIA(temperature=1.0)),
        theirs=peers.privacyguard_rmia(online=True),
        defect="p(x) is the mean over all references, not half the mean in and half the mean out",
        show=peers.unweighted_mean,
        only_coins=True,
    ),
    Case(
        attack=repr(LossThreshold(class_wise=False)),
        package="adversarial-robustness-toolbox",
        score=by(LossThreshold(class_wise=False)),
        theirs=peers.art_loss,
        within=True,
    ),
    Case(
        attack="correct",
        package="adversarial-robustness-toolbox",
        score=peers.correct,
        theirs=peers.art_rule,
    ),
)


def correlation(case: Case, a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's correlation, the smallest over classes where these are apart."""
    labels = np.arange(RECORDS) % CLASSES
    parts = [labels == k for k in range(CLASSES)] if case.within else [labels >= 0]
    return min(float(spearmanr(a[p], b[p]).statistic) for p in parts)


def compared(case: Case, *, balanced: bool) -> dict[str, Any]:
    """Return one row: the correlation, both AUCs, and what explains a small one."""
    margins, inside = world(balanced=balanced)
    a, b = case.score(margins, inside), case.theirs(margins, inside)
    found = correlation(case, a, b)
    explained = bool(case.defect) and not (case.only_coins and balanced)
    row: dict[str, Any] = {
        "attack": case.attack,
        "package": case.package,
        "references": "balanced" if balanced else "coins",
        "spearman": found,
        "auc": auc_value(a.astype(float), inside[0, :RECORDS]),
        "auc_theirs": auc_value(b.astype(float), inside[0, :RECORDS]),
        "within_classes": case.within,
        "agrees": found >= ENOUGH,
    }
    if explained and case.show is not None:
        row |= {"defect": case.defect, "shown": case.show()}
    print(f"{case.attack}, {case.package}, {row['references']}: {found:.6f}", file=sys.stderr)
    return row


def main() -> None:
    """Compare every case and write the file; fail where a small correlation is not explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path("results/experiments/agreement.json")
    parser.add_argument("--out", type=Path, default=default)
    out = parser.parse_args().out
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")
    rows = [compared(case, balanced=balanced) for balanced in (True, False) for case in CASES]
    packages = {c.package for c in CASES}
    store.write_document(
        out,
        {
            "command": "python -m benchmarks.agreement",
            "records": RECORDS,
            "population": POPULATION,
            "references": REFERENCES,
            "packages": {name: metadata.version(name) for name in sorted(packages)},
            "machine": hardware(),
            "rows": rows,
        },
    )
    unexplained = [r for r in rows if not r["agrees"] and "defect" not in r]
    if unexplained:
        sys.exit(f"{len(unexplained)} cases agree less than {ENOUGH}, and nothing explains it")


if __name__ == "__main__":
    main()
