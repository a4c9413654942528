"""Networks and estimators of others, heard as logits whatever they answer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from secateur.errors import DataError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import Builder

__all__ = ["Answers", "Estimator", "Heard", "copies", "form_of", "raw_outputs"]

Answers = Literal["logits", "probabilities", "one logit", "one probability"]
SMALLEST = 1e-45  # as `from_probabilities`
ADDS_UP = 2e-3


def form_of(outputs: NDArray[Any]) -> Answers:
    """Tell from outputs `[records, width]` what a network answers.

    Probabilities are in [0, 1] and add up to 1 for every record; a single column is the positive
    class's.

    Example:
        >>> form_of(np.array([[0.9, 0.1], [0.2, 0.8]])), form_of(np.array([[2.0, -1.0]]))
        ('probabilities', 'logits')
    """
    between = bool(((outputs >= 0) & (outputs <= 1 + 1e-6)).all())
    if outputs.shape[1] == 1:
        return "one probability" if between else "one logit"
    sums = outputs.sum(axis=1, dtype=np.float64)
    return "probabilities" if between and (np.abs(sums - 1) < ADDS_UP).all() else "logits"


@dataclass(frozen=True)
class _Translate:
    """A forward hook that makes logits of whatever a network answers."""

    answers: Answers

    def __call__(self, module: nn.Module, args: Any, output: Any) -> torch.Tensor:
        del module, args
        out = _tensor_of(output)
        if self.answers == "logits":
            return out
        if self.answers == "one logit":
            return torch.cat([torch.zeros_like(out), out], dim=1)
        both = torch.cat([1 - out, out], dim=1) if self.answers == "one probability" else out
        return both.double().clamp(min=SMALLEST).log().float()


def _tensor_of(output: Any) -> torch.Tensor:
    """Return the logits of an answer that may hold more, as those of transformers do."""
    if isinstance(output, dict) and "logits" in output:
        output = output["logits"]
    else:
        output = getattr(output, "logits", output)
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise InputError(
            f"the network answers with {type(output).__name__}; wrap it in a module whose forward "
            "returns the logits, [records, classes]"
        )
    return output[:, None] if output.ndim == 1 else output


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """A builder whose networks answer with logits.

    Args:
        build: makes the empty network.
        answers: what that one answers (`form_of`).
    """

    build: Builder
    answers: Answers

    def __call__(self) -> nn.Module:
        """Return a fresh network whose outputs are logits."""
        module = self.build()
        module.register_forward_hook(_Translate(self.answers))
        return module


def copies(module: nn.Module) -> Callable[[], nn.Module]:
    """Return a builder of copies of a trained module, which stays as it is."""
    return _Copies(module)


@dataclass(frozen=True, eq=False)
class _Copies:
    module: nn.Module

    def __call__(self) -> nn.Module:
        return copy.deepcopy(self.module)

    def __repr__(self) -> str:
        return type(self.module).__name__


def raw_outputs(module: nn.Module, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Return what a network answers to inputs `[records, ...]`, in evaluation mode, untranslated.

    Raises:
        DataError: the network does not take such inputs.
        InputError: the answer is no `[records, width]`.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            batch = torch.from_numpy(np.array(inputs, dtype=np.float32)).to(device)
            out = _tensor_of(module(batch))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        kinds = {p.dtype for p in module.parameters() if p.is_floating_point()} - {torch.float32}
        if kinds:
            raise InputError(
                f"the network computes in {', '.join(sorted(map(str, kinds)))}, and is asked in "
                "float32; hand over a copy of it: copy.deepcopy(network).float()"
            ) from error
        raise DataError(
            f"the network does not accept float32 inputs of shape {inputs.shape[1:]}: "
            f"{str(error)[:300]}; give records as it takes them, or a module that wraps it"
        ) from error
    finally:
        for part, was_training in modes:
            part.training = was_training
    if out.ndim != 2 or len(out) != len(inputs):
        raise InputError(
            f"the network gave outputs of shape {tuple(out.shape)} for {len(inputs)} records; "
            "expected one row of logits for each"
        )
    values: NDArray[np.float32] = out.float().cpu().numpy()
    return values


class Estimator(nn.Module):
    """An estimator of scikit-learn as a network without weights: log-probabilities as logits.

    Args:
        fitted: has `predict_proba` and `classes_`.
        classes: the columns of the output, in order; a class that it never saw has probability 0.
        added: to every probability before they are made to add up to 1 again, at least 1e-45, so
            that 0 has a logarithm; the order of a class's probabilities stays.
        prepare: makes what the estimator takes of inputs `[records, ...]`, such as a table.
    """

    def __init__(
        self,
        fitted: Any,
        *,
        classes: Sequence[Any],
        added: float = SMALLEST,
        prepare: Callable[[NDArray[Any]], Any] | None = None,
    ) -> None:
        super().__init__()
        self.fitted, self.added, self.prepare = fitted, added, prepare
        place = {str(c): i for i, c in enumerate(classes)}
        self.columns = [place[str(c)] for c in fitted.classes_]
        self.width = len(classes)

    def probabilities(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return probabilities `[records, classes]` as the estimator gives them."""
        given = inputs if self.prepare is None else self.prepare(inputs)
        try:
            answer = np.asarray(self.fitted.predict_proba(given), dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{type(self.fitted).__name__} does not take inputs of shape {inputs.shape[1:]}: "
                f"{str(error)[:300]}; give records as it was fitted on them"
            ) from error
        found = np.zeros((len(inputs), self.width))
        found[:, self.columns] = answer
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities `[records, classes]`."""
        p = self.probabilities(x.detach().cpu().numpy())
        smooth = np.log(p + self.added) - np.log1p(self.width * self.added)
        return torch.from_numpy(smooth.astype(np.float32))
