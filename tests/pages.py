"""Read the command blocks of a page, with the marks that say how they are run, and run them.

A mark is a comment right before a block:

    <!-- not run: downloads CIFAR-10 -->     exempt; the reason begins: downloads, or installs
    <!-- run with: OLD => NEW -->            a smaller budget: this text of the block is replaced
    <!-- before: CODE -->                    run first, in the block's language
    <!-- after: CODE -->                     run last
    <!-- needs: runs/dense report.json -->   made once by `page_things`, copied beside the block
    <!-- file: policy.toml -->               the block is a file that later commands read
    <!-- exit code: 1 -->                    one command ends with it, the others with 0 or it
    <!-- slow: WHY -->                       run by `make slow` alone

In a mark, `$SMALL` stands for the options of a fleet of digits that trains in a moment, and
`$SIZES` for those of its sizes alone.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from command_line import RECIPE, SMALL
from command_line import secateur as run_secateur

HOUSE = Path(__file__).resolve().parents[1]
SHELL, FILES = ("bash", "console"), ("toml",)
NO_COMMANDS = ("text",)
MARKS = ("not run", "run with", "before", "after", "needs", "file", "exit code", "slow")
EXEMPT = ("downloads", "installs")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^`\n]*$")
OPERATORS = {"|", ">", ">>", "<", "&&", "||", "&", ";"}
FAST = (*SMALL, "--snapshots", "none", "--engine", "serial")
SHORT = {
    "$SMALL": shlex.join(["--data", "digits", "--recipe", RECIPE, *FAST]),
    "$SIZES": shlex.join(FAST),
}


class PageError(Exception):
    """A block that cannot be run, or a mark that says nothing."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block, and the marks before it."""

    line: int
    language: str
    text: str
    marks: tuple[tuple[str, str], ...] = ()

    def said(self, mark: str) -> tuple[str, ...]:
        """Return what the marks of one kind say."""
        return tuple(said for kind, said in self.marks if kind == mark)

    @property
    def runs(self) -> bool:
        """Whether it is run, now or by `make slow`."""
        return self.language not in NO_COMMANDS and not self.said("not run")


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found: list[Block] = []
    lines = text.split("\n")
    end = at = 0
    while at < len(lines):
        opened = FENCE.match(lines[at])
        if opened is None:
            at += 1
            continue
        fence, language = opened.groups()
        start = at + 1
        at = start
        while at < len(lines) and not re.match(rf"^ {{0,3}}{fence}`*~* *$", lines[at]):
            at += 1
        block = "\n".join(lines[start:at])
        before = "\n".join(lines[end : start - 1])
        found.append(Block(line=start, language=language, text=block, marks=_marks(before)))
        at += 1
        end = at
    return found


def _marks(before: str) -> tuple[tuple[str, str], ...]:
    """Return the marks of the comments that stand right before a block."""
    marks: list[tuple[str, str]] = []
    rest = before.rstrip()
    while rest.endswith("-->"):
        start = rest.rfind("<!--")
        kind, colon, said = rest[start + 4 : -3].partition(":")
        rest = rest[:start].rstrip()
        if colon:
            marks.insert(0, (kind.strip(), said.strip()))
    return tuple(marks)


def faults(block: Block) -> list[str]:
    """Return what keeps a block from being run or exempt."""
    found = [
        f"unknown mark {k!r}; there are {', '.join(MARKS)}"
        for k, _ in block.marks
        if k not in MARKS
    ]
    found += [f"the mark {kind!r} says nothing" for kind, said in block.marks if not said]
    if block.language not in (*SHELL, *FILES, *NO_COMMANDS, "python"):
        known = ", ".join((*SHELL, "python", *FILES, *NO_COMMANDS))
        found.append(
            f"language {block.language!r} is none of {known}, so nobody knows how it is run"
        )
    if block.language in FILES and block.runs and not block.said("file"):
        found.append("name the file that the block is, for a command after it: <!-- file: NAME -->")
    for why in block.said("not run"):
        if why.split()[:1] and why.split()[0] not in EXEMPT:
            found.append(f"only what {' or '.join(EXEMPT)} something is exempt, not {why!r}")
    for swap in block.said("run with"):
        old, arrow, _ = swap.partition(" => ")
        if not arrow or old not in block.text:
            found.append(f"write `run with: OLD => NEW` with an OLD of the block, not {swap!r}")
    return found


def small(text: str) -> str:
    """Return a text with its short words written out."""
    for short, long in SHORT.items():
        text = text.replace(short, long)
    return text


def as_run(block: Block) -> str:
    """Return a block's text as it is run, within its smaller budget."""
    text = block.text
    for swap in block.said("run with"):
        old, _, new = swap.partition(" => ")
        text = text.replace(old, small(new))
    return text


def commands(text: str, language: str) -> Iterator[list[str]]:
    """Return the words of each command of a shell block."""
    if language == "console":
        text = "\n".join(line[2:] for line in text.split("\n") if line.startswith("$ "))
    held = ""
    for line in text.split("\n"):
        held = f"{held}\n{line}" if held else line
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        try:
            words = shlex.split(held, comments=True)
        except ValueError:  # a quote is open: the command goes on
            continue
        held = ""
        if OPERATORS & set(words):
            raise PageError(f"{shlex.join(words)}: only plain commands are run here")
        if words:
            yield words
    if held:
        raise PageError(f"a quote is left open: {held}")


def exported(blocks: list[Block]) -> set[str]:
    """Return the names of the environment that shell blocks set."""
    shell = [b for b in blocks if b.language in SHELL and b.runs]
    found = [w for b in shell for w in commands(as_run(b), b.language) if w[0] == "export"]
    return {word.partition("=")[0] for words in found for word in words[1:]}


def run_block(block: Block, names: dict[str, object], folder: Path) -> None:
    """Run one block where the process stands, or raise what it raises."""
    for code in block.said("before"):
        _run(small(code), block, names)
    if block.language in FILES:
        (name,) = block.said("file")
        (folder / name).write_text(as_run(block), encoding="utf-8")
    else:
        _run(as_run(block), block, names)
    for code in block.said("after"):
        _run(small(code), block, names)


def _run(text: str, block: Block, names: dict[str, object]) -> None:
    if block.language == "python":
        _run_python(text, names, block.line)
        return
    (expected,) = map(int, block.said("exit code") or ("0",))
    language = "console" if block.language == "console" and text == as_run(block) else "bash"
    codes = {_run_command(words, (0, expected)) for words in commands(text, language)}
    if expected not in codes:
        raise PageError(f"no command ended with exit code {expected}")


def _run_python(text: str, names: dict[str, object], line: int) -> None:
    if ">>>" not in text:
        exec(compile("\n" * line + text, "block", "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(text, names, "block", None, line)
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append, clear_globs=False)
    names.update(test.globs)
    if runner.summarize(verbose=False).failed:
        raise PageError("".join(said))


def _run_command(words: list[str], allowed: tuple[int, ...] = (0,)) -> int:
    """Run one command in this process and return its exit code."""
    if words[0] == "export":
        os.environ.update(word.split("=", 1) for word in words[1:])
        return 0
    if words[0] == "mkdir":
        Path(words[-1]).mkdir()
        return 0
    if words[0] == "secateur":
        done = run_secateur(*words[1:])
        code, said = done.code, done.err or done.out
    elif words[0] == "secateur-run":
        from secateur_runtime.cli import main

        code, said = main(words[1:]), ""
    else:
        raise PageError(f"{words[0]} is no command that is run here; add it to {__name__}.py")
    if code not in allowed:
        raise PageError(f"{shlex.join(words)} ended with exit code {code}\n{said[-2000:]}")
    return code
