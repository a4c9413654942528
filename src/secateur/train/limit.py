"""How much of a fleet one call may make."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from secateur.errors import InputError, SecateurWarning

__all__ = ["Limit"]

SPELLING = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|models?)\s*")
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A budget after which a run stops, to go on another time.

    It is looked at whenever a task ends: what runs in other workers at that moment is lost.

    Args:
        seconds: of wall time; None is no limit.
        models: made by this call; None is no limit.

    Raises:
        InputError: a limit that is not above 0.
    """

    seconds: float | None = None
    models: int | None = None

    def __post_init__(self) -> None:
        for what in ("seconds", "models"):
            value = getattr(self, what)
            if value is not None and not value > 0:
                raise InputError(f"a budget needs {what} above 0, got {value!r}")

    @classmethod
    def of(cls, text: str) -> Limit:
        """Read `600s`, `20m`, `2h` or `12 models`.

        Raises:
            InputError: another spelling.

        Example:
            >>> Limit.of("20m"), Limit.of("12 models")
            (Limit(seconds=1200.0, models=None), Limit(seconds=None, models=12))
        """
        found = SPELLING.fullmatch(text)
        if found is None or (found[2] not in SECONDS and "." in found[1]):
            raise InputError(
                f"{text!r} is no budget; write seconds, minutes or hours, such as 600s, 20m, 2h, "
                "or a number of models, such as '12 models'"
            )
        if found[2] in SECONDS:
            return cls(seconds=float(found[1]) * SECONDS[found[2]])
        return cls(models=int(found[1]))

    def spent(self, *, begun: float, models: int) -> bool:
        """Tell whether it is used up.

        Args:
            begun: the monotonic clock when the run began.
            models: made since then.
        """
        if self.models is not None and models >= self.models:
            return True
        return self.seconds is not None and time.monotonic() - begun >= self.seconds

    def warn_of_stacks(self, sizes: Sequence[int]) -> None:
        """Say before the work where it will be overrun, being looked at when a stack ends.

        Args:
            sizes: models of each stack that is to do.
        """
        largest = max(sizes, default=1)
        if self.models is not None and self.models < largest:
            what = f"a stack holds {largest} models"
        elif self.seconds is not None and len(sizes) == 1 and largest > 1:
            what = f"all {largest} models that are to do are one stack, which is made whole"
        else:
            return
        warnings.warn(
            f"the budget of {self} is looked at when a stack ends, and {what}; for a budget that "
            "stops earlier begin in a new folder with smaller stacks, Stacked(models=...), or with "
            "engine processes",
            SecateurWarning,
            stacklevel=2,
        )

    def __str__(self) -> str:
        parts = [] if self.models is None else [f"{self.models} models"]
        parts += [] if self.seconds is None else [f"{self.seconds:g} s"]
        return " and ".join(parts) or "nothing"
