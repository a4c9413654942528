"""One Chromium for all tests of pages, and the pages that they open."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import saved_signals
from command_line import secateur, train
from report_fixture import HOSTILE, made_report
from secateur import store
from secateur.report import html
from secateur.report.releases_page import render_releases_page

RESULTS = Path(__file__).parents[2] / "results"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser():
    """The system's Chromium; a machine without one fails the test instead of passing it over."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "no `chromium` on the path; install it (Debian: apt install chromium)"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Seen:
    """An opened page, with what it said and what it asked for."""

    def __init__(self, page, path):
        self.page, self.said, self.asked = page, [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(path.as_uri())
        self.charts = page.locator(".chart")

    def drawn(self):
        """Wait until every chart stands, and return this."""
        for i in range(self.charts.count()):
            self.charts.nth(i).locator("svg").first.wait_for(timeout=30_000)
        return self


@pytest.fixture
def look(browser):
    """Open a file in a window of its own: `look(path, width=390, color_scheme="dark")`."""
    contexts = []

    def opened(path, *, width=1300, **settings):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **settings))
        return Seen(contexts[-1].new_page(), path)

    yield opened
    for context in contexts:
        context.close()


def _audit(folder):
    """A real audit by the command line: digits, trained, pruned by ADMM, attacked."""
    dense, admm = folder / "dense", folder / "admm"
    own = ("--engine", "serial", "--workers", "1")
    page = ("--out", folder / "r.json", "--html", folder / "page.html")
    prune = ("--method", "ADMM(rate=4, updates=3)", *own)
    for done in (
        train(dense),
        secateur("prune", dense, "--out", admm, *prune),
        secateur("audit", dense, admm, "--group", "class", *page),
    ):
        assert done.code == 0, done.err


def _signals(folder):
    named = saved_signals.save_npz(folder, saved_signals.world())
    out = ("--out", folder / "r.json", "--html", folder / "page.html")
    done = secateur("attack", *named, "--attack", "LiRA", *out)
    assert done.code == 0, done.err


def _sweep(folder):
    done = secateur("report", RESULTS / "dp-curve.json", "--html", folder / "page.html")
    assert done.code == 0, done.err


def _releases(folder):
    reports = {HOSTILE: made_report(), "after": replace(made_report(), title="after")}
    store.write_text(folder / "page.html", render_releases_page(reports))


def _hostile(folder):
    store.write_text(folder / "page.html", html.render(made_report()))


MADE = {
    "audit": _audit,
    "signals": _signals,
    "sweep": _sweep,
    "releases": _releases,
    "hostile": _hostile,
}


@pytest.fixture(scope="session", params=list(MADE))
def path(request, tmp_path_factory):
    """A page of each kind."""
    folder = tmp_path_factory.mktemp(request.param)
    MADE[request.param](folder)
    return folder / "page.html"
