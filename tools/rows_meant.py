"""What the rows of the evidence's tables are, for a reader who does not know the paper."""

from __future__ import annotations

from typing import Any

from tools.verdicts import DENSE, cases

__all__ = ["rows_meant"]

MEANT = {
    DENSE: "the network trained, nothing removed",
    "dp-sgd": "trained by differentially private SGD",
    "min-max": "trained against an attack network that learns beside it (Nasr et al. 2018)",
    "mia-pruning": "the paper's pruning: ADMM towards a budget of weights, masked retraining",
    "mia-pruning-min-max": "the same with the attack network in both trainings",
    "weight-decay": "trained with more weight decay",
    "early-stopping": "trained for fewer epochs",
    "small-dense": "a narrower network of as many weights as the pruned one keeps",
    "random-mask": "weights removed at random before training",
    "from-scratch": "the pruned models' masks, trained from the first weights",
    "magnitude": "the smallest weights removed once, retrained as long as the paper's pruning",
    "trained-on": "the dense models trained on for as long, nothing removed",
    "group-norm": "what DP-SGD trains, without its noise: group normalisation",
    "small-dense-longer": "the narrower network, for as many epochs as pruning takes in all",
    "random-mask-longer": "the random mask, for as many epochs as pruning takes in all",
    "from-scratch-longer": "the masks from scratch, for as many epochs as pruning takes in all",
}


def rows_meant(found: dict[str, dict[str, Any]]) -> str:
    """Return a table of the methods that the sweeps hold, and what their columns are called.

    Args:
        found: sweeps by the world's name.
    """
    every: dict[str, list[str]] = {}
    for content in found.values():
        for point in cases(content).values():
            names = [f"`{step.partition('(')[0]}`" for step in point.get("steps", ())]
            every.setdefault(point["method"], []).append(
                ", then ".join(names) or "the recipe itself"
            )
    steps = {method: "; or ".join(dict.fromkeys(words)) for method, words in every.items()}
    lines = ["| row | what it is | its steps |", "|" + " --- |" * 3]
    lines += [f"| {m} | {meaning} | {steps[m]} |" for m, meaning in MEANT.items() if m in steps]
    return "\n".join(lines) + f"\n\n{WORDS}"


WORDS = (
    "`secateur methods NAME` says what a step does and which settings it has. `rate` is all "
    "prunable weights to those that are kept, `strength` the weight of the game or of the decay, "
    "`noise` the noise multiplier. LiRA and RMIA are attacks by reference models, here pruned as "
    "the audited ones are; the naive LiRA has dense ones. AUC 0.5 is guessing; TPR is the share of "
    "members found at the named rate of false alarms. The paper's attack is `NasrAttack`, a neural "
    "network on outputs: 50 % is guessing."
)
