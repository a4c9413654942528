"""What a report says of its making: when, and by which commit of the source."""

from __future__ import annotations

import pytest

from repositories import git
from secateur import context


@pytest.fixture(autouse=True)
def forgotten():
    context._commit.cache_clear()
    yield
    context._commit.cache_clear()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package in `src/` of a folder, as a checkout has it."""
    source = tmp_path / "of" / "src" / "secateur" / "context.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    monkeypatch.setattr(context, "__file__", str(source))
    return tmp_path / "of"


def repository(folder):
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    return git(folder, "rev-parse", "--short=10", "HEAD")


def test_a_checkout_names_its_commit_and_that_it_was_changed(installed):
    commit = repository(installed)
    assert context.circumstances()[context.COMMIT] == commit
    (installed / "src" / "secateur" / "context.py").write_text("changed")
    context._commit.cache_clear()
    assert context.circumstances()[context.COMMIT] == f"{commit}-dirty"


def test_an_installed_package_does_not_name_the_repository_that_it_lies_in(installed):
    repository(installed.parent)  # somebody's own, with his environment in it
    assert context.COMMIT not in context.circumstances()


def test_without_git_there_is_no_commit(installed, monkeypatch):
    repository(installed)
    monkeypatch.setenv("PATH", "")
    assert context.COMMIT not in context.circumstances()


def test_a_sweep_is_as_late_as_its_last_report_and_names_every_commit():
    reports = [{"made": "2026-01-02T00:00:00+00:00", "commit": "b"}, {"commit": "a"}, {"cores": 2}]
    assert context.made_by(reports) == {"made": "2026-01-02T00:00:00+00:00", "commit": "a, b"}
    assert context.made_by([{"cores": 2}]) == {}
