"""The file that a device gets, run as a network: what is shipped is what is audited."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load
from torch import nn

from secateur.errors import InputError, MissingExtraError
from secateur.models.rebuild import rebuild
from secateur.packed import Packed, unpack
from secateur.types import Artifact, Provenance

if TYPE_CHECKING:
    from secateur.protocols import Builder

__all__ = ["ONNX", "PACKED", "SAFETENSORS", "OnnxNetwork", "runnable", "unpacked_network"]

ONNX = "onnx"
PACKED = "packed"
SAFETENSORS = "safetensors"


class OnnxNetwork(nn.Module):
    """An ONNX file as a network, run by ONNX Runtime on the CPU.

    Args:
        data: the file's bytes.
        threads: of one inference.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        InputError: the runtime refuses the file, or it has not one input and one output.
    """

    def __init__(self, data: bytes, *, threads: int = 1) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError(
                "ONNX files are run by ONNX Runtime, which is not installed; "
                "pip install 'secateur[onnx]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self.session: Any = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise InputError(
                f"ONNX Runtime refuses this file of {len(data):,} bytes: {error}"
            ) from error
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise InputError(
                f"a classifier has one input and one output, and this ONNX file {len(inputs)} and "
                f"{len(outputs)}: {[i.name for i in inputs]}, {[o.name for o in outputs]}"
            )
        self._input, self._output = inputs[0].name, outputs[0].name
        self._flat = len(inputs[0].shape) == 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the file's output for inputs `[n, ...]`, flat ones where the file takes such.

        Raises:
            InputError: the file does not take inputs of this shape.
        """
        return torch.from_numpy(self.run(x.detach().cpu().numpy())).to(x.device)

    def run(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Return the file's output as `forward` does, from an array to an array.

        Raises:
            InputError: the file does not take inputs of this shape.
        """
        values = np.ascontiguousarray(inputs)
        given = values.reshape(len(values), -1) if self._flat and len(values) else values
        try:
            (out,) = self.session.run([self._output], {self._input: given})
        except Exception as error:  # the runtime's own classes, of no common base
            raise InputError(
                f"the ONNX file does not take inputs of shape {values.shape}: {error}"
            ) from error
        found: NDArray[Any] = out
        return found


def runnable(artifact: Artifact, build: Builder) -> nn.Module:
    """Return what a query of this model runs: the file that was shipped, or its tensors.

    Args:
        artifact: with its weights, or with a shipped file.
        build: makes the empty network.

    Raises:
        InputError: as `rebuild`, or a file of another kind.
        StoreError: a packed file that was altered.
    """
    if artifact.shipped is None:
        return rebuild(artifact, build)
    if artifact.shipped.form.startswith(ONNX):
        return OnnxNetwork(artifact.shipped.data)
    if artifact.shipped.form == PACKED:
        return unpacked_network(unpack(artifact.shipped.data), build)
    if artifact.shipped.form == SAFETENSORS:
        return rebuild(_from_safetensors(artifact), build)
    raise InputError(
        f"a shipped file is {ONNX!r}, {PACKED!r} or {SAFETENSORS!r}, got {artifact.shipped.form!r}"
    )


def unpacked_network(packed: Packed, build: Builder) -> nn.Module:
    """Return the network of a decoded packed file, in eval mode, its surgery done again.

    Args:
        packed: tensors and surgery.
        build: makes the empty network, as it was before any surgery.

    Raises:
        InputError: as `rebuild`.
    """
    stored = Artifact(
        tensors=packed.tensors,
        surgery=packed.surgery,
        builder="a network that was packed",
        provenance=Provenance(key={}),
    )
    return rebuild(stored, build)


def _from_safetensors(artifact: Artifact) -> Artifact:
    """Return the model as its file has it, whatever stands beside the file."""
    assert artifact.shipped is not None  # the caller looked
    data = artifact.shipped.data
    try:
        tensors = load(data)
        head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        told = json.loads(head.get("__metadata__", {}).get("surgery", "{}"))
        surgery = {name: np.array(rows, dtype=np.int64) for name, rows in told.items()}
        return replace(artifact, tensors=tensors, surgery=surgery, masks={}, shipped=None)
    except (SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"this safetensors file holds no network: {error}") from error
