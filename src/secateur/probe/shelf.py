"""Where models' answers around records are kept, so that no model is asked the same twice.

What is kept counts for one model, the network that its arrays are put into, and the very inputs
that it was asked about: not for names of any of them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from secateur import store
from secateur.errors import StoreError
from secateur.types import Provenance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from secateur.types import Artifact

__all__ = ["Keeping", "Shelf"]

REVISION = 1
"""Of what is kept of an answer: those of another one are asked for anew."""
LIBRARIES = ("numpy", "scipy", "secateur", "torch")


class Keeping(NamedTuple):
    """A folder of answers, and whether new ones are written into it."""

    folder: Path
    writes: bool = True


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A folder of answers, and what they depend on beside the model's arrays.

    Args:
        keeping: the folder, and whether what is new is written there.
        network: spelling and digests of the code of the network, by name.
        questions: by a perturbation's spelling a digest of all inputs that models are asked about.
        device: where they are asked, such as `cpu`.
    """

    keeping: Keeping
    network: Mapping[str, str]
    questions: Mapping[str, str]
    device: str = "cpu"

    def place(self, artifact: Artifact, spelling: str) -> Path | None:
        """Return the file of one model's answers; None where its arrays are not all that answers.

        Args:
            artifact: the model.
            spelling: of the perturbation.
        """
        if not (artifact.tensors or artifact.shipped):
            return None
        libraries = (*LIBRARIES, *(("onnxruntime",) if artifact.shipped else ()))
        key = {
            "model": artifact.digest,
            "network": dict(self.network),
            "asked": self.questions[spelling],
            "device": self.device,
            "versions": {name: _installed(name) for name in libraries},
            "answers": REVISION,
        }
        return self.keeping.folder / f"{Provenance(key=key).digest}.npz"

    def keep(self, place: Path, means: Mapping[str, NDArray[np.float32]]) -> str:
        """Write what a model answered, where asked to; return why not, or nothing.

        An audit does not end because what it would save next time cannot be written.
        """
        if not self.keeping.writes:
            return ""
        try:
            store.write_answers(place, means)
        except StoreError as error:
            return str(error)
        return ""


@functools.cache  # asked for every model and perturbation
def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # this code as a folder, not installed
        return ""
