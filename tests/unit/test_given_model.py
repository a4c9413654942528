"""A broken input is no all-clear: the control `given-model`, and where it is shown."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import secateur
from report_fixture import HOSTILE, made_report
from secateur.attack.membership import GapAttack, LossThreshold
from secateur.auditing.given_check import given_model_control
from secateur.data import digits
from secateur.measure import clopper_pearson
from secateur.report import html, main_table
from secateur.report.first import first_screen
from secateur.report.gate import check
from secateur.report.lookup import label
from secateur.report.policy import read_policy
from secateur.report.releases import releases_table
from secateur.report.words import answer
from secateur.train import Recipe
from secateur.types import Control, Membership, Observations

LOSS = [LossThreshold(class_wise=False)]
FIRST = "Read this first, since the numbers may say nothing: "


def build():
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


@pytest.fixture(scope="module")
def world():
    """A network that learned 200 digits by heart, and 200 others; inputs in [0, 1]."""
    records = digits()
    x = records.gather(np.arange(400)).reshape(400, -1)
    x, y = np.ascontiguousarray(x / x.max(), dtype=np.float32), records.labels[:400]
    torch.manual_seed(0)
    net = build()
    steps = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        steps.zero_grad()
        inputs, labels = torch.from_numpy(x[:200].copy()), torch.from_numpy(y[:200].copy())
        nn.functional.cross_entropy(net(inputs), labels).backward()
        steps.step()
    return net, (x[:200], y[:200]), (x[200:], y[200:])


def audited(net, inside, outside, **more):
    return secateur.audit(net, members=inside, non_members=outside, attacks=LOSS, **more)


def found(report):
    (control,) = (c for c in report.controls if c.id == "given-model")
    return control


def test_a_network_asked_as_it_was_trained_passes(world):
    report = audited(*world)
    assert found(report).status == "passed" and found(report).value > 0.95
    assert not any(line.startswith(FIRST) for line in answer(report))


def test_labels_numbered_otherwise_are_no_all_clear(world):
    net, (x, y), (x2, y2) = world
    report = audited(net, (x, (y + 1) % 10), (x2, (y2 + 1) % 10))
    control = found(report)
    assert control.status == "raised" and "little better than guessing" in control.saw
    assert "% of its own members" in control.saw


def test_inputs_scaled_otherwise_are_no_all_clear(world):
    net, (x, y), (x2, y2) = world
    report = audited(net, (1 - 10 * x, y), (1 - 10 * x2, y2))
    assert found(report).status == "raised"
    assert "scaled" in found(report).saw


def test_members_and_non_members_swapped_are_asked_about(world):
    net, inside, outside = world
    report = audited(net, outside, inside)
    assert found(report).status == "raised"
    assert "are members and non-members swapped?" in found(report).saw
    assert "swapped" in answer(report)[0]


def test_saved_outputs_of_one_model_are_held_to_the_same(world):
    net, (x, y), (x2, y2) = world
    with torch.no_grad():
        z = net(torch.from_numpy(np.concatenate([x, x2]))).numpy()
    saved = {"logits": z, "labels": np.concatenate([y, y2])}
    right = secateur.audit(saved, members=np.arange(200))
    wrong = secateur.audit(saved, members=np.arange(200, 400))
    assert (found(right).status, found(wrong).status) == ("passed", "raised")


def test_an_audit_of_several_models_has_no_such_control():
    assert all(c.id != "given-model" for c in made_report().controls)
    seen = observed([[1.0, 0.0]] * 2, roles=("target", "target"))
    assert given_model_control(seen, None) is None


def observed(rights, roles, n=100, classes=10):
    """Models whose share of right members and non-members is given; labels in turn."""
    inside = np.zeros((len(rights), 2 * n), dtype=bool)
    inside[:, :n] = True
    correct = np.zeros(inside.shape)
    for row, (own, other) in zip(correct, rights, strict=True):
        row[: round(own * n)] = 1
        row[n : n + round(other * n)] = 1
    audit = np.arange(2 * n)
    who = Membership(inside=inside, roles=roles, pools={"audit": audit}, units=audit.copy(), seed=0)
    return Observations(
        views={"model": {"correct": correct}},
        labels=audit % classes,
        membership=who,
        n_classes=classes,
        primary="model",
    )


@pytest.mark.parametrize(
    ("own", "references", "status"),
    [
        (0.34, (), "raised"),  # digits times 255
        (0.45, (), "passed"),
        (0.70, (0.95, 0.96), "raised"),
        (0.90, (0.95, 0.96), "passed"),  # 5 points are a draw's chance
        (0.30, (0.28, 0.31), "passed"),  # as weak as such a training is
        (0.15, (0.14, 0.16), "raised"),  # all of them guess
    ],
)
def test_what_is_too_poor_depends_on_the_references(own, references, status):
    roles = ("given", *["reference"] * len(references))
    seen = observed([(own, 0.1), *((r, 0.1) for r in references)], roles)
    assert given_model_control(seen, None).status == status


def test_a_rare_class_that_is_found_is_no_guessing():
    seen = observed([(0.85, 0.8)], ("given",))
    labels = np.zeros(200, dtype=np.int64)
    labels[80:100] = 1  # a fifth, of which the 5 first alone are found
    own = replace(seen, labels=labels, n_classes=2)
    assert given_model_control(own, None).status == "raised"  # 25 % of the way
    labels = labels.copy()
    labels[80:100] = 0
    labels[:20] = 1  # all of the rare class, and 65 of 80 others
    own = replace(seen, labels=labels, n_classes=2)
    assert given_model_control(own, None).status == "passed"


def test_the_doubt_stands_before_the_numbers_on_the_page_and_in_the_text():
    saw = f"the model is right on 34.0 % of its own members {HOSTILE}"
    about = {"subject": "dense", "why": "why", "mend": "mend"}
    control = Control(id="given-model", status="raised", saw=saw, **about)
    report = replace(made_report(), controls=(*made_report().controls, control))
    page = re.sub(r"<(script|style).*?</\1>", "", html.render(report), flags=re.S)
    assert HOSTILE not in page
    assert page.index("The answer") < page.index(FIRST) < page.index('class="lead"')
    text = secateur.render_text(report, width=2000)
    assert text.index(FIRST) < text.index("strongest attack")
    assert FIRST not in secateur.render_text(made_report())
    notebook = report._repr_html_()
    assert notebook.index("<b>given-model") < notebook.index("<b>gap")


def test_references_of_a_recipe_show_what_such_a_training_reaches(world):
    _, (x, y), (x2, y2) = world
    recipe = Recipe(build=build, epochs=12)
    torch.manual_seed(1)
    report = audited(build(), (x, y), (x2, y2), recipe=recipe, references=2)
    assert "references are right on" in found(report).saw and found(report).status == "raised"


def test_a_single_model_shows_its_accuracy_on_non_members_and_the_gap(world):
    net, inside, outside = world
    x, y = outside
    with torch.no_grad():
        right = (net(torch.from_numpy(x.copy())).argmax(1).numpy() == y).mean()
    with torch.no_grad():
        own = (net(torch.from_numpy(inside[0].copy())).argmax(1).numpy() == inside[1]).mean()
    report = audited(net, inside, outside)
    (card,) = (dict(facts) for _, facts in first_screen(report).cards)
    assert "test accuracy" not in card
    low, high = clopper_pearson(round(200 * right), 200)
    shown = f"{100 * right:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    assert card["accuracy on non-members"] == f"{shown} %"
    assert card["above it on members"] == f"{100 * (own - right):.1f} points"
    told = main_table(report)[0]["test acc. %"]
    assert told == f"{shown} on non-members, gap {100 * (own - right):.1f}"
    with_gap = secateur.audit(net, members=inside, non_members=outside, attacks=[GapAttack()])
    gap = main_table(with_gap)[0]["test acc. %"].partition("gap")[2]
    assert "[" in gap  # the gap attack gives it an interval


def test_saved_outputs_of_one_model_show_both_accuracies():
    z, y = np.eye(4)[np.arange(80) % 4], np.arange(80) % 4
    z[40:70] = np.roll(z[40:70], 1, axis=1)
    report = secateur.audit({"logits": 3 * z - 1, "labels": y}, members=np.arange(40))
    rows = {r.metric: r.value for r in report.rows if r.risk == "utility"}
    assert (rows["train accuracy"], rows["accuracy on non-members"]) == (1.0, 0.25)
    told = main_table(report)[0]["test acc. %"]
    assert told == "25.0 [12.7, 41.2] on non-members, gap 75.0 [60.5, 88.2]"


def test_a_report_with_a_test_accuracy_shows_that_one():
    assert main_table(made_report())[0]["test acc. %"] == "90.0 [89.0, 91.0]"


def test_the_table_of_single_records_calls_the_network_as_the_page_does(world, tmp_path):
    net, inside, outside = (world[0], *((x[:60], y[:60]) for x, y in world[1:]))
    report = audited(net, inside, outside, name="release 3", scores=tmp_path / "risk.csv")
    with (tmp_path / "risk.csv").open(newline="") as file:
        assert {line["model"] for line in csv.DictReader(file)} == {"release 3"}
    assert label(report, "model") == "release 3"
    assert {row.subject for row in report.rows} == {"model"}
    assert "labels" not in report.facts


POLICY = """
[[rule]]
metric = "accuracy on non-members"
min = 0.5
[[rule]]
metric = "train accuracy"
max = 0.9
[[rule]]
metric = "accuracy gap"
max = 0.4
[[rule]]
metric = "test accuracy"
min = 0.5
"""


def test_accuracies_of_a_single_network_have_intervals_that_a_policy_holds(world):
    net, inside, outside = world
    report = secateur.audit(net, members=inside, non_members=outside, attacks=[*LOSS, GapAttack()])
    with torch.no_grad():
        right = [
            (net(torch.from_numpy(x.copy())).argmax(1).numpy() == y).sum()
            for x, y in (outside, inside)
        ]
    others, train, gap, test = check(report, read_policy(POLICY))
    for finding, hits in zip((others, train), right, strict=True):
        assert finding.value == hits / 200
        assert (finding.low, finding.high) == clopper_pearson(int(hits), 200)
    assert others.holds and not train.holds and gap.holds
    assert gap.value == pytest.approx(train.value - others.value)
    assert gap.low < gap.value < gap.high
    assert test.why == "the report has no test accuracy; it has accuracy on non-members"


def test_accuracies_of_saved_outputs_have_intervals(world):
    net, inside, outside = world
    x, y = (np.concatenate([a, b]) for a, b in zip(inside, outside, strict=True))
    with torch.no_grad():
        signals = {"logits": net(torch.from_numpy(x)).numpy(), "labels": y}
    report = secateur.audit(signals, members=np.arange(200))
    others, train, *_ = check(report, read_policy(POLICY))
    assert (others.interval, train.interval) == ("Clopper-Pearson", "Clopper-Pearson")


def test_releases_of_single_networks_show_their_accuracy_side_by_side(world):
    report = audited(*world)
    for line in releases_table({"a": report, "b": report}):
        assert "on non-members" in line["test acc. %"]
        assert line["test acc. %"] == main_table(report)[0]["test acc. %"]
