"""Pages as readers meet them: on a screen, on a phone, with a keyboard, on paper, scripts off."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_fixture import HOSTILE, PRUNED

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

MARKS = ".role-mark.mark-symbol path, .role-mark.mark-rect path, .role-mark.mark-line path"
OPEN_ALL = "document.querySelectorAll('details').forEach(d => { d.open = true; })"
MIDDLE = """(node) => {
  node.scrollIntoView({block: "center"});
  const box = node.getBoundingClientRect(), line = node.closest(".mark-line");
  if (!line) return [box.x + box.width / 2, box.y + box.height / 2];
  const at = node.getPointAtLength(node.getTotalLength() / 2).matrixTransform(node.getScreenCTM());
  return [at.x, at.y];
}"""
CONTRAST = """selector => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(c => +c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return Math.min(...[...document.querySelectorAll(selector)].map(node => {
    const ink = light(getComputedStyle(node).fill);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  }));
}"""
LABELS = """() => [...document.querySelectorAll(".chart")].map(chart =>
  [...chart.querySelectorAll(".role-mark path[aria-label]")]
    .filter(path => !path.closest(".mark-rect") || path.getBoundingClientRect().height > 0)
    .map(path => path.ariaLabel))"""
PLACE = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect();
  if (at === document.body) return null;
  return {top: Math.round(box.top + scrollY), ring: getComputedStyle(at).outlineStyle};
}"""


def axe():
    """The accessibility rules of axe-core, as one script."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def tells(page, chart):
    """Whether some mark of a chart, pointed at, shows what it stands for."""
    marks = chart.locator(MARKS)
    for i in range(min(marks.count(), 40)):
        x, y = marks.nth(marks.count() - 1 - i).evaluate(MIDDLE)  # the last are on top
        page.mouse.move(x, y)
        page.mouse.move(x + 0.5, y + 0.5)
        if page.locator("#vg-tooltip-element.visible").count():
            return bool(page.locator("#vg-tooltip-element").inner_text().strip())
    return False


def toggles(page, chart, entries):
    """Whether a click on some entry of a legend changes the drawing."""
    before = chart.locator("svg").inner_html()
    for i in range(entries.count()):
        entries.nth(i).click(force=True)
        page.wait_for_timeout(300)
        if chart.locator("svg").inner_html() != before:
            return True
    return False


def test_a_page_is_quiet_asks_for_nothing_and_its_charts_answer(path, look):
    seen = look(path).drawn()
    page = seen.page
    assert seen.charts.count() > 0
    for i in range(seen.charts.count()):
        chart = seen.charts.nth(i)
        name = chart.get_attribute("id")
        chart.scroll_into_view_if_needed()
        assert chart.locator(MARKS).count() > 0, f"{name} is empty"
        assert tells(page, chart), f"{name} says nothing of its marks"
        spec = page.locator(f"#spec-{name.removeprefix('chart-')}").text_content()
        entries = chart.locator(".role-legend-symbol path")
        if '"bind": "legend"' in spec and entries.count() > 1:
            assert toggles(page, chart, entries), f"the legend of {name} is dead"
    assert seen.said == []
    assert seen.asked == [path.as_uri()]


@pytest.mark.parametrize("width", [1300, 390])
def test_every_chart_fits_the_window_and_nothing_scrolls_sideways(path, look, width):
    seen = look(path, width=width).drawn()
    for i in range(seen.charts.count()):
        box = seen.charts.nth(i).locator("svg").first.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, seen.charts.nth(i)
    seen.page.evaluate(OPEN_ALL)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_axe_finds_no_fault(path, look, scheme, width):
    seen = look(path, width=width, color_scheme=scheme).drawn()
    seen.page.evaluate(OPEN_ALL)
    seen.page.evaluate(axe())
    found = seen.page.evaluate("axe.run()")
    assert found["passes"], "axe ran no rule"
    faults = [
        (v["id"], v["impact"], [n["target"] for n in v["nodes"]]) for v in found["violations"]
    ]
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_in_charts_have_the_contrast_of_texts(path, look, scheme):
    """These axe leaves open, since it does not know what lies behind a picture."""
    seen = look(path, color_scheme=scheme).drawn()
    assert seen.page.evaluate(CONTRAST, ".chart svg text") >= 4.5


def test_the_first_tab_skips_to_the_content_and_the_next_go_down_the_page(path, look):
    page = look(path).drawn().page
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.get_attribute("href") == "#main"
    assert skip.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    places = []
    for _ in range(12):
        page.keyboard.press("Tab")
        places.append(page.evaluate(PLACE))
    reached = [place for place in places if place is not None]
    assert len(reached) > 2
    assert "none" not in [place["ring"] for place in reached]
    tops = [place["top"] for place in reached]
    assert tops == sorted(tops)


def test_the_print_has_every_chart_and_every_row_whole(path, look):
    from printed import read, squeezed

    page = look(path, color_scheme="dark").drawn().page
    lines = page.evaluate("[...document.querySelectorAll('tbody tr')].map(r => r.textContent)")
    heads = page.locator("table").evaluate_all(
        "tables => tables.map(t => t.tHead.rows[0].cells[0].textContent.split(/[ -]/))"
    )
    labels = page.evaluate(LABELS)
    page.evaluate("document.querySelectorAll('details.long').forEach(d => { d.open = true; })")
    # a PDF holds a ligature apart from the rest of its line
    page.add_style_tag(content="* { font-variant-ligatures: none !important; }")
    printed = read(page.pdf(format="A4", tagged=True))
    assert printed.beyond == ()
    rows = printed.every("TR")
    assert [row.text for row in rows if len(row.sheets) > 1] == []
    assert {squeezed(line) for line in lines} - {row.text for row in rows} == set()
    tables = printed.every("Table")
    for table, words in zip(tables, heads, strict=True):
        for sheet in table.sheets:
            assert [word for word in words if word not in printed.sheets[sheet - 1]] == []
    pictures = {figure.text: figure.sheets for figure in printed.every("Figure")}
    assert printed.drawn > 0
    for marks in labels:
        sheets = set().union(*(pictures.get(squeezed(mark), {0}) for mark in marks))
        assert marks and len(sheets) == 1 and 0 not in sheets


def test_without_scripts_every_chart_is_a_picture_and_every_table_a_table(path, look):
    drawn = look(path).drawn().charts.count()
    page = look(path, width=390, java_script_enabled=False).page
    pictures = page.locator("noscript svg.marks")
    assert pictures.count() == drawn
    for i in range(drawn):
        assert pictures.nth(i).bounding_box()["height"] > 50
        assert pictures.nth(i).locator(MARKS).count() > 0
    assert page.locator("tbody tr").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", ["hostile", "releases"], indirect=True)
def test_hostile_names_stay_text(path, look):
    seen = look(path).drawn()
    assert HOSTILE in seen.page.locator("h1").inner_text()
    assert seen.page.locator("h1 script, main script, td b").count() == 0
    assert seen.said == []
    ids = [seen.charts.nth(i).get_attribute("id") for i in range(seen.charts.count())]
    assert ids in (
        ["chart-releases"],
        [f"chart-{name}" for name in ("leak", "roc", "histograms", "convergence")],
    )
    chart = "releases" if len(ids) == 1 else "histograms"
    assert PRUNED in seen.page.locator(f"#chart-{chart} svg").text_content()


def test_a_key_on_a_heading_sorts_and_says_so(path, look):
    page = look(path).drawn().page
    page.evaluate(OPEN_ALL)
    for i in range(page.locator("table.sortable").count()):
        table = page.locator("table.sortable").nth(i)
        for way, reverse in (("ascending", False), ("descending", True)):
            table.locator("th button").first.focus()
            page.keyboard.press("Enter")
            assert table.locator("th").first.get_attribute("aria-sort") == way
            found = table.locator("tbody tr td:first-child").all_text_contents()
            assert found == sorted(found, reverse=reverse)
