"""The tables of `benchmarks.deploy`, for docs/deploy.md."""

from __future__ import annotations

from typing import Any

from tools.benchmark_blocks import made_by

IDEAL_SHARE = 0.7
WITHIN = 1.15
INT8 = 1.8


def deploy_block(found: dict[str, Any], loose: dict[str, Any]) -> str:
    """Return what files take: latency as ratios, bytes beside the bound, and the aims.

    Args:
        found: channels in multiples of a vector.
        loose: channels in any number.
    """
    return "\n".join(
        [
            f"By {found['runtime']}, all files of a network in turn in {found['rounds']} rounds; "
            "speed-up over the dense file of the same round, median (smallest to largest). The "
            "ideal is the ratio of the multiply-adds. Fresh weights, pruned by magnitude without "
            "training: accuracy is not spoken of here.",
            "",
            *_latencies(found["rows"]),
            "",
            "Bytes of the same networks in other files, and how far the packed ones are above the "
            "zero-order entropy of places and values:",
            "",
            *_files(found["rows"]),
            "",
            *_aims(found["rows"]),
            "",
            "The same with channels in any number, speed-up at batch 1 and 32, beside those in "
            "multiples of 16:",
            "",
            *_beside(found["rows"], loose["rows"]),
            "",
            made_by(loose),
            "",
            made_by(found),
        ]
    )


def _latencies(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| network | file | bytes | ideal | ms, 1 | speed-up, 1 | ms, 32 | speed-up, 32 "
        "| peak MB, 1 | peak MB, 32 |",
        "|" + " --- |" * 10,
    ]
    for row in rows:
        one, many = row["latency"]["1"], row["latency"]["32"]
        lines.append(
            f"| {row['network']} | {row['case']} | {row['bytes']:,} | {row['ideal']:.2f}x | "
            f"{one['median_ms']:.3g} | {_ratio(one)} | {many['median_ms']:.3g} | {_ratio(many)} | "
            f"{row['peak_memory']['1'] / 1e6:.1f} | {row['peak_memory']['32'] / 1e6:.1f} |"
        )
    return lines


def _beside(rows: list[dict[str, Any]], loose: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| network | file | any, 1 | multiples, 1 | any, 32 | multiples, 32 |",
        "|" + " --- |" * 6,
    ]
    other = {(row["network"], row["case"]): row for row in loose}
    for row in rows:
        if row["ideal"] == 1 or row["channels_in_multiples_of"] == 1:
            continue
        plain = other[row["network"], row["case"]]
        pairs = [
            f"{_ratio(one['latency'][batch])}" for batch in ("1", "32") for one in (plain, row)
        ]
        lines.append(f"| {row['network']} | {row['case']} | {' | '.join(pairs)} |")
    return lines


def _ratio(one: dict[str, Any]) -> str:
    ratio = one["ratio"]
    return f"{ratio['median']:.2f}x ({ratio['min']:.2f} to {ratio['max']:.2f})"


def _files(rows: list[dict[str, Any]]) -> list[str]:
    kinds = ("float32", "float16", "int8", "codebook")
    lines = [
        f"| network | model | safetensors | gzip -6 | {' | '.join(f'packed {k}' for k in kinds)} |",
        "|" + " --- |" * (4 + len(kinds)),
    ]
    for row in rows:
        if "files" not in row:
            continue
        files = row["files"]
        packed = " | ".join(f"{files[f'packed {k}']:,} ({_over(files, k):+.1%})" for k in kinds)
        lines.append(
            f"| {row['network']} | {row['case']} | {files['safetensors']:,} | "
            f"{files['safetensors, gzip -6']:,} | {packed} |"
        )
    return lines


def _over(files: dict[str, Any], kind: str) -> float:
    return float(files[f"packed {kind}"] / files[f"packed {kind}, bound"] - 1)


def _aims(rows: list[dict[str, Any]]) -> list[str]:
    cuts = [r for r in rows if r["ideal"] > 1 and "int8" not in r["case"]]
    reached = [r for r in cuts if _share(r) >= IDEAL_SHARE]
    missed = [f"{r['network']} {r['case']} {_share(r):.0%}" for r in cuts if r not in reached]
    whole = {r["network"]: r for r in rows if r["case"] == "dense"}
    quantised = {r["network"]: r for r in rows if r["case"] == "dense, int8"}
    gains = {
        name: row["latency"]["1"]["ratio"]["median"]
        for name, row in quantised.items()
        if name in whole
    }
    below = [f"{name} {gain:.2f}x" for name, gain in gains.items() if gain < INT8]
    pairs = [
        (row, kind)
        for row in rows
        if "files" in row
        for kind in ("float32", "float16", "int8", "codebook")
    ]
    large = [
        f"{row['network']} {row['case']} {kind} {_over(row['files'], kind):+.0%}"
        for row, kind in pairs
        if _over(row["files"], kind) > WITHIN - 1
    ]
    return [
        f"- Aim: structured networks reach 70 % of the ideal speed-up at batch 1: {len(reached)} "
        f"of {len(cuts)} do{_but(missed)}.",
        f"- Aim: packed bytes within 15 % of the bound: {len(pairs) - len(large)} of "
        f"{len(pairs)} are{_but(large)}.",
        f"- Aim: int8 at least 1.8x over float32 where the processor has the instructions: "
        f"{len(gains) - len(below)} of {len(gains)} dense networks at batch 1{_but(below)}.",
    ]


def _share(row: dict[str, Any]) -> float:
    return float(row["latency"]["1"]["ratio"]["median"] / row["ideal"])


def _but(missed: list[str]) -> str:
    return f"; not {', '.join(missed)}" if missed else ""
