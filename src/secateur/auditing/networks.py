"""A trained torch network as what an audit asks: a module, a state dict, a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from secateur.auditing.given_model import Given, provenance_of
from secateur.errors import InputError, SecateurError, StoreError
from secateur.models import OnnxNetwork, runnable, tensors_of
from secateur.models.answers import Heard, copies, form_of, raw_outputs
from secateur.types import Artifact, digest_arrays

if TYPE_CHECKING:
    from secateur.models.answers import Answers
    from secateur.protocols import Builder

__all__ = ["Network", "network_of"]

LOOKED_AT = 256
FAR = 100
LOSSY = {
    "probabilities": "the network answers with probabilities, whose logarithms were read",
    "one probability": "the network answers with one probability, read as the positive class's",
}
EMBEDS = (
    "this network looks its inputs up in a table (nn.Embedding): numbers with noise mean nothing "
    "to it"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A trained module, how it answers, and for how many classes."""

    module: nn.Module
    answers: Answers
    n_classes: int
    random: bool

    def given(self, build: Builder | None = None, **more: Any) -> Given:
        """Return the network as an audit takes it; `build` as the references are built."""
        tensors = tensors_of(self.module)
        first = Artifact(
            tensors=tensors,
            builder=type(self.module).__name__,
            provenance=provenance_of("network", tensors=digest_arrays(tensors)),
        )
        embeds = any(isinstance(m, nn.Embedding | nn.EmbeddingBag) for m in self.module.modules())
        return Given(
            build=Heard(build=build or copies(self.module), answers=self.answers),
            first=first,
            lossy=LOSSY.get(self.answers, ""),
            unsuited=EMBEDS if embeds else "",
            notes=self._notes(),
            **more,
        )

    @property
    def device(self) -> str:
        """Where the module lives."""
        return str(next((p.device for p in self.module.parameters()), torch.device("cpu")))

    def _notes(self) -> tuple[str, ...]:
        found = []
        if self.module.training:
            found.append(
                "The network was handed over in training mode; it was asked in evaluation mode, as "
                "it is released."
            )
        if self.random:
            found.append(
                "The network answers the same question differently each time, even in evaluation "
                "mode; each record was asked about once, and who asks more often may find more."
            )
        return tuple(found)


def network_of(
    target: object, inputs: np.ndarray[Any, Any], *, build: Builder | None = None
) -> Network:
    """Return a trained network and how it answers.

    Args:
        target: a module; a state dict, an artifact or the path of a safetensors file, with `build`;
            the path of an ONNX file.
        inputs: some records, by which its way to answer is told.
        build: makes the empty network.

    Raises:
        InputError: weights that do not fit, or without `build`.
        StoreError: a file that cannot be read.
    """
    module = _module_of(target, build)
    seen = raw_outputs(module, inputs[:LOOKED_AT])
    answers = _answers_of(module, inputs[:LOOKED_AT], seen)
    again = raw_outputs(module, inputs[:LOOKED_AT])
    return Network(
        module=module,
        answers=answers,
        n_classes=max(2, seen.shape[1]),
        random=not np.array_equal(seen, again),
    )


def _answers_of(
    module: nn.Module, inputs: np.ndarray[Any, Any], seen: np.ndarray[Any, Any]
) -> Answers:
    """Tell how a network answers; few logits may lie in [0, 1] by chance, far inputs' do not."""
    near = form_of(seen)
    if near in ("logits", "one logit"):
        return near
    try:
        far = raw_outputs(module, FAR * inputs)
    except SecateurError:  # tokens, which cannot be far
        return near
    return form_of(far) if np.isfinite(far).all() else near


def _module_of(target: object, build: Builder | None) -> nn.Module:
    if isinstance(target, nn.Module):
        return target
    if isinstance(target, Artifact):
        return _rebuilt(target, build)
    if isinstance(target, Mapping):
        return _filled(target, build, where="the state dict")
    path = Path(str(target))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); check the path") from error
    if path.suffix == ".onnx":
        return OnnxNetwork(data)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError) as error:
        raise StoreError(f"{path} is no safetensors file, or a damaged one: {error}") from error
    return _filled(tensors, build, where=str(path))


def _rebuilt(artifact: Artifact, build: Builder | None) -> nn.Module:
    if build is None:
        raise InputError(
            "an Artifact holds weights and no network; give build=, a function that makes the "
            "empty network, or the network itself: secateur.rebuild(artifact, build)"
        )
    return runnable(artifact, build)


def _filled(tensors: Mapping[str, Any], build: Builder | None, *, where: str) -> nn.Module:
    if build is None:
        raise InputError(
            f"{where} holds weights and no network; give build=, a function that makes the empty "
            "network"
        )
    with torch.random.fork_rng(devices=[]):
        module = build()
    try:
        module.load_state_dict(dict(tensors))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"{where} does not fit the network that build makes: {str(error)[:500]}; give the "
            "builder that trained it"
        ) from error
    return module.eval()
