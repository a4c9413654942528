"""The min-max game as a plain PyTorch loop: modules, torch.optim.Adam, one step after the other."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from secateur.train.batches import batches
from secateur.types import derive_seed


class AttackNet(nn.Module):
    """Two branches written out, for widths (a, b), (c,), (d,)."""

    def __init__(self, classes, posterior, label, joint):
        super().__init__()
        (a, b), (c,), (d,) = posterior, label, joint
        self.one, self.two = nn.Linear(classes, a), nn.Linear(a, b)
        self.tag = nn.Linear(classes, c)
        self.both, self.out = nn.Linear(b + c, d), nn.Linear(d, 1)

    def forward(self, outputs, one_hot):
        x = functional.relu(self.two(functional.relu(self.one(outputs))))
        y = functional.relu(self.tag(one_hot))
        return self.out(functional.relu(self.both(torch.cat([x, y], 1))))[:, 0]

    def layers(self):
        """The layers by the names that the house gives them."""
        return {
            "posterior.0": self.one,
            "posterior.1": self.two,
            "label.0": self.tag,
            "joint.0": self.both,
            "last": self.out,
        }


def play(module, net, members, pool, *, optimiser, game, epochs, size, seed):
    """Train `module` against `net`, which has its first weights; return per epoch (gain, accuracy).

    members, pool: (inputs, labels). Batches and draws from the pool are those of the house's loop.
    """
    x, y = members
    px, py = pool
    order = np.random.default_rng(derive_seed(seed, "order", 0))
    drawn = np.random.default_rng(derive_seed(seed, "streams", 0))
    inner = torch.optim.Adam(net.parameters(), lr=game.lr)
    curve = []
    for epoch in range(epochs):
        seen = []
        for rows in batches(len(y), size, order):
            each = game.inner_batch or size
            others = torch.from_numpy(drawn.integers(len(py), size=game.inner_steps * each))
            own = torch.from_numpy(drawn.integers(len(y), size=game.inner_steps * each))
            quiet = copy.deepcopy(module).eval()
            for k in range(game.inner_steps):
                a, b = own[k * each : (k + 1) * each], others[k * each : (k + 1) * each]
                h_in = net(*_seen(quiet, x[a], y[a], game))
                h_out = net(*_seen(quiet, px[b], py[b], game))
                if k == 0:
                    seen.append(_reached(h_in, h_out))
                inner.zero_grad()
                _inner_loss(h_in, h_out, game).backward()
                inner.step()
            logits = module(x[rows])
            loss = functional.cross_entropy(logits, y[rows])
            if epoch >= game.warm_up:
                one_hot = functional.one_hot(y[rows], logits.shape[1]).to(logits.dtype)
                read = logits if game.reads == "logits" else torch.softmax(logits, 1)
                loss = loss + game.strength * _outer(torch.sigmoid(net(read, one_hot)), game)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        curve.append(np.mean(seen, axis=0))
    return np.array(curve)


def _seen(model, x, y, game):
    with torch.no_grad():
        logits = model(x)
    one_hot = functional.one_hot(y, logits.shape[1]).to(logits.dtype)
    return (logits if game.reads == "logits" else torch.softmax(logits, 1)), one_hot


def _reached(h_in, h_out):
    p, q = torch.sigmoid(h_in.detach()), torch.sigmoid(h_out.detach())
    gain = torch.log(p).mean() + torch.log(1 - q).mean()
    right = ((p > 0.5).double().mean() + (q <= 0.5).double().mean()) / 2
    return float(gain), float(right)


def _inner_loss(h_in, h_out, game):
    p, q = torch.sigmoid(h_in), torch.sigmoid(h_out)
    if game.objective == "log":
        return -torch.log(p).mean() - torch.log(1 - q).mean()
    return ((p - 1) ** 2).mean() + (q**2).mean()


def _outer(p, game):
    if game.objective == "log":
        return torch.log(p).mean()
    if game.objective == "mse":
        label = 1 - p  # as released: a member is 0
        return ((label - 1) ** 2).mean()
    return p.mean() - 0.5
