"""What a shipped file, its note and its card say of seeds, members and training: nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from command_line import secateur, train
from secateur import store
from secateur.packed import head_of, unpack
from secateur.types import Artifact

METHOD = "CrossFit(folds=2, keep=True, prune=RandomMask(rate=4, epochs=1))"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    assert train(folder / "dense").code == 0
    done = secateur(
        *("defend", folder / "dense", "--method", METHOD, "--out", folder / "taught"),
        *("--engine", "serial", "--workers", "1"),
    )
    assert done.code == 0, done.err
    return folder


def texts_of(value: object) -> list[str]:
    """Return every digest and seed below a provenance key."""
    if isinstance(value, dict):
        return [text for v in value.values() for text in texts_of(v)]
    if isinstance(value, int) or (isinstance(value, str) and len(value) == 64):
        return [str(value)]
    return []


def secrets_of(artifact: Artifact, more: list[str]) -> list[bytes]:
    """Return what no file may hold: digests as text and as bytes, seeds as text and as a number,
    arrays of the history, and the words around them."""
    key = artifact.provenance.key
    assert {"seed", "members", "records", "sources"} <= {*key}
    digests = [artifact.digest, artifact.provenance.digest, *more]
    texts = [text for text in texts_of(dict(key)) + digests if len(text) > 6]
    assert str(key["seed"]) in texts and key["members"] in texts
    found = [text.encode() for text in texts]
    found += [bytes.fromhex(text) for text in texts if len(text) == 64]
    found += [key["seed"].to_bytes(8, "little"), b"provenance", b"taught/", b"CrossFit"]
    history = [np.ascontiguousarray(a).tobytes() for a in artifact.history.values()]
    assert any(name == "taught/answers" for name in artifact.history)
    return found + [data for data in history if len(data) > 16]


def opened(data: bytes, form: str) -> bytes:
    """Return a file's bytes, and what it holds compressed."""
    if form != "packed":
        return data
    arrays = unpack(data).tensors
    return b"".join(
        [data, repr(head_of(data)).encode(), *(n.encode() + a.tobytes() for n, a in arrays.items())]
    )


@pytest.mark.parametrize(
    "form",
    [
        "safetensors",
        "packed",
        *(pytest.param(f, marks=pytest.mark.slow) for f in ("onnx", "onnx-int8")),
    ],
)
def test_a_shipped_file_holds_no_seed_no_digest_of_members_or_records_and_no_history(runs, form):
    if form.startswith("onnx"):
        pytest.importorskip("onnxruntime")
    out = runs / f"model.{form}"
    done = secateur(
        *("export", runs / "taught", "--format", form, "--workers", "1", "--out", out),
    )
    assert done.code == 0, done.err
    fleet = store.open_fleet(runs / "taught")
    row = int(fleet.membership.targets[0])
    dense = store.open_fleet(runs / "dense").artifacts[row]
    _, converted = store.read_export(out).steps[-1]
    last = store.open_fleet(converted, partial=True).artifacts[row]
    more = [fleet.membership.digest, dense.digest, dense.provenance.digest]
    more += [last.digest, last.provenance.digest]
    secrets = secrets_of(fleet.artifacts[row], more)
    file = opened(out.read_bytes(), form)
    assert not [secret for secret in secrets if secret in file]
    beside = [path.read_bytes() for path in store.beside(out)]  # they say how it was made
    assert not [s for s in secrets if s != b"CrossFit" for text in beside if s in text]
    own = store.model_path(runs / "taught", fleet.artifacts.key_digest(row)).read_bytes()
    assert all(secret in own for secret in secrets[:2])  # what is looked for is found in a fleet


def test_the_card_names_the_digest_of_the_records_where_it_is_asked_for(runs):
    out = runs / "told.safetensors"
    common = ("export", runs / "taught", "--format", "safetensors", "--workers", "1", "--out", out)
    records = store.open_fleet(runs / "taught").artifacts[0].provenance.key["records"]
    card = store.beside(out)[1]
    assert secateur(*common).code == 0
    assert records not in card.read_text()
    assert secateur(*common, "--digests").code == 0
    assert records in card.read_text()
    assert records not in json.dumps(store.read_document(store.beside(out)[0], what="note"))
