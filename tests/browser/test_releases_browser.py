"""The page of two reports side by side, in a wide and in a narrow window."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from report_fixture import HOSTILE, PRUNED, made_report
from secateur.report.releases_page import render_releases_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [1300, 420])
def test_the_chart_is_drawn_fits_and_shows_every_release(tmp_path, width):
    page = tmp_path / "page.html"
    reports = {HOSTILE: made_report(), "after": replace(made_report(), title="after")}
    page.write_text(render_releases_page(reports), encoding="utf-8")
    dom = subprocess.run(
        [
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu"),
            *(f"--window-size={width},2000", "--virtual-time-budget=8000", "--dump-dom"),
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    ).stdout
    assert HOSTILE not in dom
    body = re.sub(r"<script.*?</script>", "", dom, flags=re.S)
    assert "could not be drawn" not in body
    chart = re.search(r'id="chart-releases".*?>(.*?)<noscript', body, re.S)
    assert chart is not None
    svg = re.search(r'<svg[^>]*\swidth="([\d.]+)"', chart[1])
    assert svg is not None and float(svg[1]) <= max(width, 500)  # Chromium's narrowest window
    shown = PRUNED.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"after: {shown}" in chart[1]
