"""A network as an ONNX file of 8-bit integers, quantised after training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from secateur.deploy.exporting import needed, quietly, refuse_shipped, tidied, to_onnx
from secateur.errors import MethodError
from secateur.models import OnnxNetwork, logits_of, rebuild
from secateur.models.shipped import ONNX
from secateur.types import Records, Shipped, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.protocols import Builder
    from secateur.types import Artifact

__all__ = ["OnnxInt8"]

BATCH = 32
METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}


@dataclass(frozen=True, kw_only=True)
class OnnxInt8:
    """Ship each model as an ONNX file whose weights and activations are 8-bit integers.

    Static quantisation after training (QDQ): weights are symmetric around zero, so that zeros stay
    zeros; activations get the range that they have on `records` of a pool, chosen by the model's
    seed. By default these are public records: no member is read, and an epsilon that the training
    promised still holds. With `pool="members"` it does not. The float32 file that it is made from
    is checked against torch as in `Onnx`.

    What the integers cost is measured on the same records against the float32 network and kept in
    the history: `int8/largest` and `int8/mean` are the largest and the mean absolute difference of
    logits, `int8/equal` the share of records that are predicted alike, `int8/accuracy` the accuracy
    before and after, `int8/records` how many records these are.

    Args:
        pool: of the membership; `members` stands for the model's own.
        records: how many of it; all where there are fewer.
        per_channel: one scale for each output channel instead of one for each tensor.
        reduce_range: weights in -64 .. 64 instead of -127 .. 127. Processors with AVX2 and without
            VNNI add two products in 16 bits, which the full range overflows without notice; the
            reduced one cannot: 2 x 255 x 64 < 32,768. The file is then right on every device, for
            one bit of the weights; it never depends on the machine that made it. Give False for
            devices that have VNNI or are ARM.
        method: how the range of an activation is found: its least and largest value, the range
            that loses the least entropy, or the 99.999th percentile.

    Raises:
        MethodError: as `Onnx`; an empty pool, or a parameter out of range.
        MissingExtraError: the extra `onnx` is not installed.

    Example:
        >>> OnnxInt8(records=64).pools
        ('population',)

    Reference:
        jacob2018quantization.

    Differs from the paper:
        No training (for that see `QuantisationAware`); one weight scale per channel; normalisation
        is folded into the weights before they are quantised.
    """

    pool: str = "population"
    records: int = 256
    per_channel: bool = True
    reduce_range: bool = True
    method: Literal["minmax", "entropy", "percentile"] = "minmax"

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "jacob2018quantization"
    libraries: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    form: ClassVar[str] = f"{ONNX}-int8"

    def __post_init__(self) -> None:
        if self.records < 1:
            raise MethodError(f"records must be at least 1, got {self.records}")
        if self.method not in METHODS:
            raise MethodError(f"method must be one of {sorted(METHODS)}, got {self.method!r}")

    @property
    def pools(self) -> tuple[str, ...]:
        """The pool that it is calibrated on."""
        return (self.pool,)

    def converted(
        self, artifact: Artifact, build: Builder, pools: Mapping[str, Records], *, seed: int
    ) -> Artifact:
        """Return the model with its file."""
        needed()
        refuse_shipped(artifact, "OnnxInt8")
        chosen = self._chosen(pools[self.pool], seed)
        inputs = chosen.gather(np.arange(len(chosen)))
        module = rebuild(artifact, build)
        data = to_onnx(module, inputs.shape[1:], inputs=inputs[:64], seed=seed)
        data = self._quantised(data, inputs)
        before, after = logits_of(module, chosen), logits_of(OnnxNetwork(data), chosen)
        return replace(
            artifact,
            shipped=Shipped(form=self.form, data=data),
            history={**artifact.history, **_agreement(before, after, chosen.labels)},
        )

    def _chosen(self, pool: Records, seed: int) -> Records:
        """Return the records to calibrate on."""
        rng = np.random.default_rng(derive_seed(seed, "calibration"))
        size = min(self.records, len(pool))
        return pool.take(np.sort(rng.choice(len(pool), size=size, replace=False)))

    def _quantised(self, data: bytes, inputs: NDArray[np.float32]) -> bytes:
        """Return the file in integers; what the quantiser writes to disk is removed."""
        import onnx
        from onnxruntime import quantization
        from onnxruntime.quantization import shape_inference

        with quietly(), tempfile.TemporaryDirectory() as folder:
            given, ready, done = (
                Path(folder, f"{name}.onnx") for name in ("given", "ready", "done")
            )
            given.write_bytes(data)
            shape_inference.quant_pre_process(given, ready, skip_symbolic_shape=True)
            quantization.quantize_static(
                ready,
                done,
                _Batches(inputs),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=self.per_channel,
                reduce_range=self.reduce_range,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod[METHODS[self.method]],
                extra_options={"TensorQuantOverrides": self._ranges(onnx.load(ready).graph)},
            )
            model = onnx.load_from_string(done.read_bytes())
        return tidied(model, names={w.name for w in model.graph.initializer})

    def _ranges(self, graph: Any) -> dict[str, list[dict[str, Any]]]:
        """Return ranges for layers with channels whose weights are all zero.

        The quantiser would give such a channel the scale 1 and round its bias to whole steps of the
        layer's input; it gets the smallest range of the layer's other channels instead.
        """
        from onnx import numpy_helper

        arrays = {w.name: w for w in graph.initializer}
        found = {}
        for node in graph.node if self.per_channel else ():
            flipped = any(a.name == "transB" and a.i for a in node.attribute)
            if node.op_type != "Conv" and not (node.op_type == "Gemm" and flipped):
                continue
            if node.input[1] not in arrays:
                continue
            weight = numpy_helper.to_array(arrays[node.input[1]])
            largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1, initial=0)
            live = largest[largest > 0]
            if 0 < len(live) < len(largest):
                ranges = [float(size or live.min()) for size in largest]
                found[node.input[1]] = [{"axis": 0, "rmin": -r, "rmax": r} for r in ranges]
        return found


class _Batches:
    """Hands the records to the quantiser, as its `CalibrationDataReader` does."""

    def __init__(self, inputs: NDArray[np.float32]) -> None:
        self._each = iter(inputs[k : k + BATCH] for k in range(0, len(inputs), BATCH))

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch, or None at the end."""
        batch = next(self._each, None)
        return None if batch is None else {"input": np.ascontiguousarray(batch)}


def _agreement(
    before: NDArray[np.float32], after: NDArray[np.float32], labels: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Compare the logits of two forms of a network on the same records."""
    difference = np.abs(after.astype(np.float64) - before)
    found = [logits.argmax(axis=1) for logits in (before, after)]
    return {
        "int8/largest": np.array([difference.max()]),
        "int8/mean": np.array([difference.mean()]),
        "int8/equal": np.array([(found[0] == found[1]).mean()]),
        "int8/accuracy": np.array([(each == labels).mean() for each in found]),
        "int8/records": np.array([len(labels)], dtype=np.float64),
    }
