"""`secateur data`: which data sets there are, getting their files, and looking into them."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from secateur.cli.options import data_dir_option, seed_option

if TYPE_CHECKING:
    from secateur.data import DataFile, DataSet

__all__ = ["command"]


@click.group("data")
def command() -> None:
    """List data sets, download their files, and look into them before anything is trained.

    \b
    Examples:
      secateur data list
      secateur data get fashion-mnist --data-dir DATA
      secateur data check fashion-mnist --data-dir DATA
    """


@command.command("list")
@data_dir_option
def list_(data_dir: Path | None) -> None:
    """List data sets, whether their files are there, where they come from, and their terms.

    \b
    Example:
      secateur data list --data-dir DATA
    """
    from secateur.data import DATA_SETS
    from secateur.errors import DataFileError

    if data_dir is not None and not data_dir.is_dir():
        raise DataFileError(
            f"{data_dir} is no folder; name the one that holds the data sets' files"
        )
    for data_set in DATA_SETS:
        lines = [
            f"{data_set.name}: {data_set.about}",
            _state(data_set, data_dir),
            _how_to_get(data_set),
            data_set.origin,
            f"terms: {data_set.terms}" if data_set.terms else "",
        ]
        click.echo("\n  ".join(line for line in lines if line))


def _state(data_set: DataSet, data_dir: Path | None) -> str:
    if data_set.needs_folder and not data_set.files:
        return "your own files"
    if data_set.package and find_spec(data_set.package) is None:
        return f"missing: pip install 'secateur[{data_set.package}]'"
    if not data_set.files:
        return "ready"
    if data_dir is None:
        return "missing: no folder named (--data-dir or SECATEUR_DATA)"
    missing = data_set.missing(data_dir)
    if missing:
        return f"missing: not at the usual place: {', '.join(missing)}"
    return f"found in {data_dir}"


def _how_to_get(data_set: DataSet) -> str:
    if not data_set.files:
        return ""
    if all(f.url for f in data_set.files):
        return f"get it with: secateur data get {data_set.name} ({_size(data_set.files)})"
    return "get it by hand:"


def _size(files: tuple[DataFile, ...]) -> str:
    from secateur.cli.bytes_bar import spelled

    known = all(f.n_bytes for f in files)
    size = spelled(sum(f.n_bytes for f in files)) if known else "size unknown"
    return f"{len(files)} file{'s' if len(files) != 1 else ''}, {size}"


@command.command("get")
@click.argument("name")
@data_dir_option
@click.option("--yes", is_flag=True, help="Download without being asked.")
def get(name: str, data_dir: Path | None, yes: bool) -> None:
    """Download the files of the data set NAME from their canonical address.

    The address, the terms and the size are shown first. Files that are there already are verified
    and left alone. A download that was interrupted goes on where it stopped when the same command
    is given again; a file gets its name only when all of its bytes are verified.

    \b
    Examples:
      secateur data get location30 --data-dir DATA
      secateur data get mnist --data-dir DATA --yes
    """
    from secateur.data import data_set
    from secateur.errors import InputError

    found = data_set(name)
    if not found.files and found.needs_folder:
        raise InputError(f"{name} has no address to download from: {found.origin}")
    if not found.files:
        click.echo(f"{name}: {found.origin}")
        return
    folder = _folder(name, data_dir)
    other = next((folder / o for o in found.others if (folder / o).exists()), None)
    if other is not None:
        click.echo(f"{name}: {other} is there already; nothing to get")
        return
    by_hand = [f.path for f in found.files if not f.url and not (folder / f.path).exists()]
    if by_hand:
        raise InputError(
            f"{name} has no address to download {', '.join(by_hand)} from: {found.origin}"
        )
    if any(not (folder / f.path).exists() for f in found.files) and not _agreed(found, folder, yes):
        click.echo("nothing was downloaded")
        return
    _download(found, folder)
    click.echo(f"next: secateur data check {name} --data-dir {shlex.quote(str(folder))}")


def _folder(name: str, data_dir: Path | None) -> Path:
    from secateur.errors import InputError

    if data_dir is None:
        raise InputError(
            f"the files of {name} lie in a folder, and none is named; give --data-dir or set "
            "SECATEUR_DATA"
        )
    return data_dir


def _agreed(data_set: DataSet, folder: Path, yes: bool) -> bool:
    """Show what a download means, and ask."""
    missing = tuple(f for f in data_set.files if not (folder / f.path).exists())
    click.echo(f"{data_set.name}: {data_set.about}")
    click.echo(f"terms: {data_set.terms or 'unknown'}")
    click.echo(f"into:  {folder} ({_size(missing)})")
    for file in missing:
        through = f" through the proxy {proxy}" if (proxy := _proxy(file.url)) else ""
        unknown = "" if file.checksum else " (no checksum is known)"
        click.echo(f"from:  {file.url}{unknown}{through}")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(
            "nobody can be asked whether to download, since the input is no terminal; give --yes"
        )
    return click.confirm("download?", default=True)


def _proxy(url: str) -> str:
    """Return the host of the proxy that the environment names for an address, if any.

    Raises:
        InputError: what it names is no address.
    """
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    from secateur.errors import InputError

    address = urlsplit(url)
    named = getproxies().get(address.scheme)
    if not named or proxy_bypass(address.netloc):
        return ""
    try:
        parts = urlsplit(named)
        _ = parts.port
    except ValueError as error:
        raise InputError(
            f"the environment names the proxy {named!r} for {address.scheme}, which is no address "
            f"({error}); correct {address.scheme}_proxy, or unset it"
        ) from error
    return parts.hostname or named


def _download(data_set: DataSet, folder: Path) -> None:
    from urllib.request import getproxies

    from secateur.cli.bytes_bar import BytesBar
    from secateur.data.fetch import download
    from secateur.errors import DataFileError, InterruptedRunError

    with BytesBar() as bar:
        for file in data_set.files:
            try:
                done = download(file, folder, progress=bar, proxies=getproxies())
            except KeyboardInterrupt as stop:
                part = folder / f"{file.path}.part"
                kept = f"; {part} keeps what came" if part.exists() else ""
                raise InterruptedRunError(f"stopped while downloading {file.path}{kept}") from stop
            except DataFileError as error:
                place = folder / file.path
                if place.exists() or place.with_name(f"{place.name}.part").exists():
                    raise
                raise DataFileError(f"{error}. By hand: {data_set.origin}") from error
            how = "was there" if done.was_there else "downloaded"
            checked = "checksum as published" if done.checked else "not verified: no checksum known"
            click.echo(f"{done.path}: {how}, {checked}")


@command.command("check")
@click.argument("name")
@data_dir_option
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    show_default="1000, fewer for large data",
    help="Records whose nearest others are searched for near duplicates.",
)
@seed_option
def check(name: str, data_dir: Path | None, sample: int | None, seed: int) -> None:
    """Read the data set NAME and show its classes, groups, values, digest and duplicates.

    Equal records are found among all. Nearly equal ones, by the criterion of the audit's control
    of near duplicates, are searched for a sample of the records; the same picture shifted, scaled
    or compressed anew is farther away than that and is not counted.

    \b
    Examples:
      secateur data check digits
      secateur data check mnist --data-dir DATA --sample 5000
    """
    from secateur.cli.progress import Bar
    from secateur.cli.seen import parts_of, published, render_inspection
    from secateur.data import data_set, load
    from secateur.data.inspection import inspect_records

    found = data_set(name)
    records = load(name, data_dir)
    with Bar("looking for duplicates") as bar:
        seen = inspect_records(
            records, sample=sample, seed=seed, parts=parts_of(found, records), progress=bar
        )
    click.echo(render_inspection(seen, files=published(found, data_dir)))
