"""Plans: what is fused and what not, what contradicts itself, and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_networks import file_of, plan_of
from torch import nn

from secateur_runtime import fuse
from secateur_runtime.errors import FileError, PlanError
from secateur_runtime.lower import lowered
from secateur_runtime.packed import unpack
from secateur_runtime.plan import Plan, Step, Weight
from secateur_runtime.reference import compute, run


class Later(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 1)
        self.pool = nn.MaxPool2d(3, 1, 1)

    def forward(self, x):
        a = self.layer(x)
        return torch.relu(self.pool(x) + a), a * 0  # the sum's other side is made after the layer


class One(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)[0]


def kinds(plan):
    return [step.kind for step in plan.steps]


def test_what_is_read_twice_is_not_changed_by_what_follows():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1)
            self.norm = nn.BatchNorm2d(2)

        def forward(self, x):
            a = self.first(x)
            return self.norm(a) + torch.relu(self.second(a))

    made = plan_of(Net().eval(), (2, 4, 4))
    assert kinds(made) == ["convolution", "affine", "convolution", "add"]
    assert made.steps[0].attributes["activation"] == "none"
    assert made.steps[2].attributes["activation"] == "relu"


def test_a_sum_whose_other_side_is_made_later_moves_the_layer_there():
    made = plan_of(One(Later()).eval(), (2, 4, 4))
    assert kinds(made) == ["max_pool", "convolution"]
    assert made.steps[1].inputs == (0, 1) and made.steps[1].attributes["activation"] == "relu"


def test_what_no_output_depends_on_is_dropped():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.never = nn.Linear(4, 3), nn.Linear(4, 1000)

        def forward(self, x):
            return self.used(x), torch.relu(self.never(x))

    made = plan_of(One(Net()), (4,))
    assert kinds(made) == ["linear"] and len(made.shapes) == 2


@pytest.mark.parametrize("zeros", [0.0, 0.9])
def test_zeros_stay_zeros_when_normalisation_is_folded(zeros):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8)).eval()
    with torch.no_grad():
        net[0].weight *= torch.rand(net[0].weight.shape) >= zeros
        net[0].weight[0, 0, 0, 0] = 1.0
        net[1].weight[:] = torch.linspace(-1, 1, 8)
        net[1].weight[3] = 0  # a whole row becomes zero, and is stored no longer
        net[1].bias[:] = 0.5
    (step,) = plan_of(net, (4, 5, 5)).steps
    dense = step.weight.dense().values
    kept = net[0].weight.detach().numpy() != 0
    kept[3] = False
    assert np.array_equal(dense != 0, kept)
    assert step.weight.is_sparse == bool(zeros)
    assert not step.weight.is_sparse or len(step.weight.values) == kept.sum()
    assert step.bias[3] == np.float32(0.5)


def test_a_scale_too_large_for_float32_is_not_folded():
    weight = Weight.of(np.full((1, 1, 1, 1), 1e30))
    layer = Step(
        kind="convolution",
        inputs=(0,),
        output=1,
        attributes={
            **{"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)},
            **{"groups": 1, "activation": "none"},
        },
        weight=weight,
    )
    norm = Step(
        kind="affine",
        inputs=(1,),
        output=2,
        weight=Weight.of(np.array([1e30])),
        bias=np.zeros(1, np.float32),
    )
    assert [step.kind for step in fuse.fused([layer, norm], 2)] == ["convolution", "affine"]


def test_the_output_of_a_network_is_never_joined_away():
    made = plan_of(nn.Sequential(nn.Dropout(0.5)).eval(), (3,))
    assert kinds(made) == ["copy"]
    assert run(made, np.ones((2, 3), np.float32))[made.output].tolist() == [[1.0] * 3] * 2


def window(**more):
    return {
        **{"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)},
        **{"ceil_mode": False, "count_include_pad": False, "dilation": (1, 1)},
        **more,
    }


def step(kind, attributes=None, **more):
    return Step(kind=kind, inputs=(0,), output=1, attributes=attributes or {}, **more)


PICTURE = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)


@pytest.mark.parametrize(
    ("kind", "attributes", "expected"),
    [
        ("max_pool", window(), [[4]]),
        ("max_pool", window(ceil_mode=True), [[4, 5], [7, 8]]),
        ("max_pool", window(padding=(1, 1, 1, 1)), [[0, 2], [6, 8]]),
        ("max_pool", window(stride=(1, 1), dilation=(2, 2)), [[8]]),
        ("average_pool", window(ceil_mode=True), [[2, 3.5], [6.5, 8]]),
        ("average_pool", window(padding=(1, 1, 1, 1)), [[0, 1.5], [4.5, 6]]),
        (
            "average_pool",
            window(padding=(1, 1, 1, 1), count_include_pad=True),
            [[0, 0.75], [2.25, 6]],
        ),
        ("global_average_pool", {}, [[4]]),
        ("clip", {"low": 1.0, "high": 2.5}, [[1, 1, 2], [2.5] * 3, [2.5] * 3]),
    ],
)
def test_steps_give_what_the_hand_gives(kind, attributes, expected):
    assert compute(step(kind, attributes), [PICTURE])[0, 0].tolist() == expected


def layer(weight, **more):
    attributes = {
        **{"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)},
        **{"groups": 1, "activation": "none"},
        **more,
    }
    return step("convolution", attributes, weight=Weight.of(np.array(weight)))


def test_a_window_that_lies_in_the_padding_gives_the_bias():
    one = layer([[[[2.0]]]], padding=(1, 1, 1, 1))
    found = compute(one, [PICTURE])[0, 0]
    assert found[0].tolist() == [0] * 5 and found[2, 2] == 8


def plan(steps, *shapes, output=1):
    return Plan(steps=tuple(steps), shapes=shapes, input=0, output=output)


P = (1, 3, 3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: plan([], P, output=0), "no step makes the output"),
        (lambda: plan([step("relu")], P, P, output=0), "no step makes the output"),
        (lambda: plan([step("relu"), step("relu")], P, P), "makes the value 1 again"),
        (lambda: plan([Step(kind="relu", inputs=(1,), output=1)], P, P), "not made before"),
        (lambda: plan([step("relu")], P, (1, 3, 4)), r"gives \(1, 3, 3\), which the plan holds"),
        (lambda: plan([step("gelu")], P, P), "no step 'gelu'"),
        (lambda: plan([step("max_pool", {})], P, P), "it lacks its 'kernel'"),
        (lambda: plan([layer([[[[1.0]]]], groups=2)], P, P), "of 2 groups with weights"),
        (lambda: plan([layer([[[[1.0]]]], stride=(0, 1))], P, P), r"the stride \(0, 1\)"),
        (lambda: plan([layer(np.ones((1, 1, 4, 1)))], P, P), "over 4 places does not fit into 3"),
        (lambda: plan([layer([[[[1.0]]]], padding=(2**22,) * 4)], P, P), "at most 268,435,456"),
        (lambda: plan([layer([[[[1.0]]]], dilation=(2**23, 1))], P, P), "from 1 to 4,194,304"),
        (lambda: plan([layer([[[[1.0]]]], activation="tanh")], P, P), "its activation is 'tanh'"),
        (lambda: plan([step("max_pool", window(padding=(2, 0, 0, 0)))], P, P), "over half"),
        (lambda: plan([step("linear")], (3,), (3,)), "linear layer with weights None"),
        (lambda: plan([step("convolution", window(groups=1))], P, P), "has weights None"),
        (lambda: plan([step("relu", weight=Weight.of(np.ones(1)))], P, P), "does not use"),
        (lambda: plan([step("clip", {"low": 1.0, "high": 0.0})], P, P), "it clips to 1.0 and 0.0"),
        (lambda: plan([step("softmax", {"axis": 1})], P, P), "runs along axis 1"),
        (lambda: plan([step("reshape", {"shape": (2, 5)})], P, P), "cannot become"),
        (lambda: plan([step("concatenate", {"axis": 1})], P, P), "cannot be joined along axis 1"),
        (lambda: plan([step("add")], P, P), "a sum takes two values of one shape"),
        (lambda: Weight.of(np.array([[np.nan]])), "hold NaN or infinite"),
        (lambda: Weight.of(np.zeros((0, 3))), "are none"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused_in_words(make, words):
    with pytest.raises(PlanError, match=words):
        make()


def rows(indptr, columns, values):
    return Weight(
        shape=(2, 3),
        values=np.array(values, np.float32),
        indptr=np.array(indptr, np.int64),
        columns=np.array(columns, np.int32),
    )


@pytest.mark.parametrize(
    ("indptr", "columns", "words"),
    [
        ([0, 1, 3], [0, 3, 1], "lead outside"),
        ([0, 1, 3], [0, -1, 1], "lead outside"),
        ([0, 1, 2], [0, 1, 2], "lead outside"),
        ([1, 1, 3], [0, 1, 2], "lead outside"),
        ([0, 3, 2], [0, 1, 2], "lead outside"),
        ([0, 4, 3], [0, 1, 2], "lead outside"),
        ([0, 3], [0, 1, 2], "other sizes or types"),
        ([0, 1, 3], [0, 2, 1], "do not ascend"),
        ([0, 1, 3], [0, 1, 1], "do not ascend"),
    ],
)
def test_rows_that_lead_outside_a_weight_are_refused(indptr, columns, words):
    assert rows([0, 1, 3], [2, 0, 1], [1, 2, 3]).dense().values.tolist() == [[0, 0, 1], [2, 3, 0]]
    with pytest.raises(PlanError, match=words):
        rows(indptr, columns, [1, 2, 3])


def test_a_file_without_a_graph_says_how_to_make_one():
    from secateur.packed import pack

    with pytest.raises(FileError, match=r"no description of its network; write it with `secateur"):
        lowered(unpack(pack({"w": np.ones((2, 2), np.float32)})))


def test_a_part_that_does_not_run_is_named_with_its_layer():
    file = file_of(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), (3,))
    packed = unpack(file)
    packed.graph["operators"][1]["kind"] = "gelu"
    with pytest.raises(FileError, match=r"'gelu' in layer '1': no such operator runs here, only"):
        lowered(packed)
    packed.graph["operators"][0]["tensors"]["weight"] = "gone"
    with pytest.raises(FileError, match=r"'linear' in layer '0': .*lacks its weight, .*'gone'"):
        lowered(packed)


def test_a_graph_that_reads_one_weight_many_times_is_bounded():
    file = file_of(nn.Sequential(nn.Linear(300, 300)), (300,))
    packed = unpack(file)
    first = packed.graph["operators"][0]
    more = [
        {**first, "output": f"v{i}", "inputs": [f"v{i - 1}" if i else first["output"]]}
        for i in range(100)
    ]
    packed.graph["operators"] += more
    packed.graph["output"] = "v99"
    with pytest.raises(FileError, match=r"take .* bytes, more than 2,000,000"):
        lowered(packed, limit=10**6)
