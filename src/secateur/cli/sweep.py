"""`secateur sweep`: methods, strengths, compressions and seeds from one file."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secateur.cli import swept
from secateur.cli.left import cost, left_of
from secateur.cli.options import (
    cache_option,
    data_dir_option,
    device_option,
    engine_option,
    limit_options,
    seeds_option,
    workers_option,
)

if TYPE_CHECKING:
    from secateur.cli.left import Left
    from secateur.train import Engine

__all__ = ["command"]


@click.command("sweep")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of fleets, reports, result.")
@click.option("--scale", help="Take the keys of [scale.NAME] in place of those above it.")
@click.option(
    "--dry-run",
    "--show",
    "dry_run",
    is_flag=True,
    help="Print cases, trainings and what they will take, and end there.",
)
@click.option(
    "--budget",
    help="Stop after 600s, 20m or 2h with an audit of what is there; the same command goes on.",
)
@limit_options
@seeds_option
@click.option("--html", type=click.Path(path_type=Path), help="Write the page too.")
@data_dir_option
@engine_option
@device_option
@cache_option
@workers_option
def command(**options: Any) -> None:
    """Make and audit every case of FILE (TOML), and show accuracy against leak and size.

    What cases have in common is trained once; what is finished is found again. With a limit, the
    most accurate case within all limits is named, and how sure that is; where there is none the
    exit code is 1, after a spent budget too. A budget that ends without limits, or with a case
    that keeps them, gives 0.

    "AUC - dense" is the case's leak minus the dense model's, "at no less test acc." minus that of
    the dense model stopped at the first kept epoch that is no less accurate; paired, each side by
    the attack that was its strongest on references (both by the case's, where two cannot be
    paired).

    \b
    Examples:
      secateur sweep recipes/example.toml --dry-run
      secateur sweep recipes/example.toml --out runs/example --html example.html
      secateur sweep recipes/example.toml --out runs/example --max-leak 0.6 --max-bytes 20k
      secateur sweep big.toml --out runs/big --budget 20m
      secateur sweep big.toml --seed 2 --out runs/big-2
    """
    begun = time.monotonic()  # reading, rehearsing and timing are part of a budget
    file: Path = options.pop("file")
    out: Path | None = options.pop("out")
    if out is None and not options["dry_run"]:
        raise click.MissingParameter(param_hint="'--out'", param_type="option")
    asked = _Asked(file, **{key: options.pop(key) for key in ("scale", "seeds", "data_dir")})
    if options.pop("dry_run"):
        from secateur.cli.runs import engine

        click.echo(asked.cases())
        route = engine(options["engine"], options["workers"])
        left = left_of(asked.plan, asked.nodes, asked.draw, out)
        click.echo(asked.cost(left, out, route))
        return
    assert out is not None  # said above
    run(asked, out, begun=begun, **options)


class _Asked:
    """A file's plan, with everything that it spells read and tried."""

    def __init__(
        self, file: Path, *, scale: str | None, seeds: tuple[int, ...], data_dir: Path | None
    ) -> None:
        from secateur.cli.amounts import text_of
        from secateur.cli.checks import check_fit
        from secateur.cli.runs import default_recipe, read_data
        from secateur.cli.spelled import (
            parse_attack,
            parse_canaries,
            parse_queries,
            parse_recipe,
            parse_step,
        )
        from secateur.sweeping import read_plan, rehearse_all, tree_of

        self.file = file
        self.plan = read_plan(text_of(file), scale=scale, where=str(file)).of_seeds(seeds)
        self.records = read_data(self.plan.data, data_dir)
        spelled = self.plan.recipe or default_recipe(self.plan.data, self.records)
        self.recipe = parse_recipe(spelled)
        self.queries = parse_queries(self.plan.queries)
        self.attacks = [parse_attack(text) for text in self.plan.attacks] or None
        self.canaries = [repr(parse_canaries(text)) for text in self.plan.canaries]
        self.nodes = tree_of(self.plan, self.recipe, parse_step)
        self.world = self.draw(self.plan.seeds[0], self.plan.targets)
        check_fit(self.recipe, self.world[0], self.queries)
        rehearse_all(self.nodes, *self.world)

    def draw(self, seed: int, targets: int) -> tuple[Any, Any]:
        """Return one seed's records and membership."""
        from secateur.cli.runs import origin_of, pools_of, whole_name, world

        data = whole_name(self.plan.data)
        sizes = self.plan.sizes
        asked = (sizes.get("members"), sizes.get("population"), sizes.get("utility"))
        attack = sizes.get("attack_pool", 0)
        origin = origin_of(
            self.recipe,
            data,
            models=(targets, self.plan.references),
            seed=seed,
            pools=pools_of(self.plan.data, asked, self.records, attack=attack),
            queries=self.queries,
            canaries=self.canaries,
        )
        return world(origin, self.records)

    def cost(self, left: Left, out: Path | None, route: Engine) -> str:
        """Return what it will take to make what is left."""
        return cost(left, self.plan, self.world, out, route=route, attacks=self.attacks)

    def cases(self) -> str:
        """Return the cases, a line each."""
        plan = self.plan
        cases = "1 case" if len(plan.cases) == 1 else f"{len(plan.cases)} cases"
        count = f"{cases} and the dense one"
        lines = [f"{plan.title}: {count}, seeds {', '.join(map(str, plan.seeds))}"]
        return "\n".join([*lines, *(f"  {c.name}: {' -> '.join(c.steps)}" for c in plan.cases)])


def run(
    asked: _Asked,
    out: Path,
    *,
    begun: float,
    budget: str | None,
    max_leak: float | None,
    min_accuracy: float | None,
    max_bytes: str | None,
    html: Path | None,
    **how: Any,
) -> None:
    """Run a sweep, print its table, write its page."""
    from secateur.cli.amounts import seconds_of
    from secateur.cli.checks import refuse_outputs
    from secateur.cli.runs import engine
    from secateur.errors import StoreError
    from secateur.models import check_device
    from secateur.report import sweep_page, sweep_table
    from secateur.store import write_text
    from secateur.sweeping import Clock, names_of, sweep

    if out.exists() and not out.is_dir():
        raise StoreError(f"--out {out} is a file; name a folder, which is made where it is missing")
    names, seeds = names_of(out, asked.plan.scale), asked.plan.seeds
    swept.refuse_other_seeds(out / names.result, seeds)
    refuse_outputs(html, inputs=(asked.file, *swept.written(out, names, seeds)))
    check_device(how["device"])
    limits = swept.limits_of(max_leak, min_accuracy, max_bytes)
    clock = Clock(seconds=seconds_of(budget), begun=begun)
    route = engine(how.pop("engine"), how["workers"])
    click.echo(asked.cases())
    left = left_of(asked.plan, asked.nodes, asked.draw, out)
    if left.any or not (out / names.result).exists():
        click.echo(asked.cost(left, out, route))
    before = time.monotonic() - begun
    with swept.telling_of_secrets(out), _bar(asked) as bar:
        place = _place(asked, out, clock, route=route, progress=bar, **how)
        facts = {"command": click.get_current_context().obj or "secateur sweep"}
        found = sweep(asked.plan, asked.nodes, asked.draw, place, limits=limits, facts=facts)
    click.echo(sweep_table.render_sweep(found))
    click.echo(f"result: {out / names.result}")
    if names.end:  # the plain names are another scale's
        there = [out / f"seed-{seed}" / names.report for seed in seeds]
        click.echo(f"reports: {', '.join(str(path) for path in there if path.exists())}")
    if html is not None:
        write_text(html, sweep_page.render_sweep_page(found))
        click.echo(f"page: {html}")
    none_fits = bool(limits) and found.pick.get("case") is None
    idle = None if found.points else before
    swept.refuse_missing(found.missing, budget, out, none_fits=none_fits, before=idle)
    if none_fits:
        sys.exit(swept.NONE_FITS)


def _place(
    asked: _Asked, out: Path, clock: Any, *, route: Engine, progress: Any, **how: Any
) -> Any:
    from secateur.auditing import default_attacks, needed_signals
    from secateur.cli.runs import log_spaced, processes
    from secateur.errors import InputError
    from secateur.probe import SignalProbe
    from secateur.sweeping import Place
    from secateur.train import Snapshots, Stacked

    if asked.plan.funnel and isinstance(route, Stacked):
        raise InputError(
            "a funnel makes a fleet's models round by round, which stacks cannot; leave the funnel "
            "out, or take --engine processes"
        )
    wanted = needed_signals(asked.attacks or default_attacks(), perturbed=False)
    probe = SignalProbe(signals=wanted)
    epochs = log_spaced(asked.recipe.epochs) if asked.recipe.train is None else ()
    kept = Snapshots(epochs=epochs, probe=probe, queries=asked.queries) if epochs else None
    return Place(
        folder=out,
        snapshots=kept,
        attacks=asked.attacks,
        queries=asked.queries,
        clock=clock,
        engine=route,
        workers=processes(how["workers"]),
        cache=how["cache"],
        progress=progress,
        device=how["device"],
        say=lambda text: click.echo(text, err=True),
    )


def _bar(asked: _Asked) -> Any:
    from secateur.cli.progress import Bar

    names = {node.label: f"making {node.label}" for node in asked.nodes}
    names |= {
        "observe_model": "querying models",
        "choose_attack": "choosing attacks on references",
        "attack_family": "attacking",
        "train_and_score": "training the neural attack, target by target",
    }
    return Bar("sweep", **names)
