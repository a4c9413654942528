"""The page of two reports side by side, in a wide and in a narrow window."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from chromium import CHROMIUM, dom_of
from report_fixture import HOSTILE, PRUNED, made_report
from secateur.report.releases_page import render_releases_page


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [1300, 420])
def test_the_chart_is_drawn_fits_and_shows_every_release(tmp_path, width):
    page = tmp_path / "page.html"
    reports = {HOSTILE: made_report(), "after": replace(made_report(), title="after")}
    page.write_text(render_releases_page(reports), encoding="utf-8")
    dom = dom_of(page, width=width)
    assert HOSTILE not in dom
    body = re.sub(r"<script.*?</script>", "", dom, flags=re.S)
    assert "could not be drawn" not in body
    chart = re.search(r'id="chart-releases".*?>(.*?)<noscript', body, re.S)
    assert chart is not None
    svg = re.search(r'<svg[^>]*\swidth="([\d.]+)"', chart[1])
    assert svg is not None and float(svg[1]) <= max(width, 500)  # Chromium's narrowest window
    shown = PRUNED.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"after: {shown}" in chart[1]
