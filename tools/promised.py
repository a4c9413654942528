"""What DP-SGD promised beside what an attack refuted, as a table of a sweep."""

from __future__ import annotations

from tools.verdicts import Point, of_method, shown

__all__ = ["epsilon_curve"]


def epsilon_curve(points: dict[str, Point]) -> list[str]:
    """Return the utility curve over epsilon: what was promised, and what an attack refuted."""
    found = [
        (p["rows"]["accounted epsilon"]["value"], p)
        for p in of_method(points, "dp-sgd")
        if p["rows"].get("accounted epsilon", {}).get("value") is not None
    ]
    if not found:
        return []
    lines = [
        "| case | accounted epsilon | audited lower bound | test acc. % | AUC |",
        "|" + " --- |" * 5,
    ]
    for value, point in sorted(found, key=lambda f: f[0]):
        lines.append(
            f"| {point['case']} | {value:,.4g} | {shown(point, 'epsilon bound', digits=2)} | "
            f"{shown(point, 'test accuracy', 100, 1)} | {shown(point, 'leak')} |"
        )
    return [
        "DP-SGD, at delta 1e-5, neighbours that differ in one record. The tuning of its settings "
        "is not accounted. The lower bound is the largest epsilon that the strongest attack "
        "refutes with 95 % confidence.",
        "\n".join(lines),
    ]
