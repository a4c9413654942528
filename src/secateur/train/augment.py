"""Augmentation of pictures while a model trains: hooks, so that every engine runs them alike.

A recipe names them, `Recipe(hooks=(RandomCrop(), RandomFlip()))`, and a transform trains with the
recipe's hooks too. Each batch is changed as a whole; the random numbers come from the model's own
generator. Labels, and the batches of further pools, stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch.nn import functional

from secateur.errors import DataError, MethodError
from secateur.train.hooks import Batch, Hook, Moment

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors

__all__ = ["RandomCrop", "RandomFlip", "RandomShift"]

Border = Literal["zero", "reflect"]


def _check_pictures(inputs: Tensor, what: str, padding: int = 0) -> None:
    if inputs.dim() != 4 or min(inputs.shape[2:]) <= padding:
        raise DataError(
            f"{what} changes pictures [channels, height, width] larger than {padding} pixels, but "
            f"the records have the shape {tuple(inputs.shape[1:])}; leave it out of the recipe"
        )


def moved(inputs: Tensor, down: Tensor, right: Tensor, *, padding: int, border: Border) -> Tensor:
    """Return pictures, each moved by its own number of pixels.

    Args:
        inputs: `[n, channels, height, width]`.
        down: `[n]`, whole numbers in 0 .. 2 * padding; `padding` leaves a picture where it is, and
            larger numbers show more of what lies below.
        right: the same for columns.
        padding: largest move in pixels.
        border: what comes in from outside: `zero`, or the picture itself, mirrored (`reflect`).

    Example:
        >>> picture = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> moved(picture, torch.tensor([2]), torch.tensor([1]), padding=1, border="zero")
        tensor([[[[3., 4.],
                  [0., 0.]]]])
    """
    mode = "constant" if border == "zero" else "reflect"
    padded = functional.pad(inputs, (padding,) * 4, mode=mode)
    n, channels, height, width = inputs.shape
    rows = down[:, None] + torch.arange(height, device=inputs.device)
    columns = right[:, None] + torch.arange(width, device=inputs.device)
    which = torch.arange(n, device=inputs.device)[:, None, None, None]
    channel = torch.arange(channels, device=inputs.device)[None, :, None, None]
    found: Tensor = padded[which, channel, rows[:, None, :, None], columns[:, None, None, :]]
    return found


@dataclass(frozen=True, kw_only=True)
class RandomCrop(Hook):
    """Pad each picture on all sides and cut out a window of its own size at random.

    The usual augmentation of CIFAR: 4 pixels of zeros on 32x32.

    Args:
        padding: pixels on each side, at least 1.
        border: `zero`, or `reflect`, the picture mirrored at its edge.

    Example:
        >>> RandomCrop()
        RandomCrop(padding=4, border='zero')

    Reference:
        he2016deep.
    """

    padding: int = 4
    border: Border = "zero"

    reference: ClassVar[str] = "he2016deep"

    def __post_init__(self) -> None:
        if isinstance(self.padding, bool) or not isinstance(self.padding, int) or self.padding < 1:
            raise MethodError(f"padding must be a whole number of at least 1, got {self.padding!r}")
        if self.border not in ("zero", "reflect"):
            raise MethodError(f"border must be 'zero' or 'reflect', got {self.border!r}")

    def noise(self, generator: torch.Generator, now: Moment, size: int) -> Tensors:
        """Draw one window per record."""
        del now
        places = (2, size)
        drawn = torch.randint(2 * self.padding + 1, places, generator=generator)
        return {"down": drawn[0], "right": drawn[1]}

    def batch(
        self, state: Tensors, now: Moment, batch: Batch, noise: Tensors
    ) -> tuple[Tensors, Batch]:
        """Cut the windows."""
        del now
        _check_pictures(batch.inputs, type(self).__name__, self.padding)
        down, right = (noise[k].to(batch.inputs.device) for k in ("down", "right"))
        inputs = moved(batch.inputs, down, right, padding=self.padding, border=self.border)
        return state, batch._replace(inputs=inputs)


@dataclass(frozen=True, kw_only=True)
class RandomShift(RandomCrop):
    """Move each picture by up to some pixels in both directions; the border is mirrored.

    With the moves of `Queries(shift=...)` an attacker asks about what the model was trained on.

    Args:
        padding: largest move in pixels, at least 1.
        border: `reflect`, or `zero`.

    Example:
        >>> RandomShift()
        RandomShift(padding=2, border='reflect')
    """

    padding: int = 2
    border: Border = "reflect"


@dataclass(frozen=True, kw_only=True)
class RandomFlip(Hook):
    """Mirror each picture left to right, with a probability.

    Args:
        probability: in (0, 1].

    Example:
        >>> RandomFlip()
        RandomFlip(probability=0.5)

    Reference:
        he2016deep.
    """

    probability: float = 0.5

    reference: ClassVar[str] = "he2016deep"

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise MethodError(f"probability must be in (0, 1], got {self.probability}")

    def noise(self, generator: torch.Generator, now: Moment, size: int) -> Tensors:
        """Throw one coin per record."""
        del now
        return {"flip": torch.rand(size, generator=generator) < self.probability}

    def batch(
        self, state: Tensors, now: Moment, batch: Batch, noise: Tensors
    ) -> tuple[Tensors, Batch]:
        """Mirror where the coin says so."""
        del now
        _check_pictures(batch.inputs, type(self).__name__)
        flip = noise["flip"].to(batch.inputs.device)[:, None, None, None]
        inputs = torch.where(flip, batch.inputs.flip(-1), batch.inputs)
        return state, batch._replace(inputs=inputs)
