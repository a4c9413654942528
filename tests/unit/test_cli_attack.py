"""Saved signals: every layout gives the same scores, and no torch is loaded for them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import saved_signals
from command_line import secateur
from secateur import RMIA, LiRA, LossThreshold, read_report
from secateur.attack.membership import HierarchicalLiRA, PairAttack
from secateur.auditing.signal_checks import _leave_one_out
from secateur.auditing.signals import audit_signals, signal_attacks
from secateur.errors import DataError, InputError, SecateurWarning
from secateur.probe import signals
from secateur.probe.saved import from_probabilities, obtainable, signals_of
from secateur.store import read_score_table, read_signals
from secateur.types import Membership, Observations, Signal

LAYOUTS = (
    saved_signals.save_npz,
    saved_signals.save_folders,
    saved_signals.save_one,
    saved_signals.save_long,
    saved_signals.save_wide,
)
MARGIN = Signal(name="margin")
OFFLINE = repr(RMIA(mode="offline", temperature=1.0))


def by_hand(found: dict[str, np.ndarray], attack) -> np.ndarray:
    """Score with the Python interface alone."""
    roles = ("target",) * saved_signals.TARGETS + ("reference",) * saved_signals.REFERENCES
    who = Membership(
        inside=found["inside"],
        roles=roles,
        pools={
            "audit": np.flatnonzero(~found["population"]),
            "population": np.flatnonzero(found["population"]),
        },
        units=np.arange(saved_signals.RECORDS),
        seed=0,
    )
    seen = {
        s.key: np.stack(
            [
                np.stack([signals(z, found["labels"], [s])[s.key] for z in queries])
                for queries in found["logits"]
            ]
        )
        for s in attack.needs
    }
    return attack(Observations.from_arrays(seen, labels=found["labels"], membership=who)).values


@pytest.mark.parametrize("save", LAYOUTS, ids=lambda f: f.__name__)
def test_every_layout_gives_the_scores_of_the_python_interface(save, tmp_path):
    found = saved_signals.world()
    named = save(tmp_path, found)
    done = secateur(
        *("attack", *named, "--attack", "LiRA", "--attack", "RMIA(mode='offline')"),
        *("--out", tmp_path / "report.json", "--scores", tmp_path / "scores.npz"),
    )
    assert (done.code, done.err) == (0, ""), done.err
    table = read_score_table(tmp_path / "scores.npz")
    for attack in (LiRA(), RMIA(mode="offline")):
        np.testing.assert_allclose(table[repr(attack)].values, by_hand(found, attack), atol=1e-12)
    report = read_report(tmp_path / "report.json")
    assert {r.method for r in report.rows} == set(table)
    assert all(r.low is not None for r in report.rows if r.metric == "auc")
    assert report.facts["models"] == {"targets": 2, "references": 16}
    assert list(report.side_files) == ["scores.npz"]


@pytest.mark.parametrize("queries", [1, 3])
def test_lira_s_folders_give_the_scores_of_one_target_against_all_others(tmp_path, queries):
    found = saved_signals.world(queries)
    del found["population"]
    named = saved_signals.save_lira(tmp_path, found)
    saved = read_signals(named[3], without=[tmp_path / "exp" / "experiment-0_18"])
    assert saved.shape == (17, saved_signals.RECORDS)
    assert saved.arrays["logits"][3].shape == (queries, saved_signals.RECORDS, 3)
    done = secateur(*("attack", *named, "--out", tmp_path / "r.json", "--attack", "LiRA"))
    # records 30 .. 39 are in no model, so that online attacks cannot speak of them
    assert done.code == 2 and "LiRA needs at least 1 reference models in" in done.err
    offline = "LiRA(mode='offline')"
    done = secateur(*("attack", *named, "--out", tmp_path / "r.json", "--attack", offline))
    assert done.code == 0, done.err
    auc = next(r for r in read_report(tmp_path / "r.json").rows if r.metric == "auc")
    assert auc.value > 0.8 and auc.estimand == "this model"


def test_privacy_meters_arrays_are_read_models_in_columns(tmp_path):
    found = saved_signals.world()
    loss = np.stack(
        [signals(z[0], found["labels"], [Signal(name="loss")])["loss"] for z in found["logits"]]
    )
    np.save(tmp_path / "memberships.npy", found["inside"])
    np.save(tmp_path / "all_signals.npy", np.exp(-loss).T)
    saved = read_signals(tmp_path, kind="confidence")
    np.testing.assert_array_equal(saved.inside, found["inside"])
    done = secateur(
        *("attack", "--target", tmp_path, "--rows", "0,1", "--kind", "confidence"),
        *("--attack", "LossThreshold(class_wise=False)", "--out", tmp_path / "out" / "r.json"),
    )
    assert done.code == 2 and "is, or is inside, the input" in done.err
    out = tmp_path.parent / f"{tmp_path.name}.json"
    done = secateur(
        *("attack", "--target", tmp_path, "--rows", "0,1", "--kind", "confidence"),
        *("--attack", "LossThreshold(class_wise=False)", "--out", out),
    )
    assert done.code == 0, done.err
    raised = {c.id for c in read_report(out).controls if c.status == "raised"}
    assert "logits" in raised


def test_nothing_of_it_loads_torch(tmp_path):
    named = saved_signals.save_npz(tmp_path, saved_signals.world())
    arguments = ["attack", *named, "--out", str(tmp_path / "r.json")]
    arguments += ["--html", str(tmp_path / "r.html"), "--scores", str(tmp_path / "s.npz")]
    code = (
        "import sys\nfrom secateur.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "saved signals" in page and "LiRA" in page
    report = read_report(tmp_path / "r.json")
    assert {r.method for r in report.rows} == {repr(a) for a in signal_attacks()}
    ids = {c.id: c.status for c in report.controls}
    assert ids["blind-baseline"] == ids["adaptive"] == "not run"
    assert ids["null"] == ids["references"] == ids["logits"] == "passed"


def test_an_attack_that_cannot_run_is_a_row_that_says_why(tmp_path):
    found = saved_signals.world()
    margin = np.stack([signals(z[0], found["labels"], [MARGIN])["margin"] for z in found["logits"]])
    np.savez(tmp_path / "m.npz", margin=margin, inside=found["inside"])
    done = secateur(
        *("attack", "--target", tmp_path / "m.npz", "--rows", "0", "--out", tmp_path / "r.json"),
        *("--attack", "LossThreshold", "--attack", "RMIA", "--attack", OFFLINE),
    )
    assert done.code == 0, done.err
    rows = [r for r in read_report(tmp_path / "r.json").rows if r.metric == "auc"]
    why = {r.method: r.why for r in rows if r.status == "not run"}
    assert "log_confidence@4" in why[repr(RMIA())] and "temperature=1.0" in why[repr(RMIA())]
    assert "compares with population records" in why[OFFLINE]
    assert repr(LossThreshold()) not in why


def test_references_of_other_data_are_out_of_every_record(tmp_path):
    found = saved_signals.world()
    held = saved_signals.part(found, saved_signals.OTHERS)
    del held["inside"]
    np.savez(tmp_path / "t.npz", **saved_signals.part(found, saved_signals.OWN))
    np.savez(tmp_path / "r.npz", **held)
    done = secateur(
        *("attack", "--target", tmp_path / "t.npz", "--references", tmp_path / "r.npz"),
        *("--attack", "LiRA(mode='offline')", "--attack", "LiRA", "--out", tmp_path / "r.json"),
    )
    assert done.code == 0, done.err
    rows = [r for r in read_report(tmp_path / "r.json").rows if r.metric == "auc"]
    assert [r.status for r in rows] == ["measured", "not run"]


def test_margins_from_probabilities_keep_what_the_other_classes_say():
    z = np.array([[30.0, 0.0, -1.0], [0.1, 2.0, 0.0]])
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    labels = np.array([0, 0])
    exact = signals(z, labels, [MARGIN])["margin"]
    found = signals(from_probabilities(p.astype(np.float32)), labels, [MARGIN])["margin"]
    np.testing.assert_allclose(found, exact, rtol=1e-6)


@pytest.mark.parametrize("kept", ["margin", "log_confidence", "loss", "confidence"])
def test_a_plain_signal_gives_the_others(kept):
    z = np.random.default_rng(0).normal(0, 3, size=(50, 4))
    labels = np.arange(50) % 4
    names = ("margin", "log_confidence", "loss")
    wanted = [Signal(name=n) for n in names]
    exact = {k: v.astype(np.float64) for k, v in signals(z, labels, wanted).items()}
    exact["confidence"] = np.exp(exact["log_confidence"])
    found = signals_of({kept: exact[kept][None]}, None, wanted)
    for name in names:
        np.testing.assert_allclose(found[name][0], exact[name], rtol=1e-4, atol=1e-5)
    assert not obtainable([kept], Signal(name="entropy"))
    with pytest.raises(InputError, match=r"entropy cannot be computed from .*give logits"):
        signals_of({kept: exact[kept][None]}, None, [Signal(name="entropy")])


def test_probabilities_that_were_rounded_to_one_are_counted(tmp_path):
    found = saved_signals.world()
    p = np.zeros((18, 40, 3), np.float32)
    p[:, np.arange(40), found["labels"]] = 1.0
    np.savez(tmp_path / "p.npz", probabilities=p, labels=found["labels"], inside=found["inside"])
    with pytest.warns(SecateurWarning, match="720 probabilities of the true class were rounded"):
        from secateur.probe.saved_models import observations_of

        saved = read_signals(tmp_path / "p.npz")
        seen = observations_of([(saved, range(18), "target")], [MARGIN])
    assert np.isfinite(seen.views["given"]["margin"]).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0.5, 0.6]], r"add up to 1, got sums of 1\.1"),
        ([[1.5, -0.5]], r"must be in \[0, 1\], got -0\.5 \.\. 1\.5"),
        ([[np.nan, 0.5]], r"must be in \[0, 1\]"),
    ],
)
def test_what_is_no_probability_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        from_probabilities(np.array(values))


def test_a_large_signal_goes_to_a_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setattr("secateur.probe.saved_models.IN_MEMORY", 100)
    from secateur.probe.saved_models import observations_of

    found = saved_signals.world()
    np.savez(tmp_path / "a.npz", **found)
    saved = read_signals(tmp_path / "a.npz")
    seen = observations_of(
        [(saved, [0, 1], "target"), (saved, range(2, 18), "reference")], [MARGIN]
    )
    held = seen.views["given"]["margin"]
    assert isinstance(held.base, np.memmap)
    np.testing.assert_array_equal(LiRA()(seen).values, by_hand(found, LiRA()))


def test_the_strongest_attack_is_chosen_on_references(tmp_path):
    found = saved_signals.world()
    np.savez(tmp_path / "a.npz", **found)
    from secateur.probe.saved_models import observations_of

    saved = read_signals(tmp_path / "a.npz")
    parts = [(saved, [0, 1], "target"), (saved, range(2, 18), "reference")]
    attacks = (LossThreshold(), LiRA())
    wanted = [s for a in attacks for s in a.needs]
    chosen = [
        audit_signals(seen, attacks).facts["strongest"]["given"]
        for seen in (
            observations_of(parts, wanted),
            observations_of([(saved, [1, 0], "target"), parts[1]], wanted),
        )
    ]
    assert chosen[0] == chosen[1] and chosen[0] in {repr(a) for a in attacks}


def test_a_target_among_its_own_references_is_refused(tmp_path):
    found = saved_signals.world()
    np.savez(tmp_path / "t.npz", **saved_signals.part(found, slice(0, 1)))
    np.savez(tmp_path / "both.npz", **saved_signals.part(found, slice(0, 5)))
    files = ("--target", tmp_path / "t.npz", "--references", tmp_path / "both.npz")
    done = secateur("attack", *files, "--out", tmp_path / "report.json")
    assert done.code == 2
    assert "the signals of target 0 on every record: it is the same model" in done.err
    assert not (tmp_path / "report.json").exists()


def control_of(path, name):
    return next(c for c in read_report(path).controls if c.id == name)


def test_one_experiment_of_few_against_the_others_is_raised_as_leave_one_out(tmp_path):
    found = saved_signals.world()
    rng = np.random.default_rng(0)
    models = 8
    inside = rng.random((models, saved_signals.RECORDS)).argsort(axis=0) < models // 2
    found = {"logits": found["logits"][:models], "labels": found["labels"], "inside": inside}
    named = saved_signals.save_lira(tmp_path, {**found})
    named = (*named[:1], named[1].replace("_18", f"_{models}"), *named[2:])
    done = secateur("attack", *named, "--attack", "LiRA", "--out", tmp_path / "r.json")
    assert done.code == 0, done.err
    control = control_of(tmp_path / "r.json", "leave-one-out")
    assert control.status == "raised" and "8 models of one balanced design" in control.saw
    assert "leave-one-out" in done.out
    named = saved_signals.save_npz(tmp_path, saved_signals.world())
    done = secateur("attack", *named, "--attack", "LiRA", "--out", tmp_path / "r.json")
    assert control_of(tmp_path / "r.json", "leave-one-out").status == "passed"


def test_what_was_read_of_every_file_decides_whether_digits_are_lost(tmp_path):
    found = saved_signals.world()
    z = found["logits"].astype(np.float64)
    p = np.exp(z - np.logaddexp.reduce(z, axis=-1, keepdims=True))
    both = {"probabilities": p, **found}
    lossy = {"probabilities": p, **{k: v for k, v in found.items() if k != "logits"}}

    def kept(own, others):
        for name, world, models in (
            ("t", own, saved_signals.OWN),
            ("r", others, saved_signals.OTHERS),
        ):
            arrays = {
                k: v[models] if k in ("logits", "probabilities", "inside") else v
                for k, v in world.items()
            }
            np.savez(tmp_path / f"{name}.npz", **arrays)
        done = secateur(
            *("attack", "--target", tmp_path / "t.npz", "--references", tmp_path / "r.npz"),
            *("--attack", "LiRA", "--out", tmp_path / "report.json"),
        )
        assert done.code == 0, done.err
        control = control_of(tmp_path / "report.json", "logits")
        return control.status, control.saw

    assert kept(both, found) == ("passed", "logits were read of t.npz; logits were read of r.npz")
    assert kept(found, lossy) == (
        "raised",
        "logits were read of t.npz; probabilities were read of r.npz",
    )
    assert kept(lossy, found)[0] == "raised"


def balanced(models, views=1, seed=0):
    """Signals of one balanced design in which nothing leaks; model 0 is the target."""
    rng = np.random.default_rng(seed)
    inside = rng.random((models, 400)).argsort(axis=0) < models // 2
    who = Membership(
        inside=inside,
        roles=("target", *("reference",) * (models - 1)),
        pools={"audit": np.arange(400)},
        units=np.arange(400),
        seed=0,
    )
    seen = {f"v{i}": {"margin": rng.normal(size=inside.shape)} for i in range(views)}
    labels = np.zeros(400, dtype=np.int64)
    return Observations(views=seen, labels=labels, membership=who, n_classes=2, primary="v0")


def test_an_attack_on_several_views_is_a_row_where_one_view_is_there(tmp_path):
    named = saved_signals.save_npz(tmp_path, saved_signals.world())
    done = secateur(
        *("attack", *named, "--attack", "LiRA", "--attack", "PairAttack"),
        *("--attack", "MultiVersion", "--out", tmp_path / "r.json"),
    )
    assert done.code == 0, done.err
    rows = [r for r in read_report(tmp_path / "r.json").rows if r.metric == "auc"]
    assert [r.status for r in rows] == ["measured", "not run", "not run"]
    assert all("there are no views" in r.why for r in rows[1:])


def test_an_attack_on_several_views_is_audited_and_the_design_checked_on_one():
    report = audit_signals(balanced(16, views=2), [PairAttack()])
    controls = {c.id: c for c in report.controls}
    assert "planted-leak" not in controls
    found = controls["leave-one-out"]
    assert found.status == "raised" and "16 models of one balanced design" in found.saw
    assert found.saw.endswith(f"{HierarchicalLiRA()!r} stands in for {PairAttack()!r}")


def test_where_the_stand_in_reads_what_is_not_there_the_design_is_not_checked():
    seen = balanced(16, views=2)
    views = {k: {"margin@4": v["margin"]} for k, v in seen.views.items()}
    found = _leave_one_out(PairAttack(), replace(seen, views=views), seed=0)
    assert found.status == "not run" and "(margin)" in found.mend


def test_a_softmax_called_logits_is_read_as_probabilities_and_said(tmp_path):
    found = saved_signals.world()
    z = np.exp(found["logits"].astype(np.float64))
    soft = (z / z.sum(axis=-1, keepdims=True)).astype(np.float32)
    as_logits = saved_signals.save_npz(tmp_path, {**found, "logits": soft})
    done = secateur("attack", *as_logits, "--attack", "LiRA()", "--out", tmp_path / "a.json")
    assert done.code == 0, done.err
    assert "t.npz: what is called logits" in done.err and "r.npz: what is called logits" in done.err
    report = read_report(tmp_path / "a.json")
    (control,) = [c for c in report.controls if c.id == "logits"]
    assert control.status == "raised" and "probabilities were read" in control.saw
    plain = saved_signals.save_npz(tmp_path, found)
    done = secateur("attack", *plain, "--attack", "LiRA()", "--out", tmp_path / "b.json")
    assert done.code == 0 and "what is called logits" not in done.err
    aucs = [
        next(r.value for r in read_report(tmp_path / f"{n}.json").rows if r.metric == "auc")
        for n in "ab"
    ]
    assert aucs[0] == pytest.approx(aucs[1], abs=1e-3)


def test_references_that_do_not_say_who_was_in_are_pointed_out(tmp_path):
    found = saved_signals.world()
    np.savez(tmp_path / "t.npz", **saved_signals.part(found, saved_signals.OWN))
    others = saved_signals.part(found, saved_signals.OTHERS)
    del others["inside"]
    np.savez(tmp_path / "r.npz", **others)
    given = ("--target", tmp_path / "t.npz", "--references", tmp_path / "r.npz")
    done = secateur("attack", *given, "--out", tmp_path / "report.json")
    assert done.code == 0, done.err
    assert "r.npz has no array `inside`: its models count as trained on none" in done.err
