"""Rival defences as plain PyTorch: branches on values, one record after the other, torch's SGD."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch.nn import functional

from secateur.train.batches import batches
from secateur.types import derive_seed


def relaxed(logits, labels, *, alpha, upper, flattening, even):
    """RelaxLoss of one batch, record by record."""
    each = [-torch.log_softmax(row, 0)[y] for row, y in zip(logits, labels, strict=True)]
    mean = sum(each) / len(each)
    if even:
        return mean - alpha if mean > alpha else alpha - mean
    if mean > alpha:
        return mean
    total = 0.0
    for row, y, ce in zip(logits, labels, each, strict=True):
        p = torch.softmax(row, 0)
        top = p[y] if p[y] < upper else torch.tensor(upper, dtype=p.dtype)
        rest = (1 - top) / (len(row) - 1)
        soft = -sum((top if c == y else rest) * torch.log(p[c]) for c in range(len(row)))
        if flattening == "all":
            total = total + soft
        else:
            total = total + (soft if int(row.argmax()) != int(y) else 0.0) - ce
    return total / len(labels)


def smoothed(logits, labels, share):
    """Cross entropy against smoothed labels, written out."""
    total = 0.0
    for row, y in zip(logits, labels, strict=True):
        log_p = torch.log_softmax(row, 0)
        for c in range(len(row)):
            total = total - ((1 - share) * (c == int(y)) + share / len(row)) * log_p[c]
    return total / len(labels)


@functools.cache
def soft_label(classes, gamma):
    """The top probability of HAMP's label, by going down in small steps."""
    top = 1.0
    while True:
        rest = (1 - top) / (classes - 1)
        parts = [top, *[rest] * (classes - 1)]
        if -sum(p * math.log(p) for p in parts if p > 0) >= gamma * math.log(classes):
            return top
        top -= 1e-6


def hamp(logits, labels, *, gamma, alpha):
    """HAMP's loss: KL to the soft label minus alpha * classes * entropy, up to a constant."""
    classes = logits.shape[1]
    top = soft_label(classes, gamma)
    total = 0.0
    for row, y in zip(logits, labels, strict=True):
        p = torch.softmax(row, 0)
        for c in range(classes):
            want = top if c == int(y) else (1 - top) / (classes - 1)
            total = total - want * torch.log(p[c]) + alpha * classes * p[c] * torch.log(p[c])
    return total / len(labels)


def train(module, members, loss, *, epochs, size, seed, lr, momentum=0.9, push=None):
    """Train with torch's SGD in the house's order of batches; `push` changes gradients in place.

    loss: (logits, labels, epoch) -> scalar. push: (module, epoch, draw) where draw(n, k) are k
    positions among n, as the house draws further pools.
    """
    x, y = members
    order = np.random.default_rng(derive_seed(seed, "order", 0))
    drawn = np.random.default_rng(derive_seed(seed, "streams", 0))
    optimiser = torch.optim.SGD(module.parameters(), lr=lr, momentum=momentum)
    for epoch in range(epochs):
        for rows in batches(len(y), size, order):
            optimiser.zero_grad()
            loss(module(x[rows]), y[rows], epoch).backward()
            if push is not None:
                push(module, epoch, lambda n, k: torch.from_numpy(drawn.integers(n, size=k)))
            optimiser.step()
    return module


def past(pool, size, *, strength, power, most, first):
    """PAST's change of gradients, weight by weight; `first` is the first epoch with a penalty."""
    px, py = pool

    def push(module, epoch, draw):
        rows = draw(len(py), size)
        if epoch < first:
            return
        wanted = [(n, p) for n, p in module.named_parameters() if not n.endswith("bias")]
        before = {n: b.clone() for n, b in module.named_buffers()}
        other = torch.autograd.grad(
            functional.cross_entropy(module(px[rows]), py[rows]), [p for _, p in wanted]
        )
        for n, b in module.named_buffers():
            b.copy_(before[n])
        for (_, p), g in zip(wanted, other, strict=True):
            gap = [abs(float(a - b)) for a, b in zip(p.grad.flatten(), g.flatten(), strict=True)]
            mean = sum(gap) / len(gap)
            values, grads = p.detach().flatten(), p.grad.view(-1)
            for j, one in enumerate(gap):
                factor = min((one / mean) ** power, most)
                grads[j] += strength * factor * float(np.sign(float(values[j])))

    return push


def gap_scores(module, members, pool, *, size, seed, epochs):
    """|w * sum of (gradient on members - gradient on the pool)| of each weight matrix."""
    (x, y), order = members, np.random.default_rng(derive_seed(seed, "order", 0))
    drawn = np.random.default_rng(derive_seed(seed, "streams", 0))
    names = [n for n, p in module.named_parameters() if p.dim() > 1]
    weights = [dict(module.named_parameters())[n] for n in names]
    sums = [torch.zeros_like(w) for w in weights]
    for _ in range(epochs):
        for rows in batches(len(y), size, order):
            own = functional.cross_entropy(module(x[rows]), y[rows])
            parts = [own]
            if pool is not None:
                px, py = pool
                others = torch.from_numpy(drawn.integers(len(py), size=size))
                parts = [own, -functional.cross_entropy(module(px[others]), py[others])]
            for part in parts:
                for total, g in zip(sums, torch.autograd.grad(part, weights), strict=True):
                    total += g
    return {n: (w.detach() * s).abs() for n, w, s in zip(names, weights, sums, strict=True)}


def tune(module, initial, members, *, epochs, size, seed, lr, decay):
    """SGD with weight decay that puts matrices' initial values back after every step."""
    x, y = members
    order = np.random.default_rng(derive_seed(seed, "order", 1))
    optimiser = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
    held = {n: p.detach() == initial[n] for n, p in module.named_parameters() if p.dim() > 1}
    for _ in range(epochs):
        for rows in batches(len(y), size, order):
            optimiser.zero_grad()
            functional.cross_entropy(module(x[rows]), y[rows]).backward()
            optimiser.step()
            with torch.no_grad():
                for n, p in module.named_parameters():
                    if n in held:
                        p[held[n]] = initial[n][held[n]]
    return module
