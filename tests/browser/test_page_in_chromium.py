"""The page of a report draws its charts in a real browser."""

from __future__ import annotations

import re

import pytest
from test_page import made

from chromium import CHROMIUM, dom_of
from secateur.report import html


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_every_chart_is_drawn(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(html.render(made()), encoding="utf-8")
    dom = dom_of(page)
    assert "could not be drawn" not in re.sub(r"<script.*?</script>", "", dom, flags=re.S)
    for name in ("leak", "roc", "histograms", "convergence"):
        drawn = re.search(rf'id="chart-{name}"[^>]*>(.*?)<noscript', dom, re.S)
        assert drawn is not None
        assert "<svg" in drawn[1]
    assert "<script>alert(1)</script>" not in dom
