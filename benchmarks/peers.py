"""The same audit by others' packages: end to end, and scoring alone.

    make peers      # an environment of its own, .venv-peers, since their pins differ from ours
    .venv-peers/bin/python -m benchmarks.peers [--rounds 3] [--out results/benchmarks/peers.json]

Every part runs in a process of its own on one thread, ours with as many workers as there are cores
(none of the others has workers). Wall time begins when everything is imported and data are made;
peak memory is that of the process, with our workers' beside it. Data are made: only cost counts.

- End to end: 32 reference MLPs 20-64-10, 2,000 members each, 20 epochs, then LiRA online:
  SACRO-ML trains its shadow models on random halves, ours on balanced ones.
- LiRA online of 20,000 records x 64 references; RMIA offline with a population of 10,000.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

RECORDS, REFERENCES, POPULATION = 20_000, 64, 10_000
FEATURES, CLASSES, MEMBERS, EPOCHS, SHADOWS = 20, 10, 2_000, 20, 32

MODEL = """
import torch
class Net(torch.nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(features, 64), torch.nn.ReLU(), torch.nn.Linear(64, classes)
        )
    def forward(self, x):
        return self.layers(x)
"""
TRAIN = """
import torch
def train(model, dataloader, epochs):
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss = torch.nn.CrossEntropyLoss()
    model.train()
    for _ in range(epochs):
        for x, y in dataloader:
            optimiser.zero_grad()
            loss(model(x), y.long()).backward()
            optimiser.step()
"""


def signals() -> tuple[np.ndarray, np.ndarray]:
    """Return margins `[models, records]`, and who is inside; model 0 is the target."""
    rng = np.random.default_rng(0)
    inside = np.zeros((REFERENCES + 1, RECORDS + POPULATION), dtype=bool)
    inside[0, :RECORDS] = rng.random(RECORDS) < 0.5
    ranks = rng.random((REFERENCES, RECORDS)).argsort(axis=0)
    inside[1:, :RECORDS] = ranks < REFERENCES // 2
    margins = rng.normal(2, 2, size=inside.shape) + inside
    return margins, inside


def observations(population: int) -> Any:
    """Return our form of the signals, with so many records of the population."""
    from secateur.types import Membership, Observations

    margins, inside = (a[:, : RECORDS + population] for a in signals())
    n = inside.shape[1]
    who = Membership(
        inside=inside,
        roles=("target", *("reference",) * REFERENCES),
        pools={"audit": np.arange(RECORDS), "population": np.arange(RECORDS, n)},
        units=np.arange(n),
        seed=0,
    )
    probability = -np.logaddexp(0, -margins)
    return Observations.from_arrays(
        {"margin": margins, "log_confidence@4": probability},
        labels=np.arange(n) % CLASSES,
        membership=who,
    )


def ours_lira() -> Callable[[], float]:
    """LiRA, online, per-record variances."""
    from secateur.attack.membership import LiRA

    seen = observations(0)
    attack = LiRA(variance="per record")
    return lambda: float(attack(seen).values.sum())


def ours_rmia() -> Callable[[], float]:
    """RMIA, offline."""
    from secateur.attack.membership import RMIA

    seen = observations(POPULATION)
    attack = RMIA(mode="offline")
    return lambda: float(attack(seen).values.sum())


def tables(margins: np.ndarray, inside: np.ndarray) -> Any:
    """Return PrivacyGuard's columns of means and deviations, and the rest of its table."""
    import pandas as pd

    refs, ins = margins[1:], inside[1:]
    table = {"user_id": np.arange(margins.shape[1]), "score_orig": margins[0]}
    for name, chosen in (("in", ins), ("out", ~ins)):
        held = np.where(chosen, refs, np.nan)
        table[f"score_mean_{name}"] = np.nanmean(held, axis=0)
        table[f"score_std_{name}"] = np.nanstd(held, axis=0)
    table["score_mean"], table["score_std"] = table["score_mean_out"], table["score_std_out"]
    return pd.DataFrame(table)


def privacyguard_lira() -> Callable[[], float]:
    """PrivacyGuard's LiRA, with the means and deviations that it takes as given."""
    from privacy_guard.analysis.mia.aggregate_analysis_input import AggregationType
    from privacy_guard.attacks.lira_attack import LiraAttack

    margins, inside = (a[:, :RECORDS] for a in signals())

    def run() -> float:
        table = tables(margins, inside)
        attack = LiraAttack(
            table[inside[0]],
            table[~inside[0]],
            AggregationType.NONE,
            online_attack=True,
            std_dev_type="mix",
        )
        return float(attack.run_attack().df_train_user["score"].sum())

    return run


def privacyguard_rmia() -> Callable[[], float]:
    """PrivacyGuard's RMIA, offline."""
    import pandas as pd
    from privacy_guard.analysis.mia.aggregate_analysis_input import AggregationType
    from privacy_guard.attacks.rmia_attack import RmiaAttack

    margins, inside = signals()
    scores = 1 / (1 + np.exp(-margins))
    columns = {"user_id": np.arange(scores.shape[1]), "score_orig": scores[0]}
    columns |= {f"score_ref_{k}": scores[k + 1] for k in range(REFERENCES)}
    columns |= {f"member_ref_{k}": inside[k + 1] for k in range(REFERENCES)}
    table = pd.DataFrame(columns)
    audit, population = table[:RECORDS], table[RECORDS:]
    member = inside[0, :RECORDS]

    def run() -> float:
        attack = RmiaAttack(
            audit[member],
            audit[~member],
            population,
            AggregationType.NONE,
            num_reference_models=REFERENCES // 2,
        )
        return float(attack.run_attack().df_train_user["score"].sum())

    return run


def sacro_lira() -> Callable[[], float]:
    """SACRO-ML's scores from signals that are there already."""
    from sacroml.attacks.likelihood_attack import LIRAAttack

    margins, inside = (a[:, :RECORDS] for a in signals())
    refs, ins = margins[1:], inside[1:]
    labels = np.arange(RECORDS) % CLASSES
    sure = 1 / (1 + np.exp(-margins[0]))
    predictions = np.full((RECORDS, CLASSES), 0.0)
    predictions[np.arange(RECORDS), labels] = sure
    held = {i: refs[ins[:, i], i].tolist() for i in range(RECORDS)}
    out = {i: refs[~ins[:, i], i].tolist() for i in range(RECORDS)}
    attack = LIRAAttack(write_report=False, mode="online-carlini", n_shadow_models=REFERENCES)

    def run() -> float:
        scores, _ = attack._compute_scores(labels, predictions, out, held)
        return float(np.sum(scores))

    return run


def made_data() -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels of the end-to-end case, members first."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 2 * MEMBERS)
    centres = rng.normal(size=(CLASSES, FEATURES))
    inputs = centres[labels] + 2 * rng.normal(size=(2 * MEMBERS, FEATURES))
    return inputs.astype(np.float32), labels


def ours_end_to_end() -> Callable[[], float]:
    """One target and 32 references, trained, queried, attacked and measured."""
    from secateur.attack.membership import LiRA
    from secateur.data import draw
    from secateur.measure import auc
    from secateur.models import MLP
    from secateur.probe.run import observe
    from secateur.train import Adam, Recipe, train_fleet
    from secateur.types import Records, Signal

    inputs, labels = made_data()
    records = Records.from_arrays(inputs, labels, n_classes=CLASSES)
    pools = {"audit": 2 * MEMBERS}
    who = draw(records, targets=1, references=SHADOWS, seed=0, pools=pools)
    recipe = Recipe(
        build=MLP(widths=(FEATURES, 64, CLASSES)),
        optimiser=Adam(lr=1e-3),
        epochs=EPOCHS,
        batch_size=32,
    )

    def run() -> float:
        fleet = train_fleet(recipe, records, who, seed=0, engine="auto")
        seen = observe(fleet, records, signals=[Signal(name="margin")], posteriors=False)
        scores = LiRA(variance="per record")(seen)
        found = auc(scores, who, subject="dense", method="LiRA", threat="adaptive")
        return float(found.value or 0.0)

    return run


def sacro_end_to_end() -> Callable[[], float]:
    """SACRO-ML's LiRA with 32 shadow models."""
    import torch
    from sacroml.attacks.likelihood_attack import LIRAAttack
    from sacroml.attacks.target import Target

    inputs, labels = made_data()
    place = Path(tempfile.mkdtemp())
    (place / "net.py").write_text(MODEL)
    (place / "fit.py").write_text(TRAIN)
    sys.path.insert(0, str(place))
    os.chdir(place)  # it takes a path below the working folder as a module's name
    import fit
    import net

    def run() -> float:
        target_net = net.Net(FEATURES, CLASSES)
        x = torch.from_numpy(inputs[:MEMBERS])
        y = torch.from_numpy(labels[:MEMBERS])
        data = torch.utils.data.TensorDataset(x, y)
        loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
        fit.train(target_net, loader, EPOCHS)
        target = Target(
            model=target_net,
            model_module_path="net.py",
            model_params={"features": FEATURES, "classes": CLASSES},
            train_module_path="fit.py",
            train_params={"epochs": EPOCHS},
            batch_size=32,
            X_train=inputs[:MEMBERS],
            y_train=labels[:MEMBERS],
            X_test=inputs[MEMBERS:],
            y_test=labels[MEMBERS:],
        )
        attack = LIRAAttack(
            n_shadow_models=SHADOWS,
            mode="online-carlini",
            write_report=False,
            output_dir=tempfile.mkdtemp(),
        )
        found = attack.attack(target)
        instance = found["attack_experiment_logger"]["attack_instance_logger"]["instance_0"]
        return float(instance["AUC"])

    return run


PARTS: dict[str, dict[str, Callable[[], Callable[[], float]]]] = {
    "end to end, 32 references": {"secateur": ours_end_to_end, "SACRO-ML": sacro_end_to_end},
    "LiRA, 20k x 64": {
        "secateur": ours_lira,
        "PrivacyGuard": privacyguard_lira,
        "SACRO-ML": sacro_lira,
    },
    "RMIA, 20k x 10k x 64": {"secateur": ours_rmia, "PrivacyGuard": privacyguard_rmia},
}
PACKAGES = {"SACRO-ML": "sacroml", "PrivacyGuard": "privacyguard-platform", "secateur": "secateur"}


def one(case: str, who: str) -> None:
    """Run one part in this process and print what it took."""
    import torch

    torch.set_num_threads(1)
    run = PARTS[case][who]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    value = run()
    seconds = time.perf_counter() - begun
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    found = {"seconds": seconds, "megabytes": own / 1024, "before": before / 1024, "value": value}
    print(json.dumps({**found, "worker_megabytes": children / 1024}))


def measured(case: str, who: str, rounds: int) -> dict[str, Any]:
    """Return the seconds and the peak memory of one part over some rounds."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    found = []
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.peers", "--part", case, who],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        if done.returncode:
            return {"failed": done.stderr.strip().splitlines()[-1][:300]}
        found.append(json.loads(done.stdout.strip().splitlines()[-1]))
    seconds = [f["seconds"] for f in found]
    return {
        "seconds": {"min": min(seconds), "median": statistics.median(seconds), "max": max(seconds)},
        "megabytes": max(f["megabytes"] for f in found),
        "worker_megabytes": max(f["worker_megabytes"] for f in found),
        "value": found[-1]["value"],
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.part:
        one(*arguments.part)
        return
    from secateur import store
    from secateur.context import hardware

    rows = []
    for case, parts in PARTS.items():
        row: dict[str, Any] = {"case": case, "by": {}}
        for who in parts:
            row["by"][who] = measured(case, who, arguments.rounds)
            mine, its = row["by"]["secateur"], row["by"][who]
            if "seconds" in its:
                ratio = its["seconds"]["median"] / mine["seconds"]["median"]
                its["ratio"] = ratio
                print(
                    f"{case:28s} {who:14s} {its['seconds']['median']:8.2f} s  {ratio:7.1f}x  "
                    f"{its['megabytes']:6.0f} MB  value {its['value']:.3f}",
                    flush=True,
                )
            else:
                print(f"{case:28s} {who:14s} failed: {its['failed']}", flush=True)
        rows.append(row)
    if arguments.out:
        versions = {who: metadata.version(package) for who, package in PACKAGES.items()}
        report = {
            "format": "secateur-benchmark-1",
            "benchmark": "peers",
            "command": "python -m benchmarks.peers",
            "rounds": arguments.rounds,
            "packages": versions,
            "machine": hardware(),
            "rows": rows,
        }
        store.write_document(arguments.out, report)
        print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
