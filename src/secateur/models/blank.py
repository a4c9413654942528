"""A builder's network without its numbers: what it is made of, at next to no cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import nn

    from secateur.protocols import Builder

__all__ = ["blank"]

DRAWS = {
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    torch.nn.init.kaiming_normal_,
    torch.nn.init.kaiming_uniform_,
    torch.nn.init.normal_,
    torch.nn.init.uniform_,
}


class _NoDraws(TorchFunctionMode):
    """Leave out what fills a tensor at random: without memory it changes nothing."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        if func in DRAWS and args and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def blank(build: Builder) -> nn.Module:
    """Return a builder's network on the meta device: shapes alone, nothing is allocated or drawn.

    Example:
        >>> from secateur.models import MLP
        >>> {v.device.type for v in blank(MLP(widths=(8, 4, 2))).parameters()}
        {'meta'}
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _NoDraws():
        return build()
