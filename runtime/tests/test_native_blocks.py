"""A sum that is done in several parts takes bias, residual and activation once."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_plans import Draft, compare

native: Any = pytest.importorskip(
    "secateur_runtime.native", reason="no compiled engine", exc_type=ImportError
)


def residual_pair(channels: int, size: int, activation: str, zeros: float = 0.5) -> Draft:
    made = Draft((channels, size, size))
    first = made.convolution(0, channels, zeros=zeros)
    made.convolution(first, channels, zeros=zeros, other=first, activation=activation)
    return made


def parts(made: Draft, lanes: int) -> list[int]:
    """Return in how many parts the sums of sparse layers are done."""
    from secateur_runtime.assembly import assembled

    operators = assembled(made.plan(), lanes, lambda _: "sparse").operators
    return [one.sizes[1] for one in operators if one.code == "sparse"]


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
@pytest.mark.parametrize(
    ("channels", "size", "lanes"),
    [(64, 16, 1), (128, 8, 1), (256, 4, 1), (64, 16, 16), (96, 4, 16)],
)
def test_a_residual_is_added_once_whatever_the_number_of_parts(channels, size, lanes, activation):
    made = residual_pair(channels, size, activation)
    assert min(parts(made, lanes)) > 1
    compare(made.plan(), lanes, way="sparse")
    compare(made.plan(), lanes, way="dense")
    if lanes > 1:
        compare(made.plan(), lanes, way="code")


@pytest.mark.parametrize("lanes", [1, 16])
def test_a_strided_layer_of_several_parts_equals_the_reference(lanes):
    made = Draft((64, 16, 16))
    first = made.convolution(0, 96, zeros=0.5, stride=(2, 2))
    second = made.convolution(0, 96, zeros=0.5, stride=(2, 2), kernel=(1, 1), padding=(0, 0, 0, 0))
    made.convolution(first, 96, zeros=0.5, other=second)
    assert max(parts(made, lanes)) > 1
    compare(made.plan(), lanes, way="sparse")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(32, 96),
    st.integers(4, 16),
    st.sampled_from(["none", "relu", "relu6"]),
    st.sampled_from([0.3, 0.6, 0.9]),
    st.sampled_from([1, 6, 17]),
    st.sampled_from(["sparse", "dense", "code", None]),
)
def test_wide_residual_networks_equal_the_reference(channels, size, activation, zeros, n, way):
    compare(residual_pair(channels, size, activation, zeros).plan(), n, way=way)
