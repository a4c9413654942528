"""The words of docs/evidence.md that no number changes."""

from __future__ import annotations

__all__ = ["INTRODUCTION", "NAMES", "NOTHING"]

NAMES = {
    "mia-pruning": "MIA-Pruning",
    "mia-pruning-min-max": "MIA-Pruning & Min-Max",
    "min-max": "Min-Max",
    "dp-sgd": "DP-SGD",
    "weight-decay": "weight decay",
    "small-dense": "small dense network",
    "random-mask": "random mask",
    "from-scratch": "the same mask from scratch",
    "magnitude": "one-shot magnitude",
    "trained-on": "the dense models trained on for as long, not pruned",
    "group-norm": "the same network trained without noise",
    "small-dense-longer": "the small dense network, trained as long as pruning takes in all",
    "random-mask-longer": "the random mask, trained as long as pruning takes in all",
    "from-scratch-longer": "the same mask from scratch, trained as long as pruning takes in all",
}
INTRODUCTION = """\
# Evidence

Generated from `results/paper-*.json`, and `canaries-*.json` and `min-max-*.json` there, by `make
docs`; do not edit.

The paper (arXiv 2008.13578) says that pruning lowers the accuracy of membership inference, by up
to 13.6 below the undefended model and up to 10 below Min-Max. The cells of its tables, its seeds
and its intervals could not be had, and its attacker is one neural network on outputs. Each world
below is one sweep of `secateur reproduce`: the paper's rows, the controls that it lacked, attackers
that came later.

What is said of a difference is what its 95 % interval carries: *lower*, *higher*, or *no detectable
effect* where the interval holds 0. Intervals are over the targets of one draw of records, t where
nothing else is said in [architecture](architecture.md#intervals): those of a TPR reach farther
down, by the height of its curve's step. Targets share the draw's records and references, and the
cases of a world share all of it, so that no count below is of independent trials, and another draw
may say something else. Intervals of kinds of planted records hold for all kinds at once; nothing is
corrected for the number of cases: one in twenty excludes 0 by chance, and the largest of many
differences looks better than it is. Every leak is an empirical lower bound, by the attacks that
were tried, never a guarantee; a difference of two leaks is no bound of anything.

*By value* is what the numbers say without their intervals. *Not paired* is a difference of cases of
which the sweep did not keep the numbers target by target: it has the far ends of both intervals,
which is wider than a paired one and hides effects.

Dense models *stopped no less accurate* are those at the first snapshot whose test accuracy is at
least the case's, or those of `early-stopping` where they were stopped before it; where none is,
those nearest in test accuracy. A case that leaks no less than they
do gives nothing that stopping earlier does not. Which snapshot that is, is chosen on the reference
models; on the targets it may be a little less accurate, or, where the very first snapshot is better
than the case, far more accurate: beside each stands how near the match is."""
NOTHING = (
    "There is no results file yet, so nothing is said. Run `secateur reproduce CELL --scale small "
    "--data-dir DATA --out FOLDER`, copy FOLDER/sweep.json to results/paper-CELL.json, and run "
    "`make docs`."
)
