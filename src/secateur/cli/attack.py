"""`secateur attack`: score anybody's saved signals; no torch is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secateur.cli.options import out_option, seed_option
from secateur.cli.tracking import track_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secateur.protocols import MembershipAttack
    from secateur.store import SavedSignals
    from secateur.types import Report, Role

__all__ = ["command"]

PATH = click.Path(path_type=Path)


@click.command("attack")
@click.option("--target", type=PATH, required=True, help="Signals of the models under audit.")
@click.option("--references", type=PATH, help="Signals of the attacker's own models.")
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    help="An attack of `secateur methods`; may be repeated. Default: twelve on signals "
    "alone, variants of LiRA and RMIA and class-wise thresholds, or without references five "
    "that ask the target alone (docs/signals.md).",
)
@click.option(
    "--rows",
    help="Which models of --target are under audit, such as 0 or 0,3; without --references the "
    "others are its references. Default: all.",
)
@click.option(
    "--kind",
    help="What arrays without a name are: logits, probabilities, confidence, margin, loss.",
)
@click.option("--html", type=PATH, help="Write the page too.")
@click.option(
    "--scores", type=PATH, help="Write the scores of every record too, npz, beside --out."
)
@track_option
@seed_option
@out_option("The report, JSON.")
def command(**options: Any) -> None:
    """Attack saved logits, probabilities or signals, whoever trained the models.

    Files are npz, npy, csv, folders of npy files, the folders of LiRA's released code or Privacy
    Meter's arrays; docs/signals.md shows each.

    \b
    Examples:
      secateur attack --target t.npz --references r.npz --attack LiRA --out report.json
      secateur attack --target exp/experiment-0_16 --references exp --out r.json --html r.html
      secateur attack --target all.npz --rows 0 --scores scores.npz --out report.json
    """
    from secateur.cli.tracking import parse_trackers, send
    from secateur.report import table

    typed: str | None = click.get_current_context().obj
    trackers = parse_trackers(options.pop("trackers"))
    report = attack(**options, command=typed or "secateur attack")
    click.echo(table.render_text(report))
    for what, name in (("report", "out"), ("page", "html"), ("scores", "scores")):
        if options[name]:
            click.echo(f"{what}: {options[name]}")
    send(report, trackers)


def attack(  # noqa: PLR0913 - one argument per option of the verb
    *,
    target: Path,
    references: Path | None,
    attacks: tuple[str, ...],
    rows: str | None,
    kind: str | None,
    html: Path | None,
    scores: Path | None,
    seed: int,
    out: Path,
    command: str,
) -> Report:
    """Read signals, attack, write what was asked for."""
    from secateur import store
    from secateur.auditing.saved import audit_parts
    from secateur.cli.checks import refuse_apart, refuse_outputs

    chosen = tuple(map(_parsed, attacks)) or None
    _check_kind(kind)
    inputs = [p for p in (target, references) if p is not None]
    refuse_apart(scores, out)
    refuse_outputs(out, html, scores, inputs=inputs)
    about = {
        "command": command,
        "title": f"Membership audit of {target.name}",
        "files": [p.name for p in inputs],
    }
    parts = _parts(target, references, rows, kind)
    report = audit_parts(parts, chosen, seed=seed, about=about, scores=scores)
    store.write_report(out, report)
    if html is not None:
        from secateur.report import html as page

        store.write_text(html, page.render(report))
    return report


def _parsed(text: str) -> MembershipAttack:
    """Read an attack's spelling; those that train networks are refused."""
    from importlib import import_module

    from secateur import protocols
    from secateur.cli.catalogue import ATTACK, LEARNED, PERTURBATION, catalogue, refuse_other_kinds
    from secateur.errors import UnknownMethodError
    from secateur.spelling import parse

    entries = catalogue()
    name = text.partition("(")[0].strip()
    if any(e.name == name and e.kind == LEARNED for e in entries):
        raise UnknownMethodError(
            f"{name} trains networks and is no attack on signals alone; run it on a fleet with "
            "`secateur audit`"
        )
    refuse_other_kinds(text, ATTACK, what="attack")
    inside = {PERTURBATION} if any(e.name == name and e.kind == ATTACK for e in entries) else set()
    kinds = {ATTACK, *inside}
    names = {e.name: getattr(import_module(e.module), e.name) for e in entries if e.kind in kinds}
    found: MembershipAttack = parse(text, names, what="attack", kinds=vars(protocols))
    return found


def _check_kind(kind: str | None) -> None:
    from secateur.errors import InputError
    from secateur.spelling import did_you_mean

    known = ("logits", "probabilities", "confidence", "margin", "log_confidence", "loss")
    if kind is not None and kind not in known:
        raise InputError(
            f"unknown --kind {kind!r}; {did_you_mean(kind, known)}there are {', '.join(known)}"
        )


def _parts(
    target: Path, references: Path | None, rows: str | None, kind: str | None
) -> list[tuple[SavedSignals, Sequence[int], Role]]:
    """Return each file with the models that are taken of it, and their role."""
    from secateur import store
    from secateur.auditing.saved import truly_named

    own = truly_named(store.read_signals(target, kind=kind))
    models = range(own.shape[0])
    under = list(models) if rows is None else _numbers(rows, own.shape[0])
    parts: list[tuple[SavedSignals, Sequence[int], Role]] = [(own, under, "target")]
    if references is not None:
        others = truly_named(store.read_signals(references, kind=kind, without=(target,)))
        parts.append((others, range(others.shape[0]), "reference"))
    elif rows is not None:
        parts.append((own, [m for m in models if m not in under], "reference"))
    return parts


def _numbers(text: str, models: int) -> list[int]:
    from secateur.errors import InputError

    pieces = [piece.strip() for piece in text.split(",")]
    if not all(p.isdecimal() and int(p) < models for p in pieces):
        raise InputError(
            f"--rows {text!r}: give numbers of models from 0 to {models - 1}, such as 0,3"
        )
    return sorted({int(p) for p in pieces})
