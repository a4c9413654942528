"""A network as one small file where many of its weights are zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from secateur.deploy.graph import graph_to_json
from secateur.deploy.portable import portable
from secateur.errors import MethodError
from secateur.models.shipped import PACKED, unpacked_network
from secateur.packed import LIMIT, Layout, Values, pack, read, unpack
from secateur.packed.form import check_choice
from secateur.store.files import write_bytes
from secateur.types import Shipped

if TYPE_CHECKING:
    from torch import nn

    from secateur.protocols import Builder
    from secateur.types import Artifact, Records

__all__ = ["Pack", "load_packed", "write_packed"]


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Ship a model as a packed file: positions and values of its non-zeros, entropy coded.

    What is shipped is what is queried: with lossy values the tensors beside the file are those that
    it decodes to. Masks, surgery and curves stay; a weight that was zero is zero.

    Args:
        values: `float32` keeps every bit. Lossy, for weights of two and more axes: `float16`,
            `int8` with a scale for each row, `codebook` of up to 255 entries for each tensor.
        layout: how positions are coded; `auto` takes the shortest for each tensor.
        graph: describe the network in the file too, so that `secateur_runtime` runs it without its
            code. Where it has a part that does not run there, the file is written without
            (`secateur.deploy.portable` names the part).
        shape: of one record of the graph, where it is not found by trying. The runtime takes
            pictures of other sizes too where the network's steps do not follow their size.

    Raises:
        MethodError: a word that is no choice.

    Example:
        >>> Pack(values="int8")
        Pack(values='int8', layout='auto', graph=True, shape=None)

    Reference:
        han2016deep. Differs from the paper: no retraining of the codebook, deflate or LZMA instead
        of Huffman codes.
    """

    values: Values = "float32"
    layout: Layout = "auto"
    graph: bool = True
    shape: tuple[int, ...] | None = None

    pools: ClassVar[tuple[str, ...]] = ()
    revision: ClassVar[int] = 3
    reference: ClassVar[str] = "han2016deep"
    libraries: ClassVar[tuple[str, ...]] = ()
    form: ClassVar[str] = PACKED

    def __post_init__(self) -> None:
        try:
            check_choice(self.values, self.layout)
        except ValueError as error:
            raise MethodError(f"Pack: {error}") from error

    def converted(
        self, artifact: Artifact, build: Builder, pools: Mapping[str, Records], *, seed: int
    ) -> Artifact:
        """Return the model with its file, and the tensors that the file decodes to.

        Args:
            artifact: with its weights, and not shipped in another form yet.
            build: makes the empty network, as it was before any surgery.
            pools: none is read.
            seed: of the inputs on which the graph is compared with the network.

        Raises:
            MethodError: the model was shipped already, or its weights were not kept.
            InputError: values that a lossy coding cannot hold.
        """
        del pools
        graph = None
        if self.graph and artifact.shipped is None and artifact.kept is None:
            graph = portable(artifact, build, self.shape, seed=seed).graph
        file = _file(artifact, self, None if graph is None else graph_to_json(graph))
        return replace(
            artifact, tensors=unpack(file).tensors, shipped=Shipped(form=PACKED, data=file)
        )


def _file(artifact: Artifact, how: Pack, graph: Any = None) -> bytes:
    if artifact.shipped is not None or artifact.kept is not None:
        what = "no weights" if artifact.shipped is None else f"a file ({artifact.shipped.form})"
        raise MethodError(
            f"{how!r} packs weights, and this model has {what} already; pack the model that it "
            "was made of"
        )
    return pack(
        artifact.tensors,
        values=how.values,
        layout=how.layout,
        surgery=artifact.surgery,
        graph=graph,
    )


def write_packed(
    path: str | Path,
    artifact: Artifact,
    *,
    values: Values = "float32",
    layout: Layout = "auto",
    build: Builder | None = None,
) -> Shipped:
    """Write a model as a packed file, with its surgery, so that the file and a builder suffice.

    Args:
        path: the file to write; replaced when it exists.
        artifact: with its weights; where `Pack` went over it, its file is written as it is.
        values: as for `Pack`.
        layout: as for `Pack`.
        build: makes the empty network; with it the file describes the network, as `Pack` does.

    Returns:
        The file's bytes and digest.

    Raises:
        MethodError: the model was shipped in another form, or its weights were not kept.
        StoreError: the folder cannot be written.
    """
    shipped = artifact.shipped
    if shipped is None or shipped.form != PACKED:
        how = Pack(values=values, layout=layout)
        graph = None if build is None else portable(artifact, build).graph
        found = None if graph is None else graph_to_json(graph)
        shipped = Shipped(form=PACKED, data=_file(artifact, how, found))
    write_bytes(path, shipped.data)
    return shipped


def load_packed(path: str | Path, build: Builder, *, limit: int = LIMIT) -> nn.Module:
    """Return the network of a packed file, in eval mode.

    Written with `values="float32"`, its logits are those of the model it was made of, bit for bit.

    Args:
        path: a packed file.
        build: makes the empty network, as it was before any surgery.
        limit: bytes of all decoded tensors together.

    Raises:
        StoreError: the file is missing, truncated, altered, or more than `limit`.
        InputError: it does not fit the network.
    """
    return unpacked_network(read(path, limit=limit), build)
