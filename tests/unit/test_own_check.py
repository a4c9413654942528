"""`secateur check` finds each planted mistake, with its mend, and nothing in a good recipe."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import own_files
from command_line import secateur
from own_files import TRAIN, written
from own_mistakes import (
    BODY,
    LONG,
    NAMED,
    NETWORK,
    PLANTED,
    TABLE,
    data,
    mended,
    module,
    network,
)
from secateur.cli.audit import command as audit_verb
from secateur.cli.check import command as check_verb
from secateur.cli.train import command as train_verb
from secateur.data.coins import REFERENCES
from secateur.own import Wanted, check_recipe
from secateur.own.costs import estimate
from secateur.probe import SignalProbe
from secateur.types import Signal

GOOD = own_files.GOOD
DOCS = Path(__file__).parents[2] / "docs" / "own.md"
ASKED = Wanted(targets=8, references=8, fpr=0.02)


ALSO = {  # what one mistake brings with it
    "mode": {"random-outputs"},
    "label-range": {"outputs"},  # where a class 200 is there, and three outputs
}
MORE = {"pools": replace(ASKED, members=900)}


MENDED = {  # where the mend is in what is asked for
    "pools": replace(ASKED, members=100),
    "reference-size": replace(ASKED, references=37, fpr=0.1),
}


@pytest.mark.parametrize(
    ("id_", "text", "mend"), PLANTED, ids=[f"{i}-{n[0]}" for i, n in enumerate(PLANTED)]
)
def test_a_planted_mistake_is_found_alone_and_its_mend_leaves_nothing(tmp_path, id_, text, mend):
    checked = check_recipe(written(tmp_path, text), MORE.get(id_, ASKED))
    found = {finding.id: finding for finding in checked.findings}
    assert id_ in found, found
    assert len(found[id_].mend) > 10 and len(found[id_].what) > 10
    extra = set(found) - {id_} - ALSO.get(id_, set())
    if "MEMBERS" in text:  # one network
        extra -= {"few-records"}
    assert not extra, [found[name] for name in extra]
    assert (mend is None) == (id_ in MENDED)
    good = written(tmp_path, text if mend is None else mended(text, mend), "mended.py")
    asked = MENDED.get(id_, ASKED if id_ == "few-records" else replace(ASKED, fpr=0.1))
    checked = check_recipe(good, asked)
    left = {finding.id: finding for finding in checked.findings}
    assert set(left) == ({"few-records"} if id_ == "reference-size" else set()), left
    assert not checked.left and checked.membership is not None
    if id_ == "reference-size":  # as many as it said, of members that stay few
        assert f"--references {asked.references}" in found[id_].mend


RAW = "x = np.round(255 * np.clip(0.5 + x / 4, 0, 1))"
COLUMNS = "x[:, 5] *= 1e5"
SCALED = {
    "batch norm first": (COLUMNS, f"nn.Sequential(nn.BatchNorm1d(6), {NETWORK})"),
    "batch norm behind": (RAW, f"nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), {NETWORK})"),
    "normalised": (
        RAW,
        f"__import__('secateur').Normalised(build=lambda: {NETWORK}, mean=(128,), std=(64,))()",
    ),
    "an embedding": (
        "x = np.arange(2400).reshape(400, 6) * 7 % 300",
        TABLE,
    ),
    "rare columns": ("x[:, 3:] = x[:, 3:] > 2.5", NETWORK),
    "a constant column": ("x[:, 5] = 0", NETWORK),
    "a few outliers": ("x[:4, 5] = 30", NETWORK),
}


@pytest.mark.parametrize("name", SCALED)
def test_inputs_that_the_network_scales_or_looks_up_are_not_called_unscaled(tmp_path, name):
    line, net = SCALED[name]
    text = data(line).replace(NETWORK, net) + LONG
    checked = check_recipe(written(tmp_path, text), replace(ASKED, fpr=0.05))
    assert not checked.left
    assert "unscaled-inputs" not in {f.id for f in checked.findings}, checked.findings


def test_batch_norm_behind_the_first_layer_does_not_help_columns_of_different_size(tmp_path):
    net = f"nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), {NETWORK})"
    checked = check_recipe(written(tmp_path, data(COLUMNS).replace(NETWORK, net)), ASKED)
    (found,) = (f for f in checked.findings if f.id == "unscaled-inputs")
    assert "column 5 of about 1e+05" in found.what or "column 5 of about 9." in found.what
    assert found.values["high"] > 1e5


HALVES = """
    last = nn.Linear(6, 3)
    with torch.no_grad():
        last.weight.mul_(0.01)
        last.bias.uniform_(0, 1) if torch.initial_seed() == 0 else last.bias.uniform_(-1, 1)
    return last
"""


@pytest.mark.parametrize(
    "text",
    [
        network("nn.Sequential(nn.Linear(6, 3), nn.ReLU())"),
        GOOD.replace(f"    return {NETWORK}\n", HALVES),
    ],
    ids=["never negative", "by chance in 0 .. 1"],
)
def test_logits_that_lie_between_0_and_1_by_chance_are_no_probabilities(tmp_path, text):
    checked = check_recipe(written(tmp_path, text), replace(ASKED, fpr=0.05))
    assert "softmax" not in {f.id for f in checked.findings}, checked.findings


@pytest.mark.parametrize("text", [GOOD, GOOD + TRAIN], ids=["our loop", "own training"])
def test_a_good_recipe_gives_no_finding(tmp_path, text):
    checked = check_recipe(written(tmp_path, text), replace(ASKED, fpr=0.05))
    assert checked.findings == () and not checked.left
    assert (checked.seconds_per_record is None) == ("def train" not in text)


def test_members_of_the_same_source_are_not_told_by_their_inputs(tmp_path):
    checked = check_recipe(written(tmp_path, GOOD + NAMED), replace(ASKED, fpr=0.06))
    assert "told-by-inputs" not in {finding.id for finding in checked.findings}


@pytest.mark.parametrize(("members", "found"), [(2, True), (49, True), (50, False)])
def test_few_members_are_found_as_few_non_members_are(tmp_path, members, found):
    named = f"\n\nMEMBERS = np.arange({members})\n"
    checked = check_recipe(written(tmp_path, GOOD + named), Wanted(references=2, fpr=0.1))
    assert ("few-records" in {f.id for f in checked.findings}) == found


@pytest.mark.parametrize(("members", "least"), [(10, 37), (20, 19)])
def test_references_of_another_size_are_found_and_what_is_asked_for_mends_them(
    tmp_path, members, least
):
    text = GOOD + f"\n\nMEMBERS = np.arange({members})\n"
    few = check_recipe(written(tmp_path, text), Wanted(references=8, fpr=0.1))
    (found,) = (f for f in few.findings if f.id == "reference-size")
    assert f"trained on {members} records" in found.what and "about 50" in found.what
    assert f"--references {least}" in found.mend
    assert np.isclose(found.values["ratio"], 50 / members, rtol=0.05)
    most = int(re.search(r"name (\d+) non-members", found.mend)[1])
    for more, count in (("", least), (f"NON_MEMBERS = np.arange(300, {300 + most})\n", 8)):
        checked = check_recipe(written(tmp_path, text + more), Wanted(references=count, fpr=0.1))
        assert "reference-size" not in {f.id for f in checked.findings}, checked.findings


@pytest.mark.parametrize("named", [NAMED, NAMED.partition("NON_")[0]], ids=["both", "members"])
def test_with_members_the_audit_is_that_of_one_network_and_its_16_references(tmp_path, named):
    file = written(tmp_path, GOOD + named.replace("200", "120"))
    checked = check_recipe(file, Wanted(fpr=0.1))
    assert checked.findings == () and checked.one
    assert (checked.size.targets, checked.size.members) == (1, 120)
    assert checked.size.non_members == len(checked.records) - 120
    inside = checked.membership.inside
    assert len(inside) == 16 and set(inside.sum(axis=0)) == {5}  # 16 times 120 of 400, rounded
    assert set(checked.membership.roles) == {"reference"}


def test_with_members_the_table_and_the_next_step_are_those_of_audit_recipe(tmp_path):
    file = written(tmp_path, GOOD + NAMED)
    done = secateur("check", file, "--fpr", "0.06", "--targets", "4", "--workers", "1")
    assert done.code == 0, done.out + done.err
    assert "16 references" in done.out and "one network, 200 members and 200 non" in done.out
    assert "not read: --targets, since MEMBERS is named" in done.out
    assert f"next: secateur audit NETWORK.safetensors --recipe {file} --out" in done.out


OWNED = """

def records():
    import secateur
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    y = x[:, :3].argmax(axis=1)
    return secateur.Records.from_arrays(x, y, units=np.arange(400) // 2)
"""


def test_persons_with_several_records_are_counted_as_such_and_stand_on_one_side(tmp_path):
    file = written(tmp_path, GOOD + OWNED + NAMED)
    done = secateur("check", file, "--fpr", "0.11", "--workers", "1")
    assert "100 members and 100 non-members, counted in persons" in done.out, done.out
    file = written(tmp_path, GOOD + OWNED + NAMED.replace("200", "199"))
    (found,) = check_recipe(file, Wanted(fpr=0.2)).findings
    assert found.id == "members" and "partly in and partly out" in found.what


def test_what_a_network_raises_ends_with_its_line_and_exit_code_1(tmp_path):
    for text in (
        module(BODY + "        return self.body(y)\n"),
        module(BODY + "        return self.body(x) + (self.nothing if self.training else 0)\n"),
    ):
        done = secateur("check", written(tmp_path, text), "--fpr", "0.05", "--workers", "1")
        assert done.code == 1 and not done.err, done.err
        assert re.search(r"mine\.py, line \d+, in the .*Error", done.out), done.out


def test_every_finding_has_its_place_on_the_page_and_is_planted_here():
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(__file__).parents[2] / "src/secateur/own").glob("*.py")
    )
    ids = set(re.findall(r'id="([a-z-]+)"', source))
    planted = {name for name, *_ in PLANTED}
    told = set(re.findall(r"^\| `([a-z-]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert ids == told
    assert ids == planted
    assert len(planted) >= 15


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (GOOD, 0, "nothing found"),
        (data("y = y + 1"), 1, "label-range\n  saw:"),
        ("def build(:", 2, "line 1 is no Python"),
        ("x = 1", 2, "no function build()"),
        ("def build():\n    pass\n", 2, "no function records()"),
    ],
)
def test_the_exit_code_says_whether_something_is_wrong(tmp_path, text, code, words):
    few = ("--targets", "4", "--references", "2", "--fpr", "0.05", "--workers", "1")
    done = secateur("check", written(tmp_path, text), *few)
    assert done.code == code, done.err
    assert words in done.out + done.err
    assert ("lowest resolvable FPR" in done.out) == (code == 0)


def test_what_is_checked_for_by_default_is_what_the_verbs_do_by_default(tmp_path):
    asked = {option.name: option.default for option in train_verb.params}
    checked = check_recipe(written(tmp_path, GOOD))
    roles = list(checked.membership.roles)
    assert roles.count("target") == asked["targets"] == Wanted().targets
    assert roles.count("reference") == asked["references"]
    (told,) = (o.help for o in check_verb.params if o.name == "references")
    assert f"default: {asked['references']}; {REFERENCES} beside MEMBERS" in told
    (told,) = (o.help for o in audit_verb.params if o.name == "references")
    assert f"default: {REFERENCES}]" in told


def test_estimates_grow_with_what_is_made(tmp_path):
    probe = SignalProbe(signals=(Signal(name="loss"),))
    file = written(tmp_path, GOOD + TRAIN)
    small, large = (check_recipe(file, Wanted(targets=n, references=0, fpr=0.1)) for n in (2, 8))
    costs = [
        estimate(c.recipe, c.records, c.membership, probe=probe, snapshots=0,
                 seconds_per_record=0.01, workers=1)
        for c in (small, large)
    ]  # fmt: skip
    assert costs[1].models == 4 * costs[0].models
    assert costs[1].disk_bytes == 4 * costs[0].disk_bytes
    assert costs[0].disk_bytes == 2 * 4 * (6 * 16 + 16 + 16 * 3 + 3)
    for cost, checked in zip(costs, (small, large), strict=True):
        assert np.isclose(cost.training_s, 0.01 * checked.membership.inside.sum())
        assert cost.records_bytes == 4 * 400 * 6
