"""How much memory a file may take, as multiples of one number that its user gives."""

from __future__ import annotations

from secateur_runtime.errors import InputError, LimitError

__all__ = ["ENGINE", "HELD", "LIMIT", "PLANNING", "checked", "within"]

LIMIT = 4 * 2**30
"""Bytes of all decoded tensors of a file together, where nothing else is said."""
HELD = 2
"""How often that is taken by the weights and the values of one record, as a plan counts them."""
PLANNING = 8
"""How often that may be taken while a plan is made, what lasts a moment counted in."""
ENGINE = 8
"""How often that may be taken by one program of an engine, the memory of its threads counted in."""


def checked(limit: int) -> int:
    """Return a limit that is one.

    Raises:
        InputError: it is no number of bytes.
    """
    if type(limit) is not int or limit < 1:
        raise InputError(
            f"limit={limit!r}: it is a whole number of bytes, at least 1; leave it out for the "
            f"usual {LIMIT:,}, or give about the bytes of the network's weights"
        )
    return limit


def within(n_bytes: int, times: int, limit: int, what: str) -> None:
    """Refuse what would take more bytes than so many times the limit.

    Raises:
        LimitError: it would; nothing has been taken yet.

    Example:
        >>> within(100, 2, 40, "the weights")
        Traceback (most recent call last):
        ...
        secateur_runtime.errors.LimitError: the weights would take 100 bytes, more than 80 (2 x \
the limit of 40); where that is right, give a higher `limit`: load(path, limit=50), or \
secateur-run --limit 50
    """
    if n_bytes <= times * limit:
        return
    wanted = -(-n_bytes // times)
    raise LimitError(
        f"{what} would take {n_bytes:,} bytes, more than {times * limit:,} ({times} x the limit of "
        f"{limit:,}); where that is right, give a higher `limit`: "
        f"load(path, limit={wanted}), or secateur-run --limit {wanted}"
    )
