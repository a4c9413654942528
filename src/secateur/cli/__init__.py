"""The command line: one file per verb; the only room that prints or reads the environment."""

from __future__ import annotations

from secateur.cli.main import group, main

__all__ = ["group", "main"]
