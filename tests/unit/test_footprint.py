"""Sizes against hand counts, and latency as an interleaved measurement."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch

from secateur.deploy import footprint, latency, work_of
from secateur.errors import InputError
from secateur.models import MLP, LeNet5, MobileNetV2, SmallCNN, multiply_adds, tensors_of
from secateur.types import Artifact, Kept, Provenance, Shipped


def made(build, **more):
    return Artifact(tensors=tensors_of(build()), builder="", provenance=Provenance(key={}), **more)


def test_multiply_adds_of_lenet_equal_the_hand_count():
    # 28x28 -> 6 maps of 28x28 (5x5, padded), 14x14 -> 16 maps of 10x10, 400-120-84-10
    by_hand = 25 * 6 * 28 * 28 + 25 * 6 * 16 * 10 * 10 + 400 * 120 + 120 * 84 + 84 * 10
    assert work_of(LeNet5()(), (1, 28, 28)).dense == by_hand


def test_a_depthwise_convolution_counts_one_input_channel_for_each_output():
    conv = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
    assert work_of(conv, (8, 5, 5)).dense == 8 * 9 * 25


class Sequence(torch.nn.Module):
    """A layer over a sequence, its last step classified; a table of places is added before."""

    def __init__(self, layer, width, places=None):
        super().__init__()
        self.layer, self.head = layer, torch.nn.Linear(width, 3)
        self.places = None if places is None else torch.nn.Parameter(torch.zeros(places))

    def forward(self, x):
        x = x if self.places is None else x + self.places
        out = self.layer(x)
        return self.head((out[0] if isinstance(out, tuple) else out)[:, -1])


def test_recurrent_layers_count_their_weights_once_a_step():
    net = Sequence(torch.nn.LSTM(8, 16, num_layers=2, batch_first=True), 16)
    gates = 4 * 16 * (8 + 16) + 4 * 16 * (16 + 16)
    assert work_of(net, (5, 8)).dense == 5 * gates + 16 * 3
    net.layer.weight_hh_l1.data.zero_()
    assert work_of(net, (5, 8)).effective == 5 * (gates - 4 * 16 * 16) + 16 * 3
    both = Sequence(torch.nn.GRU(8, 16, bidirectional=True, batch_first=True), 32)
    assert work_of(both, (5, 8)).dense == 5 * 2 * 3 * 16 * (8 + 16) + 32 * 3


def test_attention_counts_its_projections_and_what_is_no_layer_is_named():
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    net = Sequence(layer, 16, places=(1, 5, 16))
    by_hand = 5 * (3 * 16 * 16 + 16 * 16 + 2 * 16 * 32) + 16 * 3
    found = work_of(net, (5, 16))
    assert (found.dense, found.effective) == (by_hand, by_hand)
    assert found.uncounted == ("places",)
    assert multiply_adds(lambda: net, (5, 16)) == by_hand


def test_a_transposed_convolution_counts_each_input_place():
    layer = torch.nn.ConvTranspose2d(3, 4, 2, stride=2)
    assert work_of(layer, (3, 5, 5)).dense == 3 * 4 * 4 * 25


def test_a_table_that_is_looked_up_multiplies_nothing():
    class Looked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = torch.nn.Embedding(4, 8), torch.nn.Linear(8, 2)

        def forward(self, x):
            return self.head(self.table(x[:, 0].long()))

    found = work_of(Looked(), (1,))
    assert (found.dense, found.uncounted) == (16, ())


def test_zeros_are_left_out_of_the_effective_count_alone():
    net = SmallCNN(widths=(4, 8))()
    before = work_of(net, (3, 32, 32))
    weight = next(p for p in net.parameters() if p.dim() == 4)
    weight.data[0] = 0
    after = work_of(net, (3, 32, 32))
    assert after.dense == before.dense == before.effective
    assert before.effective - after.effective == weight[0].numel() * 32 * 32


def test_counting_leaves_mode_and_statistics_of_a_network_as_they_were():
    net = MobileNetV2(classes=10, width=0.25)()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    net.train()
    work_of(net, (3, 32, 32))
    assert net.training and all(part.training for part in net.modules())
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_the_footprint_of_a_shipped_file_is_that_of_its_bytes():
    build = MLP(widths=(8, 4, 2))
    file = Shipped(form="onnx", data=b"x" * 77)
    found = footprint(made(build, shipped=file), build)
    assert (found.n_bytes, found.form, found.digest) == (77, "onnx", file.digest)
    plain = footprint(made(build), build)
    assert (plain.n_bytes, plain.digest) == (4 * 46, "")


def test_a_model_without_weights_has_no_footprint():
    kept = Kept(signals={}, probe="", queries="", model="")
    empty = Artifact(tensors={}, builder="", provenance=Provenance(key={}), kept=kept)
    with pytest.raises(InputError, match="weights of this model were not kept"):
        footprint(empty, MLP(widths=(8, 2)))


def test_models_are_timed_in_turn_and_each_round_begins_with_another():
    order: list[str] = []
    runs = {name: (lambda _, name=name: order.append(name)) for name in "abc"}
    latency(runs, np.ones((4, 2)), rounds=3, seconds=1e-9)
    turns = [name for name, _ in itertools.groupby(order)]
    # warm-up, then three rounds; equal neighbours (c | c is not there) stand once
    assert "".join(turns).startswith("abcabc")
    assert "".join(turns)[3:] == "abcbcacab"
    assert order.count("a") == order.count("b") == order.count("c") == 3 * 4


def test_a_model_that_works_twice_as_long_is_half_as_fast():
    def wait(seconds):
        def run(_):
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                pass

        return run

    found = latency({"one": wait(0.001), "two": wait(0.002)}, np.ones((2, 2)), seconds=0.01)
    low, middle, high = found["two"].faster
    assert low <= middle <= high
    assert 0.25 < middle < 0.9  # a loaded machine blurs it
    assert found["one"].speed_up == (1.0,) * 5


def test_batches_hold_as_many_records_as_asked_even_of_few():
    seen = set()
    latency({"m": lambda x: seen.add(x.shape)}, np.ones((5, 3)), batch=32, seconds=1e-9)
    assert seen == {(32, 3)}


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"rounds": 0}, {"seconds": 0}])
def test_a_latency_of_nothing_is_refused(wrong):
    with pytest.raises(InputError, match="latency needs"):
        latency({"m": len}, np.ones((5, 3)), **wrong)
    with pytest.raises(InputError, match="0 models"):
        latency({}, np.ones((5, 3)))
