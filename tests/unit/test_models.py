"""Networks: their sizes, the way to a file and back, and how they are run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from secateur.errors import DataError, InputError, MethodError
from secateur.models import MLP, LeNet5, LeNet20, SmallCNN, logits_of, prunable, rebuild, tensors_of
from secateur.types import Artifact, Provenance, Records
from small_world import CLASSES, FEATURES, SmallNet, small_records


def size(module):
    return sum(p.numel() for p in module.parameters())


def stored(module, **changes):
    tensors = {**tensors_of(module), **changes}
    return Artifact(tensors=tensors, builder="Net()", provenance=Provenance(key={}))


# --- sizes and shapes ---


def test_lenets_have_the_parameters_of_the_literature():
    assert size(LeNet5()()) == 61_706
    assert size(LeNet20()()) == 431_080
    weights = dict(LeNet20()().named_parameters())
    assert sum(weights[n].numel() for n in prunable(LeNet20()())) == 430_500


@pytest.mark.parametrize(
    "widths", [(446, 512, 256, 128, 30), (64, 10), (3, 5, 2)], ids=lambda w: "-".join(map(str, w))
)
def test_an_mlp_has_one_weight_per_pair_and_one_bias_per_unit(widths):
    expected = sum(a * b + b for a, b in pairwise(widths))
    assert size(MLP(widths=widths)()) == expected
    assert size(MLP(widths=widths, dropout=0.5)()) == expected


def test_the_mlp_of_location30_has_396958_parameters():
    assert size(MLP(widths=(446, 512, 256, 128, 30))()) == 396_958


def test_a_small_cnn_has_the_parameters_of_its_layers():
    by_hand = (3 * 32 * 9 + 32) + 2 * 32 + (32 * 64 * 9 + 64) + 2 * 64 + (64 * 10 + 10)
    assert size(SmallCNN()()) == by_hand
    assert size(SmallCNN(batch_norm=False)()) == by_hand - 2 * 32 - 2 * 64


@pytest.mark.parametrize(
    ("build", "shape", "classes"),
    [
        (LeNet5(), (1, 28, 28), 10),
        (LeNet5(channels=3, size=32, classes=7), (3, 32, 32), 7),
        (LeNet5(size=12), (1, 12, 12), 10),
        (LeNet20(), (1, 28, 28), 10),
        (LeNet20(size=16, classes=4), (1, 16, 16), 4),
        (MLP(widths=(64, 20, 10)), (1, 8, 8), 10),
        (SmallCNN(), (3, 32, 32), 10),
        (SmallCNN(channels=1, classes=5, widths=(4,)), (1, 8, 8), 5),
    ],
    ids=repr,
)
def test_outputs_are_one_logit_per_class(build, shape, classes):
    with torch.no_grad():
        assert build()(torch.zeros(3, *shape)).shape == (3, classes)


@pytest.mark.parametrize(
    ("build", "arguments", "match"),
    [
        (LeNet5, {"size": 11}, "at least 12x12, got size=11"),
        (LeNet20, {"size": 15}, "at least 16x16, got size=15"),
        (MLP, {"widths": (4,)}, r"at least two positive numbers, got \(4,\)"),
        (MLP, {"widths": (4, 0, 2)}, r"positive numbers, got \(4, 0, 2\)"),
        (MLP, {"widths": (4, 2), "dropout": 1.0}, r"dropout must be in \[0, 1\), got 1\.0"),
        (SmallCNN, {"widths": ()}, r"positive numbers, got \(\)"),
        (SmallCNN, {"widths": (8, 0)}, r"positive numbers, got \(8, 0\)"),
    ],
)
def test_sizes_that_no_network_can_have_are_refused(build, arguments, match):
    with pytest.raises(MethodError, match=match):
        build(**arguments)


def test_dropout_acts_in_training_alone():
    net = MLP(widths=(8, 50, 3), dropout=0.5)()
    x = torch.ones(1, 8)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


# --- what pruning counts ---


class Mixed(nn.Module):
    """One of each kind of layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.grouped = nn.Conv2d(8, 8, 3, groups=2)
        self.norm = nn.BatchNorm2d(8)
        self.layer_norm = nn.LayerNorm(8)
        self.table = nn.Embedding(5, 8)
        self.time = nn.Conv1d(8, 8, 3)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(8, 3, bias=False))


def test_biases_norms_tables_and_depthwise_kernels_are_not_pruned():
    expected = ("first.weight", "grouped.weight", "time.weight", "head.1.weight")
    assert prunable(Mixed()) == expected


@pytest.mark.parametrize("build", [LeNet5(), LeNet20(), MLP(widths=(8, 4, 2)), SmallCNN()])
def test_prunable_names_are_weights_of_at_least_two_axes_in_definition_order(build):
    net = build()
    parameters = dict(net.named_parameters())
    expected = [n for n, p in parameters.items() if n.endswith("weight") and p.ndim > 1]
    assert list(prunable(net)) == expected


def test_a_bare_layer_is_prunable_under_its_own_name():
    assert prunable(nn.Linear(2, 2)) == ("weight",)
    assert prunable(nn.Conv2d(1, 1, 1)) == ("weight",)


# --- to a file and back ---


def same_bytes(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].tobytes() == b[k].tobytes() for k in a
    )


@pytest.mark.parametrize(
    "build", [SmallNet(batch_norm=True), LeNet5(), SmallCNN(widths=(4, 8))], ids=repr
)
def test_a_rebuilt_network_has_the_same_bits_and_is_in_eval_mode(build):
    net = build()
    with torch.no_grad():
        for i, value in enumerate(net.state_dict().values()):
            value += i  # buffers too are not as a fresh network has them
    again = rebuild(stored(net), build)
    assert same_bytes(tensors_of(again), tensors_of(net))
    assert not any(m.training for m in again.modules())


def test_signed_zeros_and_the_smallest_numbers_survive():
    net = nn.Linear(2, 2)
    odd = np.array([[-0.0, 1e-45], [np.float32(3e38), -1e-45]], np.float32)
    again = rebuild(stored(net, weight=odd), lambda: nn.Linear(2, 2))
    assert tensors_of(again)["weight"].tobytes() == odd.tobytes()


def test_stored_tensors_do_not_change_with_the_network():
    net = nn.Linear(2, 2)
    artifact = stored(net)
    before = artifact.tensors["weight"].copy()
    again = rebuild(artifact, lambda: nn.Linear(2, 2))
    with torch.no_grad():
        net.weight += 1
        again.weight += 1
    assert np.array_equal(artifact.tensors["weight"], before)


@pytest.mark.parametrize(
    ("changes", "dropped", "match"),
    [
        ({"more": np.zeros(1)}, (), r"'more' only in the file"),
        ({}, ("0.bias",), r"'0\.bias' only in the network"),
        ({"0.bias": np.zeros(13, np.float32)}, (), r"'0\.bias' is \(13,\) in the file, \(12,\)"),
        ({"0.bias": np.zeros(12)}, (), r"'0\.bias' is float64 in the file, (torch\.)?float32"),
    ],
)
def test_a_file_that_does_not_fit_the_network_is_refused_by_name(changes, dropped, match):
    tensors = {k: v for k, v in tensors_of(SmallNet()()).items() if k not in dropped}
    artifact = Artifact(
        tensors={**tensors, **changes}, builder="SmallNet()", provenance=Provenance(key={})
    )
    with pytest.raises(InputError, match=rf"made by SmallNet\(\).*SmallNet\(hidden=12.*{match}"):
        rebuild(artifact, SmallNet())


def test_rebuilding_leaves_the_random_state_alone():
    artifact = stored(SmallNet()())
    torch.manual_seed(7)
    np.random.seed(7)
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    rebuild(artifact, SmallNet())
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)


# --- running ---


@dataclass
class Seen:
    """What a network was given."""

    modes: list
    batches: list


class Spy(nn.Module):
    """Answers with its inputs' first numbers and notes how it was called."""

    def __init__(self, out=CLASSES):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.frozen = nn.BatchNorm1d(FEATURES)
        self.out = out
        self.seen = Seen([], [])

    def forward(self, x):
        assert not torch.is_grad_enabled()
        self.seen.modes.append(self.training)
        self.seen.batches.append(len(x))
        return x[:, : self.out] * self.scale


def test_records_are_run_in_eval_mode_without_gradients_in_order():
    records = small_records(25)
    spy = Spy()
    got = logits_of(spy, records, batch_size=10)
    assert np.array_equal(got, records.source.values[:, :CLASSES])
    assert got.dtype == np.float32
    assert (spy.seen.modes, spy.seen.batches) == ([False] * 3, [10, 10, 5])


@pytest.mark.parametrize("training", [True, False])
def test_every_part_of_the_network_is_put_back_into_its_own_mode(training):
    spy = Spy().train(training)
    spy.frozen.eval()
    logits_of(spy, small_records(5))
    assert (spy.training, spy.frozen.training) == (training, False)


def test_the_mode_is_put_back_after_an_error_too():
    spy = Spy(out=2).train()
    with pytest.raises(InputError, match="outputs of shape"):
        logits_of(spy, small_records(5))
    assert spy.training
    assert spy.frozen.training


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_logits_do_not_depend_on_the_batch_size(batch_size):
    records = small_records(64)
    net = SmallNet(dropout=0.5, batch_norm=True)()
    whole = logits_of(net, records)
    assert np.allclose(logits_of(net, records, batch_size=batch_size), whole, rtol=1e-5, atol=1e-6)


def test_querying_changes_nothing_in_the_network():
    net = SmallNet(batch_norm=True)().train()
    before = tensors_of(net)
    logits_of(net, small_records(30))
    assert same_bytes(before, tensors_of(net))


def test_asked_records_come_in_the_order_asked_and_none_give_an_empty_table():
    records = small_records(20)
    net = SmallNet()()
    some = np.array([7, 3, 3])
    assert np.allclose(logits_of(net, records, indices=some), logits_of(net, records)[some])
    assert logits_of(net, records, indices=np.array([], dtype=int)).shape == (0, CLASSES)


def test_outputs_of_another_shape_are_refused_with_both_shapes():
    with pytest.raises(InputError, match=r"shape \(5, 2\) for 5 records of 3 classes.*\(5, 3\)"):
        logits_of(Spy(out=2), small_records(5))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(bad):
    spy = Spy()
    with torch.no_grad():
        spy.scale.fill_(bad)
    with pytest.raises(InputError, match="NaN or infinite; it has diverged"):
        logits_of(spy, small_records(5))


@pytest.mark.parametrize(
    "net",
    [nn.Linear(FEATURES + 1, CLASSES), nn.Sequential(nn.BatchNorm2d(4)), LeNet5()()],
    ids=["linear", "norm", "lenet"],
)
def test_a_network_for_other_inputs_is_refused_with_the_shape(net):
    with pytest.raises(DataError, match=r"does not accept inputs of shape \(8,\)"):
        logits_of(net, small_records(5))


def test_a_network_without_parameters_can_be_run():
    records = Records.from_arrays(np.eye(3), np.arange(3))
    assert np.array_equal(logits_of(nn.Flatten(), records), np.eye(3))


def test_networks_of_convolutions_are_asked_64_at_once_and_others_2048():
    records = small_records(70)
    pictures = Records.from_arrays(
        np.zeros((130, 1, 28, 28), np.float32), np.arange(130) % 10, n_classes=10
    )
    seen = []
    net = LeNet5()()
    net.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    assert logits_of(net, pictures).shape == (130, 10)
    assert [n for n in seen if n > 1] == [64, 64, 2]  # one alone tries the layout
    spy = Spy()
    many = Records.from_arrays(
        np.zeros((2050, *records.input_shape), np.float32), np.arange(2050) % 2, n_classes=CLASSES
    )
    assert len(logits_of(spy, many)) == 2050
    assert spy.seen.batches == [2048, 2]
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        logits_of(spy, many, batch_size=0)
