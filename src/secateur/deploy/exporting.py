"""What the conversions to ONNX share: one file of a network, checked against torch."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur.errors import MethodError, MissingExtraError
from secateur.models import OnnxNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import Artifact

__all__ = [
    "OPSET",
    "TOLERANCE",
    "needed",
    "onnx_difference",
    "quietly",
    "refuse_shipped",
    "tidied",
    "to_onnx",
]

OPSET = 20
"""The set of operators that files are written in; ONNX Runtime reads it since 1.17."""

TOLERANCE = 1e-4
"""Largest difference of logits, as a share of the largest logit, that a file may show."""

BATCHES = (1, 7)
"""Sizes of batch at which a file is compared with torch."""


def to_onnx(
    module: nn.Module,
    shape: tuple[int, ...],
    *,
    inputs: NDArray[np.float32] | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> bytes:
    """Return a network as one ONNX file that takes batches of any size, checked against torch.

    The network is exported in evaluation mode, so that normalisation that follows a layer is part
    of the layer's weights. Its input is named `input`, its output `logits`; weights keep their
    names, all else is named by its place. What the exporter notes of the machine and of the source
    is removed: the same network gives the same bytes.

    Args:
        module: left as it is.
        shape: of one record, without the batch axis.
        inputs: real records `[n, *shape]` to check on as well.
        tolerance: largest difference to torch, as a share of the largest logit.
        seed: of the random inputs, uniform in [0, 1), that are checked at batches of 1 and 7.

    Raises:
        MissingExtraError: onnx or onnxscript or ONNX Runtime is not installed.
        MethodError: torch cannot export the network, and the message names the layer; or the file
            differs from torch by more than `tolerance`.

    Example:
        >>> from secateur.models import MLP
        >>> data = to_onnx(MLP(widths=(8, 4, 3))(), (8,))
        >>> OnnxNetwork(data)(torch.zeros(5, 8)).shape
        torch.Size([5, 3])
    """
    needed()
    own = copy.deepcopy(module).cpu().eval()
    with quietly():
        try:
            program = _exported(own, torch.zeros(2, *shape))
        except Exception as error:  # torch's exporter raises whatever its parts raise
            raise MethodError(_why(own, torch.zeros(2, *shape), error)) from error
        model = program.model_proto
    data = tidied(model, names=set(own.state_dict()))
    difference = onnx_difference(data, own, shape, inputs=inputs, seed=seed)
    if not difference <= tolerance:
        raise MethodError(
            f"the ONNX file differs from torch by {difference:.2g} of the largest logit, and at "
            f"most {tolerance:.2g} is allowed; a network whose outputs hang on the last bits of "
            "its activations (rounding, sorting) cannot be shipped so"
        )
    return data


def onnx_difference(
    data: bytes,
    module: nn.Module,
    shape: tuple[int, ...],
    *,
    inputs: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> float:
    """Return the largest difference between a file and torch, as a share of the largest logit.

    Random inputs and the given ones are passed in batches of 1 and 7, all given ones together too.
    Where every logit is zero the difference is absolute.

    Args:
        data: an ONNX file.
        module: in evaluation mode, on the CPU.
        shape: of one record.
        inputs: real records `[n, *shape]`.
        seed: of the random inputs, uniform in [0, 1).
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.random((n, *shape), dtype=np.float32) for n in BATCHES]
    given = [] if inputs is None else [inputs[:1], inputs[: BATCHES[1]], inputs]
    network = OnnxNetwork(data)
    largest = scale = 0.0
    for batch in [*drawn, *given]:
        x = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32))
        with torch.no_grad():
            expected = module(x)
            found = network(x)
        if found.shape != expected.shape:
            raise MethodError(
                f"the ONNX file gives {tuple(found.shape)} for a batch of {len(x)}, and torch "
                f"{tuple(expected.shape)}: the network fixes the size of its batches"
            )
        largest = float(np.maximum(largest, float((found - expected).abs().max())))  # keeps NaN
        scale = max(scale, float(expected.abs().max()))
    return largest / (scale or 1.0)


def tidied(model: Any, *, names: set[str] | frozenset[str] = frozenset()) -> bytes:
    """Return the bytes of an ONNX model without what its makers noted, its values named by place.

    Args:
        model: an `onnx.ModelProto`, which is changed.
        names: of weights, which are kept.
    """
    graph = model.graph
    for noted in (model, graph, *graph.input, *graph.output, *graph.initializer, *graph.node):
        noted.doc_string = ""
        if hasattr(noted, "metadata_props"):
            del noted.metadata_props[:]
    model.producer_name = model.producer_version = ""
    used = {node.domain for node in graph.node}
    spoken = [each for each in model.opset_import if each.domain in used | {""}]
    del graph.value_info[:], model.opset_import[:]
    model.opset_import.extend(spoken)
    graph.name = "network"
    fixed = {v.name for v in (*graph.input, *graph.output)} | {
        w.name for w in graph.initializer if w.name in names
    }
    ordered = sorted(graph.initializer, key=lambda w: _first_use(graph.node, w.name))
    new = {name: name for name in fixed}
    for number, weight in enumerate(w for w in ordered if w.name not in fixed):
        new[weight.name] = f"constant_{number}"
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        for k, output in enumerate(node.output):
            if output:
                new.setdefault(output, f"{node.name}_{k}")
    _rename(graph, new)
    weights = sorted(graph.initializer, key=lambda w: str(w.name))
    kept = [type(w).FromString(w.SerializeToString(deterministic=True)) for w in weights]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _first_use(nodes: Any, name: str) -> tuple[int, int]:
    for number, node in enumerate(nodes):
        if name in node.input:
            return number, list(node.input).index(name)
    return len(nodes), 0


def _rename(graph: Any, new: Mapping[str, str]) -> None:
    """Rename a graph's values, in its inner graphs too."""
    for weight in graph.initializer:
        weight.name = new.get(weight.name, weight.name)
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, new)


def _exported(module: nn.Module, example: torch.Tensor) -> Any:
    """Return torch's program of a network for batches of any size."""
    return torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        external_data=False,
        verbose=False,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["logits"],
    )


def _why(module: nn.Module, example: torch.Tensor, error: Exception) -> str:
    """Say which layer cannot be exported: the innermost one that cannot even by itself."""
    seen: dict[str, tuple[Any, ...]] = {}
    handles = [
        part.register_forward_pre_hook(lambda _, given, name=name: seen.setdefault(name, given))
        for name, part in module.named_modules()
    ]
    try:
        with torch.no_grad():
            module(example)
    except Exception as failed:
        return f"the network does not take a batch of shape {tuple(example.shape)}: {failed}"
    finally:
        for handle in handles:
            handle.remove()
    cause = str(error.__cause__ or error).strip().partition("\n")[0]
    parts = dict(module.named_modules())
    for name in sorted(seen, key=lambda name: -name.count(".") if name else 1):
        given = seen[name]
        if not name or len(given) != 1 or not isinstance(given[0], torch.Tensor):
            continue
        try:
            _exported(parts[name], given[0])
        except Exception:  # as above
            where = f"its layer {name!r}, a {type(parts[name]).__name__}"
            return f"torch cannot export this network to ONNX: {where}, is why ({cause})"
    return (
        f"torch cannot export this network to ONNX, though each of its layers can be: its own "
        f"{type(module).__name__}.forward is why ({cause})"
    )


def needed() -> None:
    """Refuse to go on without the packages of the extra `onnx`.

    Raises:
        MissingExtraError: names the first that is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"ONNX files are made with the package {error.name}, which is not installed; "
            "pip install 'secateur[onnx]'"
        ) from error


def refuse_shipped(artifact: Artifact, what: str) -> None:
    """Refuse a model that is a file already.

    Raises:
        MethodError: names the file's form.
    """
    if artifact.shipped is not None:
        raise MethodError(
            f"{what} makes a file of a model's tensors, and this model was made into one of the "
            f"form {artifact.shipped.form!r} already; convert the models before that step"
        )


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what the exporters and quantisers print, log and warn from the reader."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
