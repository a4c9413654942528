"""ADMM's hook against a plain reference, its dual across changes of rho, its curves, its limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from by_hand import drive, moment, two_layers
from oracles.admm import admm
from secateur.compress import ADMM, CONVERGED, Budget, convergence
from secateur.compress.admm import AdmmHook
from secateur.errors import InputError, MethodError, SparsityError
from secateur.train import Adam
from secateur.types import Artifact, Provenance

LAYERS = ("a.weight", "b.weight")


def quadratic(seed=1):
    """Return goals, curvatures and the gradient of the sum of curvature / 2 (W - goal)^2."""
    goals = two_layers(seed)
    g = torch.Generator().manual_seed(seed)
    curvatures = {
        n: 0.5 + torch.rand(p.shape, generator=g, dtype=p.dtype) for n, p in goals.items()
    }
    return (
        goals,
        curvatures,
        lambda params: {n: curvatures[n] * (p - goals[n]) for n, p in params.items()},
    )


def hook_of(*, rho, updates=4, epochs_per_update=1, rate=3.0, scope="layer"):
    return AdmmHook(
        budget=Budget(rate=rate, scope=scope),
        updates=updates,
        epochs_per_update=epochs_per_update,
        rho=rho,
    )


@pytest.mark.parametrize("rho", [(0.7, 0.7), (0.05, 3.0), (3.0, 0.05)])
@pytest.mark.parametrize("epochs_per_update", [1, 2])
def test_full_runs_equal_the_reference_with_an_unscaled_dual(rho, epochs_per_update):
    goals, curvatures, gradients = quadratic()
    hook = hook_of(rho=rho, epochs_per_update=epochs_per_update)
    start = two_layers()
    run = drive(hook, start, gradients, epochs=4 * epochs_per_update, steps=5, lr=0.1)
    w, z, u, residuals, duals = admm(
        {n: start[n].numpy() for n in LAYERS},
        {n: goals[n].numpy() for n in LAYERS},
        {n: curvatures[n].numpy() for n in LAYERS},
        {"a.weight": 4, "b.weight": 8},
        rhos=[rho[0] * (rho[1] / rho[0]) ** (k / 3) for k in range(4)],
        steps=5 * epochs_per_update,
        lr=0.1,
    )
    for n in LAYERS:
        np.testing.assert_allclose(run.params[n].numpy(), w[n], atol=1e-6)
        np.testing.assert_allclose(run.state[f"Z/{n}"].numpy(), z[n], atol=1e-6)
        np.testing.assert_allclose(run.state[f"U/{n}"].numpy(), u[n], atol=1e-6)
    np.testing.assert_allclose(run.left.history["admm/residual"].numpy(), residuals, atol=1e-6)
    np.testing.assert_allclose(run.left.history["admm/dual"].numpy(), duals, atol=1e-6)


def test_parameters_that_are_not_prunable_see_the_data_loss_alone():
    _, curvatures, gradients = quadratic()
    run = drive(hook_of(rho=(0.1, 3.0)), two_layers(), gradients, epochs=4, steps=5, lr=0.1)
    bias = two_layers()["a.bias"]
    goal = quadratic()[0]["a.bias"]
    for _ in range(20):
        bias = bias - 0.1 * curvatures["a.bias"] * (bias - goal)
    torch.testing.assert_close(run.params["a.bias"], bias)


def test_under_a_constant_rho_the_dual_is_the_sum_of_all_residuals():
    _, _, gradients = quadratic()
    run = drive(hook_of(rho=(0.7, 0.7)), two_layers(), gradients, epochs=4, steps=3, lr=0.1)
    for n in LAYERS:
        total = sum(params[n] - state[f"Z/{n}"] for state, params in run.seen)
        torch.testing.assert_close(run.state[f"U/{n}"], total)


def test_rho_times_the_dual_is_continuous_where_rho_changes():
    _, _, gradients = quadratic()
    hook = hook_of(rho=(0.01, 3.0))
    run = drive(hook, two_layers(), gradients, epochs=4, steps=3, lr=0.1)
    for n in LAYERS:
        before = torch.zeros_like(run.params[n])
        for update, (state, params) in enumerate(run.seen):
            unscaled = hook.rho_at(update) * (before + params[n] - state[f"Z/{n}"])
            following = hook.rho_at(min(update + 1, 3))
            torch.testing.assert_close(following * state[f"U/{n}"], unscaled)
            before = state[f"U/{n}"]


def test_z_is_always_within_the_budget_and_starts_as_the_projection():
    params = two_layers()
    hook = hook_of(rho=(0.1, 1.0), rate=4.0)
    state, kept = hook.begin(moment(params), {})
    assert kept is params
    for n in LAYERS:
        size = params[n].numel()
        top = params[n].abs().flatten().topk(size // 4).indices
        expected = torch.zeros(size, dtype=params[n].dtype)
        expected[top] = params[n].flatten()[top]
        assert torch.equal(state[f"Z/{n}"].flatten(), expected)
        assert not state[f"U/{n}"].any()
    run = drive(hook, params, quadratic()[2], epochs=4, steps=3, lr=0.1)
    for state, _ in run.seen:
        assert [int(torch.count_nonzero(state[f"Z/{n}"])) for n in LAYERS] == [3, 6]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_residual_falls_on_a_convex_problem(scope):
    _, _, gradients = quadratic()
    hook = hook_of(rho=(0.1, 10.0), updates=30, scope=scope)
    run = drive(hook, two_layers(), gradients, epochs=30, steps=20, lr=0.05)
    residual = run.left.history["admm/residual"]
    assert residual.shape == (30, 2)
    assert (residual[-1] < 0.01).all()
    assert (residual[0] > 10 * residual[-1]).all()


def test_nothing_is_updated_within_a_period():
    params = two_layers()
    hook = hook_of(rho=(0.1, 1.0), epochs_per_update=3)
    state, _ = hook.begin(moment(params), {})
    for epoch in (0, 1):
        same, _ = hook.after_epoch(state, moment(params, epoch=epoch))
        assert same is state
    changed, _ = hook.after_epoch(state, moment(params, epoch=2))
    assert changed is not state


def test_rho_is_geometric_from_the_first_to_the_last_period():
    run = drive(hook_of(rho=(1e-2, 10.0)), two_layers(), quadratic()[2], epochs=4, steps=1, lr=0.0)
    np.testing.assert_allclose(run.left.history["admm/rho"].numpy(), [0.01, 0.1, 1.0, 10.0])
    assert hook_of(rho=(0.3, 9.0), updates=1).rho_at(0) == 0.3


def test_hooks_do_not_write_into_parameters_gradients_or_state():
    params, grads = two_layers(0), two_layers(1)
    hook = hook_of(rho=(0.1, 1.0))
    state, _ = hook.begin(moment(params), {})
    copies = [{n: t.clone() for n, t in d.items()} for d in (params, grads, state)]
    hook.grads(state, moment(params), grads)
    hook.after_epoch(state, moment(params))
    for before, after in zip(copies, (params, grads, state), strict=True):
        assert all(torch.equal(before[n], after[n]) for n in before)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"sparsity": 1.5}, SparsityError, r"sparsity 1\.5 is not in \[0, 1\)"),
        ({"rate": 0.0}, SparsityError, r"rate 0\.0"),
        ({"rate": 4.0, "sparsity": 0.75}, SparsityError, "give exactly one"),
        ({"rho": (0.0, 1.0)}, MethodError, r"two positive finite numbers.*got \(0\.0, 1\.0\)"),
        ({"rho": (1.0,)}, MethodError, "two positive finite numbers"),
        ({"epochs_per_update": 0}, MethodError, "epochs_per_update=0.*at least 0, 1 and 0"),
        ({"updates": -1}, MethodError, "updates=-1"),
        ({"retrain_epochs": -1}, MethodError, "retrain_epochs=-1"),
    ],
)
def test_settings_out_of_range_are_refused_with_the_value_seen(fields, error, message):
    with pytest.raises(error, match=message):
        ADMM(**fields)


def test_the_repr_is_the_provenance_and_states_the_rate_that_is_used():
    assert ADMM() == ADMM(rate=10.0)
    assert repr(ADMM()).startswith("ADMM(rate=10.0, sparsity=None, scope='layer'")
    assert ADMM(sparsity=0.5).rate is None


def test_convergence_names_layers_in_the_order_of_the_curves_whatever_the_masks_order():
    masks = {"b": np.ones(2, bool), "a": np.ones(3, bool)}
    made = Artifact(
        tensors={"a": np.ones(3), "b": np.ones(2)},
        masks=masks,
        history={"admm/residual": np.array([[0.5, 0.6], [0.2, 0.05]])},
        builder="",
        provenance=Provenance(key={}),
    )
    found = convergence(made)
    assert found == {"a": 0.2, "b": 0.05}
    assert [n for n, v in found.items() if v > CONVERGED] == ["a"]


def test_convergence_is_empty_without_admm_and_refuses_foreign_masks():
    plain = {"tensors": {"a": np.ones(3)}, "builder": "", "provenance": Provenance(key={})}
    assert convergence(Artifact(**plain)) == {}
    with pytest.raises(InputError, match=r"2 layers, but there are masks for \['a'\]"):
        convergence(
            Artifact(
                **plain,
                masks={"a": np.ones(3, bool)},
                history={"admm/residual": np.ones((1, 2))},
            )
        )


def test_the_phases_keep_one_optimiser_for_all_updates_and_a_fresh_one_to_retrain():
    from small_world import small_recipe

    towards, retrain = ADMM(rate=4.0, updates=3, epochs_per_update=5).phases(small_recipe())
    assert (towards.epochs, retrain.epochs) == (15, 15)
    assert towards.optimiser == Adam(lr=2e-3)
    assert retrain.optimiser == Adam(lr=1e-3)
    (only,) = ADMM(rate=4.0, updates=0).phases(small_recipe())
    assert only == retrain
