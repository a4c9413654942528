"""Run a network on records: batching, device, eval mode and no-grad live here and nowhere else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from secateur.errors import DataError, InputError, NotFiniteError
from secateur.models.layout import RECORDS, at_once, channels_last, takes_channels_last
from secateur.models.pooling import quick_pools

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from secateur.types import IntArray, Records

    Inputs = NDArray[np.float32]

__all__ = ["check_device", "logits_of"]


def check_device(device: str) -> None:
    """Refuse a device that is none, or is not there.

    Raises:
        InputError: names it.

    Example:
        >>> check_device("cpu")
    """
    words = f"device must be such as 'cpu' or 'cuda:0', got {device!r}"
    if not isinstance(device, str | torch.device):  # else a number is the card of that number
        raise InputError(words)
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise InputError(words) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"device={device!r}, but torch sees no CUDA device here; install a CUDA build of "
            "torch, or use device='cpu'"
        )


def logits_of(
    module: nn.Module,
    records: Records,
    *,
    indices: IntArray | None = None,
    batch_size: int | None = None,
    change: Callable[[Inputs], Inputs] | None = None,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a network's logits on records, float32 `[records, classes]`, in eval mode.

    Args:
        module: any classifier; the mode of each of its parts is put back afterwards.
        records: what to query.
        indices: which records, default all.
        batch_size: records that are held and asked at once, at least 1; by default 2,048 are held,
            and asked at once, or 64 at once through convolutions on a CPU.
        change: makes other inputs `[n, ...]` of the same shape, such as mirrored ones.

    Raises:
        InputError: batch_size below 1; the output has another shape than `[batch, n_classes]`.
        NotFiniteError: the output is NaN or infinite.
        DataError: the network does not accept the records' shape.

    Example:
        >>> from secateur.data import digits
        >>> from secateur.models import MLP
        >>> logits_of(MLP(widths=(64, 10))(), digits(), indices=np.arange(3)).shape
        (3, 10)
    """
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    where = np.arange(len(records)) if indices is None else np.asarray(indices)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    blocks = []
    layout: bool | None = None
    step = RECORDS if batch_size is None else batch_size
    few = at_once(module, device) if batch_size is None else batch_size
    try:
        with torch.no_grad(), quick_pools(module):
            for start in range(0, len(where), step):
                inputs = np.array(records.gather(where[start : start + step]))
                if change is not None:
                    inputs = np.array(change(inputs))
                batch = torch.from_numpy(inputs).to(device)
                if layout is None:
                    layout = takes_channels_last(module, batch)
                batch = channels_last(batch) if layout else batch
                for rows in torch.split(batch, few):
                    blocks.append(_forward(module, rows, records.n_classes))
    finally:
        for part, was_training in modes:
            part.training = was_training
    return np.concatenate(blocks) if blocks else np.zeros((0, records.n_classes), np.float32)


def _wanted(module: nn.Module, shape: tuple[int, ...]) -> str:
    """Say what the first layer takes of a record, beside what these records are."""
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    first = next((part for part in module.modules() if isinstance(part, kinds)), None)
    numbers = math.prod(shape)
    if isinstance(first, torch.nn.Linear) and first.in_features != numbers:
        takes = f"its first layer takes {first.in_features} numbers, a record has {numbers}"
    elif isinstance(first, torch.nn.Conv2d):
        takes = f"its first layer takes pictures of shape ({first.in_channels}, height, width)"
        if len(shape) == 3 and shape[0] == first.in_channels:
            takes += f", and a later one does not fit their {shape[1]} x {shape[2]} pixels"
    else:
        takes = "a later layer does not fit"
    return f"{takes}; give a network that is built for this shape"


def _forward(
    module: nn.Module, inputs: torch.Tensor, n_classes: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    try:
        out: torch.Tensor = module(inputs)
    except (RuntimeError, ValueError) as error:  # norms raise the latter
        raise DataError(
            f"the network does not accept inputs of shape {tuple(inputs.shape[1:])}: "
            f"{_wanted(module, tuple(inputs.shape[1:]))} ({error})"
        ) from error
    if out.shape != (len(inputs), n_classes):
        raise InputError(
            f"the network gave outputs of shape {tuple(out.shape)} for {len(inputs)} records of "
            f"{n_classes} classes; expected ({len(inputs)}, {n_classes}) logits"
        )
    if not bool(torch.isfinite(out).all()):
        raise NotFiniteError(
            "the network gave logits that are NaN or infinite; it has diverged, or is damaged"
        )
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = out.float().cpu().numpy()
    return values
