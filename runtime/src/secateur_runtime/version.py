"""The version of this package; its build reads it here."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
