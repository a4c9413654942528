"""Max pools as the largest of four views: torch's own numbers, and nothing left behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from secateur.errors import DataError
from secateur.models import VGG16, LeNet5, SmallCNN, logits_of
from secateur.models import forward as asking
from secateur.models.pooling import largest_of_four, quick_pools
from secateur.types import Records


@pytest.mark.parametrize(
    "shape", [(3, 6, 8, 8), (2, 1, 2, 2), (2, 5, 7, 9), (1, 3, 3, 2), (0, 3, 4, 4)]
)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_is_torchs_own_pool_in_the_same_layout(shape, layout, dtype):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    x = x.contiguous(memory_format=layout)
    found, expected = largest_of_four(x), functional.max_pool2d(x, 2)
    assert torch.equal(found, expected) and found.dtype == dtype
    assert not len(x) or found.is_contiguous(memory_format=layout)


def test_what_is_no_number_stays_none():
    x = torch.tensor([float("nan"), 1, -float("inf"), -float("inf")] * 4).view(1, 1, 4, 4)
    np.testing.assert_array_equal(largest_of_four(x), functional.max_pool2d(x, 2))


class Own(nn.MaxPool2d):
    """A pool of one's own."""


def asked_quickly(part, shape=(2, 3, 8, 8), grad=False):
    """Return whether the quick way was taken."""
    with quick_pools(part), torch.set_grad_enabled(grad), pytest.MonkeyPatch.context() as patch:
        taken = []
        real = torch.maximum
        patch.setattr(torch, "maximum", lambda *a: taken.append(1) or real(*a))
        part(torch.zeros(shape))
    return bool(taken)


def test_only_plain_pools_are_asked_quickly_and_without_gradients():
    assert asked_quickly(nn.MaxPool2d(2))
    assert asked_quickly(nn.MaxPool2d((2, 2), stride=(2, 2)))
    assert not asked_quickly(nn.MaxPool2d(2), grad=True)
    assert not asked_quickly(nn.MaxPool2d(2), shape=(3, 8, 8))
    others = [
        nn.MaxPool2d(3),
        nn.MaxPool2d(2, stride=1),
        nn.MaxPool2d(2, padding=1),
        nn.MaxPool2d(2, dilation=2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d((2, 1)),
        nn.MaxPool2d(2, return_indices=True),
        nn.AvgPool2d(2),
        Own(2),
    ]
    assert not any(asked_quickly(part) for part in others)


@pytest.mark.parametrize(
    ("build", "shape"),
    [(LeNet5(), (1, 28, 28)), (SmallCNN(), (3, 15, 13)), (VGG16(width=0.1), (3, 32, 32))],
)
def test_a_network_answers_the_same_and_is_left_as_it_was(build, shape, monkeypatch):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(100, *shape)).astype(np.float32)
    records = Records.from_arrays(inputs, np.arange(100) % 10, n_classes=10)
    torch.manual_seed(0)
    module = build()
    before = [set(vars(part)) for part in module.modules()]
    quick = logits_of(module, records)
    assert [set(vars(part)) for part in module.modules()] == before
    monkeypatch.setattr(asking, "quick_pools", lambda module: torch.no_grad())
    np.testing.assert_array_equal(quick, logits_of(module, records))


def test_pictures_that_are_too_small_are_refused_in_the_same_words_and_nothing_is_left():
    module = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 2))
    records = Records.from_arrays(np.zeros((4, 1, 1, 1), np.float32), np.arange(4) % 2)
    with pytest.raises(DataError, match="Output size is too small"):
        logits_of(module, records)
    assert "forward" not in vars(module[0])


def test_a_pool_whose_forward_pass_was_replaced_keeps_it():
    pool = nn.MaxPool2d(2)
    pool.forward = lambda x: x
    with quick_pools(nn.Sequential(pool)):
        assert pool(torch.zeros(1, 1, 4, 4)).shape == (1, 1, 4, 4)
    assert pool(torch.zeros(1, 1, 4, 4)).shape == (1, 1, 4, 4)


class Turned(nn.Module):
    """Pools pictures that lie across, and reads them by `view`, as torch's own pool allows."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Linear(3 * 9, 2)

    def forward(self, x):
        return self.last(self.pool(x.transpose(2, 3)).view(-1, 3 * 9))


def test_a_network_that_views_what_a_pool_gives_is_asked_as_before():
    records = Records.from_arrays(np.zeros((4, 3, 6, 6), np.float32), np.arange(4) % 2)
    assert logits_of(Turned(), records).shape == (4, 2)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of quantised tensors
@pytest.mark.parametrize(
    "make",
    [
        lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
        lambda x: x.to_mkldnn(),
        lambda x: x.transpose(2, 3),
        lambda x: x[:, ::2],
    ],
)
def test_tensors_of_other_kinds_and_orders_go_through_torchs_own_pool(make):
    x = make(torch.rand(2, 6, 8, 6))
    pool = nn.MaxPool2d(2)
    expected = pool(x)
    with quick_pools(pool), torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "maximum", None)
        found = pool(x)
    assert found.layout == expected.layout and found.shape == expected.shape


def test_what_is_compiled_is_not_compiled_anew_at_every_call():
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    module = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2)).eval()
    compiled = torch.compile(module, backend=counter)
    records = Records.from_arrays(np.zeros((3, 1, 4, 4), np.float32), np.arange(3) % 2)
    for _ in range(4):
        logits_of(compiled, records)
    assert counter.frame_count <= 2
