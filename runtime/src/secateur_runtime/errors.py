"""What this package raises: one class for files, one for plans, one for arrays."""

from __future__ import annotations

__all__ = [
    "EngineError",
    "FileError",
    "InputError",
    "LimitError",
    "PlanError",
    "SecateurRuntimeError",
    "SlowEngineWarning",
]


class SecateurRuntimeError(ValueError):
    """The base of all errors of this package."""


class FileError(SecateurRuntimeError):
    """A file is missing, damaged, hostile, too large, or describes no network that runs here."""


class LimitError(FileError):
    """What a file asks for would take more memory than `limit` allows."""


class PlanError(SecateurRuntimeError):
    """A plan contradicts itself, or a network has a part that no step of a plan stands for."""


class InputError(SecateurRuntimeError):
    """An array does not fit the network."""


class EngineError(SecateurRuntimeError):
    """The engine that was asked for is not there."""


class SlowEngineWarning(UserWarning):
    """Networks run by numpy alone, since the compiled engine is not there."""
