"""Files of 8-bit integers: audited like their parents, the same everywhere, and what they cost."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from onnx_files import weights_of
from secateur.attack.membership import LossThreshold
from secateur.auditing import audit
from secateur.auditing.accounted import after_training
from secateur.compress import ADMM, QuantisationAware
from secateur.data import digits, draw
from secateur.deploy import Onnx, OnnxInt8
from secateur.errors import InputError, MethodError
from secateur.models import (
    MLP,
    OnnxNetwork,
    logits_of,
)
from secateur.train import Recipe, apply, train_fleet
from secateur.types import AUDIT, POPULATION, Records

RECORDS = digits()
NARROW = MLP(widths=(64, 16, 10))
RECIPE = Recipe(build=NARROW, epochs=6)


def who(**pools):
    pools = {AUDIT: 800, POPULATION: 150, **pools}
    return draw(RECORDS, targets=2, references=0, pools=pools, seed=0)


@pytest.fixture(scope="module")
def fleets():
    """A dense fleet, and its two kinds of file."""
    dense = train_fleet(RECIPE, RECORDS, who(), seed=0, engine="serial")
    made = [apply(c, dense, RECORDS, seed=0, engine="serial") for c in (Onnx(), OnnxInt8())]
    return [dense, *made]


def test_an_audit_of_files_finds_what_an_audit_of_their_parents_finds(fleets):
    report = audit(fleets, RECORDS, attacks=[LossThreshold(class_wise=False)], seed=0)
    found = {}
    for row in report.rows:
        if row.metric == "auc" and row.method.startswith("LossThreshold"):
            found.setdefault(row.subject, row.value)  # rows after it are differences to the first
    dense, onnx_file, int8 = (found[fleet.name] for fleet in fleets)
    assert onnx_file == pytest.approx(dense, abs=1e-4)
    assert int8 == pytest.approx(dense, abs=0.03)
    assert int8 != dense
    assert dense > 0.5


def test_a_file_of_flat_records_refuses_other_sizes_by_their_shape(fleets):
    network = OnnxNetwork(fleets[1].artifacts[0].shipped.data)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(InputError, match=r"does not take inputs of shape \(2, 1, 8, 9\)"):
        network(torch.zeros(2, 1, 8, 9))


def test_a_pool_without_records_is_named(fleets):
    empty = replace(fleets[0], membership=who(**{POPULATION: 0}))
    with pytest.raises(
        MethodError, match="reads records of the pool 'population', for which none were drawn"
    ):
        apply(OnnxInt8(), empty, RECORDS, seed=0, engine="serial")


def test_the_history_says_how_well_integers_agree(fleets):
    dense, _, int8 = fleets
    for before, after in zip(dense.artifacts, int8.artifacts, strict=True):
        assert after.shipped.form == "onnx-int8"
        assert (after.tensors["1.weight"] == before.tensors["1.weight"]).all()
        assert after.history["int8/records"].tolist() == [150.0]
        public = RECORDS.take(int8.membership.pool(POPULATION))
        net = NARROW()
        net.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in before.tensors.items()})
        expected, found = logits_of(net, public), logits_of(OnnxNetwork(after.shipped.data), public)
        difference = np.abs(found - expected)
        assert after.history["int8/largest"][0] == pytest.approx(difference.max(), rel=1e-4)
        assert after.history["int8/mean"][0] == pytest.approx(difference.mean(), rel=1e-4)
        equal = (found.argmax(1) == expected.argmax(1)).mean()
        assert after.history["int8/equal"][0] == pytest.approx(equal)
        assert equal > 0.9
        right = [(v.argmax(1) == public.labels).mean() for v in (expected, found)]
        assert after.history["int8/accuracy"] == pytest.approx(right)


def test_calibration_on_public_records_keeps_an_epsilon_and_on_members_voids_it():
    assert after_training([repr(OnnxInt8()), repr(Onnx())], RECIPE) == ""
    voided = after_training([repr(OnnxInt8(pool="members"))], RECIPE)
    assert "read the members without noise" in voided


def test_weights_in_integers_leave_room_for_sums_of_16_bits(fleets):
    data = fleets[2].artifacts[0].shipped.data
    codes = [v for n, v in weights_of(data).items() if n.endswith("weight_quantized")]
    assert len(codes) == 2
    for code in codes:
        assert code.dtype == np.int8
        assert (np.abs(code.astype(int)).max(axis=1) == 64).all()
        assert 2 * 255 * np.abs(code.astype(int)).max() < 2**15


@pytest.mark.slow
def test_the_same_model_gives_the_same_bytes_in_another_process(fleets, tmp_path):
    code = (
        "import hashlib, sys\n"
        "import test_int8 as t\n"
        "fleet = t.train_fleet(t.RECIPE, t.RECORDS, t.who(), seed=0, engine='serial').part([0])\n"
        "made = t.apply(t.OnnxInt8(), fleet, t.RECORDS, seed=0, engine='serial').artifacts[0]\n"
        "print(hashlib.sha256(made.shipped.data).hexdigest())\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *(p for p in sys.path if p)])
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=tmp_path
    )
    assert done.stderr == ""
    expected = fleets[2].artifacts[0].shipped.data  # made of the float32 file, so both are the same
    assert done.stdout.strip() == hashlib.sha256(expected).hexdigest()


def wide_range(n=120):
    """Pictures of bytes, 0 .. 255, whose steps are far larger than a bias."""
    rng = np.random.default_rng(0)
    x = np.floor(rng.random((n, 8), dtype=np.float32) * 256)
    return Records.from_arrays(x, rng.integers(0, 3, n), n_classes=3, name="bytes")


def test_a_channel_without_weights_keeps_its_bias_and_no_file_is_left(tmp_path, monkeypatch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        net[0].weight[:3] = 0
        net[0].weight[3] /= 255
        net[0].bias[:] = torch.tensor([0.45, 0.3, 0.2, 0.1])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = apply(OnnxInt8(pool="members", records=60), net, wide_range(), seed=0)
    assert list(tmp_path.iterdir()) == []
    assert made.history["int8/largest"][0] < 0.02
    assert not weights_of(made.shipped.data)["0.weight_quantized"][:3].any()


def test_what_was_trained_on_the_grid_is_found_on_it(fleets):
    dense = fleets[0].part([0])
    steps = (
        ADMM(rate=4.0, updates=2, epochs_per_update=1, retrain_epochs=1),
        QuantisationAware(epochs=1),
    )
    for step in steps:
        dense = apply(step, dense, RECORDS, seed=0, engine="serial")
    made = apply(OnnxInt8(), dense, RECORDS, seed=0, engine="serial").artifacts[0]
    stored = weights_of(made.shipped.data)
    for name, mask in made.masks.items():
        shipped = stored[f"{name}_quantized"] * stored[f"{name}_scale"][:, None]
        np.testing.assert_allclose(shipped, made.tensors[name], rtol=1e-6)
        assert not shipped[~mask].any()
