"""One self-contained HTML page from a report: same report, same bytes; nothing is fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from secateur.errors import MissingExtraError
from secateur.report.asked import ASKED_HEADERS, SECTIONS, asked_table
from secateur.report.charts import Spec, charts
from secateur.report.effort import effort_words
from secateur.report.exposed import (
    EXPOSED_HEADERS,
    Pictures,
    check_pictures,
    exposed_tables,
    unnamed_words,
)
from secateur.report.first import first_screen
from secateur.report.footprint import SIZE_HEADERS, SPEED_HEADERS, footprint_table, is_timed
from secateur.report.glossary import GLOSSARY
from secateur.report.lookup import label, subjects
from secateur.report.notes import chosen_words, intervals_words
from secateur.report.sources import SOURCE_HEADERS, source_table
from secateur.report.table import (
    CONSEQUENCE_HEADERS,
    GROUP_HEADERS,
    HEADERS,
    attack_table,
    consequence_table,
    group_table,
    main_table,
)
from secateur.report.words import amounts
from secateur.types import Report

__all__ = ["GLOSSARY", "drawn", "environment", "render", "script_json", "still"]

VEGA_LITE = "6.1"
PICTURE_WIDTH = 760


def render(report: Report, *, pictures: Pictures | None = None) -> str:
    """Return the page.

    Args:
        report: any report; charts appear for the series that it holds.
        pictures: of the most exposed records, by id, as `secateur.auditing.pictures.pictures_of`
            gives them. None by default: a page is passed on, and they are training data.

    Returns:
        HTML below 2 MB with scripts, styles and data inside; where scripts are off, charts stand as
        pictures.

    Raises:
        MissingExtraError: vl-convert is not installed.
        InputError: a picture is no PNG as a data URI.
    """
    shown = check_pictures(pictures)
    found, bundle = drawn(charts(report))
    template = environment().get_template("report.html.j2")
    names = {s: label(report, s) for s in subjects(report)}
    page = template.render(
        report=report,
        names=names,
        screen=first_screen(report),
        headers=HEADERS,
        raised=[c for c in report.controls if c.status == "raised"],
        known={c.id for c in report.controls},
        quiet=[c for c in report.controls if c.status != "raised"],
        main=main_table(report),
        attacks=attack_table(report),
        chosen=chosen_words(report),
        intervals=intervals_words(report),
        amounts=amounts(report),
        consequences=consequence_table(report),
        consequence_headers=CONSEQUENCE_HEADERS,
        footprints=footprint_table(report),
        footprint_headers=[SIZE_HEADERS, *([SPEED_HEADERS] if is_timed(report) else [])],
        groups=group_table(report),
        group_headers=GROUP_HEADERS,
        charts=found,
        bundle=bundle,
        glossary=GLOSSARY,
        asked=asked_table(report),
        sections=SECTIONS,
        asked_headers=ASKED_HEADERS,
        exposed=exposed_tables(report),
        exposed_headers=EXPOSED_HEADERS,
        unnamed=unnamed_words(report),
        pictures={str(record): uri for record, uri in shown.items()},
        effort=effort_words(report),
        sources=source_table(report),
        source_headers=SOURCE_HEADERS,
        facts=dict(report.facts),
        digests=_digests(report),
        context=dict(report.provenance.context),
    )
    return page + "\n"


def environment() -> Environment:
    """Return how templates are read: escaped, and strict about names."""
    return Environment(
        loader=PackageLoader("secateur.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def drawn(found: Sequence[tuple[str, str, Spec]]) -> tuple[list[dict[str, str]], str]:
    """Return each (name, caption, specification) as a page needs it, and the scripts that draw it.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    bundle, picture = _tools()
    charts = [
        {
            "name": name,
            "caption": caption,
            "spec": script_json(spec),
            "svg": picture(_fixed(spec)),
            "about": spec["description"],
        }
        for name, caption, spec in found
    ]
    return charts, bundle if charts else ""


def still(spec: Spec) -> str:
    """Return a chart as a picture, without the scripts that make it react.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    return _svg(_vl_convert(), _fixed(spec))


def _vl_convert() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtraError(
            "the HTML page needs vl-convert-python; install it with: pip install "
            "'secateur[report]'. "
            "The JSON report and the table need none of it"
        ) from error
    return vl_convert


def _svg(vl_convert: Any, spec: dict[str, Any]) -> str:
    return _renumbered(str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)))


def _tools() -> tuple[str, Any]:
    vl_convert = _vl_convert()
    whole = vl_convert.javascript_bundle()
    bundle = str(whole).replace("</script", "<\\/script")

    def picture(spec: dict[str, Any]) -> str:
        return _svg(vl_convert, spec)

    return bundle, picture


def _renumbered(svg: str) -> str:
    """Number the clip paths of a picture from 0: the library counts on from picture to picture."""
    names: dict[str, str] = {}
    return re.sub(r"clip\d+", lambda m: names.setdefault(m[0], f"clip{len(names)}"), svg)


def script_json(value: Any) -> str:
    """Return JSON that may stand inside a script element, whatever users wrote."""
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _fixed(spec: dict[str, Any]) -> dict[str, Any]:
    """Give a chart that fills its container the width of a picture, and room for a wider font."""
    room = {"padding": {"left": 30, "top": 5, "right": 30, "bottom": 5}}
    return {**spec, **room, "width": PICTURE_WIDTH} if spec.get("width") == "container" else spec


def _digests(report: Report) -> dict[str, str]:
    key = report.provenance.key
    return {name: str(key[name]) for name in ("records", "membership") if name in key}
