"""Git repositories of a test's own."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def git(folder, *arguments):
    """Run git in a folder as somebody and return what it says; without git the test is skipped."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *who, "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()
