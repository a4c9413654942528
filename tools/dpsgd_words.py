"""What DP-SGD's cases say: beside the control that is normalised alike, and over epsilon."""

from __future__ import annotations

from tools.verdicts import ATTACK, Point, between, of_method, shown

__all__ = ["GROUP_NORMED", "beside_group_norm", "epsilon_table"]

GROUP_NORMED = "the dense network with group normalisation"


def beside_group_norm(points: dict[str, Point]) -> list[str]:
    """Return DP-SGD minus the dense control that is normalised as it is, where that was trained."""
    lines = []
    for control in of_method(points, "group-norm"):
        for point in of_method(points, "dp-sgd"):
            leak, test = (between(point, control, n) for n in ("leak", "test accuracy"))
            paper = between(point, control, ATTACK)
            lines.append(
                f"- {point['case']} minus {GROUP_NORMED}: paper's attack "
                f"{paper.verdict}, {paper.shown(100, 1)} points; AUC of the strongest "
                f"{leak.verdict}, {leak.shown()}; test accuracy {test.verdict}, "
                f"{test.shown(100, 1)} points"
            )
    if not lines:
        return []
    return [
        "DP-SGD replaces batch normalisation. Minus the dense models that replace it too, trained "
        "without noise:",
        "\n".join(lines),
    ]


def epsilon_table(points: dict[str, Point]) -> list[str]:
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
