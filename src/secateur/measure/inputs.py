"""Controls on the inputs alone: can members be told without any model, and are records repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.data.twins import content_keys, nearly_equal
from secateur.measure.interval import t_interval, unit_bootstrap
from secateur.measure.roc import auc_value
from secateur.measure.weighted import rank
from secateur.measure.widen import trials_of_metric, widened
from secateur.types import AUDIT, Control, Membership, Records, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import BoolArray, IntArray

__all__ = ["blind_baseline", "near_duplicates_control"]

FOLDS = 5
COMPONENTS = 16


def _features(records: Records, indices: IntArray) -> NDArray[np.float64]:
    inputs = records.gather(indices).reshape(len(indices), -1).astype(np.float64)
    return np.concatenate([inputs, np.eye(records.n_classes)[records.labels[indices]]], axis=1)


def blind_baseline(records: Records, membership: Membership, *, seed: int) -> Control:
    """Try to tell members from non-members by inputs and labels alone, without any model.

    A logistic regression and boosted trees on principal components, cross-validated by unit; their
    mean rank is the score. Where it succeeds, members and non-members differ in themselves, and the
    audit is confounded.

    Args:
        records: the inputs.
        membership: whose targets are looked at.
        seed: of the folds.
    """
    audit = membership.pools[AUDIT]
    x = _features(records, audit)
    units = membership.units[audit]
    inside = membership.inside[np.ix_(membership.targets, audit)]
    scores = np.stack(
        [_blind_scores(x, row, units, derive_seed(seed, "fold", i)) for i, row in enumerate(inside)]
    )
    values = np.array([auc_value(s, m) for s, m in zip(scores, inside, strict=True)])
    if len(values) >= 2:
        mean, *ends = t_interval(values)
        kinds = [[len(np.unique(units[side])) for side in (row, ~row)] for row in inside]
        trials = trials_of_metric("auc", np.array(kinds, dtype=np.float64))
        found = widened((ends[0], ends[1]), value=mean, trials=trials, interval="t over targets")
        low, high = found.low, found.high
    else:
        mean = float(values[0])
        low, high = unit_bootstrap(rank(scores[0], inside[0]).auc, units, seed=seed)
    slack = 0.25 * (high - low)  # a 95 % interval misses by chance; a shift does not
    return Control(
        id="blind-baseline",
        status="raised" if low - slack > 0.5 else "passed",
        subject="all",
        saw=f"a classifier that sees inputs and labels but no model reaches an AUC of {mean:.3f} "
        f"[{low:.3f}, {high:.3f}]",
        why=(
            "if members can be told without the model, the attacks measure the split and not a leak"
        ),
        mend="draw members and non-members from one pool by coins",
        value=mean,
        low=low,
        high=high,
    )


def _blind_scores(
    x: NDArray[np.float64], inside: NDArray[np.bool_], units: NDArray[Any], seed: int
) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    distinct, where = np.unique(units, return_inverse=True)
    fold = rng.permutation(len(distinct))[where] % FOLDS
    components = min(COMPONENTS, x.shape[1], len(x) // 2)
    total = np.zeros(len(x))
    for held in range(FOLDS):
        fit, test = fold != held, fold == held
        if not test.any() or inside[fit].all() or not inside[fit].any():
            continue
        for last in (
            LogisticRegression(max_iter=500),
            HistGradientBoostingClassifier(max_iter=30, random_state=0),
        ):
            reduce = PCA(n_components=components, random_state=0)
            with threadpool_limits(1):  # boosting's threads spin, very slowly on shared cores
                model = make_pipeline(StandardScaler(), reduce, last).fit(x[fit], inside[fit])
                found = model.predict_proba(x[test])[:, 1]
            total[test] += np.argsort(np.argsort(found)) / max(1, len(found) - 1)
    return total


def _equal_to_another_unit(keys: NDArray[np.void], units: IntArray) -> BoolArray:
    which = np.unique(keys, return_inverse=True)[1].reshape(-1)
    first, last = np.full(len(keys), units.max()), np.full(len(keys), units.min())
    np.minimum.at(first, which, units)
    np.maximum.at(last, which, units)
    found: BoolArray = first[which] != last[which]
    return found


def near_duplicates_control(records: Records, membership: Membership) -> Control:
    """Count records of the audit pool with an equal, or nearly equal, one of another unit.

    All equal ones are looked at, of those that are nearly equal the nearest. Nearly: a distance
    below a thousandth of the median distance to the nearest neighbour.
    """
    from sklearn.neighbors import NearestNeighbors

    audit = membership.pools[AUDIT]
    x = records.gather(audit).reshape(len(audit), -1)
    distances, neighbours = NearestNeighbors(n_neighbors=2).fit(x).kneighbors(x)
    units = membership.units[audit]
    rows = np.arange(len(audit))
    other = np.where(neighbours[:, 0] == rows, 1, 0)  # an exact twin may stand before the record
    nearest, who = distances[rows, other], neighbours[rows, other]
    pairs = nearly_equal(nearest) & (units[who] != units)
    pairs |= _equal_to_another_unit(content_keys(x), units)  # of several equal ones, any may do
    share = float(pairs.mean())
    return Control(
        id="near-duplicates",
        status="raised" if share > 0.01 else "passed",
        subject="all",
        saw=f"{int(pairs.sum())} of {len(audit)} records have an equal or nearly equal twin of "
        "another unit in the audit pool",
        why="a non-member whose twin is a member looks like a member: the attack is understated",
        mend="give twins one unit, so that they are in or out together, or drop them",
        value=share,
    )
