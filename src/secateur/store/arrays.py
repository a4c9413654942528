"""Memberships, observations and scores: npz files without pickles, the same bytes every time."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from secateur.errors import InputError, StoreError
from secateur.store.files import altered, damaged, read_bytes, write_bytes
from secateur.types import Membership, Observations, Scores, canonical_json, digest_arrays

__all__ = [
    "Arrays",
    "digest_npz",
    "read_membership",
    "read_npz",
    "read_observations",
    "read_scores",
    "write_membership",
    "write_npz",
    "write_observations",
    "write_scores",
]

_META = "__meta__"
_MEMBERSHIP = "secateur-membership-1"
_OBSERVATIONS = "secateur-observations-1"
_SCORES = "secateur-scores-1"
# what a damaged archive makes the standard library raise; RuntimeError where it seems encrypted
_BROKEN = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError)
Arrays = dict[str, NDArray[Any]]
Fields = dict[str, Any]


def write_membership(path: str | Path, membership: Membership) -> None:
    """Write who trained on what as an npz file.

    Raises:
        StoreError: the folder cannot be written.
    """
    fields, arrays = _take_membership(membership)
    write_npz(path, form=_MEMBERSHIP, fields=fields, arrays=arrays)


def read_membership(path: str | Path) -> Membership:
    """Read a membership and check it against its digest.

    Raises:
        StoreError: the file is missing, truncated, altered, of another kind, or somebody else's.
    """
    fields, arrays = read_npz(path, form=_MEMBERSHIP)
    try:
        return _make_membership(fields, arrays)
    except (KeyError, TypeError, InputError) as error:
        raise damaged(path, what=_MEMBERSHIP, why=error) from error


def _take_membership(membership: Membership) -> tuple[Fields, Arrays]:
    arrays: Arrays = {"inside": membership.inside, "units": membership.units}
    arrays.update({f"pools/{quote(name)}": pool for name, pool in membership.pools.items()})
    fields = {
        "roles": list(membership.roles),
        "pools": list(membership.pools),
        "seed": membership.seed,
        "drawn": membership.drawn,
        "share": membership.share,
    }
    return fields, arrays


def _make_membership(fields: Fields, arrays: Arrays, prefix: str = "") -> Membership:
    return Membership(
        inside=arrays[f"{prefix}inside"],
        roles=tuple(fields["roles"]),
        pools={name: arrays[f"{prefix}pools/{quote(name)}"] for name in fields["pools"]},
        units=arrays[f"{prefix}units"],
        seed=fields["seed"],
        drawn=fields["drawn"],
        share=fields.get("share"),  # older files do not say
    )


def write_observations(path: str | Path, observations: Observations) -> None:
    """Write what an attacker sees, with its membership, as an npz file.

    Raises:
        StoreError: an array cannot be stored without pickles, or the folder cannot be written.
    """
    o = observations
    belongs, inner = _take_membership(o.membership)
    arrays: Arrays = {f"membership/{name}": array for name, array in inner.items()}
    arrays["labels"], arrays["ids"] = o.labels, np.asarray(o.ids)
    for view, signals in o.views.items():
        arrays.update({_signal(view, key): np.asarray(a) for key, a in signals.items()})
    arrays.update({f"posteriors/{quote(view)}": np.asarray(a) for view, a in o.posteriors.items()})
    fields = {
        "membership": belongs,
        "views": [[view, list(signals)] for view, signals in o.views.items()],
        "posteriors": list(o.posteriors),
        "n_classes": o.n_classes,
        "primary": o.primary,
    }
    write_npz(path, form=_OBSERVATIONS, fields=fields, arrays=arrays)


def read_observations(path: str | Path) -> Observations:
    """Read observations and check them against their digest.

    Raises:
        StoreError: the file is missing, truncated, altered, of another kind, or somebody else's.
    """
    fields, arrays = read_npz(path, form=_OBSERVATIONS)
    try:
        return Observations(
            views={
                view: {key: arrays[_signal(view, key)] for key in keys}
                for view, keys in fields["views"]
            },
            labels=arrays["labels"],
            membership=_make_membership(fields["membership"], arrays, "membership/"),
            n_classes=fields["n_classes"],
            primary=fields["primary"],
            posteriors={view: arrays[f"posteriors/{quote(view)}"] for view in fields["posteriors"]},
            ids=arrays["ids"],
        )
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise damaged(path, what=_OBSERVATIONS, why=error) from error


def _signal(view: str, key: str) -> str:
    # quoted without an exception for "/", so that no two pairs of names share one
    return f"views/{quote(view, safe='')}/{quote(key, safe='@')}"


def write_scores(path: str | Path, scores: Scores) -> None:
    """Write an attack's scores as an npz file. They speak about persons: treat the file so.

    Raises:
        StoreError: the folder cannot be written.
    """
    arrays: Arrays = {"values": scores.values, "evaluated": scores.evaluated}
    if scores.threshold is not None:
        arrays["threshold"] = scores.threshold
    write_npz(path, form=_SCORES, fields={}, arrays=arrays)


def read_scores(path: str | Path) -> Scores:
    """Read scores and check them against their digest.

    Raises:
        StoreError: the file is missing, truncated, altered, of another kind, or somebody else's.
    """
    _, arrays = read_npz(path, form=_SCORES)
    try:
        return Scores(
            values=arrays["values"],
            evaluated=arrays["evaluated"],
            threshold=arrays.get("threshold"),
        )
    except (KeyError, InputError) as error:
        raise damaged(path, what=_SCORES, why=error) from error


def digest_npz(form: str, fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of a file's content."""
    return digest_arrays(arrays, extra=canonical_json([form, fields]))


def write_npz(path: str | Path, *, form: str, fields: Fields, arrays: Arrays) -> None:
    """Write named arrays and plain fields, with their digest, as an npz file.

    Raises:
        StoreError: an array that needs a pickle, or the folder cannot be written.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise StoreError(
                f"cannot write {path}: array {name!r} has the dtype {array.dtype}, which needs "
                "a pickle; convert it to numbers"
            )
    meta = {"format": form, "fields": fields, "digest": digest_npz(form, fields, arrays)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_member(_META), canonical_json(meta))
        for name in sorted(arrays):
            with archive.open(_member(f"{name}.npy"), "w", force_zip64=True) as file:
                npy.write_array(file, np.asarray(arrays[name], order="C"), allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # no clock in the bytes
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def read_npz(path: str | Path, *, form: str) -> tuple[Fields, Arrays]:
    """Read what `write_npz` wrote and check it against its digest.

    Raises:
        StoreError: the file is missing, truncated, altered, of another kind, or somebody else's.
    """
    data = read_bytes(path, expected="npz", what=form)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            meta = json.loads(archive.read(_META)) if _META in names else None
            seen = meta.get("format") if isinstance(meta, dict) else None
            if not isinstance(meta, dict) or seen != form:
                raise StoreError(
                    f"{path} is an npz file of the format {seen!r}, not {form!r}: other software "
                    "or another version wrote it, or it holds something else; give the right file"
                )
            arrays = {}
            for name in names:
                if name != _META:
                    member = io.BytesIO(archive.read(name))  # whole, so that its sum is checked
                    array = npy.read_array(member, allow_pickle=False)
                    arrays[name.removesuffix(".npy")] = array
    except _BROKEN as error:
        raise damaged(path, what=form, why=error) from error
    fields = meta.get("fields", {})
    found = digest_npz(form, fields, arrays)
    if found != meta.get("digest"):
        raise altered(path, stated=meta.get("digest"), found=found)
    return fields, arrays
