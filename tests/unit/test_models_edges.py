"""Networks that do not fit a file or a pruning method, and say so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from secateur.errors import InputError, MethodError
from secateur.models import MLP, LeNet5, LeNet20, SmallCNN, prunable, rebuild, tensors_of
from secateur.types import Artifact, Provenance


@pytest.mark.parametrize("build", [LeNet5, LeNet20, SmallCNN])
@pytest.mark.parametrize("changes", [{"channels": 0}, {"classes": 1}, {"classes": -3}])
def test_a_network_without_channels_or_classes_is_refused_before_it_is_made(build, changes):
    name, value = next(iter(changes.items()))
    with pytest.raises(
        MethodError, match=f"at least 1 channel and 2 classes, got .*{name}={value}"
    ):
        build(**changes)


def test_a_weight_that_two_layers_share_is_counted_once():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    net[1].weight = net[0].weight
    assert prunable(net) == ("0.weight", "2.weight")


def test_a_weight_that_is_computed_from_others_is_not_named():
    net = nn.Sequential(weight_norm(nn.Linear(3, 3)), nn.Linear(3, 2))
    assert prunable(net) == ("1.weight",)
    assert set(prunable(net)) <= set(dict(net.named_parameters()))


def test_a_network_of_a_type_that_numpy_lacks_says_which_tensor_and_what_to_do():
    net = MLP(widths=(4, 2))().to(torch.bfloat16)
    with pytest.raises(
        InputError, match=r"'1\.weight' of the network is torch\.bfloat16.*\.float\("
    ):
        tensors_of(net)


def test_copies_do_not_change_with_the_network_and_the_network_not_with_them():
    net = MLP(widths=(4, 2))()
    copies = tensors_of(net)
    before = copies["1.weight"].copy()
    with torch.no_grad():
        net.get_parameter("1.weight").add_(1)
    assert np.array_equal(copies["1.weight"], before)
    copies["1.weight"][:] = 9
    assert not (net.get_parameter("1.weight") == 9).any()


def test_of_many_differences_the_first_four_are_named_and_the_rest_counted():
    stored = Artifact(
        tensors=tensors_of(MLP(widths=(4, 3, 3, 2))()),
        builder="MLP(widths=(4, 3, 3, 2))",
        provenance=Provenance(key={}),
    )
    with pytest.raises(InputError, match=r"'1\.weight' is \(3, 4\) in the file, \(5, 4\) in") as e:
        rebuild(stored, MLP(widths=(4, 5, 5, 6)))
    assert str(e.value).count(" in the file") == 4
    assert "and 2 more; give the builder that trained it" in str(e.value)


def test_a_file_with_text_for_a_tensor_is_refused_by_name():
    tensors = {**tensors_of(MLP(widths=(4, 2))()), "1.bias": np.array(["a", "b"])}
    stored = Artifact(tensors=tensors, builder="MLP", provenance=Provenance(key={}))
    with pytest.raises(InputError, match=r"'1\.bias' is <U1 in the file, torch\.float32 in"):
        rebuild(stored, MLP(widths=(4, 2)))
