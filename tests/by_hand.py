"""Drive hooks by hand on plain tensors: no network, no loop."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from secateur.train import Moment


def moment(params, *, epoch=0, step=0, epochs=1, prunable=None):
    """Return a moment of these parameters; all matrices are prunable unless told."""
    names = tuple(n for n, p in params.items() if p.dim() > 1) if prunable is None else prunable
    return Moment(
        params=params,
        buffers={},
        initial=params,
        prunable=names,
        forward=lambda *_: None,
        predict=lambda *_: None,
        classes=3,
        epoch=epoch,
        step=step,
        epochs=epochs,
    )


def drive(hook, params, gradients, *, epochs, steps, lr):
    """Gradient descent through a hook, one call after the other as the loop makes them.

    Returns parameters, what is left, the hook's last state, and its state after every epoch.
    """
    state, params = hook.begin(moment(params), {})
    seen = []
    for epoch in range(epochs):
        for _ in range(steps):
            now = moment(params, epoch=epoch, epochs=epochs)
            state, grads = hook.grads(state, now, gradients(params))
            params = {n: p - lr * grads[n] for n, p in params.items()}
            state, params = hook.after_step(state, moment(params, epoch=epoch, epochs=epochs))
        state, params = hook.after_epoch(state, moment(params, epoch=epoch, epochs=epochs))
        seen.append((dict(state), dict(params)))
    params, left = hook.finish(state, moment(params, epoch=epochs - 1, epochs=epochs))
    return SimpleNamespace(params=params, left=left, state=state, seen=seen)


def two_layers(seed=0, dtype=torch.float64):
    """Return parameters of two layers and a bias."""
    g = torch.Generator().manual_seed(seed)
    return {
        "b.weight": torch.randn(4, 6, generator=g, dtype=dtype),
        "a.weight": torch.randn(3, 4, generator=g, dtype=dtype),
        "a.bias": torch.randn(3, generator=g, dtype=dtype),
    }
