"""Ten thousand records in a browser: they scroll, sort and filter at once, and names stay text."""

from __future__ import annotations

import numpy as np
import pytest
from test_pages_in_browser import OPEN_ALL, axe

from report_fixture import HOSTILE
from secateur import store
from secateur.report.records_page import render_records_page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

RECORDS = 10_000
HEAD = (
    "record,model,attack,models_asked,called_member,mean_score,models_with_it,found,"
    "mean_score_with_it,models_without_it,falsely_called,mean_score_without_it"
)
TIMED = """async step => {
  const start = performance.now();
  step();
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - start;
}"""


def table(n=RECORDS):
    """Text of a table of `n` records; record 7 has a hostile name."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=n).round(6).tolist()
    lines = [HEAD]
    for i, score in enumerate(scores):
        name = HOSTILE if i == 7 else f"person-{i:05}"
        found = int(score > 1)
        lines.append(f"{name},dense,LiRA(),8,{found},{score},4,{found},{score},4,0,{score / 2}")
    return "\n".join(lines) + "\n", scores


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "page.html"
    store.write_text(path, render_records_page(table()[0], name="risk.csv"))
    return path


def column(page, name):
    heads = page.locator("#records th").all_text_contents()
    rows = page.locator("#records tbody tr:not([aria-hidden])")
    return rows.locator(f"td:nth-child({heads.index(name) + 1})").all_text_contents()


def timed(page, step):
    """Milliseconds from a step until what it changed is drawn."""
    return page.evaluate(f"({TIMED})(() => {{ {step} }})")


def test_sorting_and_scrolling_take_less_than_a_second(records, look):
    seen = look(records)
    page = seen.page
    heads = page.locator("#records th").all_text_contents()
    sort = f"document.querySelectorAll('#records th button')[{heads.index('mean score')}].click()"
    expected = sorted(table()[1])
    for ordered in (expected, expected[::-1]):
        assert timed(page, sort) < 1000
        shown = [float(text) for text in column(page, "mean score")]
        assert shown == pytest.approx(ordered[: len(shown)], rel=1e-5)
    pane = "document.getElementById('window')"
    for share in (0.25, 0.5, 0.9, 1.0):
        assert timed(page, f"{pane}.scrollTop = {share} * {pane}.scrollHeight") < 1000
        first = int(
            page.locator("#records tr[aria-rowindex]").nth(1).get_attribute("aria-rowindex")
        )
        assert first == pytest.approx(share * RECORDS, abs=60)
    assert float(column(page, "mean score")[-1]) == pytest.approx(expected[0], rel=1e-5)
    assert page.locator("#records tbody tr").count() < 100
    assert seen.said == [] and seen.asked == [records.as_uri()]


def test_a_filter_finds_one_of_all_within_a_second_and_its_hostile_name_stays_text(records, look):
    seen = look(records)
    page = seen.page
    assert HOSTILE in column(page, "record")
    field = "document.getElementById('filter')"
    type_it = f"{field}.value = '<SCRIPT'; {field}.dispatchEvent(new Event('input'))"
    assert timed(page, type_it) < 1000
    assert column(page, "record") == [HOSTILE]
    assert page.locator("#count").inner_text() == "1 of 10,000"
    page.locator("#filter").fill("nobody")
    assert column(page, "record") == [] and page.locator("#count").inner_text() == "0 of 10,000"
    assert page.locator("#records script, #records b").count() == 0
    assert seen.said == []


def test_the_keyboard_filters_sorts_and_scrolls(records, look):
    page = look(records).page
    page.keyboard.press("Tab")
    assert page.locator(":focus").get_attribute("href") == "#main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "filter"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "window"
    page.keyboard.press("End")
    page.locator("#records tbody", has_text="person-09999").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#records th").first.get_attribute("aria-sort") == "ascending"
    assert column(page, "record")[0] == HOSTILE
    page.keyboard.press("Enter")
    assert page.locator("#records th").first.get_attribute("aria-sort") == "descending"
    assert column(page, "record")[0] == "person-09999"


def test_empty_cells_come_last_whichever_way_is_sorted(tmp_path, look):
    text = "record,model,attack,models_asked,mean_score\na,m,x,1,\nb,m,x,1,10\nc,m,x,1,9\n"
    store.write_text(tmp_path / "page.html", render_records_page(text, name="risk.csv"))
    page = look(tmp_path / "page.html").page
    button = page.locator("#records th button").last
    button.click()
    assert column(page, "record") == ["c", "b", "a"]
    button.click()
    assert column(page, "record") == ["b", "c", "a"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_axe_finds_no_fault_and_nothing_scrolls_sideways(records, look, scheme, width):
    page = look(records, width=width, color_scheme=scheme).page
    page.evaluate(OPEN_ALL)
    page.evaluate(axe())
    found = page.evaluate("axe.run()")
    assert found["passes"]
    assert [(v["id"], v["impact"], v["nodes"]) for v in found["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_the_first_records_stand_with_a_word_on_the_rest(records, look):
    page = look(records, java_script_enabled=False).page
    assert page.locator("#records tbody tr").count() == 200
    assert "The first 200 of 10,000 lines" in page.locator("#first").inner_text()
    assert HOSTILE in page.locator("#records tbody").inner_text()
    assert not page.locator(".tools").is_visible()
