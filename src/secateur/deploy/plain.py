"""The weights as a plain safetensors file, for whoever has the network's code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from secateur.deploy.exporting import refuse_shipped
from secateur.models.shipped import SAFETENSORS
from secateur.types import Shipped

if TYPE_CHECKING:
    from secateur.protocols import Builder
    from secateur.types import Artifact, Records

__all__ = ["Safetensors"]


@dataclass(frozen=True, kw_only=True)
class Safetensors:
    """Ship the weights as safetensors: a state dict under the names of torch.

    `module.load_state_dict(safetensors.torch.load_file(path))` reads it. Of a network that went
    through surgery the file's metadata says which rows and columns are kept (`surgery`, JSON), so
    that `secateur.load_shipped(path, build)` cuts a fresh network to fit.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.data import digits
        >>> from secateur.train import apply
        >>> made = apply(Safetensors(), MLP(widths=(64, 10))(), digits(), seed=0)
        >>> made.shipped.form, len(made.shipped.data) > 4 * 650
        ('safetensors', True)
    """

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ("safetensors",)
    form: ClassVar[str] = SAFETENSORS

    @property
    def pools(self) -> tuple[str, ...]:
        """Return nothing: no record is read."""
        return ()

    def converted(
        self, artifact: Artifact, build: Builder, pools: Mapping[str, Records], *, seed: int
    ) -> Artifact:
        """Return the model with its file."""
        from safetensors.numpy import save

        del build, pools, seed
        refuse_shipped(artifact, "Safetensors")
        surgery = {name: rows.tolist() for name, rows in sorted(artifact.surgery.items())}
        head = {"surgery": json.dumps(surgery, sort_keys=True)} if surgery else None
        data = save(dict(artifact.tensors), metadata=head)
        return replace(artifact, shipped=Shipped(form=self.form, data=data))
