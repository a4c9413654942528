"""The group of verbs, and what becomes of errors: one paragraph and an exit code."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from secateur.cli.swept import NONE_FITS, LimitsMissedError
from secateur.errors import (
    BudgetSpentError,
    InterruptedRunError,
    SecateurError,
    SecateurWarning,
)
from secateur.spelling import did_you_mean
from secateur.user_code import ended

__all__ = ["group", "main"]

VERBS = {
    "demo": "The main job on digits that need no download: train, prune, audit, report.",
    "init": "Write a recipe file for your own network and data.",
    "check": "Find the usual mistakes of a recipe file, and say what its audit will take.",
    "train": "Train a fleet of dense models, each on its own draw of members.",
    "prune": "Prune every model of a fleet in the same way.",
    "defend": "Train a fleet's models anew under a defence.",
    "audit": "Attack fleets of one membership and write a report.",
    "attack": "Attack saved logits or signals of models that somebody else trained.",
    "export": "Write one model of a fleet as the file that is shipped, with a model card.",
    "sweep": "Compare methods and their strengths: accuracy, leak and size, from one file.",
    "join": "Put draws of one sweep together that were made apart.",
    "reproduce": "Run a cell of the paper's grid: five rows and their controls, judged.",
    "power": "Say before anything is trained what an audit of a given size can find.",
    "report": "Show a report, or several side by side, as a table or as one HTML page.",
    "gate": "Hold a report against a policy; exit code 1 where a rule is violated.",
    "methods": "List methods with threat model, parameters and reference.",
    "clean": "Keep of a fleet's references their signals alone.",
    "data": "List data sets, download their files, and look into them.",
}
HEAVY = {
    "demo",
    "train",
    "prune",
    "defend",
    "audit",
    "export",
    "sweep",
    "reproduce",
    "clean",
    "check",
}
BAD_INPUT, INTERRUPTED = 2, 130
MARK = "SECATEUR_ENVIRONMENT_SET"
# libgomp and glibc read these when a process starts: see docs/architecture.md, "Processes"
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}


class Verbs(click.Group):
    """Loads a verb's file when it is asked for, and knows near misses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of their use."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one verb that was asked for."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"secateur.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs' one-liners without importing them."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Add the nearest verb to the error for an unknown one."""
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            raise click.UsageError(
                f"unknown verb {name!r}; {did_you_mean(name, VERBS)}there are {', '.join(VERBS)}",
                ctx,
            )
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="secateur")
def group() -> None:
    """Prune neural networks, and audit what pruning did to the privacy of their training data.

    \b
    Examples:
      secateur demo
      secateur train --data location30 --data-dir DATA --out runs/dense
      secateur prune runs/dense --method "ADMM(rate=10)" --out runs/admm
      secateur audit runs/dense runs/admm --out report.json --html report.html
    """


def _reexecute() -> None:
    """Start anew with the environment that fast and repeatable training needs, once."""
    wanted = {k: v for k, v in ENVIRONMENT.items() if k not in os.environ}
    if not wanted or os.environ.get(MARK):
        return
    arguments = [sys.executable, "-m", "secateur.cli", *sys.argv[1:]]
    os.execve(sys.executable, arguments, {**os.environ, **wanted, MARK: "1"})


def _fail(message: str, code: int) -> NoReturn:
    print(f"secateur: {message}", file=sys.stderr)
    sys.exit(code)


def _warn(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    del category, where, more
    print(f"secateur: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _bad_usage(error: click.ClickException) -> NoReturn:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        print(error.format_message(), file=sys.stderr)
        sys.exit(BAD_INPUT)
    if isinstance(error, click.NoSuchOption) and context is not None:
        known = [name for p in context.command.params for name in p.opts if name.startswith("-")]
        _fail(
            f"error: unknown option {error.option_name}; "
            f"{did_you_mean(error.option_name, known)}there are {', '.join(known)}",
            BAD_INPUT,
        )
    hint = f" (help: {context.command_path} --help)" if context else ""
    _fail(f"error: {error.format_message()}{hint}", BAD_INPUT)


def _is_ours(stop: SystemExit) -> bool:
    """Tell whether a verb ended the command, and not a user's code that a verb ran."""
    frames = [frame for frame, _ in traceback.walk_tb(stop.__traceback__)]
    return frames[-1].f_globals["__name__"].partition(".")[0] in ("secateur", "click")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and turn every error of ours into one paragraph and an exit code.

    Args:
        arguments: verb and options; by default those that the process was started with.
    """
    if arguments is None:
        if HEAVY & set(sys.argv[1:2]):
            _reexecute()
        arguments = sys.argv[1:]
    typed = shlex.join(["secateur", *arguments])
    with warnings.catch_warnings():
        warnings.simplefilter("always", SecateurWarning)
        warnings.showwarning = _warn
        try:
            group.main(list(arguments), prog_name="secateur", standalone_mode=False, obj=typed)
        except click.exceptions.Exit as done:
            sys.exit(done.exit_code)
        except click.ClickException as error:
            _bad_usage(error)
        except SystemExit as stop:
            if _is_ours(stop):
                raise
            _fail(f"error: {ended(stop)}", BAD_INPUT)
        except BudgetSpentError as stop:
            print(f"{stop}\ngo on with: {typed}")
            if isinstance(stop, LimitsMissedError):
                sys.exit(NONE_FITS)
        except (InterruptedRunError, KeyboardInterrupt, click.Abort) as stop:
            what = str(stop) or "stopped; what was finished stays where it is"
            _fail(f"{what}\nresume with: {typed}", INTERRUPTED)
        except SecateurError as error:
            _fail(f"error: {error}", BAD_INPUT)
        except BrokenPipeError:  # whoever read the output went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _fail(
                f"error: {where[:300]}{error.strerror or error}; check the path, and that you may "
                "read and write there",
                BAD_INPUT,
            )
        except MemoryError as error:
            _fail(
                f"error: not enough memory ({str(error) or 'no more said'}); ask for fewer models, "
                "records or weights",
                BAD_INPUT,
            )
