"""`secateur attack`: score anybody's saved signals; no torch is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secateur.cli.options import out_option, seed_option
from secateur.cli.tracking import track_option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secateur.protocols import MembershipAttack
    from secateur.store import SavedSignals
    from secateur.types import Report, Role

__all__ = ["command"]

PATH = click.Path(path_type=Path)


@click.command("attack")
@click.option("--target", type=PATH, help="Signals of the models under audit.")
@click.option(
    "--members",
    type=PATH,
    help="In place of --target: their signals of records that they were trained on ...",
)
@click.option("--non-members", type=PATH, help="... and, in another file, of records never seen.")
@click.option("--member-labels", type=PATH, help="Labels (npy) of --members without any.")
@click.option("--non-member-labels", type=PATH, help="Labels (npy) of --non-members without any.")
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
      secateur attack --members train.npz --non-members test.npz --out report.json
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
    target: Path | None,
    references: Path | None,
    attacks: tuple[str, ...],
    rows: str | None,
    kind: str | None,
    html: Path | None,
    scores: Path | None,
    seed: int,
    out: Path,
    command: str,
    **sides: Path | None,
) -> Report:
    """Read signals, attack, write what was asked for."""
    from secateur import store
    from secateur.auditing.saved import audit_parts
    from secateur.cli.checks import refuse_apart, refuse_outputs

    chosen = tuple(map(_parsed, attacks)) or None
    _check_kind(kind)
    _check_sides(target, sides)
    inputs = [p for p in (target, *sides.values(), references) if p is not None]
    refuse_apart(scores, out)
    refuse_outputs(out, html, scores, inputs=inputs)
    parts = _parts(_own(target, sides, kind), target, references, rows, kind)
    about = {
        "command": command,
        "title": f"Membership audit of {parts[0][0].path.name}",
        "files": [p.name for p in inputs],
    }
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


def _check_sides(target: Path | None, sides: Mapping[str, Path | None]) -> None:
    """Refuse both ways of naming the models under audit, neither, or half of one."""
    from secateur.errors import InputError

    given = [f"--{name.replace('_', '-')}" for name, path in sides.items() if path is not None]
    if target is not None and given:
        raise InputError(
            f"--target and {', '.join(given)} both name what is under audit; give the one file "
            "that says who is in by --target, or members and non-members apart"
        )
    if target is None and not {"--members", "--non-members"} <= set(given):
        raise InputError(
            "say what is attacked: --target FILE, which says itself who was trained on (an array "
            "`inside`), or --members FILE and --non-members FILE"
            + (f"; of these there is {', '.join(given)} alone" if given else "")
        )


def _own(target: Path | None, sides: Mapping[str, Path | None], kind: str | None) -> SavedSignals:
    """Return the signals of the models under audit, from one file or from two."""
    from secateur import store
    from secateur.auditing.saved import truly_named
    from secateur.auditing.saved_sides import joined
    from secateur.errors import InputError
    from secateur.store.signals import OUTPUTS, with_labels

    if target is not None:
        return truly_named(store.read_signals(target, kind=kind))
    found = []
    for name, labels in (("members", "member_labels"), ("non_members", "non_member_labels")):
        path, labelled = sides[name], sides.get(labels)
        assert path is not None  # `_check_sides` said so
        side = truly_named(store.read_signals(path, kind=kind))
        found.append(side if labelled is None else with_labels(side, labelled))
    made = joined(*found)
    if made.labels is None and set(made.arrays) & set(OUTPUTS):
        raise InputError(
            f"{sides['members']} and {sides['non_members']} hold no labels, the true class of each "
            "record, which logits and probabilities need; name them by --member-labels FILE.npy "
            "and --non-member-labels FILE.npy"
        )
    return made


def _parts(
    own: SavedSignals,
    target: Path | None,
    references: Path | None,
    rows: str | None,
    kind: str | None,
) -> list[tuple[SavedSignals, Sequence[int], Role]]:
    """Return each file with the models that are taken of it, and their role."""
    from secateur import store
    from secateur.auditing.saved import truly_named

    models = range(own.shape[0])
    under = list(models) if rows is None else _numbers(rows, own.shape[0])
    parts: list[tuple[SavedSignals, Sequence[int], Role]] = [(own, under, "target")]
    if references is not None:
        without = () if target is None else (target,)
        others = truly_named(store.read_signals(references, kind=kind, without=without))
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
