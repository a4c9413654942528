"""`secateur demo`: train, prune, audit and report with fixed arguments, on data that need no
download.
"""

from __future__ import annotations

from pathlib import Path

import click

from secateur.cli.options import seed_option, workers_option

__all__ = ["command"]

ENGINE = "processes"  # named, so that its numbers are the same everywhere
METHODS = {
    # a start of rho below the default and half again as many updates: with so few steps per epoch
    # the last layer converges only then
    "admm": "ADMM(rate=10, updates=15, rho=(0.001, 10.0))",
    "random": "RandomMask(rate=10)",
}


@click.command("demo")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("secateur-demo"),
    show_default=True,
    help="Folder of the run; given again, finished models are reused.",
)
@seed_option
@workers_option
def command(out: Path, seed: int, workers: int) -> None:
    """Do the main job on digits that come with scikit-learn: ADMM and a random mask at 10x.

    8 models under audit and 32 references, all through the identical pipeline.

    \b
    Examples:
      secateur demo
      secateur demo --seed 1 --out runs/demo-1
    \b
    The same by hand:
      secateur train --data digits --snapshots 1,2,3,5,8,12,16,20,30,40,60,80 \\
        --out secateur-demo/dense
      secateur prune secateur-demo/dense --out secateur-demo/admm \\
        --method "ADMM(rate=10, updates=15, rho=(0.001, 10.0))"
      secateur prune secateur-demo/dense --method "RandomMask(rate=10)" --name random \\
        --out secateur-demo/random
      secateur audit secateur-demo/dense secateur-demo/admm secateur-demo/random \\
        --out secateur-demo/report.json --html secateur-demo/report.html
    """
    from secateur.cli.audit import audit
    from secateur.cli.prune import prune, warn_of_convergence
    from secateur.cli.train import train
    from secateur.report import table

    train(
        data="digits",
        data_dir=None,
        members=None,
        population=None,
        utility=None,
        targets=8,
        references=32,
        recipe=None,
        snapshots="1,2,3,5,8,12,16,20,30,40,60,80",
        seed=seed,
        workers=workers,
        engine=ENGINE,
        out=out / "dense",
    )
    for name, method in METHODS.items():
        warn_of_convergence(
            prune(
                fleet=out / "dense",
                method=method,
                name=name,
                data_dir=None,
                workers=workers,
                engine=ENGINE,
                out=out / name,
            )
        )
    page = out / "report.html"
    folders = tuple(out / name for name in ("dense", *METHODS))
    found = audit(
        fleets=folders,
        attacks=(),
        html=page,
        data_dir=None,
        seed=seed,
        workers=workers,
        out=out / "report.json",
        command=f"secateur demo --seed {seed}",
    )
    click.echo(table.render_text(found))
    click.echo(f"page: {page}")
