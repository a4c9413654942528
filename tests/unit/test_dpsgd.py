"""DP-SGD: one step against autograd, sensitivity, sampling, accounting, and what it refuses."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from oracles import dpsgd as oracle
from secateur.data import digits
from secateur.defend import DPSGD, private
from secateur.errors import InputError, MethodError, MissingExtraError
from secateur.measure import gdp_epsilon
from secateur.models import MLP, GroupNormed, ResNet18, SmallCNN
from secateur.train import SGD, Adam, RandomFlip, Recipe, Stacked, train_fleet
from secateur.train.hooks import Hook
from secateur.types import Records, derive_seed

STEP = SGD(lr=1.0, momentum=0.0, weight_decay=0.0, schedule="constant")
NETWORKS = {
    "mlp": MLP(widths=(64, 12, 10)),
    "cnn": GroupNormed(build=SmallCNN(channels=1, classes=10, widths=(4, 8)), groups=2),
}


def pictures(n):
    """Return n digits, as pictures."""
    some = digits().take(np.arange(n))
    return Records.from_arrays(
        np.array(some.gather(np.arange(n))).reshape(n, 1, 8, 8), some.labels, n_classes=10
    )


def one_step(build, **settings):
    """Return a training of one step on all members."""
    settings = {"noise_multiplier": 0.5, "max_grad_norm": 0.7, "batch_size": 40} | settings
    return DPSGD(epochs=1, optimiser=STEP, build=build, **settings)


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def start(build, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        return build()


@pytest.mark.parametrize("clipping", ["ghost", "materialised"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_is_the_sum_of_clipped_gradients_and_noise_over_the_expected_batch(
    network, clipping
):
    records = pictures(20)
    build = NETWORKS[network]
    method = one_step(build, clipping=clipping)
    before = start(build, 3)
    x = torch.from_numpy(np.array(records.gather(np.arange(20))))[:, None]
    sums = oracle.clipped_sum(before, x, torch.from_numpy(np.array(records.labels)), clip=0.7)
    noise = oracle.noise_like(before, deviation=0.5 * 0.7, seed=derive_seed(3, "noise"))
    wanted = torch.cat([((s + z) / 40).flatten() for s, z in zip(sums, noise, strict=True)])
    found = weights(before) - weights(method(records, seed=3))
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=2e-4)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("clipping", ["ghost", "materialised"])
@pytest.mark.parametrize("network", NETWORKS)
def test_one_record_more_moves_a_step_by_the_clipping_norm_at_most(network, clipping, copies):
    method = one_step(
        NETWORKS[network],
        clipping=clipping,
        augmentations=copies,
        augment=(RandomFlip(),),
        max_grad_norm=0.01,
    )
    some, loud = pictures(21), pictures(21)
    inputs = np.array(loud.gather(np.arange(21)))
    inputs[20] *= 50
    loud = Records.from_arrays(inputs, some.labels, n_classes=10)
    moved = weights(method(loud, seed=0)) - weights(method(loud.take(np.arange(20)), seed=0))
    norm = float(moved.norm())
    assert norm <= 1.001 * 0.01 / 40
    assert norm >= 0.98 * 0.01 / 40  # every record is clipped at this norm


def test_a_record_s_copies_are_averaged_before_clipping():
    records = pictures(12)
    build = NETWORKS["mlp"]
    method = one_step(build, augmentations=4)
    alone = one_step(build, clipping="materialised")
    # without augmentation all copies are equal, and their mean is the record's own gradient
    torch.testing.assert_close(
        weights(method(records, seed=1)), weights(alone(records, seed=1)), atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("clipping", ["ghost", "materialised"])
def test_a_batch_in_parts_is_the_batch(clipping, monkeypatch):
    records = pictures(30)
    method = replace(one_step(NETWORKS["cnn"], clipping=clipping), epochs=3)
    whole = weights(method(records, seed=0))
    monkeypatch.setattr(private, "HELD", 4_000)
    parts = private.Materialised(method, start(NETWORKS["cnn"], 0), torch.Generator()).part
    assert 1 <= parts < 30
    torch.testing.assert_close(weights(method(records, seed=0)), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", [private.Ghost, private.Materialised])
def test_a_step_that_draws_nobody_still_takes_its_noise(kind):
    build = NETWORKS["mlp"]
    module = start(build, 0)
    before = weights(module)
    steps = kind(one_step(build), module, torch.Generator().manual_seed(5))
    none = torch.zeros(0, dtype=torch.int64)
    for part in steps.parts(none, lr=1.0):
        steps.gradients(None, len(part))
    noise = oracle.noise_like(start(build, 0), deviation=0.5 * 0.7, seed=5)
    wanted = torch.cat([z.flatten() for z in noise]) / 40
    torch.testing.assert_close(before - weights(module), wanted)


def test_every_member_is_drawn_by_its_own_coin():
    drawn = [rows.tolist() for rows in private.drawn(50, rate=0.2, steps=2000, seed=0)]
    sizes = np.array([len(rows) for rows in drawn])
    assert abs(sizes.mean() - 10) < 0.3
    assert abs(sizes.var() - 8) < 1.2  # of a fixed batch it would be 0
    counts = np.bincount(np.concatenate(drawn), minlength=50)
    assert abs(counts / 2000 - 0.2).max() < 0.05


def test_the_same_seed_gives_the_same_bytes_and_global_randomness_stays():
    method = DPSGD(epochs=2, batch_size=10, build=MLP(widths=(64, 8, 10), dropout=0.2))
    records = pictures(40)
    state = torch.random.get_rng_state()
    one, two, other = (weights(method(records, seed=s)) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_it_learns_and_the_module_is_a_plain_one():
    records = digits().take(np.arange(400))
    method = DPSGD(noise_multiplier=0.5, epochs=20, batch_size=100, build=MLP(widths=(64, 32, 10)))
    module = method(records, seed=0)
    assert not module.training
    assert not any(hasattr(p, "grad_sample") for p in module.parameters())
    x = torch.from_numpy(np.array(records.gather(np.arange(400))))
    right = module(x).argmax(1).numpy() == records.labels
    assert right.mean() > 0.85


@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0])
def test_with_all_members_in_each_step_epsilon_is_that_of_the_gaussian_mechanism(sigma):
    one = DPSGD(noise_multiplier=sigma, batch_size=100, epochs=1)
    assert one.epsilon(100) == pytest.approx(gdp_epsilon(1 / sigma, 1e-5))
    assert one.epsilon(60) == one.epsilon(100)
    many = replace(one, epochs=16)
    assert many.epsilon(100) == pytest.approx(gdp_epsilon(4 / sigma, 1e-5))


@pytest.mark.parametrize(
    ("sigma", "batch", "epochs"), [(1.0, 100, 20), (2.0, 250, 40), (0.6, 50, 10), (4.0, 10, 5)]
)
def test_epsilon_is_that_of_another_accountant_and_not_below_it(sigma, batch, epochs):
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.pld import PLDAccountant

    method = DPSGD(noise_multiplier=sigma, batch_size=batch, epochs=epochs)
    peer = PLDAccountant(value_discretization_interval=1e-3)
    steps = round(epochs * 1000 / batch)
    peer.compose(PoissonSampledDpEvent(batch / 1000, GaussianDpEvent(sigma)), steps)
    wanted = peer.get_epsilon(1e-5)
    found = method.epsilon(1000)
    assert wanted - 0.02 <= found <= 1.01 * wanted + 0.05


@pytest.mark.parametrize(("sigma", "batch"), [(0.1, 250), (0.2, 500)])
def test_where_noise_is_small_epsilon_is_that_of_another_rdp_accountant(sigma, batch):
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.rdp import RdpAccountant

    method = DPSGD(noise_multiplier=sigma, batch_size=batch, epochs=30)
    peer = RdpAccountant(orders=list(private.ORDERS))
    steps = round(30 * 1000 / batch)
    peer.compose(PoissonSampledDpEvent(batch / 1000, GaussianDpEvent(sigma)), steps)
    assert method.epsilon(1000) == pytest.approx(peer.get_epsilon(1e-5), rel=1e-4)
    assert method.epsilon(1000) > 300


def test_where_noise_is_tiny_epsilon_follows_from_the_divergence_by_quadrature():
    import mpmath as mp

    sigma, rate, order = 0.05, 0.25, 1 + 2.0**-8
    tail = [-8 * sigma, -4 * sigma, 0, 4 * sigma, 0.5, 1 - 4 * sigma, 1, 1 + 4 * sigma, 1.6]

    def power(z):
        ratio = (1 - rate) + rate * mp.e ** ((2 * z - 1) / (2 * sigma**2))
        return mp.npdf(z, 0, sigma) * ratio**order

    divergence = 120 * float(mp.log(mp.quad(power, tail))) / (order - 1)
    wanted = divergence - (np.log(1e-5) + np.log(order)) / (order - 1) + np.log1p(-1 / order)
    found = DPSGD(noise_multiplier=sigma, batch_size=250, epochs=30).epsilon(1000)
    assert 0.97 * wanted < found <= wanted * (1 + 1e-9)


def test_epsilon_falls_with_noise_and_with_members():
    values = [DPSGD(noise_multiplier=s, batch_size=100).epsilon(1000) for s in (0.5, 1.0, 2.0)]
    assert values[0] > values[1] > values[2]
    method = DPSGD(batch_size=100)
    assert method.epsilon(900) > method.epsilon(1000)


@pytest.mark.parametrize("bad", [{"members": 0}, {"delta": 0.0}, {"delta": 1.0}])
def test_epsilon_of_nothing_is_refused(bad):
    with pytest.raises(InputError, match="at least 1 member"):
        DPSGD().epsilon(**({"members": 10} | bad))


def test_batch_normalisation_is_replaced_and_other_networks_stay():
    small = ResNet18(channels=1, width=0.125)
    recipe = DPSGD().defended(Recipe(build=small, hooks=(RandomFlip(),), label_smoothing=0.1))
    assert recipe.build == recipe.train.build == GroupNormed(build=small, channels=16)
    assert recipe.train.augment == (RandomFlip(),)
    assert recipe.train.label_smoothing == 0.1
    plain = MLP(widths=(64, 10))
    assert DPSGD().defended(Recipe(build=plain)).build == plain


class _Mixes(Hook):
    """Mixes records."""


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(build=MLP(widths=(64, 10)), hooks=(_Mixes(),)), "augmentation by"),
        (Recipe(build=MLP(widths=(64, 10)), streams={"attack": 4}), "members alone"),
        (Recipe(build=MLP(widths=(64, 10)), train=DPSGD()), "trains models itself"),
    ],
)
def test_recipes_that_read_more_are_refused(recipe, words):
    with pytest.raises(MethodError, match=words):
        DPSGD().defended(recipe)


@pytest.mark.parametrize(
    "bad",
    [
        {"noise_multiplier": 0.0},
        {"max_grad_norm": float("inf")},
        {"batch_size": 0},
        {"augmentations": 0},
        {"clipping": "none"},
        {"label_smoothing": 1.0},
    ],
)
def test_parameters_out_of_range_are_refused(bad):
    with pytest.raises(MethodError, match=next(iter(bad))):
        DPSGD(**bad)


class _Remembers(nn.Module):
    """A layer with running statistics that no list knows."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.register_buffer("seen", torch.zeros(10))

    def forward(self, x):
        out = self.linear(x.flatten(1))
        if self.training:
            self.seen += out.detach().mean(0)
        return out


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (None, "no network yet"),
        (SmallCNN(channels=1, classes=10, widths=(4, 8)), "cannot be trained by DP-SGD"),
        (_Remembers, "changed with the records"),
    ],
)
def test_networks_that_carry_records_past_the_noise_are_refused(build, words):
    build = (lambda: _Remembers()) if build is _Remembers else build
    with pytest.raises(MethodError, match=words):
        one_step(build)(pictures(8), seed=0)


def test_stacked_models_are_refused():
    from secateur.data import draw

    records = digits()
    who = draw(records, targets=1, references=2, seed=0)
    recipe = DPSGD(epochs=1).defended(Recipe(build=MLP(widths=(64, 10))))
    with pytest.raises(MethodError, match="cannot be stacked"):
        train_fleet(recipe, records, who, seed=0, engine=Stacked(models=3))


def test_without_opacus_the_extra_is_named(monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "opacus"] or ["opacus"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"secateur\[dp\]"):
        DPSGD().epsilon(1000)
    with pytest.raises(MissingExtraError, match=r"secateur\[dp\]"):
        one_step(MLP(widths=(64, 10)))(pictures(8), seed=0)


def test_adam_takes_noisy_gradients_too():
    method = replace(one_step(MLP(widths=(64, 10))), optimiser=Adam(lr=0.01), epochs=2)
    assert weights(method(pictures(20), seed=0)).isfinite().all()
