"""One step of DP-SGD, one record at a time by autograd."""

from __future__ import annotations

import torch
from torch.nn import functional


def clipped_sum(module, inputs, labels, *, clip):
    """Return the sum over records of their clipped gradients.

    `inputs` is `[records, copies, ...]`: a record's gradient is the mean over its copies.
    """
    params = list(module.parameters())
    total = [torch.zeros_like(p) for p in params]
    for copies, label in zip(inputs, labels, strict=True):
        loss = functional.cross_entropy(module(copies), label.repeat(len(copies)))
        grads = torch.autograd.grad(loss, params)
        norm = torch.sqrt(sum((g**2).sum() for g in grads))
        scale = min(1.0, clip / float(norm))
        for kept, grad in zip(total, grads, strict=True):
            kept += scale * grad
    return total


def noise_like(module, *, deviation, seed):
    """Return the noise of the first step, as a generator with this seed draws it."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.normal(mean=0.0, std=deviation, size=p.shape, generator=generator)
        for p in module.parameters()
    ]
