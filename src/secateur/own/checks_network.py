"""Checks of the network that `build()` makes: each returns a finding or None."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from secateur.errors import DataError, InputError, NotFiniteError
from secateur.models import logits_of
from secateur.own.findings import Finding
from secateur.own.module import told
from secateur.types import IntArray, Records

__all__ = ["batch_statistics", "eval_updates", "failed", "fresh", "hidden_modules", "mode",
           "outputs_fit", "random_outputs", "same_weights", "softmax",
           "trained_build"]  # fmt: skip

ROWS = 64
MOST = 1000
BLOCK = 2048
SEEDS = 8
LIKELIER = 0.1
FAR = 100


def fresh(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return the network that `build` makes from this seed; torch's random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _inputs(records: Records, n: int = ROWS) -> torch.Tensor:
    return torch.from_numpy(np.array(records.gather(np.arange(min(n, len(records))))))


def _ask(network: nn.Module, inputs: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Return outputs in evaluation mode."""
    network.eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        found: torch.Tensor = network(inputs)
    return found.double()


def outputs_fit(network: nn.Module, records: Records) -> Finding | None:
    """Find a network that does not take the records, or gives no logits of their classes.

    Of many records 1,000 at random are asked about, and those with the smallest and the largest
    number, which a table that looks tokens up may not hold.
    """
    try:
        logits_of(network, records, indices=_asked(records))
    except NotFiniteError as error:
        return not_finite(error)
    except DataError as error:
        return Finding(
            id="shape",
            what=str(error),
            mend=f"build() must take batches of the shape {records.input_shape}: change its first "
            "layer, or the shape that records() gives",
        )
    except InputError as error:
        return Finding(
            id="outputs",
            what=str(error),
            mend=f"end the network with {records.n_classes} outputs, one per class, and return "
            "them alone; CLASSES says how many classes there are",
        )
    return None


def not_finite(error: Exception) -> Finding:
    """Return the finding of a network that gives NaN before any training."""
    return Finding(
        id="nan-outputs",
        what=f"a fresh network already gives NaN: {error}",
        mend="look for a division by zero or a logarithm of zero, and scale the inputs",
    )


def failed(path: Path, error: BaseException) -> Finding:
    """Return the finding of a network that raised while it was asked or put into a mode."""
    if isinstance(error, NotFiniteError):
        return not_finite(error)
    mend = "its forward takes one batch of float32 inputs and returns a tensor of logits; mend that"
    mend += " line, and ask the network yourself: build().eval()(torch.from_numpy(inputs[:8]))"
    if isinstance(error, IndexError):
        mend = "where tokens are looked up, nn.Embedding needs as many rows as the largest token "
        mend += "says, and one more; else mend that line"
    return Finding(id="forward", what=told(path, "the network", error), mend=mend)


def _asked(records: Records) -> IntArray:
    """Return which records are asked about: all, or some at random and the extreme ones."""
    n = len(records)
    if n <= MOST:
        return np.arange(n)
    blocks = [np.arange(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]
    ends = [(x.min(axis=1), x.max(axis=1)) for x in (_flat(records, rows) for rows in blocks)]
    low, high = (np.concatenate(side) for side in zip(*ends, strict=True))
    some = np.random.default_rng(0).permutation(n)[:MOST]
    return np.unique([*some, low.argmin(), high.argmax()])


def _flat(records: Records, rows: IntArray) -> NDArray[np.float32]:
    return records.gather(rows).reshape(len(rows), -1)


def softmax(network: nn.Module, build: Callable[[], nn.Module], records: Records) -> Finding | None:
    """Find outputs that are probabilities already, by a softmax or by a sigmoid for each class."""
    inputs = _inputs(records)
    out = _ask(network, inputs)
    if not _between(out):
        return None
    if torch.allclose(out.sum(dim=1), torch.ones(len(out)).double(), 1e-4):
        saw, last = "all outputs are at least 0 and sum to 1", "softmax"
    elif _always_between(network, build, inputs):
        saw, last = "all outputs are in 0 .. 1, whatever the inputs and the weights", "sigmoid"
    else:
        return None
    return Finding(
        id="softmax",
        what=f"{saw}: they are probabilities, not logits",
        mend=f"leave the {last} out of the network; the loss and the audit apply a softmax "
        "themselves, and a second squashing hides the leak",
    )


def _between(out: torch.Tensor) -> bool:
    return bool(((out >= 0) & (out <= 1 + 1e-6)).all())


def _always_between(
    network: nn.Module, build: Callable[[], nn.Module], inputs: torch.Tensor
) -> bool:
    """Tell whether far inputs and other fresh weights give outputs in 0 .. 1 too.

    Logits of one fresh network may lie there by chance, above all of two classes.
    """
    try:
        far = _ask(network, FAR * inputs)
    except (Exception, SystemExit):  # tokens, which cannot be far
        far = torch.zeros(1)
    if bool(torch.isfinite(far).all()) and not _between(far):
        return False
    return all(_between(_ask(fresh(build, seed), inputs)) for seed in range(1, SEEDS))


def mode(network: nn.Module) -> Finding | None:
    """Find parts that stay in training mode when the network is told to evaluate."""
    network.eval()
    names = [
        name or "the network itself" for name, part in network.named_modules() if part.training
    ]
    if not names:
        return None
    return Finding(
        id="mode",
        what=f"after eval() these parts are still in training mode: {', '.join(names[:5])}",
        mend="let train(mode) set every part: `super().train(mode)`, without a mode of its own",
        values={"parts": len(names)},
    )


def hidden_modules(network: nn.Module) -> Finding | None:
    """Find layers in plain lists or dictionaries, which torch neither trains nor saves."""
    known = set(map(id, network.modules()))
    hidden = [
        f"{type(part).__name__}.{name}"
        for part in network.modules()
        for name, held in vars(part).items()
        if not name.startswith("_") and any(id(m) not in known for m in _modules_in(held))
    ]
    if hidden:
        return Finding(
            id="hidden-modules",
            what=f"{', '.join(hidden[:5])} hold layers that the network does not know: they are "
            "neither trained nor saved nor pruned",
            mend="use nn.ModuleList or nn.ModuleDict in place of a list or a dictionary",
            values={"places": len(hidden)},
        )
    if any(True for _ in network.parameters()):
        return None
    return Finding(
        id="hidden-modules",
        what="the network has no parameters",
        mend="make its layers attributes of the module, such as self.body = nn.Sequential(...)",
    )


def _modules_in(held: object) -> Iterator[nn.Module]:
    found = held.values() if isinstance(held, dict) else held
    if isinstance(held, list | tuple | dict):
        yield from (m for m in list(found) if isinstance(m, nn.Module))  # type: ignore[call-overload]


def random_outputs(network: nn.Module, records: Records) -> Finding | None:
    """Find outputs that change between two calls in evaluation mode, such as by dropout."""
    inputs = _inputs(records)
    first, second = (_ask(network, inputs, seed) for seed in (0, 1))
    if torch.equal(first, second):
        return None
    moved = float((first - second).abs().max())
    return Finding(
        id="random-outputs",
        what=f"in evaluation mode the same records get other outputs on a second call, by up to "
        f"{moved:.3g}",
        mend="use nn.Dropout, or F.dropout(x, training=self.training): F.dropout(x) alone is "
        "always active; draw no random number in evaluation",
        values={"largest": moved},
    )


def eval_updates(network: nn.Module, records: Records) -> Finding | None:
    """Find buffers that a query changes, such as running statistics of BatchNorm."""
    before = {k: v.clone() for k, v in network.state_dict().items()}
    _ask(network, _inputs(records))
    after = network.state_dict()
    changed = [k for k, v in before.items() if not torch.equal(v, after[k])]
    if not changed:
        return None
    return Finding(
        id="eval-updates",
        what=f"a query in evaluation mode changes {', '.join(changed[:5])}: who asks changes the "
        "model",
        mend="use nn.BatchNorm layers as they are, or F.batch_norm(..., training=self.training)",
        values={"tensors": len(changed)},
    )


def batch_statistics(network: nn.Module, records: Records) -> Finding | None:
    """Find outputs that depend on which records are asked about together."""
    state = {k: v.clone() for k, v in network.state_dict().items()}
    inputs = _inputs(records, 8)
    together = _ask(network, inputs)
    try:
        alone = torch.cat([_ask(network, one[None]) for one in inputs])
        moved = float((together - alone).abs().max())
    except (Exception, SystemExit) as error:  # whatever a user's code raises
        saw = f"one record alone fails ({type(error).__name__}: {str(error)[:120]})"
    else:
        if moved <= 1e-3 * max(1.0, float(together.abs().max())):
            return None
        saw = f"asked alone, records get other outputs, by up to {moved:.3g}"
    finally:
        network.load_state_dict(state)
    return Finding(
        id="batch-statistics",
        what=f"in evaluation mode outputs depend on the other records of the batch: {saw}",
        mend="normalise by running statistics in evaluation: track_running_stats=True, and "
        "training=self.training in F.batch_norm; let forward take one record too, no squeeze()",
    )


def same_weights(build: Callable[[], nn.Module]) -> Finding | None:
    """Find a `build()` that gives one and the same network from every seed."""
    first, second = (dict(fresh(build, seed).named_parameters()) for seed in (0, 1))
    if not first or any(not torch.equal(v, second[k]) for k, v in first.items() if k in second):
        return None
    return Finding(
        id="same-weights",
        what=f"build() gives the same {len(first)} weight tensors from two seeds",
        mend="set no seed in build(), and load no trained weights there: each model must start "
        "from its own",
    )


def trained_build(build: Callable[[], nn.Module], records: Records) -> Finding | None:
    """Find a `build()` whose networks know the labels before they are trained."""
    rows = np.random.default_rng(0).permutation(len(records))[:1000]
    labels = records.labels[rows]
    usual = float(np.bincount(labels).max() / len(labels))
    least = usual + LIKELIER
    found = []
    for seed in range(SEEDS):  # a lucky one happens, eight in a row do not
        right = logits_of(fresh(build, seed), records, indices=rows).argmax(axis=1) == labels
        found.append(float(right.mean()))
        if found[-1] <= least or len(rows) < 50:
            return None
    return Finding(
        id="trained-build",
        what=f"{SEEDS} fresh networks have {100 * min(found):.0f} % or more of the labels right, "
        f"where the largest class makes {100 * usual:.0f} %: build() gives trained ones",
        mend="return the untrained network; what a model has learned of these records before must "
        "not be in it",
        values={"accuracy": min(found), "largest_class": usual},
    )
