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
from secateur.report.footprint import SIZE_HEADERS, SPEED_HEADERS, footprint_table, is_timed
from secateur.report.lookup import label, subjects
from secateur.report.notes import chosen_words, intervals_words
from secateur.report.table import (
    CONSEQUENCE_HEADERS,
    GROUP_HEADERS,
    HEADERS,
    attack_table,
    consequence_table,
    group_table,
    main_table,
)
from secateur.report.words import amounts, answer
from secateur.types import Report

__all__ = ["GLOSSARY", "drawn", "environment", "render", "script_json"]

VEGA_LITE = "6.1"
PICTURE_WIDTH = 760

GLOSSARY = (
    ("target", "a model under audit"),
    ("reference", "a model that the attacker trains himself, through the identical pipeline"),
    ("member", "a record that a model was trained on"),
    ("AUC", "probability that a member gets a higher score than a non-member; 0.5 is a coin"),
    ("TPR at an FPR", "share of members found when that share of non-members is falsely accused"),
    ("balanced accuracy", "mean of the shares of members and non-members that are called right"),
    ("false alarms", "share of non-members called members, at the threshold chosen on references"),
    (
        "precision at a prior",
        "share of members among those called members, if that share of all asked about are members",
    ),
    (
        "epsilon, lower bound",
        "a smaller epsilon of differential privacy is refuted by how many guesses were right; "
        "needs members drawn by coins",
    ),
    (
        "epsilon, estimate",
        "the epsilon of a Gaussian mechanism with this AUC; no bound, neither from below nor above",
    ),
    (
        "information",
        "Jensen-Shannon divergence between members' and non-members' scores, biased downward",
    ),
    (
        "reachable accuracy",
        "balanced accuracy of the best decision on the scores, fitted on other records",
    ),
    ("adaptive", "an attacker whose references are trained and pruned exactly as the target is"),
    (
        "naive",
        "an attacker with the baseline's references against a pruned or defended target; flatters "
        "pruning and defences",
    ),
    ("insider", "an attacker who knows half of the members and non-members"),
    (
        "multiply-adds",
        "of one record's forward pass with the weights of linear, convolutional, recurrent layers "
        "and of attention",
    ),
    (
        "speed-up",
        "the baseline's time divided by this model's, in rounds that time all models in turn; in "
        "brackets the smallest and the largest of a round",
    ),
    ("pipeline risk", "the mean over models that this pipeline makes, not the risk of one model"),
)


def render(report: Report) -> str:
    """Return the page.

    Args:
        report: any report; charts appear for the series that it holds.

    Returns:
        HTML below 2 MB with scripts, styles and data inside; where scripts are off, charts stand as
        pictures.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    found, bundle = drawn(charts(report))
    template = environment().get_template("report.html.j2")
    names = {s: label(report, s) for s in subjects(report)}
    page = template.render(
        report=report,
        names=names,
        answer=answer(report),
        headers=HEADERS,
        raised=[c for c in report.controls if c.status == "raised"],
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


def _tools() -> tuple[str, Any]:
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtraError(
            "the HTML page needs vl-convert-python; install it with: pip install "
            "'secateur[report]'. "
            "The JSON report and the table need none of it"
        ) from error
    whole = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub has no default
    bundle = str(whole).replace("</script", "<\\/script")

    def picture(spec: dict[str, Any]) -> str:
        return _renumbered(str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)))

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
