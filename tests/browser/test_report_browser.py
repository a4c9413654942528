"""The page of a report with hostile names, in a wide and in a narrow window."""

from __future__ import annotations

import re

import pytest

from chromium import CHROMIUM, dom_of
from report_fixture import HOSTILE, PRUNED, made_report
from secateur.report import html


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [1300, 420])
def test_every_chart_is_drawn_and_fits(tmp_path, width):
    page = tmp_path / "page.html"
    page.write_text(html.render(made_report()), encoding="utf-8")
    dom = dom_of(page, width=width)
    assert HOSTILE not in dom
    body = re.sub(r"<script.*?</script>", "", dom, flags=re.S)
    assert "could not be drawn" not in body
    charts = re.findall(r'class="chart[^"]*" id="chart-(\w+)".*?>(.*?)<noscript', body, re.S)
    assert [name for name, _ in charts] == ["leak", "roc", "histograms", "convergence"]
    for name, drawn in charts:
        svg = re.search(r'<svg[^>]*\swidth="([\d.]+)"', drawn)
        assert svg is not None, name
        assert float(svg[1]) <= max(width, 500), name  # Chromium's narrowest window
    histograms = dict(charts)["histograms"]
    assert PRUNED.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in histograms
