"""The exceptions that secateur raises on purpose, one class per kind of cause.

Every message says what was wrong, the values seen, and how to mend it. The command line turns
each of them into one paragraph and exit code 2; programs catch `SecateurError`.
"""

from __future__ import annotations

__all__ = [
    "CANNOT_RUN",
    "BudgetSpentError",
    "ConvergenceWarning",
    "DataError",
    "DataFileError",
    "DependentTrialsError",
    "InputError",
    "InterruptedRunError",
    "MethodError",
    "MissingExtraError",
    "MissingViewError",
    "NoPopulationError",
    "NotEnoughReferencesError",
    "Reason",
    "SecateurError",
    "SecateurWarning",
    "SparsityError",
    "StoreError",
    "UnknownMethodError",
    "WorkerError",
]


class SecateurError(Exception):
    """Any error that secateur raises on purpose."""


class InputError(SecateurError, ValueError):
    """An argument has the wrong shape, type, range or combination."""


class DataError(InputError):
    """Records, labels or memberships that cannot be used as they are."""


class DataFileError(DataError):
    """A data file is missing, truncated or not in its canonical format."""


class MethodError(InputError):
    """A method's parameters do not fit together, or do not fit what it is applied to."""


class MissingViewError(InputError):
    """An attack reads a view (another model, posteriors, features) that was not observed."""

    lacks = "views"


class NoPopulationError(DataError):
    """An attack compares with population records, and there are too few of them."""

    lacks = "population records"


class NotFiniteError(InputError):
    """A network gave outputs that are NaN or infinite."""


class DivergedError(MethodError):
    """A training whose loss is no longer finite."""


class SparsityError(MethodError):
    """A sparsity, compression rate or budget that cannot be reached."""


class UnknownMethodError(MethodError):
    """A method's name or parameter that is not among the listed ones."""


class NotEnoughReferencesError(MethodError):
    """An attack needs more reference models in or out of a record than there are."""

    lacks = "references"


# what an attack raises where it cannot run on what is there: audits make a row of it
CANNOT_RUN = (DataError, MissingViewError, NotEnoughReferencesError)


class Reason(str):
    """Why an attack did not run, and of what kind it is.

    `lacks` is one of `references`, `population records`, `views`, `signals`, or empty.

    Example:
        >>> reason = Reason.of(NotEnoughReferencesError("LiRA needs 16 references"))
        >>> str(reason), reason.lacks
        ('LiRA needs 16 references', 'references')
    """

    lacks: str

    def __new__(cls, why: str, lacks: str = "") -> Reason:
        """Return the words with their kind."""
        self = super().__new__(cls, why)
        self.lacks = lacks
        return self

    @classmethod
    def of(cls, error: Exception) -> Reason:
        """Return the words of an error, with the kind that its class names."""
        return cls(str(error), str(getattr(error, "lacks", "")))


class DependentTrialsError(MethodError):
    """A bound that needs independent trials, asked of memberships that are none."""


class StoreError(SecateurError):
    """A stored file is missing, truncated, altered, foreign, or cannot be written."""


class WorkerError(SecateurError):
    """A worker process ended or failed while it held a task."""


class InterruptedRunError(SecateurError):
    """A run was stopped by its user; what was finished is on disk and is found again."""


class BudgetSpentError(InterruptedRunError):
    """A run used up its budget; what was finished is on disk, and the same call goes on."""


class MissingExtraError(SecateurError, ImportError):
    """An optional library is needed; the message names the extra to install."""


class SecateurWarning(UserWarning):
    """Any warning that secateur gives on purpose."""


class ConvergenceWarning(SecateurWarning):
    """An iterative method stopped before its residual was small."""
