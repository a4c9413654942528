"""A network as an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from secateur.deploy.exporting import needed, onnx_difference, refuse_shipped, to_onnx
from secateur.errors import MethodError
from secateur.models import input_shape, rebuild
from secateur.models.shipped import ONNX
from secateur.types import Shipped

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.types import Artifact, Records

__all__ = ["Onnx"]


@dataclass(frozen=True, kw_only=True)
class Onnx:
    """Ship each model as an ONNX file in float32, which ONNX Runtime runs on batches of any size.

    Normalisation that follows a layer becomes part of its weights. Each file is compared with
    torch, on random inputs and on records of `pools`; the largest difference of logits, as a share
    of the largest logit, must be within 1e-4, and stands in the history under `onnx/difference`.
    The model's tensors, masks and surgery stay beside the file.

    Args:
        shape: of one record; by default that of the pools' records, else one that the network takes
            (`secateur.models.input_shape`).
        pools: pools of the membership whose records the file is checked on as well.

    Raises:
        MethodError: the model is a file already; torch cannot export it; the file differs.
        MissingExtraError: the extra `onnx` is not installed.

    Example:
        >>> Onnx()
        Onnx(shape=None, pools=())

    Reference:
        bai2019onnx.
    """

    shape: tuple[int, ...] | None = None
    pools: tuple[str, ...] = ()

    revision: ClassVar[int] = 2
    reference: ClassVar[str] = "bai2019onnx"
    libraries: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    form: ClassVar[str] = ONNX

    def __post_init__(self) -> None:
        shape = self.shape
        if shape is not None and not (
            isinstance(shape, tuple) and all(isinstance(n, int) and n >= 1 for n in shape)
        ):
            raise MethodError(
                f"shape must be that of one record, such as (3, 32, 32), got {shape!r}"
            )

    def converted(
        self, artifact: Artifact, build: Builder, pools: Mapping[str, Records], *, seed: int
    ) -> Artifact:
        """Return the model with its file."""
        needed()
        refuse_shipped(artifact, "Onnx")
        seen = [r.gather(np.arange(min(len(r), 64))) for r in pools.values() if len(r)]
        inputs = np.concatenate(seen) if seen else None
        shape = self.shape or (input_shape(build) if inputs is None else inputs.shape[1:])
        module = rebuild(artifact, build)
        data = to_onnx(module, shape, inputs=inputs, seed=seed)
        difference = onnx_difference(data, module, shape, inputs=inputs, seed=seed)
        return replace(
            artifact,
            shipped=Shipped(form=self.form, data=data),
            history={**artifact.history, "onnx/difference": np.array([difference])},
        )
