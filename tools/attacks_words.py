"""What the figures of `tools.attacks` say, computed from them; and their picture."""

from __future__ import annotations

import re
from typing import Any

from secateur.report.charts.style import CONFIG

AUC, AT_1 = "auc", "tpr at 1% fpr"
SUBJECTS = {"dense": "dense", "admm": "ADMM 10x"}
ENOUGH = 0.9
DRAWN = (
    "HierarchicalLiRA",
    "BaVarIA",
    "LiRA",
    "LiRA(variance='per record')",
    "LiRA(mode='offline')",
    "RMIA",
    "RMIA(mode='offline')",
    "PairAttack",
)


def sentences(found: dict[str, Any]) -> list[str]:
    """Return one paragraph of facts for each subject, and one for all."""
    lines = []
    met = []
    for world, about in found["worlds"].items():
        for subject, title in SUBJECTS.items():
            name = f"{about['name']}, {title}"
            rows = [r for r in found["rows"] if r["world"] == world and r["subject"] == subject]
            lines.append(f"**{name}.** {strongest(found, rows)} {unreferenced(found, rows)}")
            told, reached = aimed(found, world, subject)
            lines.append(f"**{name}, the aim.** {told} {enough(found, world, subject)}")
            met.append(reached)
    goals = dict.fromkeys(found["labels"][g] for r in found["aim"] for g in r["shares"])
    counts = [f"`{g}` in {sum(g in reached for reached in met)}" for g in goals]
    lines.append(
        f"The aim, {100 * ENOUGH:.0f} % of both from 8 references of what LiRA has from 64, is "
        f"reached by the nearest attack, chosen on these targets, against "
        f"{', against '.join(counts)} of {len(met)} cases."
    )
    return lines


def strongest(found: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Name the best attack on the one model, and how many cannot be told from it."""
    alone = [r for r in rows if "not_run" not in r and r["threat"] in ("adaptive", "no references")]
    best = max(alone, key=lambda r: r[AT_1]["value"])
    near = sum(r[AT_1]["high"] >= best[AT_1]["low"] for r in alone) - 1
    text = (
        f"With all references `{found['labels'][best['attack']]}` finds most members at 1 % FPR: "
        f"{100 * best[AT_1]['value']:.1f} %, AUC {best[AUC]['value']:.3f} (the largest of "
        f"{len(alone)} attacks on these targets, so an optimist's choice); the intervals of {near} "
        "others reach into its own."
    )
    both = [r for r in rows if "both" in r["threat"] and "not_run" not in r]
    if both:
        top = max(both, key=lambda r: r[AT_1]["value"])
        text += (
            f" Who sees both models finds {100 * top[AT_1]['value']:.1f} % "
            f"(`{found['labels'][top['attack']]}`), AUC {top[AUC]['value']:.3f}."
        )
    return text


def unreferenced(found: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Name the best attack that needs no reference models."""
    free = [r for r in rows if "not_run" not in r and r["references"] == 0]
    free = [r for r in free if r["threat"] != "insider"]
    best = max(free, key=lambda r: r[AT_1]["value"])
    return (
        f"Without references `{found['labels'][best['attack']]}` finds "
        f"{100 * best[AT_1]['value']:.1f} %, AUC {best[AUC]['value']:.3f}."
    )


def least(shares: dict[str, dict[str, Any]]) -> float:
    """Return the smallest share of all metrics."""
    return float(min(share["value"] for share in shares.values()))


def aimed(found: dict[str, Any], world: str, subject: str) -> tuple[str, list[str]]:
    """Say how near the best attack with 8 references comes to LiRA with 64, and whose 90 %."""
    rows = [r for r in found["aim"] if r["world"] == world and r["subject"] == subject]
    rows = [r for r in rows if r["shares"]]
    if not rows:
        return "With 8 references nothing ran.", []
    best = max(rows, key=lambda r: min(map(least, r["shares"].values())))
    reached = [found["labels"][g] for g, s in best["shares"].items() if least(s) >= ENOUGH]
    goals = [
        f"{100 * s[AUC]['value']:.1f} % of the AUC above 0.5 and {100 * s[AT_1]['value']:.1f} % of "
        f"the TPR at 1 % FPR of `{found['labels'][goal]}` with 64: "
        f"{'reached' if found['labels'][goal] in reached else 'not reached'}"
        for goal, s in best["shares"].items()
    ]
    text = (
        f"With 8 references `{found['labels'][best['attack']]}`, the nearest of {len(rows)}, has "
        f"{'; '.join(goals)}."
    )
    ours = [r for r in rows if found["labels"][r["attack"]] == DRAWN[0] and r is not best]
    if ours:
        percents = [
            f"{100 * s[AUC]['value']:.1f} % and {100 * s[AT_1]['value']:.1f} %"
            for s in ours[0]["shares"].values()
        ]
        text += f" `{DRAWN[0]}` has {'; '.join(percents)}."
    return text, reached


def enough(found: dict[str, Any], world: str, subject: str) -> str:
    """Say from how many references the best attack has 90 % of its own TPR with all."""
    rows = [r for r in found["curves"] if r["world"] == world and r["subject"] == subject]
    names = [r["attack"] for r in rows if found["labels"][r["attack"]] == DRAWN[0]]
    own = [r for r in rows if names and r["attack"] == names[0] and "not_run" not in r]
    if not own:
        return ""
    most = max(own, key=lambda r: r["references"])
    first = next(r for r in own if r[AT_1]["value"] >= ENOUGH * most[AT_1]["value"])
    return (
        f"`{DRAWN[0]}` has {100 * ENOUGH:.0f} % of its own TPR at {most['references']} references "
        f"from {first['references']} on."
    )


def points(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the points of the picture."""
    rows = []
    for r in found["curves"]:
        label = found["labels"][r["attack"]]
        if label not in DRAWN or "not_run" in r:
            continue
        rows.append(
            {
                "panel": f"{found['worlds'][r['world']]['name']}, {SUBJECTS[r['subject']]}",
                "attack": label,
                "references": r["references"],
                "seconds": (r["reference_seconds"] or 0.0) + r["scoring_seconds"],
                "auc": r[AUC]["value"],
                "tpr": r[AT_1]["value"],
            }
        )
    return rows


def specification(found: dict[str, Any]) -> dict[str, Any]:
    """Return the Vega-Lite of the power curves: a column for each subject, a row for each view."""
    data = points(found)
    panels = list(dict.fromkeys(p["panel"] for p in data))
    views = (
        ("references", "references", "auc", "AUC"),
        ("references", "references", "tpr", "TPR at 1 % FPR"),
        ("seconds", "CPU seconds, references and scoring", "tpr", "TPR at 1 % FPR"),
    )

    def panel(name: str, view: tuple[str, str, str, str], *, first: bool) -> dict[str, Any]:
        x, x_title, y, y_title = view
        base = 2 if x == "references" else 10
        ticks = {"references": [2**k for k in range(8)], "seconds": [10**k for k in range(6)]}
        return {
            "width": 190,
            "height": 170,
            "title": {"text": name, "fontSize": 11, "fontWeight": "normal"} if first else "",
            "transform": [{"filter": {"field": "panel", "equal": name}}],
            "mark": {"type": "line", "point": {"size": 18}, "strokeWidth": 1.5},
            "encoding": {
                "x": {
                    "field": x,
                    "type": "quantitative",
                    "title": x_title,
                    "scale": {"type": "log", "base": base, "nice": False},
                    "axis": {"values": ticks[x]},
                },
                "y": {
                    "field": y,
                    "type": "quantitative",
                    "title": y_title,
                    "scale": {"zero": False},
                },
                "color": {
                    "field": "attack",
                    "type": "nominal",
                    "title": None,
                    "sort": list(DRAWN),
                    "scale": {"domain": list(DRAWN)},
                    "legend": {"orient": "bottom", "columns": 4, "labelLimit": 260},
                },
            },
        }

    rows = [
        {"hconcat": [panel(name, view, first=number == 0) for name in panels]}
        for number, view in enumerate(views)
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": {**CONFIG, "background": "white", "aria": False},
        "data": {"values": data},
        "vconcat": rows,
    }


def picture(found: dict[str, Any]) -> str:
    """Return the power curves as SVG; the same document gives the same bytes."""
    import vl_convert  # of the extra `report`

    svg = str(vl_convert.vegalite_to_svg(specification(found), vl_version="6.1"))
    names: dict[str, str] = {}
    # the library counts clip paths on from picture to picture
    return re.sub(r"clip\d+", lambda m: names.setdefault(m[0], f"clip{len(names)}"), svg)
