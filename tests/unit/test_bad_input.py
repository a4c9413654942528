"""Whatever is wrong is said in words, with exit code 2, and nothing half-written is left behind.

One table: each row is a kind of bad input, brought over the command line where it can be, and by
the Python interface where it is made of arrays.
"""

from __future__ import annotations

import gzip
import pickle
import re
import shlex
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

import saved_signals
from command_line import listing, secateur, train
from secateur import LiRA, Observations, Records, draw, given, read_report
from secateur.cli.progress import Bar
from secateur.errors import (
    DataError,
    InputError,
    NotEnoughReferencesError,
    SecateurError,
    SparsityError,
    StoreError,
    UnknownMethodError,
)
from secateur.store import read_artifact

INPUTS = np.zeros((6, 4), dtype=np.float32)
LABELS = np.array([0, 1, 0, 1, 0, 1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Train one small fleet and audit it; every row works on a copy."""
    folder = tmp_path_factory.mktemp("finished")
    assert train(folder / "dense").code == 0
    done = secateur(
        *("audit", folder / "dense", "--attack", "LossThreshold", "--workers", "1"),
        *("--out", folder / "report.json"),
    )
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def here(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def first_model(here: Path) -> Path:
    return sorted((here / "dense" / "models").iterdir())[0]


def nothing(here: Path) -> None:
    del here


def truncate_report(here: Path) -> None:
    data = (here / "report.json").read_bytes()
    (here / "report.json").write_bytes(data[: len(data) // 2])


def truncate_model(here: Path) -> None:
    data = first_model(here).read_bytes()
    first_model(here).write_bytes(data[:-100])


def truncate_data(here: Path) -> None:
    raw = here / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        images = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + bytes(28 * 28)
        labels = struct.pack(">4BI", 0, 0, 8, 1, count) + bytes(count)
        (raw / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (raw / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def alter_model(here: Path) -> None:
    data = bytearray(first_model(here).read_bytes())
    data[-5] ^= 1
    first_model(here).write_bytes(bytes(data))


def alter_report(here: Path) -> None:
    text = (here / "report.json").read_text(encoding="utf-8")
    (here / "report.json").write_text(text.replace('"seed": 0', '"seed": 1'), encoding="utf-8")


def pickled_model(here: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, first_model(here))


def pickled_report(here: Path) -> None:
    (here / "report.json").write_bytes(pickle.dumps({"rows": []}))


def train_without_references(here: Path) -> None:
    assert train(here / "alone", "--references", "0").code == 0


def pickle_in_npz(here: Path) -> None:
    labels = np.array([{}] * 3, dtype=object)
    np.savez(here / "texas100.npz", features=np.zeros((3, 2)), labels=labels)


def half_a_table(here: Path) -> None:
    (here / "adult.data").write_text("39, State-gov, 77516\n")
    (here / "adult.test").write_text("|1x3 Cross validator\n")


def pictures(here: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name in ("cat", "dog"):
        (here / name).mkdir(parents=True)
        for k in range(3):
            image.new("RGB", (8, 8), (k, k, k)).save(here / name / f"{k}.png")


def corrupt_picture(here: Path) -> None:
    shutil.rmtree(here / "dense")
    (here / "report.json").unlink()
    pictures(here)
    (here / "cat" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")


def saved(here: Path, **changes: object) -> None:
    """Save signals of six models, changed as told; None leaves an array out."""
    arrays = {**saved_signals.world(), **changes}
    np.savez(here / "s.npz", **{k: v for k, v in arrays.items() if v is not None})


def other_labels(here: Path) -> None:
    found = saved_signals.world()
    saved_signals.save_npz(here, found)
    others = saved_signals.part(found, saved_signals.OTHERS)
    np.savez(here / "r.npz", **{**others, "labels": others["labels"][::-1]})


def truncated_signals(here: Path) -> None:
    saved(here)
    (here / "s.npz").write_bytes((here / "s.npz").read_bytes()[:-2000])


def truncated_npy(here: Path) -> None:
    (here / "s").mkdir()
    np.save(here / "s" / "margin.npy", np.zeros((3, 40)))
    data = (here / "s" / "margin.npy").read_bytes()
    (here / "s" / "margin.npy").write_bytes(data[:-9])


def turned_round(here: Path) -> None:
    (here / "pm").mkdir()
    np.save(here / "pm" / "memberships.npy", np.zeros((3, 5), bool))
    np.save(here / "pm" / "loss_signals.npy", np.zeros((3, 5)))


def lira_without_one_keep(here: Path) -> None:
    saved_signals.save_lira(here, saved_signals.world())
    (here / "exp" / "experiment-3_18" / "keep.npy").unlink()


def others(here: Path, name: str, value: float) -> None:
    """Save targets and references, with one value of the sixth reference changed."""
    found = saved_signals.world()
    logits = found.pop("logits")
    kinds = {"logits": logits, "margin": logits[:, 0, :, 0]}
    kinds["probabilities"] = np.full(logits.shape, 1 / 3)
    for file, models in (("t", saved_signals.OWN), ("r", saved_signals.OTHERS)):
        values = np.array(kinds[name][models])
        if file == "r":
            values[(5, 0, 7, 0) if values.ndim == 4 else (5, 7)] = value
        np.savez(here / f"{file}.npz", **{**saved_signals.part(found, models), name: values})


REFERENCES = "attack --target {}/t.npz --references {}/r.npz --out {}/new.json"
SIGNALS = "attack --target {}/s.npz --rows 0 --out {}/new.json"


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A command: `{}` stands for the folder; `spoil` makes the input bad first."""

    kind: str
    command: str
    message: str
    spoil: Callable[[Path], object] = nothing
    environment: Mapping[str, str] = field(default_factory=dict)


def sweep_file(text: str) -> Callable[[Path], object]:
    """Write a sweep's file with one method, and this text in front of it."""
    method = "" if "[[method]]" in text else '[[method]]\nname = "m"\nsteps = ["Magnitude(rate=2)"]'
    return lambda here: (here / "s.toml").write_text(f"{text}\n{method}\n")


def one_method(lines: str) -> Callable[[Path], object]:
    return sweep_file(f"[[method]]\n{lines}")


SWEEP = "sweep {}/s.toml --out {}/new"

TYPED = (
    Typed(
        kind="a sweep without its file",
        command=SWEEP,
        message=r"cannot read .*s\.toml: No such file",
    ),
    Typed(
        kind="a sweep's file that is no TOML",
        command=SWEEP,
        message=r"s\.toml is no TOML: .*line 1",
        spoil=sweep_file("members = = 3"),
    ),
    Typed(
        kind="a sweep's file that is no text",
        command=SWEEP,
        message=r"s\.toml is no text in UTF-8",
        spoil=lambda here: (here / "s.toml").write_bytes(b"\xff\xfe"),
    ),
    Typed(
        kind="an unknown key in a sweep's file",
        command=SWEEP,
        message=r"unknown key 'refernces'; did you mean 'references'",
        spoil=sweep_file("refernces = 4"),
    ),
    Typed(
        kind="an unknown key of a method",
        command=SWEEP,
        message=r"\[\[method\]\] 1: unknown key 'step'; did you mean 'steps'",
        spoil=one_method('name = "m"\nstep = ["ADMM(rate=2)"]'),
    ),
    Typed(
        kind="an unknown key of a scale",
        command=SWEEP,
        message=r"\[scale\.smoke\]: unknown key 'member'; did you mean 'members'",
        spoil=one_method('name="m"\nsteps=["ADMM(rate=2)"]\n[scale.smoke]\nmember = 3'),
    ),
    Typed(
        kind="a scale that is not there",
        command=f"{SWEEP} --scale smok",
        message=r"has no scale 'smok'; did you mean 'smoke'",
        spoil=one_method('name="m"\nsteps=["ADMM(rate=2)"]\n[scale.smoke]\nmembers = 3'),
    ),
    Typed(
        kind="a sweep of no method",
        command=SWEEP,
        message=r"names no method; add a \[\[method\]\]",
        spoil=lambda here: (here / "s.toml").write_text("members = 3"),
    ),
    Typed(
        kind="an axis that no step uses",
        command=SWEEP,
        message=r"over has 'rte', which no step uses; did you mean 'rate'|no 'rate'; did you mean",
        spoil=one_method('name="m"\nsteps=["ADMM(rate={rate})"]\nover={rte=[2]}'),
    ),
    Typed(
        kind="an axis too many",
        command=SWEEP,
        message=r"over has 'strength', which no step uses",
        spoil=one_method('name="m"\nsteps=["ADMM(rate=2)"]\nover={strength=[2]}'),
    ),
    Typed(
        kind="an axis without values",
        command=SWEEP,
        message=r"over\.rate must be a list of numbers, texts or lists of them, got 2",
        spoil=one_method('name="m"\nsteps=["ADMM(rate={rate})"]\nover={rate=2}'),
    ),
    Typed(
        kind="a value twice on an axis",
        command=SWEEP,
        message=r"over\.rate holds a value twice",
        spoil=one_method('name="m"\nsteps=["ADMM(rate={rate})"]\nover={rate=[2, 2]}'),
    ),
    Typed(
        kind="a method named as the dense fleet",
        command=SWEEP,
        message=r"'dense' is the fleet that is always there",
        spoil=one_method('name="dense"\nsteps=["ADMM(rate=2)"]'),
    ),
    Typed(
        kind="a method whose name is a path",
        command=SWEEP,
        message=r"name must be letters, digits, spaces .* got '\.\./m'",
        spoil=one_method('name="../m"\nsteps=["ADMM(rate=2)"]'),
    ),
    Typed(
        kind="two methods of one name",
        command=SWEEP,
        message=r"two cases are named 'm'",
        spoil=one_method(
            'name="m"\nsteps=["ADMM(rate=2)"]\n[[method]]\nname="m"\nsteps=["ADMM(rate=3)"]'
        ),
    ),
    Typed(
        kind="too many cases",
        command=SWEEP,
        message=r"more than 500 cases",
        spoil=one_method(
            f'name="m"\nsteps=["ADMM(rate={{a}}, updates={{b}})"]\n'
            f"over={{a={list(range(2, 32))}, b={list(range(1, 31))}}}"
        ),
    ),
    Typed(
        kind="a sweep's step that is no method",
        command=SWEEP,
        message=r"m rate=2: unknown pruning method, defence or conversion 'ADM'; did you mean",
        spoil=one_method('name="m"\nsteps=["ADM(rate={rate})"]\nover={rate=[2]}'),
    ),
    Typed(
        kind="a sweep's step beyond its network",
        command=SWEEP,
        message=r"m rate=100000: .*below one weight per layer",
        spoil=one_method('name="m"\nsteps=["Magnitude(rate={rate})"]\nover={rate=[100000]}'),
    ),
    Typed(
        kind="a defence after pruning",
        command=SWEEP,
        message=r"WeightDecay starts from fresh weights, so that ADMM before it is lost",
        spoil=one_method('name="m"\nsteps=["ADMM(rate=2)", "WeightDecay()"]'),
    ),
    Typed(
        kind="a number as a text in a sweep's file",
        command=SWEEP,
        message=r"members must be a whole number of at least 1, got '40'",
        spoil=sweep_file('members = "40"'),
    ),
    Typed(
        kind="a sweep without records for test accuracy",
        command=SWEEP,
        message=r"utility must be a whole number of at least 1, got 0",
        spoil=sweep_file("utility = 0"),
    ),
    Typed(
        kind="the same seed twice",
        command=SWEEP,
        message=r"seeds must be at least one whole number, none twice, got \[1, 1\]",
        spoil=sweep_file("seeds = [1, 1]"),
    ),
    Typed(
        kind="a funnel that does not rise to the references",
        command=SWEEP,
        message=r"funnel must be rising even numbers of references below 8, .* got \[4, 8\]",
        spoil=sweep_file("references = 8\nfunnel = [4, 8]"),
    ),
    Typed(
        kind="a funnel with stacks",
        command=f"{SWEEP} --engine stacked",
        message=r"a funnel makes a fleet's models round by round, which stacks cannot",
        spoil=sweep_file("references = 8\nfunnel = [4]"),
    ),
    Typed(
        kind="a sweep's attack that is none",
        command=SWEEP,
        message=r"unknown attack 'LIRA'; did you mean 'LiRA'",
        spoil=sweep_file('attacks = ["LIRA()"]'),
    ),
    Typed(
        kind="a sweep's budget in models",
        command=f"{SWEEP} --budget '12 models'",
        message=r"a sweep's budget is a time above 0, such as 600s, .*, got '12 models'",
        spoil=sweep_file(""),
    ),
    Typed(
        kind="a limit that is no number",
        command=f"{SWEEP} --max-leak nan",
        message=r"max_leak \(--max-leak\) must be a share between 0 and 1, .* got nan",
        spoil=sweep_file(""),
    ),
    Typed(
        kind="a cell's options without a cell",
        command="reproduce --budget 5s --out {}/new",
        message=r"Missing argument 'CELL'\. --out, --budget asks for one; there are adult-mlp, ",
    ),
    Typed(
        kind="one number on an axis in two spellings",
        command=SWEEP,
        message=r"over\.rate holds a value twice: \[2, 2\.0\]",
        spoil=one_method('name="m"\nsteps=["ADMM(rate={rate})"]\nover={rate=[2, 2.0]}'),
    ),
    Typed(
        kind="bytes that are no number",
        command=f"{SWEEP} --max-bytes many",
        message=r"'many' is no number of bytes \(--max-bytes\); write 100000, 100k or 2M",
        spoil=sweep_file(""),
    ),
    Typed(
        kind="a leak that is no AUC",
        command=f"{SWEEP} --max-leak 1.5",
        message=r"max_leak \(--max-leak\) must be a share between 0 and 1, .* got 1\.5",
        spoil=sweep_file(""),
    ),
    Typed(
        kind="a sweep without a folder",
        command="sweep {}/s.toml",
        message=r"[Mm]issing option '--out'",
        spoil=sweep_file(""),
    ),
    Typed(
        kind="a sweep into a file",
        command="sweep {}/s.toml --out {}/report.json",
        message=r"--out .*report\.json is a file; name a folder, which is made where it is missing",
        spoil=sweep_file("members = 40\nreferences = 2\ntargets = 1"),
    ),
    Typed(
        kind="missing file",
        command="report {}/nowhere.json",
        message=r"there is no secateur report file .*nowhere\.json; check the path",
    ),
    Typed(
        kind="missing file",
        command="prune {}/nowhere --out {}/new",
        message=r"there is no secateur fleet manifest file .*fleet\.json",
    ),
    Typed(
        kind="missing file",
        command="train --data location30 --data-dir {}/dense --out {}/new",
        message=r"location30 needs dataset_location\.tgz: no file at any of .*; put dataset_loc",
    ),
    Typed(
        kind="missing file",
        command="train --data mnist --out {}/new",
        message=r"mnist is read from a folder, and none is named; give --data-dir or set SECATEUR",
    ),
    Typed(
        kind="data in a file",
        command="train --data mnist --data-dir {}/report.json --out {}/new",
        message=r".*report\.json, the folder of the data sets, is a file; name a folder",
    ),
    Typed(
        kind="a folder in place of a sweep's result",
        command="join {}/dense {}/dense --out {}/new.json",
        message=r"dense is a folder; name its result, such as .*dense/sweep\.json",
    ),
    Typed(
        kind="truncated file",
        command="report {}/report.json --html {}/page.html",
        message=r"report\.json is not a whole secateur report file, it was truncated",
        spoil=truncate_report,
    ),
    Typed(
        kind="truncated file",
        command="audit {}/dense --out {}/new.json --workers 1",
        message=r"\.safetensors is not a whole secateur artifact file, it was truncated",
        spoil=truncate_model,
    ),
    Typed(
        kind="truncated file",
        command="train --data mnist --data-dir {} --out {}/new",
        message=r"train-images-idx3-ubyte\.gz.*(truncated|bytes)",
        spoil=truncate_data,
    ),
    Typed(
        kind="wrong shape",
        command="train --recipe 'Recipe(build=MLP(widths=(63, 10)))' --out {}/new",
        message=r"the network does not accept inputs of shape \(1, 8, 8\): its first layer takes "
        r"63 numbers, a record has 64; give a network that is built for this shape",
    ),
    Typed(
        kind="wrong shape",
        command="train --recipe 'Recipe(build=SmallCNN(channels=3))' --out {}/new",
        message=r"shape \(1, 8, 8\): its first layer takes pictures of shape \(3, height, width\);",
    ),
    Typed(
        kind="wrong shape",
        command="train --recipe 'Recipe(build=LeNet5())' --out {}/new",
        message=r"takes pictures of shape \(1, height, width\), .*does not fit their 8 x 8 pixels",
    ),
    Typed(
        kind="wrong shape",
        command="train --recipe 'Recipe(build=MLP(widths=(64, 9)))' --out {}/new",
        message=r"outputs of shape \(2, 9\) for 2 records of 10 classes",
    ),
    Typed(
        kind="sparsity 1.5",
        command="prune {}/dense --method Magnitude(sparsity=1.5) --out {}/new",
        message=r"sparsity 1\.5",
    ),
    Typed(
        kind="sparsity 1.5",
        command="prune {}/dense --method ADMM(rate=0.5) --out {}/new",
        message=r"rate 0\.5",
    ),
    Typed(
        kind="no masks",
        command="prune {}/dense --method FromScratch() --out {}/new",
        message=r"masks of a pruned fleet anew, and model 0 has none; apply it to what a pruning",
    ),
    Typed(
        kind="unknown method",
        command="prune {}/dense --method ADM(rate=10) --out {}/new",
        message=r"unknown pruning method 'ADM'; did you mean 'ADMM'\? there are ADMM, FromScratch",
    ),
    Typed(
        kind="unknown method",
        command="prune {}/dense --method Adam --out {}/new",
        message=r"unknown pruning method 'Adam'",
    ),
    Typed(
        kind="a method of another kind",
        command="prune {}/dense --method LiRA --out {}/new",
        message=r"unknown pruning method 'LiRA': LiRA is an attack, .*; there are ADMM",
    ),
    Typed(
        kind="a method of another kind",
        command="prune {}/dense --method SAMIA() --out {}/new",
        message=r"SAMIA is an attack that trains networks, .*secateur audit --attack",
    ),
    Typed(
        kind="a method of another kind",
        command="audit {}/dense --attack ADMM(rate=10) --out {}/new.json",
        message=r"unknown attack 'ADMM': ADMM is a pruning method, .*prune --method.*there are At",
    ),
    Typed(
        kind="a method of another kind",
        command=SIGNALS + " --attack LeNet5",
        message=r"unknown attack 'LeNet5': LeNet5 is a network, .*secateur train --recipe",
        spoil=saved,
    ),
    Typed(
        kind="unknown method",
        command="audit {}/dense --attack LIRA --out {}/new.json",
        message=r"unknown attack 'LIRA'; did you mean 'LiRA'\?",
    ),
    Typed(
        kind="unknown method",
        command="audit {}/dense --attack LiRA(varance=1) --out {}/new.json",
        message=r"LiRA has no parameter 'varance'; did you mean 'variance'\?",
    ),
    Typed(
        kind="unknown method",
        command="methods LiRa",
        message=r"unknown method 'LiRa'; did you mean 'LiRA'\?",
    ),
    Typed(
        kind="unknown method",
        command="train --recipe MLP(widths=(64,10)) --out {}/new",
        message=r"is a MLP, not a recipe; write Recipe\(build=\.\.\.\)",
    ),
    Typed(
        kind="unknown method",
        command="train --recipe Recipe(build=3) --out {}/new",
        message=r"build must be a network, such as MLP\(.*got 3",
    ),
    Typed(
        kind="unknown name",
        command="train --data digts --out {}/new",
        message=r"unknown data set 'digts'; did you mean 'digits'\?",
    ),
    Typed(
        kind="unknown name",
        command="adit {}/dense --out {}/new",
        message=r"unknown verb 'adit'; did you mean 'audit'\? there are demo, init",
    ),
    Typed(
        kind="unknown name",
        command="prune {}/dense --metod ADMM --out {}/new",
        message=r"unknown option --metod; did you mean '--method'\? there are --method",
    ),
    Typed(
        kind="out of range",
        command="train --seed many --out {}/new",
        message=r"'many' is not a valid integer",
    ),
    Typed(
        kind="out of range",
        command="train --targets 0 --out {}/new",
        message=r"at least 1 target, got targets=0",
    ),
    Typed(
        kind="out of range",
        command="train --references 1 --out {}/new",
        message=r"references must be 0 or at least 2",
    ),
    Typed(
        kind="out of range",
        command="train --members 1000 --out {}/new",
        message=r"members 1000 .*need 3197 records, but digits has 1797; ask for fewer",
    ),
    Typed(
        kind="out of range",
        command="train --snapshots 1,99 --out {}/new",
        message=r"epoch 99 is beyond the recipe's 80",
    ),
    Typed(
        kind="out of range",
        command="train --snapshots often --out {}/new",
        message=r"'often' is not \"log\", \"none\" or numbers",
    ),
    Typed(
        kind="out of range",
        command="train --snapshots 5,2 --out {}/new",
        message=r"snapshot epochs must be 1 to 12 increasing numbers",
    ),
    Typed(
        kind="no references for LiRA",
        command="audit {}/alone --attack LiRA --out {}/new.json",
        message=r"LiRA cannot run: with 0 references, .*; train a fleet with --references 2",
        spoil=train_without_references,
    ),
    Typed(
        kind="unwritable folder",
        command="train --out {}/report.json/below",
        message=r"cannot write .*report\.json/below",
    ),
    Typed(
        kind="unwritable folder",
        command="prune {}/dense --out {}/report.json/below",
        message=r"cannot write .*report\.json/below",
    ),
    Typed(
        kind="unwritable folder",
        command="audit {}/dense --out {}/report.json/new.json",
        message=r"cannot write .*: .*report\.json is not a folder that may be written",
    ),
    Typed(
        kind="unwritable folder",
        command="audit {}/dense --out {}/dense",
        message=r"dense is a folder; give the path of a file to write",
    ),
    Typed(
        kind="unwritable folder",
        command="train --out {}",
        message=r"holds other files \(.*report\.json.*\) and no fleet; choose a new or an empty",
    ),
    Typed(
        kind="altered checkpoint",
        command="audit {}/dense --out {}/new.json --workers 1",
        message=r"\.safetensors was altered after it was written: it states the digest",
        spoil=alter_model,
    ),
    Typed(
        kind="altered checkpoint",
        command="train --targets 2 --references 4 --out {}/dense --workers 1",
        message=r"holds another fleet",
    ),
    Typed(
        kind="a fleet pruned into itself",
        command="prune {}/dense --method Magnitude --out {}/dense --workers 1",
        message=r"--out .*dense is, or is inside, the fleet .*dense, which stays.*; choose a new",
    ),
    Typed(
        kind="a fleet pruned into itself",
        command="prune {}/dense --method Magnitude --out {}/dense/below --workers 1",
        message=r"--out .*dense/below is, or is inside, the fleet .*; choose a new folder",
    ),
    Typed(
        kind="two fleets of one name",
        command="audit {}/dense {}/copy --out {}/new.json --workers 1",
        message=r"different names, got \['dense', 'dense'\]; name each .* prune with another name",
        spoil=lambda here: shutil.copytree(here / "dense", here / "copy"),
    ),
    Typed(
        kind="altered report",
        command="report {}/report.json",
        message=r"report\.json was altered after it was written",
        spoil=alter_report,
    ),
    Typed(
        kind="a pickle given as a model",
        command="audit {}/dense --out {}/new.json --workers 1",
        message=r"is a pickled torch file; pickled files are never loaded",
        spoil=pickled_model,
    ),
    Typed(
        kind="a hook that does not fit the records",
        command="train --recipe "
        "'Recipe(build=MLP(widths=(64,10)), hooks=(RandomCrop(padding=9),))' --out {}/new",
        message=r"RandomCrop changes pictures .* larger than 9 pixels, but the records have the",
    ),
    Typed(
        kind="a hook that does not exist",
        command="train --recipe 'Recipe(build=MLP(widths=(64,10)), hooks=(RandomCropp(),))' "
        "--out {}/new",
        message=r"unknown network or training method 'RandomCropp'; did you mean 'RandomCrop'",
    ),
    Typed(
        kind="a probability out of range",
        command="train --recipe 'Recipe(build=MLP(widths=(64,10)), "
        "hooks=(RandomFlip(probability=2),))' --out {}/new",
        message=r"probability must be in \(0, 1\], got 2",
    ),
    Typed(
        kind="queries that are none",
        command="train --queries Queries(flip=3) --out {}/new",
        message=r"flip must be True or False, got 3",
    ),
    Typed(
        kind="queries of an unknown name",
        command="audit {}/dense --queries Quries() --out {}/new.json",
        message=r"unknown way to ask 'Quries'; did you mean 'Queries'",
    ),
    Typed(
        kind="queries beyond the picture",
        command="train --queries Queries(shift=8) --out {}/new",
        message=r"need pictures .* larger than 8 pixels, .* have the shape \(1, 8, 8\)",
    ),
    Typed(
        kind="a column that is not there",
        command="audit {}/dense --group sex --out {}/new.json --workers 1",
        message=r"no column 'sex' to group by; there are class",
    ),
    Typed(
        kind="a layer that is not there",
        command="prune {}/dense --method \"ADMM(exempt=('nowhere',))\" --out {}/new",
        message=r"exempt names \['nowhere'\], which are no prunable weights; there are",
    ),
    Typed(
        kind="a budget for one layer of two",
        command="prune {}/dense --method \"ADMM(sparsities=(('1.weight',0.5),))\" --out {}/new",
        message=r"sparsities name \['1\.weight'\], but the weights to prune are \['1\.weight', '3",
    ),
    Typed(
        kind="two budgets at once",
        command="prune {}/dense --method Magnitude(rate=2,sparsity=0.5) --out {}/new",
        message=r"rate=2 and sparsity=0\.5: give exactly one",
    ),
    Typed(
        kind="a budget below one weight a layer",
        command="prune {}/dense --method Magnitude(rate=100000) --out {}/new",
        message=r"is below one weight per layer, which would cut the network",
    ),
    Typed(
        kind="a schedule out of range",
        command="prune {}/dense --method ADMM(rho=(0.1,-1)) --out {}/new",
        message=r"rho must be two positive finite numbers",
    ),
    Typed(
        kind="a learning rate out of range",
        command="train --recipe 'Recipe(build=MLP(widths=(64,10)), optimiser=Adam(lr=0))' "
        "--out {}/new",
        message=r"lr must be positive and finite, got 0",
    ),
    Typed(
        kind="an argument without its name",
        command="prune {}/dense --method ADMM(10) --out {}/new",
        message=r"every argument needs its name, like ADMM\(rate=10\)",
    ),
    Typed(
        kind="a spelling that is none",
        command="prune {}/dense --method ADMM( --out {}/new",
        message=r"'ADMM\(' spells no pruning method",
    ),
    Typed(
        kind="code instead of a value",
        command="prune {}/dense --method \"ADMM(rate=open(file='x'))\" --out {}/new",
        message=r"unknown pruning method 'open'",
    ),
    Typed(
        kind="an option without its value",
        command="audit {}/dense --out",
        message=r"[Oo]ption '--out' requires an argument",
    ),
    Typed(
        kind="a required option left out",
        command="prune {}/dense",
        message=r"[Mm]issing option '--out'",
    ),
    Typed(
        kind="no fleet named",
        command="audit --out {}/new.json",
        message=r"say what is audited: folders of fleets, .*or --recipe FILE\.py",
    ),
    Typed(
        kind="the same fleet twice",
        command="audit {}/dense {}/dense --out {}/new.json --workers 1",
        message=r"the fleet .*dense is named twice; name each fleet once, the dense one first",
    ),
    Typed(
        kind="workers below none",
        command="prune {}/dense --workers -1 --out {}/new",
        message=r"-1 is not in the range x>=0",
    ),
    Typed(
        kind="members below one",
        command="train --members 0 --out {}/new",
        message=r"0 is not in the range x>=1",
    ),
    Typed(
        kind="an unfinished fleet",
        command="audit {}/dense --out {}/new.json --workers 1",
        message=r"1 of 6 models are missing \(\d\); run `secateur train`",
        spoil=lambda here: first_model(here).unlink(),
    ),
    Typed(
        kind="a manifest that is not JSON",
        command="audit {}/dense --out {}/new.json --workers 1",
        message=r"fleet\.json is not a whole secateur fleet manifest",
        spoil=lambda here: (here / "dense" / "fleet.json").write_text("{"),
    ),
    Typed(
        kind="a folder given as a report",
        command="report {}/dense",
        message=r"dense",
    ),
    Typed(
        kind="a report given as a fleet",
        command="prune {}/report.json --out {}/new",
        message=r"cannot read .*report\.json/fleet\.json: Not a directory",
    ),
    Typed(
        kind="a page over a folder",
        command="report {}/report.json --html {}/dense",
        message=r"dense is a folder|cannot write",
    ),
    Typed(
        kind="an unknown way to spread",
        command="prune {}/dense --method \"RandomMask(allocation='even')\" --out {}/new",
        message=r"allocation must be 'uniform' or 'erk', got 'even'",
    ),
    Typed(
        kind="a network that is no network",
        command="train --recipe 'Recipe(build=Adam())' --out {}/new",
        message=r"build must be a network, such as MLP\(.*got Adam\(",
    ),
    Typed(
        kind="an attack's parameter out of range",
        command="audit {}/dense --attack RMIA(gamma=0) --out {}/new.json",
        message=r"gamma must be positive and finite, got 0",
    ),
    Typed(
        kind="a pickle given as a report",
        command="report {}/report.json",
        message=r"is a Python pickle; pickled files are never loaded",
        spoil=pickled_report,
    ),
    Typed(
        kind="an output inside its input",
        command="audit {}/dense --attack LossThreshold --out {}/dense/fleet.json",
        message=r"is inside, the input .*dense, which would be overwritten",
    ),
    Typed(
        kind="an output that is its input",
        command="report {}/report.json --html {}/report.json",
        message=r"is, or is inside, the input .*which would be overwritten",
    ),
    Typed(
        kind="two outputs in one place",
        command="audit {}/dense --out {}/both --html {}/both",
        message=r"both would be written twice; give each output its own path",
    ),
    Typed(
        kind="an output that is a device",
        command="audit {}/dense --out /dev/null",
        message=r"/dev/null is no plain file",
    ),
    Typed(
        kind="an output without a name",
        command="report {}/report.json --html ''",
        message=r"is a folder; give the path of a file to write",
    ),
    Typed(
        kind="a name that is too long",
        command="train --members 40 --population 1 --utility 1 --out {}/" + "x" * 300,
        message=r"File name too long",
    ),
    Typed(
        kind="a name that is too long",
        command="data check mnist --data-dir {}/" + "x" * 300,
        message=r"File name too long",
    ),
    Typed(
        kind="a width that is no whole number",
        command="train --recipe 'Recipe(build=MLP(widths=(64, 10.5, 10)))' --out {}/new",
        message=r"MLP: widths must be a tuple of whole numbers, got \(64, 10\.5, 10\)",
    ),
    Typed(
        kind="epochs that are no whole number",
        command="train --recipe 'Recipe(build=MLP(widths=(64, 10)), epochs=2.5)' --out {}/new",
        message=r"Recipe: epochs must be a whole number, got 2\.5",
    ),
    Typed(
        kind="a truth value for a number",
        command="prune {}/dense --method 'ADMM(rate=True)' --out {}/new",
        message=r"ADMM: rate must be a number or None, got True",
    ),
    Typed(
        kind="an optimiser that is none",
        command="prune {}/dense --method 'ADMM(optimiser=3)' --out {}/new",
        message=r"ADMM: optimiser must be an optimiser, such as Adam\(lr=0\.001\), got 3",
    ),
    Typed(
        kind="a hook outside a tuple",
        command="train --recipe 'Recipe(build=MLP(widths=(64, 10)), hooks=RandomFlip())' --out {}/",
        message=r"Recipe: hooks must be a tuple of Hooks, got RandomFlip",
    ),
    Typed(
        kind="streams that are no dictionary",
        command="train --recipe 'Recipe(build=MLP(widths=(64, 10)), streams=3)' --out {}/new",
        message=r"streams must be a dictionary of texts and whole numbers, got 3",
    ),
    Typed(
        kind="a schedule that does not exist",
        command='train --recipe "Recipe(build=MLP(widths=(64, 10)), '
        "optimiser=Adam(schedule='cosin'))\" --out {}/new",
        message=r"Adam: schedule must be 'constant' or 'cosine', got 'cosin'",
    ),
    Typed(
        kind="an optimiser whose parts contradict",
        command="train --recipe 'Recipe(build=MLP(widths=(64, 10)), "
        "optimiser=SGD(momentum=0.0, nesterov=True))' --out {}/new",
        message=r"nesterov needs a momentum above 0",
    ),
    Typed(
        kind="a network beyond memory",
        command="train --recipe 'Recipe(build=MLP(widths=(64, 1000000000000, 10)))' --out {}/new",
        message=r"MLP\(.*makes no network",
    ),
    Typed(
        kind="a world beyond memory",
        command="train --targets 99999999999 --members 40 --population 1 --utility 1 --out {}/new",
        message=r"not enough memory .*; ask for fewer models",
    ),
    Typed(
        kind="a training that diverges",
        command="train --members 40 --population 1 --utility 1 --targets 1 --references 0 "
        "--workers 1 --out {}/new --recipe 'Recipe(build=MLP(widths=(64, 10)), "
        "optimiser=SGD(lr=1e30), epochs=2)'",
        message=r"training diverged: .* after epoch \d+; lower the learning rate",
    ),
    Typed(
        kind="an empty recipe",
        command="train --recipe '' --out {}/new",
        message=r"'' spells no network or training method",
    ),
    Typed(
        kind="an empty name",
        command="prune {}/dense --name '' --out {}/new",
        message=r"a name needs at least one letter",
    ),
    Typed(
        kind="an unknown data set",
        command="data check cifar11 --data-dir {}",
        message=r"unknown data set 'cifar11'; did you mean 'cifar10'\?",
    ),
    Typed(
        kind="data by hand, fetched",
        command="data get image-folder --data-dir {}",
        message=r"image-folder has no address to download from",
    ),
    Typed(
        kind="nobody to ask",
        command="data get location30 --data-dir {}",
        message=r"nobody can be asked whether to download.*; give --yes",
    ),
    Typed(
        kind="no folder for data",
        command="data get location30 --yes",
        message=r"lie in a folder, and none is named; give --data-dir",
    ),
    Typed(
        kind="a proxy that is no address",
        command="data get location30 --data-dir {} --yes",
        message=r"names the proxy 'http://127\.0\.0\.1:notaport' for http.*correct http.*_proxy",
        environment={
            "https_proxy": "http://127.0.0.1:notaport",
            "http_proxy": "http://127.0.0.1:notaport",
        },
    ),
    Typed(
        kind="a sample of none",
        command="data check digits --sample 0",
        message=r"0 is not in the range x>=1",
    ),
    Typed(
        kind="a text in an archive's place",
        command="data check cifar10 --data-dir {}",
        message=r"cifar-10-binary\.tar\.gz cannot be read .*truncated, damaged or not",
        spoil=lambda here: (here / "cifar-10-binary.tar.gz").write_text("not found"),
    ),
    Typed(
        kind="a text in an archive's place",
        command="data check purchase100 --data-dir {}",
        message=r"dataset_purchase\.tgz cannot be read .*truncated, damaged or not",
        spoil=lambda here: (here / "dataset_purchase.tgz").write_text("not found"),
    ),
    Typed(
        kind="a pickle inside an npz",
        command="data check texas100 --data-dir {}",
        message=r"'labels' is not an array of plain values",
        spoil=pickle_in_npz,
    ),
    Typed(
        kind="an npz with other arrays",
        command="data check tiny-imagenet10 --data-dir {}",
        message=r"tiny_imagenet10\.npz has no array",
        spoil=lambda here: np.savez(here / "tiny_imagenet10.npz", other=np.zeros(3)),
    ),
    Typed(
        kind="a table with a missing column",
        command="data check adult --data-dir {}",
        message=r"adult\.data, line 1",
        spoil=half_a_table,
    ),
    Typed(
        kind="a corrupt picture",
        command="data check image-folder --data-dir {}",
        message=r"cat/1\.png",
        spoil=corrupt_picture,
    ),
    Typed(
        kind="an empty folder of pictures",
        command="data check image-folder --data-dir {}/empty",
        message=r"empty",
        spoil=lambda here: (here / "empty").mkdir(),
    ),
    Typed(
        kind="an unknown kind of canaries",
        command="train --canaries Mislabeled --out {}/new",
        message=r"unknown kind of canaries 'Mislabeled'; did you mean 'Mislabelled'\?",
    ),
    Typed(
        kind="more canaries than the audit pool holds",
        command="train --canaries Mislabelled(count=50) --members 20 --out {}/new",
        message=r"50 records, with their units, must be in the audit pool, which has room for 40",
    ),
    Typed(
        kind="columns for other records",
        command="train --columns {}/c.csv --out {}/new",
        message=r"c\.csv has 2 rows below its names, but digits has 1797 records",
        spoil=lambda here: (here / "c.csv").write_text("unit,site\n1,a\n2,b\n"),
    ),
    Typed(
        kind="a torn row of columns",
        command="train --columns {}/c.csv --out {}/new",
        message=r"c\.csv, line 3: 1 values for 2 columns",
        spoil=lambda here: (here / "c.csv").write_text("unit,site\n1,a\n2\n"),
    ),
    Typed(
        kind="no default recipe",
        command="train --data image-folder --data-dir {}/pictures --out {}/new",
        message=r"image-folder has no default recipe.*SmallCNN\(channels=3, classes=2\)",
        spoil=lambda here: pictures(here / "pictures"),
    ),
    Typed(
        kind="an audit without a size",
        command="power --targets 8 --members 100",
        message=r"--non-members is missing; give it, or --pilot",
    ),
    Typed(
        kind="an audit without a size",
        command="power --targets 0 --members 100 --non-members 100",
        message=r"must be at least 1, got 0, 100 and 100",
    ),
    Typed(
        kind="an AUC out of range",
        command="power --targets 8 --members 100 --non-members 100 --auc 1",
        message=r"the AUC must be in \(0, 1\), got 1; give --auc",
    ),
    Typed(
        kind="a spread out of range",
        command="power --targets 8 --members 100 --non-members 100 --between-sd nan",
        message=r"between_sd must be in \[0, 0\.5\), got nan",
    ),
    Typed(
        kind="a difference of nothing",
        command="power --targets 8 --members 100 --non-members 100 --difference 0",
        message=r"difference must be above 0, got 0",
    ),
    Typed(
        kind="a correlation out of range",
        command="power --targets 8 --members 100 --non-members 100 --correlation 1",
        message=r"correlation must be in \[-1, 1\), got 1",
    ),
    Typed(
        kind="a pilot with too few targets",
        command="power --pilot {}/report.json",
        message=r"t interval over 8 or more targets; this row is 'auc' with .* over 2 targets",
    ),
    Typed(
        kind="missing file",
        command="power --pilot {}/nowhere.json",
        message=r"there is no secateur report file .*nowhere\.json; check the path",
    ),
    Typed(
        kind="missing signals",
        command="attack --target {}/nowhere.npz --out {}/new.json",
        message=r"there is no signals file .*nowhere\.npz; check the path",
    ),
    Typed(
        kind="truncated signals",
        command=SIGNALS,
        message=r"s\.npz: truncated or damaged \(.*docs/signals\.md",
        spoil=truncated_signals,
    ),
    Typed(
        kind="truncated signals",
        command="attack --target {}/s --rows 0 --out {}/new.json",
        message=r"margin\.npy: cannot be read as an npy file .*promises 960 bytes, it holds 951",
        spoil=truncated_npy,
    ),
    Typed(
        kind="a pickle among signals",
        command=SIGNALS,
        message=r"no array of plain numbers, its head is .*O.*only numbers are read, never pickles",
        spoil=lambda here: saved(here, labels=np.array([{}] * 40, dtype=object)),
    ),
    Typed(
        kind="no signals in a file",
        command=SIGNALS,
        message=r"no array of signals; it holds inside, labels, population; name one",
        spoil=lambda here: saved(here, logits=None),
    ),
    Typed(
        kind="signals of another shape",
        command=SIGNALS,
        message=r"inside has the shape \(18, 39\); expected \(18, 40\)",
        spoil=lambda here: saved(here, inside=np.zeros((18, 39), bool)),
    ),
    Typed(
        kind="a membership of other values",
        command=SIGNALS,
        message=r"inside holds values other than 0 and 1",
        spoil=lambda here: saved(here, inside=np.full((18, 40), 2)),
    ),
    Typed(
        kind="a target without membership",
        command=SIGNALS,
        message=r"does not say which records the target was trained on; add an array `inside`",
        spoil=lambda here: saved(here, inside=None),
    ),
    Typed(
        kind="a target without members",
        command=SIGNALS,
        message=r"model 0 has 0 members of 30 records",
        spoil=lambda here: saved(here, inside=np.zeros((18, 40), bool)),
    ),
    Typed(
        kind="members in the population",
        command=SIGNALS,
        message=r"has record \d+ as a member, which is not in the pool 'audit'",
        spoil=lambda here: saved(here, population=np.arange(40) < 30),
    ),
    Typed(
        kind="signals without labels",
        command=SIGNALS,
        message=r"logits need labels, the true class of each record",
        spoil=lambda here: saved(here, labels=None),
    ),
    Typed(
        kind="labels beyond the classes of logits",
        command=SIGNALS,
        message=r"labels go up to 7, but logits have 3 classes, which are numbered from 0$",
        spoil=lambda here: saved(here, labels=np.full(40, 7)),
    ),
    Typed(
        kind="labels that begin at 1",
        command=SIGNALS,
        message=r"labels go up to 3, but logits have 3 .*they begin at 1: subtract 1",
        spoil=lambda here: saved(here, labels=np.arange(40) % 3 + 1),
    ),
    Typed(
        kind="signals with NaN",
        command=SIGNALS,
        message=r"s\.npz, model 0: logits of 40 of 40 records are NaN or infinite, first of",
        spoil=lambda here: saved(here, logits=np.full((18, 1, 40, 3), np.nan)),
    ),
    Typed(
        kind="signals with NaN",
        command=REFERENCES,
        message=r"r\.npz, model 5: logits of 1 of 40 records are NaN or infinite, first of "
        r"record 7; ask the model again, or leave it out",
        spoil=lambda here: others(here, "logits", np.nan),
    ),
    Typed(
        kind="signals with NaN",
        command=REFERENCES,
        message=r"r\.npz, model 5: margin of 1 of 40 records is NaN or infinite, first of "
        r"record 7; ask the model again, or leave it out",
        spoil=lambda here: others(here, "margin", np.inf),
    ),
    Typed(
        kind="probabilities that do not add up",
        command=REFERENCES,
        message=r"r\.npz, model 5: the probabilities of a record must add up to 1, got sums of .*; "
        r"divide by the sums, or call them logits",
        spoil=lambda here: others(here, "probabilities", 0.5),
    ),
    Typed(
        kind="logits called probabilities",
        command=SIGNALS,
        message=r"probabilities must be in \[0, 1\], got .*call logits logits",
        spoil=lambda here: saved(here, logits=None, probabilities=saved_signals.world()["logits"]),
    ),
    Typed(
        kind="references of other records",
        command="attack --target {}/t.npz --references {}/r.npz --out {}/new.json",
        message=r"r\.npz says other labels than .*t\.npz of 26 .*order of the records differs",
        spoil=other_labels,
    ),
    Typed(
        kind="signals of an unsaid kind",
        command="attack --target {}/s.npy --out {}/new.json",
        message=r"what its values are is not said; give --kind logits or confidence",
        spoil=lambda here: np.save(here / "s.npy", np.zeros((3, 4))),
    ),
    Typed(
        kind="signals of an unknown kind",
        command="attack --target {}/s.npy --kind logit --out {}/new.json",
        message=r"unknown --kind 'logit'; did you mean 'logits'\?",
    ),
    Typed(
        kind="a model that is not in the file",
        command="attack --target {}/s.npz --rows 0,18 --out {}/new.json",
        message=r"--rows '0,18': give numbers of models from 0 to 17",
        spoil=saved,
    ),
    Typed(
        kind="an attack that trains networks on signals",
        command=SIGNALS + " --attack NasrAttack",
        message=r"NasrAttack trains networks and is no attack on signals alone; .*secateur audit",
        spoil=saved,
    ),
    Typed(
        kind="an attack without its signal",
        command=SIGNALS + " --attack EntropyThreshold",
        message=r"EntropyThreshold\(.*\) needs entropy, which what was saved does not give",
        spoil=lambda here: saved(here, logits=None, margin=np.arange(720.0).reshape(18, 40)),
    ),
    Typed(
        kind="a torn table of signals",
        command="attack --target {}/s.csv --out {}/new.json",
        message=r"s\.csv: row 3: 2 values for 4 columns",
        spoil=lambda here: (here / "s.csv").write_text(
            "model,record,inside,loss\n0,0,1,0.5\n0,1\n"
        ),
    ),
    Typed(
        kind="a table of signals with holes",
        command="attack --target {}/s.csv --out {}/new.json",
        message=r"3 rows for 2 models and 2 records; each pair needs one row",
        spoil=lambda here: (here / "s.csv").write_text(
            "model,record,inside,loss\n0,0,1,0.5\n0,1,0,1\n1,0,0,2\n"
        ),
    ),
    Typed(
        kind="an experiment of LiRA without keep.npy",
        command="attack --target {}/exp --rows 0 --out {}/new.json",
        message=r"there is no file .*experiment-3_18/keep\.npy, which others have",
        spoil=lira_without_one_keep,
    ),
    Typed(
        kind="an empty folder of signals",
        command="attack --target {}/empty --out {}/new.json",
        message=r"the folder holds no npy file and no experiment with logits/ or scores/",
        spoil=lambda here: (here / "empty").mkdir(),
    ),
    Typed(
        kind="Privacy Meter's memberships turned round",
        command="attack --target {}/pm --rows 0 --kind loss --out {}/new.json",
        message=r"the shape \(3, 5\); expected \[record, model\] .*\(5, 3\)",
        spoil=turned_round,
    ),
)


@pytest.mark.parametrize("row", TYPED, ids=lambda row: f"{row.kind}: {row.command[:40]}")
def test_a_bad_command_ends_with_2_and_a_message_and_leaves_the_folder_as_it_was(
    row, here, monkeypatch
):
    row.spoil(here)
    for name, value in row.environment.items():
        monkeypatch.setenv(name, value)
    before = listing(here)
    done = secateur(*(a.replace("{}", str(here)) for a in shlex.split(row.command)))
    assert done.code == 2, done.err
    progress, said = done.err.rsplit("secateur: error: ", 1)
    assert re.search(row.message, " ".join(said.split())), said
    assert all(re.match(r"[a-z ]+: \d+ of \d+", line) for line in progress.splitlines())
    assert len(said.splitlines()) <= 2
    assert listing(here) == before


@dataclass(frozen=True, kw_only=True)
class Called:
    """A call that brings arrays."""

    kind: str
    call: Callable[[], object]
    error: type[SecateurError]
    message: str


def with_value(value: float) -> np.ndarray:
    inputs = INPUTS.copy()
    inputs[4, 1] = value
    return inputs


def lira_without_references() -> object:
    records = Records.from_arrays(np.eye(40), np.arange(40) % 2)
    membership = draw(records, targets=2, references=0, seed=0)
    signals = {"margin": np.zeros((2, 40))}
    return LiRA()(Observations.from_arrays(signals, labels=records.labels, membership=membership))


def given_members(members: list[int], non_members: list[int]) -> object:
    records = Records.from_arrays(INPUTS, LABELS)
    return given(records, members=np.array(members), non_members=np.array(non_members))


def observations_with_nan() -> object:
    records = Records.from_arrays(INPUTS, LABELS)
    membership = draw(records, targets=1, references=2, seed=0)
    margins = np.zeros((3, 6))
    margins[1, 2] = np.nan
    return Observations.from_arrays(
        {"margin": margins}, labels=records.labels, membership=membership
    )


CALLED = (
    Called(
        kind="wrong shape",
        call=lambda: Records.from_arrays(INPUTS, LABELS[:5]),
        error=DataError,
        message=r"labels need the shape \(6,\) of the inputs, got \(5,\)",
    ),
    Called(
        kind="wrong shape",
        call=lambda: Records.from_arrays(INPUTS[:, 0], LABELS),
        error=DataError,
        message=r"inputs need the shape \[records, \.\.\.\], got \(6,\); add an axis",
    ),
    Called(
        kind="labels out of range",
        call=lambda: Records.from_arrays(INPUTS, LABELS + 1, n_classes=2),
        error=DataError,
        message=r"labels must be in 0 \.\. 1 \(n_classes=2\), got the range 1 \.\. 2",
    ),
    Called(
        kind="labels out of range",
        call=lambda: Records.from_arrays(INPUTS, LABELS - 1, n_classes=2),
        error=DataError,
        message=r"got the range -1 \.\. 0",
    ),
    Called(
        kind="labels out of range",
        call=lambda: Records.from_arrays(INPUTS, LABELS + 0.5),
        error=DataError,
        message=r"labels must be whole numbers, got dtype float64",
    ),
    Called(
        kind="NaN",
        call=lambda: Records.from_arrays(with_value(np.nan), LABELS),
        error=DataError,
        message=r"1 of 6 records have inputs that are NaN or infinite, first at index 4",
    ),
    Called(
        kind="NaN",
        call=lambda: Records.from_arrays(with_value(np.inf), LABELS),
        error=DataError,
        message=r"NaN or infinite, first at index 4; remove or impute them",
    ),
    Called(
        kind="NaN",
        call=observations_with_nan,
        error=DataError,
        message=r"signal 'margin' of view 'dense' has 1 values that are NaN or infinite",
    ),
    Called(
        kind="one class",
        call=lambda: Records.from_arrays(INPUTS, LABELS * 0, n_classes=2),
        error=DataError,
        message=r"all 6 labels are 0: one class only",
    ),
    Called(
        kind="one class",
        call=lambda: Records.from_arrays(INPUTS, LABELS * 0),
        error=DataError,
        message=r"at least 2 classes, got n_classes=1",
    ),
    Called(
        kind="empty members",
        call=lambda: given_members([], [1, 2]),
        error=DataError,
        message=r"members is empty: an audit needs members and non-members",
    ),
    Called(
        kind="empty members",
        call=lambda: given_members([1, 2], []),
        error=DataError,
        message=r"non_members is empty",
    ),
    Called(
        kind="members that are also non-members",
        call=lambda: given_members([0, 1, 2], [2, 3]),
        error=DataError,
        message=r"1 records are members and non-members at once, first index 2; .*remove them",
    ),
    Called(
        kind="no references for LiRA",
        call=lira_without_references,
        error=NotEnoughReferencesError,
        message=r"LiRA needs at least 1 reference models in and 1 out of every .* 0 references",
    ),
)


@pytest.mark.parametrize("row", CALLED, ids=lambda row: f"{row.kind}: {row.message[:30]}")
def test_bad_arrays_raise_an_error_of_ours_with_the_values_seen(row):
    with pytest.raises(row.error, match=row.message) as caught:
        row.call()
    assert isinstance(caught.value, InputError)


def test_every_error_of_ours_ends_with_2_over_the_command_line(here, monkeypatch):
    kinds = [DataError, StoreError, SparsityError, UnknownMethodError, NotEnoughReferencesError]
    for kind in kinds:

        def raising(*_: object, kind: type[SecateurError] = kind, **__: object) -> None:
            raise kind("said in words")

        monkeypatch.setattr("secateur.auditing.audit_fleets", raising)
        done = secateur("audit", here / "dense", "--out", here / "new.json", "--workers", "1")
        assert (done.code, done.err) == (2, "secateur: error: said in words\n")


def test_without_references_an_attack_that_needs_them_is_a_row_that_says_why(tmp_path):
    assert train(tmp_path / "dense", "--references", "0").code == 0
    done = secateur(
        *("audit", tmp_path / "dense", "--attack", "LiRA", "--workers", "1"),
        *("--attack", "LossThreshold(class_wise=False)", "--out", tmp_path / "report.json"),
    )
    assert done.code == 0, done.err
    rows = [r for r in read_report(tmp_path / "report.json").rows if r.method.startswith("LiRA")]
    assert rows and all(r.status == "not run" and "reference" in r.why for r in rows)


def test_an_interrupted_run_ends_with_130_and_holds_whole_models_alone(tmp_path, monkeypatch):
    def stop(self: Bar, done: int, total: int, what: str) -> None:
        del self, total, what
        if done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "__call__", stop)
        done = train(tmp_path / "dense")
    assert done.code == 130
    assert "stopped with 3 of 6 models of 'dense' finished, in" in done.err
    assert "resume with: secateur train " in done.err
    models = sorted((tmp_path / "dense" / "models").iterdir())
    assert len(models) == 3
    assert all(read_artifact(path).tensors for path in models)
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_table_has_every_kind():
    kinds = {row.kind for row in (*TYPED, *CALLED)} | {"interrupted run"}
    assert kinds >= {
        "missing file",
        "truncated file",
        "wrong shape",
        "labels out of range",
        "NaN",
        "one class",
        "sparsity 1.5",
        "empty members",
        "members that are also non-members",
        "unknown method",
        "no references for LiRA",
        "unwritable folder",
        "altered checkpoint",
        "a pickle given as a model",
        "interrupted run",
    }
    assert len({row.kind for row in TYPED}) >= 50, "kinds over the command line"
