"""A network and training code of a user's: they stand for a recipe file, in any process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from secateur.errors import InputError
from secateur.own.module import checked, inside, source_of
from secateur.types import Artifact, Records

__all__ = ["OwnBuild", "OwnTrain", "placed", "refuse_changed"]


@dataclass(frozen=True, kw_only=True)
class _Own:
    """What stands for a recipe file: its name, and the digest of its content.

    Another process loads the file again; a changed one is refused. Where the file lies is no part
    of the spelling, which is reported and a part of every model's key; a `file` with a folder is
    taken apart. To a machine that has no such file its text goes along.
    """

    file: str
    digest: str
    folder: str = field(init=False, repr=False, compare=False, default="")
    text: bytes | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        path = Path(self.file)
        if path.parent != Path():
            object.__setattr__(self, "file", path.name)
            object.__setattr__(self, "folder", str(path.parent))

    @property
    def path(self) -> Path:
        """The recipe file; where no folder is known, it is looked for in the current one."""
        return Path(self.folder, self.file)

    def __reduce__(self) -> tuple[Any, ...]:
        text = self.text or source_of(str(self.path))
        return _arrived, (type(self), str(self.path), self.digest, text)


@dataclass(frozen=True, kw_only=True)
class OwnBuild(_Own):
    """Build the network of a recipe file's `build()`.

    `file` is its path or name, `digest` what `code_digest` says of its content.
    """

    def __call__(self) -> nn.Module:
        """Return a fresh network.

        Raises:
            InputError: the file was changed, `build()` fails, or returns no network.
        """
        module = checked(str(self.path), self.digest, self.text)
        # as built from torch's random state, which goes on from there
        with inside(self.path, "build()", keep_random=False):
            network = module.build()
        return _network(network, self.path, "build()")


@dataclass(frozen=True, kw_only=True)
class OwnTrain(_Own):
    """Train a model by a recipe file's `train(records, *, seed)`."""

    revision: ClassVar[int] = 1

    def __call__(self, records: Records, *, seed: int) -> nn.Module | Artifact:
        """Return what the file's code makes of these records.

        Raises:
            InputError: the file was changed, `train` fails, or returns no network.
        """
        module = checked(str(self.path), self.digest, self.text)
        with inside(self.path, "train()", keep_random=False):
            network = module.train(records, seed=seed)
        if isinstance(network, Artifact):
            return network
        return _network(network, self.path, "train()")


def _arrived(
    kind: type[OwnBuild] | type[OwnTrain], file: str, digest: str, text: bytes | None
) -> OwnBuild | OwnTrain:
    """Return what another process sent; a spelling cannot hold a text, which is run."""
    made = kind(file=file, digest=digest)
    object.__setattr__(made, "text", text)
    return made


def placed(part: Any, folder: str | Path | None) -> Any:
    """Return a part of a recipe that knows where its file lies.

    Args:
        part: what builds or trains; of one that stands for no file nothing is changed.
        folder: in which the file lies; of a part that knows its own nothing is changed.

    Example:
        >>> placed(OwnBuild(file="mine.py", digest="0"), "work").path.parts
        ('work', 'mine.py')
    """
    if folder is None or not isinstance(part, _Own) or part.folder:
        return part
    return type(part)(file=str(Path(folder, part.file)), digest=part.digest)


def refuse_changed(*parts: object) -> None:
    """Refuse, of what a recipe is made of, whatever stands for a file that was changed.

    Raises:
        InputError: names the file.
    """
    for part in parts:
        if isinstance(part, _Own):
            checked(str(part.path), part.digest)


def _network(found: object, file: Path, what: str) -> nn.Module:
    if not isinstance(found, nn.Module):
        if isinstance(found, Artifact):
            raise InputError(
                f"{what} of {file} returned an Artifact, the weights of a network without it; "
                "end it with `return secateur.rebuild(artifact, build)`, where build makes the "
                "empty one"
            )
        raise InputError(
            f"{what} of {file} must return a torch module, got {type(found).__name__}; end it with "
            "`return network`"
        )
    return found
