"""Steps of an inner network that tells members from others, as one call that torch can lift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.models.two_branches import TwoBranches

__all__ = ["Climb", "InnerLoss", "Taught", "ascend", "gain", "halves"]

InnerLoss = Literal["log", "squared"]


@dataclass(frozen=True, kw_only=True)
class Climb:
    """How an inner network learns: its shape, Adam's rate, the number of steps, and its loss."""

    network: TwoBranches
    classes: int
    steps: int
    lr: float
    loss: InnerLoss

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its weights, in their order within a flat state."""
        return tuple(self.network.shapes(self.classes))


class Taught(NamedTuple):
    """What the steps give: the gain and the share of right answers before them, and the network.

    `state` are the weights, then Adam's first moments, then its second ones; `steps` counts all
    steps so far.
    """

    gain: Tensor
    right: Tensor
    steps: Tensor
    state: tuple[Tensor, ...]


def gain(members: Tensor, others: Tensor) -> Tensor:
    """Return mean log h over members + mean log(1 - h) over others; -log 4 where h knows nothing.

    Args:
        members: logits of h, `[..., n]`.
        others: the same on non-members.
    """
    found: Tensor = functional.logsigmoid(members).mean(-1) + functional.logsigmoid(-others).mean(
        -1
    )
    return found


def halves(members: Tensor, others: Tensor) -> Tensor:
    """Return the balanced accuracy of calling a logit above 0 a member."""
    right = (members > 0).to(members.dtype).mean(-1) + (others <= 0).to(others.dtype).mean(-1)
    return right / 2


def ascend(
    climb: Climb,
    seen: tuple[Tensor, Tensor],
    count: Tensor,
    state: Sequence[Tensor],
) -> Taught:
    """Take the steps; may be lifted by `torch.func.vmap`.

    Args:
        climb: how.
        seen: outputs and one-hot labels `[steps, 2 n, classes]`: a batch for each step, the members
            in its first half.
        count: steps so far.
        state: see `Taught`.
    """
    found = _Ascend.apply(climb, *seen, count, *state)  # type: ignore[no-untyped-call]
    return Taught(found[0], found[1], found[2], tuple(found[3:]))


class _Ascend(torch.autograd.Function):
    """The steps as one call, since the kernels of a fused Adam write in place."""

    @staticmethod
    def forward(climb: Climb, *given: Tensor) -> tuple[Tensor, ...]:
        """Take the steps of one network, or of several along a first axis."""
        outputs, one_hot, count, *state = given
        mine, count = [value.clone() for value in state], count.clone()
        told: tuple[Tensor, Tensor] | None = None
        for step in range(climb.steps):
            seen = outputs[..., step, :, :], one_hot[..., step, :, :]
            grads, logits = _slopes(climb, mine, seen)
            if told is None:
                parts = logits.chunk(2, -1)
                told = gain(*parts), halves(*parts)
            count += 1
            _adam(mine, grads, count, climb.lr)
        assert told is not None  # at least one step
        return (*told, count, *mine)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: nobody differentiates through the steps."""
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        """Take the steps of all networks together."""
        stacked = [
            value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
            for value, dim in zip(args[1:], in_dims[1:], strict=True)
        ]
        found = _Ascend.apply(args[0], *stacked)  # type: ignore[no-untyped-call]
        return found, (0,) * len(found)


def _slopes(
    climb: Climb, state: Sequence[Tensor], seen: tuple[Tensor, Tensor]
) -> tuple[list[Tensor], Tensor]:
    """Return the gradients of the inner loss, and the logits."""
    names = climb.names
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_() for value in state[: len(names)]]
        logits = climb.network.logits(dict(zip(names, leaves, strict=True)), *seen)
        own, others = logits.chunk(2, -1)
        if climb.loss == "log":
            loss = -gain(own, others)
        else:
            wrong = (torch.sigmoid(own) - 1).square().mean(-1)
            loss = wrong + torch.sigmoid(others).square().mean(-1)
        grads = torch.autograd.grad(loss.sum(), leaves)
    return [grad.contiguous() for grad in grads], logits.detach()


def _adam(state: Sequence[Tensor], grads: Sequence[Tensor], count: Tensor, lr: float) -> None:
    """Take one step in place, with torch's default betas and epsilon."""
    n = len(grads)
    lists: list[list[Tensor]] = [[], [], [], []]
    steps: list[Tensor] = []
    for model in range(len(count)) if count.dim() else [None]:
        for k in range(n):
            four = state[k], grads[k], state[n + k], state[2 * n + k]
            for one, value in zip(lists, four, strict=True):
                one.append(value if model is None else value[model])
            steps.append(count if model is None else count[model])
    weights, slopes, means, squares = lists
    torch._fused_adam_(
        weights,
        slopes,
        means,
        squares,
        [],
        steps,
        lr=lr,
        beta1=0.9,
        beta2=0.999,
        weight_decay=0.0,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )
