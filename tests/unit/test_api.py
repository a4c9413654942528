"""`secateur.audit` on what people hold: a network, a file, a table, saved outputs, a recipe."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import secateur
from secateur import store
from secateur.attack.membership import GapAttack, LabelOnly, LiRA, LossThreshold
from secateur.errors import DataError, InputError, InterruptedRunError, StoreError
from secateur.report.words import answer
from small_world import CLASSES, FEATURES, SmallNet, small_recipe, small_records

LOSS = (LossThreshold(class_wise=False),)
PAIR = (*LOSS, GapAttack())
N = 160


def build():
    return SmallNet(hidden=64)()


@pytest.fixture(scope="module")
def world():
    """A network that learned 80 records by heart, and 80 others."""
    records = small_records(N)
    x, y = records.gather(np.arange(N)), records.labels
    torch.manual_seed(0)
    net = build()
    steps = torch.optim.Adam(net.parameters(), lr=1e-2)
    inputs, labels = torch.from_numpy(x[:80].copy()), torch.from_numpy(y[:80].copy())
    for _ in range(120):
        steps.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()
        steps.step()
    return net, (x[:80], y[:80]), (x[80:], y[80:])


@pytest.fixture(scope="module")
def plain(world):
    net, inside, outside = world
    return secateur.audit(net, members=inside, non_members=outside)


def row_of(report, metric, method=None):
    fits = (r for r in report.rows if r.metric == metric and method in (None, r.method))
    return next(fits)


def value(report, metric="auc", attack=LOSS[0]):
    return row_of(report, metric, repr(attack)).value


def control(report, name):
    return next(c for c in report.controls if c.id == name)


def by_hand(net, inside, outside):
    """The share of (member, non-member) pairs in which the member's loss is the smaller one."""
    losses = []
    with torch.no_grad():
        for x, y in (inside, outside):
            z = net(torch.from_numpy(np.array(x))).double()
            losses.append(
                nn.functional.cross_entropy(
                    z, torch.from_numpy(np.array(y)), reduction="none"
                ).numpy()
            )
    members, others = losses
    return float((members[:, None] < others[None]).mean())


def test_one_network_is_audited_without_references_and_as_this_model(world, plain):
    net, inside, outside = world
    auc = row_of(plain, "auc", repr(LOSS[0]))
    assert auc.value == pytest.approx(by_hand(net, inside, outside), abs=1e-3)
    assert (auc.estimand, auc.interval) == ("this model", "unit bootstrap")
    assert auc.low < auc.value < auc.high and auc.value > 0.6
    attacked = {r.method for r in plain.rows if r.metric == "auc"}
    assert {repr(GapAttack()), repr(LabelOnly(score="count"))} < attacked and len(attacked) == 6
    assert plain.facts["strongest"] == {"model": repr(LOSS[0])}  # named beforehand, no maximum


def test_it_says_what_an_attacker_with_references_could_find_and_runs_the_blind_baseline(plain):
    said = plain.facts["limits"][0]
    assert "(LiRA)" in said and "RMIA" not in said  # which references alone do not make run
    assert plain.facts["models"]["references"] == 0
    assert control(plain, "blind-baseline").status == "passed"
    assert control(plain, "early-stopping-curve").status == "not run"
    assert "no references" in secateur.render_text(plain)
    assert plain.facts["limits"][0] in answer(plain)  # on the page's first screen
    assert "(LiRA)" in plain._repr_html_()


def test_the_accuracy_gap_is_that_of_members_and_others(world, plain):
    net, *sides = world
    rates = []
    with torch.no_grad():
        for x, y in sides:
            rates.append((net(torch.from_numpy(np.array(x))).argmax(1).numpy() == y).mean())
    gap = row_of(plain, "accuracy gap")
    assert gap.value == pytest.approx(rates[0] - rates[1])
    assert gap.low < gap.value < gap.high


def test_a_network_in_training_mode_is_asked_in_evaluation_mode_and_left_as_it_was(world):
    _, inside, outside = world
    torch.manual_seed(0)
    net = SmallNet(dropout=0.5, batch_norm=True)().train()
    net[0].eval()  # a part that its owner froze
    before = {k: v.clone() for k, v in net.state_dict().items()}
    told = secateur.audit(net, members=inside, non_members=outside, attacks=LOSS)
    assert [m.training for m in net] == [False, True, True, True, True] and net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert any("training mode" in line for line in told.facts["limits"])
    still = secateur.audit(net.eval(), members=inside, non_members=outside, attacks=LOSS)
    assert value(told) == value(still)


@pytest.mark.parametrize(
    "wrap", [nn.Softmax(1), nn.LogSoftmax(1)], ids=["probabilities", "log-probabilities"]
)
def test_probabilities_are_noticed_and_give_the_same_attacks(world, plain, wrap):
    net, inside, outside = world
    report = secateur.audit(
        nn.Sequential(net, wrap), members=inside, non_members=outside, attacks=LOSS
    )
    assert value(report) == pytest.approx(value(plain), abs=0.002)
    told = [c for c in report.controls if c.id == "logits"]
    assert [c.status for c in told] == (["raised"] if isinstance(wrap, nn.Softmax) else [])


def test_one_output_is_the_positive_class_as_logit_or_as_probability(world):
    _, (x, y), (x2, y2) = world
    sides = {"members": (x, y % 2), "non_members": (x2, y2 % 2)}
    torch.manual_seed(0)
    one = nn.Linear(FEATURES, 1)
    two = nn.Linear(FEATURES, 2)
    with torch.no_grad():
        two.weight.zero_()
        two.bias.zero_()
        two.weight[1], two.bias[1] = one.weight[0], one.bias[0]
    nets = [two, one, nn.Sequential(one, nn.Flatten(0)), nn.Sequential(one, nn.Sigmoid())]
    found = [value(secateur.audit(net, **sides, attacks=LOSS)) for net in nets]
    assert found == pytest.approx([found[0]] * 4, abs=1e-3)


def test_state_dicts_files_datasets_tables_and_indices_say_the_same(world, plain, tmp_path):
    pandas = pytest.importorskip("pandas")
    net, (x, y), (x2, y2) = world
    sides = {"members": (x, y), "non_members": (x2, y2), "attacks": LOSS}
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    every = torch.utils.data.TensorDataset(
        torch.from_numpy(np.concatenate([x, x2])), torch.from_numpy(np.concatenate([y, y2]))
    )
    table = pandas.DataFrame(np.concatenate([x, x2])).rename(columns=str)
    table["class"] = np.concatenate([y, y2])
    records = small_records(N)
    first, last = np.arange(80), np.arange(80, N)
    found = [
        secateur.audit(net.state_dict(), build=build, **sides),
        secateur.audit(tmp_path / "net.safetensors", build=build, **sides),
        secateur.audit(
            net,
            members=torch.utils.data.Subset(every, first.tolist()),
            non_members=torch.utils.data.Subset(every, last.tolist()),
            attacks=LOSS,
        ),
        secateur.audit(
            net, members=table[:80], non_members=table[80:], label="class", attacks=LOSS
        ),
        secateur.audit(net, records, members=first, attacks=LOSS),
        secateur.audit(net, records, members=np.arange(N) < 80, attacks=LOSS),
        secateur.audit(
            net, members=records.take(first), non_members=records.take(last), attacks=LOSS
        ),
    ]
    assert [value(r) for r in found] == pytest.approx([value(plain)] * len(found), abs=1e-9)


def test_indices_and_masks_speak_of_all_records_in_whatever_form_these_are_handed_over(
    world, plain
):
    pandas = pytest.importorskip("pandas")
    net, (x, y), (x2, y2) = world
    x, y = np.concatenate([x, x2]), np.concatenate([y, y2])
    order = np.random.default_rng(1).permutation(N)  # members stand anywhere
    x, y, mask = x[order], y[order], order < 80
    table = pandas.DataFrame(x).rename(columns=str).assign(sick=y)
    forms = [
        ((x, y), {}),
        ((torch.from_numpy(x), y.tolist()), {}),
        (torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), {}),
        (table, {"label": "sick"}),
        (
            table.assign(patient=np.char.add("p", order.astype(str))),
            {"label": "sick", "unit": "patient"},
        ),
        (secateur.Records.from_arrays(x, y, n_classes=CLASSES), {}),
    ]
    for members in (mask, np.flatnonzero(mask).tolist()):
        for records, named in forms:
            report = secateur.audit(net, records, members=members, attacks=LOSS, **named)
            assert value(report) == pytest.approx(value(plain), abs=1e-9)
    some = secateur.audit(
        net,
        (x, y),
        members=np.flatnonzero(mask)[:30],
        non_members=np.flatnonzero(~mask)[:40],
        attacks=LOSS,
    )
    assert {k: row_of(some, "auc").counts[k] for k in ("members", "non_members")} == {
        "members": 30,
        "non_members": 40,
    }


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"members": [0, N]}, f"members holds indices 0 .. {N}, but there are {N} records"),
        ({"members": np.ones(3, bool)}, "a mask of shape .3,., but there are 160 records"),
        ({"members": [0, 1], "non_members": [1, 2]}, "1 records are members and non-members"),
        ({"members": [0.5]}, "must be indices or a mask of the 160 records, got float64"),
        ({"members": ["a"]}, "must be indices or a mask of the 160 records, got <U1"),
        ({"members": np.ones(N, bool)}, "non_members is empty"),
        ({}, "members= as indices or a mask of these records"),
        ({"members": [0], "label": "y"}, "label='y' names a column, but records is tuple"),
    ],
)
def test_indices_into_plain_arrays_that_mean_nothing_are_refused(world, call, words):
    net, (x, y), (x2, y2) = world
    with pytest.raises((InputError, DataError), match=words):
        secateur.audit(net, (np.concatenate([x, x2]), np.concatenate([y, y2])), **call)


def test_an_owner_on_both_sides_of_a_mask_is_refused_by_name(world):
    inside, outside = tables(world, [f"p{i // 2}" for i in range(N)])
    table = pytest.importorskip("pandas").concat([inside, outside])
    with pytest.raises(DataError, match=r"1 units of the column 'patient' have rows .* 'p5'"):
        secateur.audit(
            world[0], table, members=np.arange(11), label="sick", unit="patient", attacks=LOSS
        )


def test_records_beside_what_does_not_read_them_are_refused(world):
    _, (x, y), _ = world
    signals = {"logits": np.eye(4)[:, :2], "labels": np.array([0, 1, 0, 1])}
    with pytest.raises(InputError, match="saved outputs does not read records"):
        secateur.audit(signals, (x, y), members=[0, 1])
    fleet = secateur.Fleet(artifacts=[], membership=_no_one())
    with pytest.raises(InputError, match=r"very Records .* got tuple; .*from_arrays\(inputs"):
        secateur.audit(fleet, (x, y))


def test_saved_logits_say_the_same_whoever_is_named_a_member_and_load_no_torch(world, plain):
    net, inside, outside = world
    x = np.concatenate([inside[0], outside[0]])
    y = np.concatenate([inside[1], outside[1]])
    with torch.no_grad():
        z = net(torch.from_numpy(x)).numpy()
    report = secateur.audit({"logits": z, "labels": y}, members=np.arange(80))
    assert value(report) == pytest.approx(value(plain), abs=1e-9)
    assert row_of(report, "accuracy gap").value == pytest.approx(
        row_of(plain, "accuracy gap").value
    )
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    said = secateur.SecateurWarning
    with pytest.warns(said, match="called logits"), pytest.warns(said, match="rounded to 1"):
        lossy = secateur.audit({"logits": p, "labels": y}, members=np.arange(80))
    assert value(lossy) == pytest.approx(value(plain), abs=0.002)
    assert control(lossy, "logits").status == "raised"
    code = (
        "import sys, numpy as np, secateur\n"
        "z = np.random.default_rng(0).normal(size=(40, 2))\n"
        "secateur.audit({'logits': z, 'labels': np.arange(40) % 2}, members=np.arange(20))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_saved_outputs_of_some_records_alone_are_cut_to_these():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(90, 3)), np.arange(90) % 3
    cut = secateur.audit(
        {"logits": z, "labels": y}, members=np.arange(30), non_members=np.arange(50, 90)
    )
    kept = np.r_[0:30, 50:90]
    whole = secateur.audit({"logits": z[kept], "labels": y[kept]}, members=np.arange(30))
    assert value(cut) == value(whole)
    assert control(cut, "few-records").status == "raised"


@pytest.mark.parametrize("n", [1, 3, 20])
def test_few_records_give_wide_intervals_and_a_word_on_what_they_resolve(world, n):
    net, (x, y), (x2, y2) = world
    some = np.argsort(y, kind="stable")[:: max(1, 80 // n)][:n]
    y2 = y2.copy()
    y2[0] = (y[some[0]] + 1) % CLASSES
    report = secateur.audit(
        net, members=(x[some], y[some]), non_members=(x2[:n], y2[:n]), attacks=LOSS
    )
    row = row_of(report, "auc")
    assert row.high - row.low > 0.25
    raised = control(report, "few-records")
    assert raised.status == "raised" and f"{n} members and {n} non-members" in raised.saw
    assert "no false-positive rate can be resolved" in raised.saw


def test_members_of_another_kind_raise_the_blind_baseline(world):
    net, (x, y), (x2, y2) = world
    report = secateur.audit(net, members=(x, y), non_members=(x2 + 2, y2), attacks=LOSS)
    assert control(report, "blind-baseline").status == "raised"
    shown = report._repr_html_()
    assert shown.index("blind-baseline") < shown.index("<b>references</b>")


def test_an_embedding_is_not_asked_about_tokens_with_noise():
    torch.manual_seed(0)

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.last = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, ids):
            return {"logits": self.last(self.embed(ids.long()).mean(1))}

    ids, y = np.random.default_rng(0).integers(0, 9, (60, 5)), np.arange(60) % 2
    report = secateur.audit(Tokens(), members=(ids[:30], y[:30]), non_members=(ids[30:], y[30:]))
    row = row_of(report, "auc", repr(LabelOnly(score="count")))
    assert row.status == "not run" and "Embedding" in row.why


def tables(world, owners):
    """Both sides as tables whose column `patient` holds these owners."""
    pandas = pytest.importorskip("pandas")
    _, *sides = world
    made = [pandas.DataFrame(x).assign(sick=y) for x, y in sides]
    return [t.assign(patient=o) for t, o in zip(made, np.split(np.asarray(owners), 2), strict=True)]


def test_a_tables_column_of_units_is_no_input_and_its_persons_are_counted(world):
    inside, outside = tables(world, [f"p{i // 2}" for i in range(N)])
    call = {"members": inside, "non_members": outside, "label": "sick", "attacks": LOSS}
    report = secateur.audit(world[0], **call, unit="patient")
    assert row_of(report, "auc").counts["member_units"] == 40
    alone = secateur.audit(world[0], members=world[1], non_members=world[2], attacks=LOSS)
    assert value(report) == value(alone)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("both", r"3 units of the column 'patient' have rows .* the first is 'p37'"),
        ("missing", "members: 1 of 80 units in the column 'patient' are missing"),
        ("arrays", "unit='patient' names a column, but members is tuple, no table"),
        ("records", "unit='patient' names a table's column; these are Records"),
    ],
)
def test_units_that_cannot_be_told_are_refused(world, spoil, words):
    owners = [f"p{i // 2 - 3 * (i >= 80)}" for i in range(N)]
    inside, outside = tables(world, owners)
    if spoil == "missing":
        inside.loc[5, "patient"] = None
    call = {"members": inside, "non_members": outside, "label": "sick"}
    if spoil == "arrays":
        call = {"members": world[1], "non_members": world[2]}
    if spoil == "records":
        call = {"records": small_records(N), "members": np.arange(80)}
    with pytest.raises((DataError, InputError), match=words):
        secateur.audit(world[0], **call, unit="patient")


@pytest.mark.parametrize("kind", ["float64", "Int64", "object", "str"])
def test_a_person_on_both_sides_is_found_whatever_the_type_of_each_tables_column(world, kind):
    inside, outside = tables(world, [i // 2 - 3 * (i >= 80) for i in range(N)])
    inside = inside.assign(patient=inside["patient"].astype(kind))
    if kind == "object":
        inside["patient"] = [float(p) for p in inside["patient"]]
        inside["patient"] = inside["patient"].astype(object)
    call = {"members": inside, "non_members": outside, "label": "sick", "unit": "patient"}
    with pytest.raises(DataError, match=r"3 units of the column 'patient' .* the first is '37'"):
        secateur.audit(world[0], **call)


def _pruned(net, x, y):
    records = secateur.Records.from_arrays(x, y, n_classes=CLASSES)
    return secateur.apply(secateur.Magnitude(rate=4, retrain_epochs=0), net, records, seed=0)


def test_what_apply_makes_of_one_network_is_audited_as_the_network_rebuilt_of_it(world, plain):
    net, (x, y), outside = world
    artifact, sides = _pruned(net, x, y), {"members": (x, y), "non_members": outside}
    report = secateur.audit(artifact, build=build, **sides, attacks=LOSS)
    again = secateur.audit(secateur.rebuild(artifact, build), **sides, attacks=LOSS)
    assert value(report) == value(again) != value(plain)
    beside = secateur.audit(
        artifact,
        recipe=small_recipe(build=SmallNet(hidden=64)),
        references=2,
        attacks=LOSS,
        **sides,
    )
    assert value(beside) == value(report)


def bad(world, name):
    """One call with one mistake."""
    net, (x, y), (x2, y2) = world
    sides = {"members": (x, y), "non_members": (x2, y2)}
    both = np.concatenate([x[:7], x2]), np.concatenate([y[:7], y2])
    signals = {"logits": np.zeros((4, 2)), "labels": np.array([0, 1, 0, 1])}

    class Random(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return torch.randn(FEATURES), index % 2

    return {
        "overlap": lambda: secateur.audit(net, **{**sides, "non_members": both}),
        "shapes": lambda: secateur.audit(net, members=(x, y), non_members=(x2[:, :3], y2)),
        "network's shape": lambda: secateur.audit(
            net, members=(x[:, :3], y), non_members=(x2[:, :3], y2)
        ),
        "label range": lambda: secateur.audit(net, members=(x, y + 1), non_members=(x2, y2)),
        "texts as labels": lambda: secateur.audit(
            net, members=(x, y.astype(str)), non_members=(x2, y2.astype(str))
        ),
        "one class": lambda: secateur.audit(net, members=(x, 0 * y), non_members=(x2, 0 * y2)),
        "not finite": lambda: secateur.audit(net, members=(x * np.nan, y), non_members=(x2, y2)),
        "lengths": lambda: secateur.audit(net, members=(x, y[:-1]), non_members=(x2, y2)),
        "empty": lambda: secateur.audit(net, members=(x[:0], y[:0]), non_members=(x2, y2)),
        "one-hot": lambda: secateur.audit(
            net, members=(x, np.eye(CLASSES)[y]), non_members=(x2, y2)
        ),
        "no members": lambda: secateur.audit(net),
        "no non-members": lambda: secateur.audit(net, members=(x, y)),
        "augmented": lambda: secateur.audit(net, members=Random(), non_members=Random()),
        "class": lambda: secateur.audit(nn.Linear, **sides),
        "number": lambda: secateur.audit(3, **sides),
        "pickle": lambda: secateur.audit("model.pt", **sides),
        "no build": lambda: secateur.audit(net.state_dict(), **sides),
        "other build": lambda: secateur.audit(
            net.state_dict(), build=lambda: nn.Linear(2, 2), **sides
        ),
        "artifact alone": lambda: secateur.audit(_pruned(net, x, y), **sides),
        "artifact of another": lambda: secateur.audit(
            _pruned(net, x, y), build=lambda: nn.Linear(2, 2), **sides
        ),
        "references": lambda: secateur.audit(net, references=4, **sides),
        "folder": lambda: secateur.audit(net, folder="runs", **sides),
        "label of arrays": lambda: secateur.audit(net, label="y", **sides),
        "unread": lambda: secateur.audit(signals, members=[0, 1], build=build),
        "nobody inside": lambda: secateur.audit(signals),
        "index": lambda: secateur.audit(signals, members=[0, 9]),
        "both": lambda: secateur.audit(signals, members=[0, 1], non_members=[1, 2]),
        "fleet's records": lambda: secateur.audit(
            secateur.Fleet(artifacts=[], membership=_no_one()), members=[0]
        ),
        "a text": lambda: secateur.audit(net, attacks="LiRA", **sides),
        "loader": lambda: secateur.audit(
            net, members=torch.utils.data.DataLoader(Random()), non_members=(x2, y2)
        ),
        "float64": lambda: secateur.audit(nn.Linear(FEATURES, 3).double(), **sides),
        "numbers for a mask": lambda: secateur.audit(
            net, small_records(N), members=(np.arange(N) < 80).astype(int)
        ),
        "saved numbers for a mask": lambda: secateur.audit(signals, members=[1, 0, 1, 0]),
        "an index twice": lambda: secateur.audit(net, small_records(N), members=[3, 4, 3]),
        "a saved index twice": lambda: secateur.audit(signals, members=[0], non_members=[2, 2]),
        "pair beside records": lambda: secateur.audit(net, small_records(N), members=(x, y)),
        "recipe's build": lambda: secateur.audit(
            net, recipe=small_recipe(build=SmallNet(hidden=3)), **sides
        ),
    }[name]


def _no_one():
    return secateur.Membership(
        inside=np.zeros((0, 2), dtype=bool),
        roles=(),
        pools={"audit": np.arange(2)},
        units=np.arange(2),
        seed=0,
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("overlap", "7 of 80 members are also among the 87 non-members"),
        ("shapes", r"shape \(8,\), non-members of \(3,\)"),
        ("network's shape", r"does not accept float32 inputs of shape \(3,\)"),
        ("label range", r"n_classes=3\), got the range 0 .. 3"),
        ("texts as labels", "must be whole numbers"),
        ("one class", "one class only"),
        ("not finite", "80 of 160 records have inputs that are NaN"),
        ("lengths", "80 inputs, but 79 labels"),
        ("empty", "members is empty"),
        ("one-hot", r"labels.argmax\(1\)"),
        ("no members", "say what the model was trained on"),
        ("no non-members", "give non_members= too"),
        ("augmented", "its transform is random"),
        ("class", "not its class Linear"),
        ("number", "cannot audit int"),
        ("pickle", "model.pt is a pickle"),
        ("no build", "give build="),
        ("other build", "does not fit the network that build makes"),
        ("artifact alone", r"give build=, .* secateur\.rebuild\(artifact, build\)"),
        ("artifact of another", "does not fit the network"),
        ("references", "needs recipe="),
        ("folder", r"folder=.runs. of a network needs recipe="),
        ("label of arrays", "members is tuple, no table"),
        ("unread", "does not read build"),
        ("nobody inside", "give members="),
        ("index", r"indices 0 .. 9, but there are 4 records"),
        ("both", "1 records are members and non-members at once"),
        ("fleet's records", "does not read members"),
        ("a text", r"such as \[LiRA\(\)\], got 'LiRA'"),
        ("loader", "of a DataLoader give its dataset"),
        ("float64", r"computes in torch.float64.*deepcopy\(network\).float\(\)"),
        ("numbers for a mask", r"members is 160 whole numbers, all 0 or 1.*mask\.astype\(bool\)"),
        ("saved numbers for a mask", r"members is 4 whole numbers, all 0 or 1.*astype\(bool\)"),
        ("an index twice", "members names 1 records more than once, the first is index 3"),
        ("a saved index twice", "non_members names 1 records more than once, the first is index 2"),
        ("pair beside records", "must be indices or a mask of the 160 records"),
        ("recipe's build", "does not fit the network"),
    ],
)
def test_a_mistake_ends_with_what_was_seen_and_how_to_mend_it(world, name, words):
    with pytest.raises((InputError, DataError, StoreError), match=words):
        bad(world, name)()


def test_records_of_one_set_keep_units_and_groups_and_numbered_apart_are_other_people(world):
    net = world[0]
    whole = small_records(N)
    pairs = np.arange(N) // 2  # everyone owns two records
    kinds = np.where(pairs % 2 == 0, "a", "b")
    owned = replace(whole, units=pairs, groups={"kind": kinds})
    first, last = np.arange(80), np.arange(80, N)
    call = {"members": owned.take(first), "non_members": owned.take(last), "attacks": LOSS}
    report = secateur.audit(net, **call, groups=["kind"])
    assert row_of(report, "auc").counts["member_units"] == 40
    assert {r.group for r in report.rows} >= {"kind=a", "kind=b"}
    with pytest.raises(DataError, match="partly in and partly out"):
        secateur.audit(
            net, members=owned.take(first[:-1]), non_members=owned.take(last - 1), attacks=LOSS
        )
    anew = replace(owned.take(last), ids=first, units=np.arange(80) // 4)
    apart = secateur.audit(net, **{**call, "non_members": anew})
    assert row_of(apart, "auc").counts["non_member_units"] == 20


def test_a_single_logit_between_0_and_1_is_no_probability(world):
    _, (x, y), (x2, y2) = world
    net = nn.Linear(FEATURES, 1)
    with torch.no_grad():
        net.weight.mul_(0.1 / net.weight.abs().sum())
        net.bias.fill_(0.5)
    report = secateur.audit(net, members=(x, y % 2), non_members=(x2, y2 % 2), attacks=LOSS)
    assert not [c for c in report.controls if c.id == "logits"]


def test_an_argument_that_does_not_exist_is_a_type_error_before_any_work(world):
    net, inside, outside = world
    with pytest.raises(TypeError, match=r"audit\(\) got an unexpected keyword argument 'refs'"):
        secateur.audit(net, members=inside, non_members=outside, refs=4)


def test_data_that_repeats_itself_is_no_overlap():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (120, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    report = secateur.audit(
        nn.Linear(4, 2), members=(x[:60], y[:60]), non_members=(x[60:], y[60:]), attacks=LOSS
    )
    assert control(report, "near-duplicates").status == "raised"


def test_with_a_recipe_references_are_trained_and_the_given_network_is_the_target(world):
    net, inside, outside = world
    recipe = small_recipe(build=SmallNet(hidden=64), epochs=8)
    report = secateur.audit(
        net, members=inside, non_members=outside, recipe=recipe, references=4, attacks=[LiRA()]
    )
    assert report.facts["models"] == {"targets": 1, "references": 4}
    row = row_of(report, "auc", repr(LiRA()))
    assert row.estimand == "this model" and row.counts["members"] == 80
    assert not any("No reference" in line for line in report.facts["limits"])
    assert control(report, "training-size").value == pytest.approx(1, abs=0.2)


def test_a_recipe_alone_trains_targets_too_and_speaks_of_the_pipeline():
    records = small_records(120)
    report = secateur.audit(small_recipe(epochs=2), records, references=4, attacks=LOSS)
    assert report.facts["models"] == {"targets": 8, "references": 4}
    pools = {name: n for name, n in report.facts["pools"].items() if n}
    assert pools == {"audit": 60, "population": 30, "utility": 30}  # as docs/own.md says
    assert row_of(report, "auc").interval.startswith("t over targets")
    with pytest.raises(InputError, match=r"audit\(recipe, records\)"):
        secateur.audit(small_recipe())
    arrays = (records.gather(np.arange(120)), records.labels)
    again = secateur.audit(small_recipe(epochs=2), arrays, references=4, attacks=LOSS)
    assert value(again) == value(report)
    table = pytest.importorskip("pandas").DataFrame(arrays[0]).assign(sick=arrays[1])
    named = secateur.audit(small_recipe(epochs=2), table, label="sick", references=4, attacks=LOSS)
    assert value(named) == value(report)
    with pytest.raises(InputError, match=r"records is a table; .*label='sick'"):
        secateur.audit(small_recipe(), table)
    with pytest.raises(InputError, match="label='sick' names a table's column; these are"):
        secateur.audit(small_recipe(), records, label="sick")


def test_in_a_notebook_a_report_is_a_small_escaped_table(plain):
    bold = [line for line in plain._repr_html_().split("<tr>") if "<td><b>" in line]
    assert len(bold) == 1 and "LossThreshold" in bold[0]
    auc = row_of(plain, "auc", repr(LOSS[0]))
    assert f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]" in bold[0]
    evil = replace(plain, title="<script>alert(1)</script>")
    shown = evil._repr_html_()
    assert "<script" not in shown and "&lt;script&gt;" in shown and "http" not in shown
    assert len(repr(plain)) < 150 and f"{auc.value:.3f}" in repr(plain)
    empty = secateur.Report(title="nothing", rows=())
    assert "nothing" in empty._repr_html_() and "nothing" in repr(empty)


class Stopped:
    """Raises what Ctrl-C raises after so many models, and counts those of each run."""

    def __init__(self, after):
        self.after = after
        self.begun = self.done = None

    def __call__(self, done, total, what):
        if what not in ("references", "dense"):
            return
        self.begun = done if self.begun is None else self.begun
        self.done = done
        if done == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["network", "recipe"])
def test_an_interrupted_audit_with_a_folder_goes_on_to_the_same_report(world, tmp_path, kind):
    net, inside, outside = world
    recipe = small_recipe(build=SmallNet(hidden=64), epochs=1)

    def run(**more):
        if kind == "recipe":
            return secateur.audit(recipe, small_records(N), references=4, attacks=LOSS, **more)
        sides = {"members": inside, "non_members": outside}
        return secateur.audit(net, recipe=recipe, references=4, attacks=LOSS, **sides, **more)

    folder = tmp_path / "references"
    with pytest.raises(InterruptedRunError, match=r"stopped with 2 of .* the same call"):
        run(folder=folder, progress=Stopped(2))
    finished = {p.name: p.stat().st_mtime_ns for p in (folder / "models").glob("*.safetensors")}
    assert len(finished) == 2
    watched = Stopped(None)
    again = run(folder=str(folder), progress=watched)
    assert watched.begun == 2 and watched.done == (12 if kind == "recipe" else 4)
    now = {p.name: p.stat().st_mtime_ns for p in (folder / "models").glob("*.safetensors")}
    assert {name: now[name] for name in finished} == finished  # found, and not trained again
    assert [r for r in again.rows if "seconds" not in r.metric] == [
        r for r in run().rows if "seconds" not in r.metric
    ]
    run(folder=tmp_path / "whole")
    assert store.fleet_digest(folder) == store.fleet_digest(tmp_path / "whole")
