"""Arguments of `secateur.audit` of another kind: refused in words, before anything is asked."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from torch import nn

import secateur
from secateur.attack.membership import LabelOnly, LiRA, LossThreshold
from secateur.auditing import arguments, entry
from secateur.auditing.run import audit_fleets
from secateur.errors import InputError
from small_world import CLASSES, FEATURES, SmallNet, small_recipe, small_records

N = 60
LOSS = (LossThreshold(class_wise=False),)
BUILD = SmallNet(hidden=8)


def small_fleet():
    recipe, records = small_recipe(build=BUILD), small_records(N)
    who = secateur.draw(records, targets=2, references=2, seed=0)
    return secateur.train_fleet(recipe, records, who, seed=0, engine="serial")


@pytest.fixture(scope="module")
def targets():
    """One of each kind of target, by name: what audits it, given further arguments."""
    records = small_records(N)
    x, y = records.gather(np.arange(N)), records.labels
    sides = {"members": (x[:30], y[:30]), "non_members": (x[30:], y[30:])}
    net, recipe = BUILD(), small_recipe(build=BUILD)
    estimator = GaussianNB().fit(x[:30], y[:30])
    logits = np.random.default_rng(0).normal(size=(N, CLASSES)).astype(np.float32)
    saved = {"logits": logits, "labels": y}
    fleet = small_fleet()

    def of(target, *more, **own):
        return lambda **given: secateur.audit(target, *more, **{**own, "attacks": LOSS, **given})

    return {
        "network": of(net, **sides),
        "weights": of(net.state_dict(), **sides),
        "network with a recipe": of(net, recipe=recipe, **sides),
        "estimator": of(estimator, **sides),
        "saved": of(saved, members=np.arange(30)),
        "recipe": of(recipe, records),
        "fleet": of(fleet, records),
    }


EVERY = ("network", "network with a recipe", "estimator", "saved", "recipe", "fleet")
MODELS = tuple(name for name in EVERY if name != "saved")
COUNTED = ("network with a recipe", "estimator", "recipe")
ONE = ("network", "network with a recipe", "estimator")
LIST = r"^attacks must be a list of attacks, such as \[LiRA\(\)\], got "
COUNT = "^references must be a whole number, 0 or at least 2, such as 16, got "
PATH = "^{} must be a path, such as '{}', got {}$"
WRONG = [
    (EVERY, "attacks", [], "^attacks is an empty list; name at least one attack, such as"),
    (EVERY, "attacks", (), "^attacks is an empty list"),
    (EVERY, "attacks", "LiRA()", LIST + r"'LiRA\(\)'$"),
    (EVERY, "attacks", ["LiRA()"], LIST + r"\['LiRA\(\)'\]$"),
    (EVERY, "attacks", LiRA(), LIST + r"LiRA\("),
    (EVERY, "attacks", [LiRA], LIST + r"\[<class"),
    (EVERY, "attacks", [len], LIST + r"\[<built-in function len>\]$"),
    (EVERY, "attacks", {}, LIST + r"\{\}$"),
    (EVERY, "attacks", 5, LIST + "5$"),
    (EVERY, "seed", "0", "^seed must be a whole number, such as 0, got '0'$"),
    (EVERY, "seed", 0.5, "^seed must be a whole number, such as 0, got 0.5$"),
    (EVERY, "seed", None, "^seed must be a whole number, such as 0, got None$"),
    (EVERY, "seed", True, "^seed must be a whole number, such as 0, got True$"),
    (EVERY, "about", "first", r"^about must be a dictionary .*'title'.*, got 'first'$"),
    (EVERY, "about", {5: 1}, r"^about must be a dictionary .*, got \{5: 1\}$"),
    (EVERY, "about", {"at": object()}, r"^about must be .* a report cannot hold .*object"),
    (EVERY, "about", {"labels": 5}, r"^about\['labels'\] must be a dictionary .*, got 5$"),
    (COUNTED, "references", "8", COUNT + "'8'$"),
    (COUNTED, "references", 4.0, COUNT + "4.0$"),
    (COUNTED, "references", True, COUNT + "True$"),
    (COUNTED, "references", -1, COUNT + "-1$"),
    (COUNTED, "references", [8], COUNT + r"\[8\]$"),
    (COUNTED, "references", 1, "^references must be 0 or at least 2, such as 16: .*; got 1$"),
    (("saved",), "references", 4, "^the references of saved outputs must be a file, or .*, got 4$"),
    (("saved",), "references", [4], r"must be a file, or arrays by name .*, got \[4\]$"),
    (MODELS, "queries", "flip", r"^queries must be such as Queries\(flip=True\), got 'flip'$"),
    (MODELS, "groups", "class", r"^groups must be a list .*, such as \['class'\], got a text$"),
    (MODELS, "groups", 5, r"^groups must be a list of columns, such as \['class'\], got 5$"),
    (MODELS, "groups", None, r"^groups must be a list .*, got None$"),
    (MODELS, "groups", ["class", "class"], "^groups names 'class' more than once; name each"),
    (MODELS, "workers", "2", r"^workers must be a whole number, 0 \(this process\).*, got '2'$"),
    (MODELS, "workers", 1.5, "^workers must be a whole number, .* such as 2, got 1.5$"),
    (MODELS, "workers", None, "^workers must be a whole number, .*, got None$"),
    (MODELS, "workers", -1, "^workers must be a whole number, .*, got -1$"),
    (MODELS, "device", "gpu0", "^device must be such as 'cpu' or 'cuda:0', got 'gpu0'$"),
    (MODELS, "device", None, "^device must be such as 'cpu' or 'cuda:0', got None$"),
    (MODELS, "device", 0, "^device must be such as 'cpu' or 'cuda:0', got 0$"),
    (MODELS, "progress", "bar", "^progress must be a function .*, got 'bar'$"),
    (MODELS, "progress", dict, "^progress must be a function .*, got <class 'dict'>$"),
    (MODELS, "timed", "yes", "^timed must be True or False, got 'yes'$"),
    (MODELS, "scores", 5, PATH.format("scores", "records.csv", 5)),
    (MODELS, "scores", "risk.txt", "'risk.txt' is no name of one; give a name that ends in .csv$"),
    (("network with a recipe", "recipe"), "folder", 5, PATH.format("folder", "runs/.*", 5)),
    (("network with a recipe", "recipe"), "folder", "", PATH.format("folder", "runs/.*", "''")),
    (ONE, "name", 5, "^name must be a printable text that is not empty, got 5$"),
    (ONE, "name", ["a"], r"^name must be a printable text that is not empty, got \['a'\]$"),
    (("network",), "recipe", "mine.py", r"^recipe must be a Recipe, .*recipe_of\(file\)$"),
    (("network",), "recipe", {"epochs": 3}, r"^recipe must be a Recipe, .*got \{'epochs': 3\};"),
    (("network",), "recipe", secateur.Recipe, "^recipe must be a Recipe, .*got the class Recipe;"),
    (("network", "weights"), "build", "Net()", "^build must be a function without arguments .*str"),
    (("network", "weights"), "build", nn.Linear(FEATURES, CLASSES), "^build must be .* Linear$"),
    (ONE, "members", ["ann", "bob"], "^members: inputs are of type <U3; they must be numbers"),
    (("saved",), "members", ["ann"], "^members must be indices or a mask of the 60 records, got"),
    (ONE, "members", 5, "^members must be Records, a pair .*; got int$"),
    (ONE, "non_members", "others", "^non_members must be Records, a pair .*; got str$"),
]


@pytest.mark.parametrize(
    ("kind", "name", "value", "words"),
    [(kind, *wrong) for kinds, *wrong in WRONG for kind in kinds],
    ids=[f"{kind}-{name}-{i}" for i, (kinds, name, *_) in enumerate(WRONG) for kind in kinds],
)
def test_an_argument_of_another_kind_is_refused_with_what_was_given_and_what_is_expected(
    targets, kind, name, value, words
):
    with pytest.raises(InputError, match=words):
        targets[kind](**{name: value})


def test_fleets_are_audited_with_the_same_checks():
    fleet = small_fleet()
    with pytest.raises(InputError, match=r"^attacks is an empty list"):
        audit_fleets(fleet, small_records(N), attacks=[])
    with pytest.raises(InputError, match=r"^timed must be True or False, got 1$"):
        audit_fleets(fleet, small_records(N), timed=1)


def test_numpys_whole_numbers_are_taken_as_pythons(targets):
    given = {"seed": np.int64(3), "references": np.int32(2), "workers": np.int64(0)}
    plain = {name: int(value) for name, value in given.items()}
    reports = [targets["network with a recipe"](**which) for which in (given, plain)]
    assert reports[0].rows == reports[1].rows
    assert reports[0].facts["models"] == {"targets": 1, "references": 2}
    assert reports[0].facts["seed"] == 3 and type(reports[0].facts["seed"]) is int


def test_attacks_that_all_perturb_what_cannot_be_perturbed_are_refused_with_the_reason():
    rng = np.random.default_rng(0)
    tokens, labels = rng.integers(0, 20, (40, 5)), rng.integers(0, 2, 40)

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(20, 4), nn.Linear(20, 2)

        def forward(self, x):
            return self.head(self.table(x.long()).flatten(1))

    sides = {"members": (tokens[:20], labels[:20]), "non_members": (tokens[20:], labels[20:])}
    with pytest.raises(InputError, match=r"LabelOnly\(.*cannot be run: .*nn.Embedding.*as they"):
        secateur.audit(Tokens(), **sides, attacks=[LabelOnly()])


def test_every_further_argument_of_an_audit_has_its_check():
    assert set(arguments._CHECKS) == set(entry.Further.__annotations__)
