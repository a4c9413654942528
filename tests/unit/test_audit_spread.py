"""Where the attacks of an audit are run changes nothing of what it finds."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from secateur import spreading
from secateur.attack.learned import NasrAttack
from secateur.attack.membership import RMIA, HierarchicalLiRA, LiRA, LossThreshold, WhiteBox
from secateur.auditing import audit, spread
from secateur.auditing.subjects import observe_subjects
from secateur.compress import Magnitude
from secateur.data import digits, draw
from secateur.errors import WorkerError
from secateur.models import MLP
from secateur.store import write_report
from secateur.train import Recipe, apply, train_fleet


def note(told: list[tuple[int, int, str]], *call: Any) -> None:
    told.append(call)


@pytest.mark.slow
def test_attacks_in_workers_find_the_same_to_the_bit(tmp_path, monkeypatch):
    records = digits().take(np.arange(300))
    who = draw(records, targets=2, references=8, seed=0)
    dense = train_fleet(
        Recipe(build=MLP(widths=(64, 16, 10)), epochs=2), records, who, seed=0, engine="serial"
    )
    pruned = apply(
        Magnitude(rate=4, retrain_epochs=1), dense, records, seed=0, engine="serial", name="pruned"
    )
    how = {"attacks": [HierarchicalLiRA(), LiRA(), RMIA(), LossThreshold()], "seed": np.int64(3)}
    found = []
    for workers, worth in ((0, 20.0), (2, -1.0)):
        monkeypatch.setattr(spreading, "WORTH", worth)
        told: list[tuple[int, int, str]] = []
        report = audit(
            [dense, pruned], records, workers=workers, progress=partial(note, told), **how
        )
        path = tmp_path / f"{workers}.json"
        write_report(path, report)
        held = json.loads(path.read_text())
        found.append({k: held[k] for k in ("rows", "series", "controls")})
        attacked = [(done, total) for done, total, name in told if name == "attack_family"]
        assert {(2, 2), (1, 1)} <= set(attacked)  # the naive attack is of the pruned one alone
        assert (2, 2) in [(d, t) for d, t, name in told if name == "choose_attack"]
    assert found[0] == found[1]
    assert any(r["method"].startswith("LiRA") for r in found[0]["rows"])


def test_the_first_task_is_timed_and_the_others_follow_in_order(monkeypatch):
    monkeypatch.setattr(spreading, "WORTH", -1.0)
    assert spread.spread(divmod, range(1, 6), shared=[17], workers=2) == [
        divmod(17, k) for k in range(1, 6)
    ]


def test_an_error_of_a_task_comes_through_from_a_worker(monkeypatch):
    monkeypatch.setattr(spreading, "WORTH", -1.0)
    with pytest.raises(WorkerError, match="by zero"):
        spread.spread(divmod, [1, 0], shared=[17], workers=2)


class OfTheScript(LossThreshold):
    """An attack that stands in the script that runs, as workers cannot see it."""


OfTheScript.__module__ = "__main__"


@pytest.mark.slow
def test_an_attack_that_workers_cannot_import_is_run_here(monkeypatch):
    monkeypatch.setattr(spreading, "WORTH", -1.0)
    assert not spread.can_travel([LossThreshold(), OfTheScript()])
    assert spread.can_travel([LossThreshold(), RMIA()])
    records = digits().take(np.arange(300))
    who = draw(records, targets=2, references=4, seed=0)
    fleet = train_fleet(
        Recipe(build=MLP(widths=(64, 8, 10)), epochs=1), records, who, seed=0, engine="serial"
    )
    report = audit(fleet, records, attacks=[OfTheScript()], workers=2)
    assert {r.method for r in report.rows if r.metric == "auc"} == {repr(OfTheScript())}


def test_what_travels_is_no_more_than_attacks_read():
    records = digits().take(np.arange(300))
    who = draw(records, targets=2, references=4, seed=0)
    fleet = train_fleet(
        Recipe(build=MLP(widths=(64, 8, 10)), epochs=1), records, who, seed=0, engine="serial"
    )
    attacks = [LossThreshold(), NasrAttack(epochs=1)]
    [seen] = [s.observations for s in observe_subjects([fleet], records, attacks, workers=0)]
    seen = replace(seen, views={**seen.views, "other": seen.views[seen.primary]})
    assert seen.posteriors and len(seen.views) == 2
    lean = spread.signals_alone(seen, [LossThreshold()])
    assert not lean.posteriors and set(lean.views) == {seen.primary}
    assert set(spread.signals_alone(seen, [LossThreshold(), WhiteBox()]).views) == set(seen.views)
