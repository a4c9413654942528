"""A network and training code of a user's: they stand for a recipe file, in any process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from secateur.errors import InputError
from secateur.own.module import checked, inside, source_of
from secateur.types import Records

__all__ = ["OwnBuild", "OwnTrain", "refuse_changed"]


@dataclass(frozen=True, kw_only=True)
class OwnBuild:
    """Build the network of a recipe file's `build()`.

    `file` is its absolute path, `digest` what `code_digest` says of its content, which is so a part
    of every model's key. Another process loads the file again; a changed one is refused. To a
    machine that has no such file its text goes along, and no part of the spelling is.
    """

    file: str
    digest: str
    text: bytes | None = field(init=False, repr=False, compare=False, default=None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (OwnBuild, self.file, self.digest, self.text or source_of(self.file))

    def __call__(self) -> nn.Module:
        """Return a fresh network.

        Raises:
            InputError: the file was changed, `build()` fails, or returns no network.
        """
        module = checked(self.file, self.digest, self.text)
        # as built from torch's random state, which goes on from there
        with inside(Path(self.file), "build()", keep_random=False):
            network = module.build()
        return _network(network, self.file, "build()")


@dataclass(frozen=True, kw_only=True)
class OwnTrain:
    """Train a model by a recipe file's `train(records, *, seed)`."""

    file: str
    digest: str
    text: bytes | None = field(init=False, repr=False, compare=False, default=None)

    revision: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (OwnTrain, self.file, self.digest, self.text or source_of(self.file))

    def __call__(self, records: Records, *, seed: int) -> nn.Module:
        """Return what the file's code makes of these records.

        Raises:
            InputError: the file was changed, `train` fails, or returns no network.
        """
        module = checked(self.file, self.digest, self.text)
        with inside(Path(self.file), "train()", keep_random=False):
            network = module.train(records, seed=seed)
        return _network(network, self.file, "train()")


def _arrived(
    kind: type[OwnBuild] | type[OwnTrain], file: str, digest: str, text: bytes | None
) -> OwnBuild | OwnTrain:
    """Return what another process sent; a spelling cannot hold a text, which is run."""
    made = kind(file=file, digest=digest)
    object.__setattr__(made, "text", text)
    return made


def refuse_changed(*parts: object) -> None:
    """Refuse, of what a recipe is made of, whatever stands for a file that was changed.

    Raises:
        InputError: names the file.
    """
    for part in parts:
        if isinstance(part, OwnBuild | OwnTrain):
            checked(part.file, part.digest)


def _network(found: object, file: str, what: str) -> nn.Module:
    if not isinstance(found, nn.Module):
        raise InputError(
            f"{what} of {file} must return a torch module, got {type(found).__name__}; end it with "
            "`return network`"
        )
    return found
