"""Saved outputs with members=: what does not fit is refused, and references are cut alike."""

from __future__ import annotations

import numpy as np
import pytest

import secateur
from command_line import secateur as run
from secateur.errors import DataError, InputError, StoreError

N = 120
RNG = np.random.default_rng(0)
Z, Y = RNG.normal(size=(N, 3)), RNG.integers(0, 3, N)
INSIDE = RNG.random((32, N)) < 0.5
OTHERS = RNG.normal(size=(32, N, 3))
LOSS = [secateur.LossThreshold(class_wise=False)]
MEMBERS, REST = np.arange(40), np.arange(60, N)


def values(report):
    return [(r.method, r.metric, r.value) for r in report.rows]


@pytest.mark.parametrize(
    ("arrays", "asked", "words"),
    [
        ({"labels": Y[:90]}, {}, r"labels has the shape \(90,\); expected \(120,\)"),
        ({"logits": Z[:90]}, {}, r"labels has the shape \(120,\); expected \(90,\)"),
        ({"labels": Y.astype(str)}, {}, "labels must be numbers.*return_inverse"),
        ({"inside": INSIDE[0]}, {}, "array `inside` who is a member, and members= says it again"),
        ({}, {"members": None, "non_members": REST}, "goes with members="),
        ({}, {"members": np.arange(N)}, "names all 120 records"),
        ({"population": np.arange(N) < 2}, {}, "2 records are members and the population"),
        (
            {},
            {"non_members": REST, "references": {"logits": OTHERS[:, :90]}},
            "signals of 120 records, the references of 90",
        ),
    ],
)
def test_what_does_not_fit_the_outputs_or_was_said_twice_is_refused(arrays, asked, words):
    held = {"logits": Z, "labels": Y, **arrays}
    with pytest.raises((InputError, DataError, StoreError), match=words):
        secateur.audit(held, attacks=LOSS, **{"members": MEMBERS, **asked})


def test_references_are_cut_to_the_records_that_are_spoken_of_as_the_target_is():
    attacks = [*LOSS, secateur.LiRA(mode="offline")]
    beside = {"logits": OTHERS, "labels": Y, "inside": INSIDE}
    cut = secateur.audit(
        {"logits": Z, "labels": Y}, members=MEMBERS, non_members=REST, references=beside,
        attacks=attacks,
    )  # fmt: skip
    kept = np.r_[MEMBERS, REST]
    whole = secateur.audit(
        {"logits": Z[kept], "labels": Y[kept]}, members=MEMBERS, attacks=attacks,
        references={k: v[:, kept] if v.ndim > 1 else v[kept] for k, v in beside.items()},
    )  # fmt: skip
    assert str(values(cut)) == str(values(whole))
    assert any(v is not None for m, _, v in values(cut) if "LiRA" in m)


@pytest.mark.parametrize("form", ["arrays", "file"])
def test_a_stack_of_models_has_the_named_members_in_arrays_and_in_files(tmp_path, form):
    held = {"logits": np.stack([Z, Z[::-1]]), "labels": Y}
    np.savez(tmp_path / "t.npz", **held)
    target = held if form == "arrays" else tmp_path / "t.npz"
    report = secateur.audit(target, members=MEMBERS, non_members=REST, attacks=LOSS)
    assert report.facts["models"]["targets"] == 2
    assert report.facts["data"]["records"] == 100


def test_the_population_is_no_non_member_unless_that_is_said():
    held = {"logits": Z, "labels": Y, "population": np.arange(N) >= 100}
    report = secateur.audit(held, members=MEMBERS, attacks=LOSS)
    assert report.facts["pools"] == {"audit": 100, "population": 20}


@pytest.mark.parametrize("beside", [True, False], ids=["with references", "alone"])
def test_the_verb_and_the_call_make_one_report_of_one_model(tmp_path, beside):
    target, others, out = (tmp_path / name for name in ("t.npz", "r.npz", "report.json"))
    np.savez(target, logits=Z, labels=Y, inside=np.arange(N) < 40)
    np.savez(others, logits=OTHERS, labels=Y, inside=INSIDE)
    more = ("--references", others) if beside else ()
    done = run("attack", "--target", target, *more, "--out", out)
    assert done.code == 0, done.err
    called = secateur.audit(target, references=others if beside else None)
    told = secateur.read_report(out)
    assert str(values(told)) == str(values(called))
    assert [(c.id, c.status) for c in told.controls] == [(c.id, c.status) for c in called.controls]
    assert {"train accuracy", "accuracy on non-members", "accuracy gap"} <= {
        r.metric for r in told.rows
    }
    status = {c.id: c.status for c in told.controls}
    assert status["few-records"] == "raised" and "given-model" in status


@pytest.mark.filterwarnings("ignore:.* are left out:secateur.errors.SecateurWarning")
@pytest.mark.parametrize("further", [0, 5])
def test_references_in_another_order_are_cut_by_their_ids_not_by_place(further):
    attacks = [*LOSS, secateur.LiRA(mode="offline")]
    sides = {"members": MEMBERS, "non_members": REST, "attacks": attacks}
    beside = {"logits": OTHERS, "labels": Y, "inside": INSIDE}
    wanted = secateur.audit({"logits": Z, "labels": Y}, references=beside, **sides)
    order = np.random.default_rng(1).permutation(N + further)  # the last ones are of no target
    more = {k: np.concatenate([v, v[:, :further]], 1) for k, v in beside.items() if k != "labels"}
    more |= {"labels": np.r_[Y, Y[:further]], "ids": np.arange(N + further)}
    turned = {k: v[:, order] if v.ndim > 1 else v[order] for k, v in more.items()}
    held = {"logits": Z, "labels": Y, "ids": np.arange(N)}
    found = secateur.audit(held, references=turned, **sides)
    assert str(values(found)) == str(values(wanted))
