"""The package builds and runs away from this repository, with a C compiler and without one."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_networks import file_of, settled

from secateur.models import LeNet5

HERE = Path(__file__).parent
COMPILER = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0])
NEEDED = ("numpy", "setuptools")  # lent to the new environments, so that nothing is downloaded
SETTINGS = {
    "compiler": {},
    "no compiler": {"CC": "/nonexistent"},
    "no programs": {"PATH": "/nonexistent"},
    "not wanted": {"SECATEUR_RUNTIME_NATIVE": "0"},
    "insisted on": {"SECATEUR_RUNTIME_NATIVE": "1"},
}
compiled = pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def environment(folder):
    """Make a virtual environment with pip and the packages that are lent; return its Python."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = Path(run([python, "-c", code]).stdout.strip())
    run([python, "-m", "pip", "uninstall", "-y", *NEEDED])  # an older one may come with Python
    for name in NEEDED:
        for file in importlib.metadata.files(name) or ():
            top = Path(file).parts[0]
            place = Path(importlib.metadata.distribution(name).locate_file(top))
            if top != ".." and not (packages / top).exists() and place.exists():
                (packages / top).symlink_to(place)
    return python


def run(command, *, check=True, cwd="/", **settings):
    """Run a command where nothing of this environment or repository is on a path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SECATEUR", "VIRT"))}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**kept, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    """A Python to build with, and the source distribution, made of a copy of this folder."""
    folder = tmp_path_factory.mktemp("builder")
    skip = shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__", "build", "dist", "tests")
    shutil.copytree(HERE.parent, folder / "runtime", ignore=skip)
    python = environment(folder / "venv")
    code = "from setuptools.build_meta import build_sdist; print(build_sdist('..'))"
    run([python, "-c", code], cwd=folder / "runtime")
    (source,) = folder.glob("*.tar.gz")
    return python, source


def wheel_of(builder, out, *, check=True, **settings):
    python, source = builder
    pip = [python, "-m", "pip", "wheel", "-v", "--no-index", "--no-deps", "--no-build-isolation"]
    done = run([*pip, "--no-cache-dir", "-w", out, source], check=check, **settings)
    return done, sorted(out.glob("*.whl"))


def names_in(wheel):
    with zipfile.ZipFile(wheel) as opened:
        return opened.namelist()


def test_the_source_distribution_has_all_that_a_build_needs(builder):
    with tarfile.open(builder[1]) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    for file in (HERE.parent / "src").rglob("*"):
        if file.suffix in (".py", ".pyi", ".c", ".h", ".typed"):
            assert str(file.relative_to(HERE.parent)) in names
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE"} <= names


def test_the_licence_is_that_of_the_repository():
    assert (HERE.parent / "LICENSE").read_bytes() == (HERE.parents[1] / "LICENSE").read_bytes()


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    torch.manual_seed(0)
    net = settled(LeNet5()(), zeros=0.9)
    folder = tmp_path_factory.mktemp("lenet")
    (folder / "m.packed").write_bytes(file_of(net, (1, 28, 28)))
    x = np.random.default_rng(0).random((19, 1, 28, 28), dtype=np.float32)
    np.save(folder / "x.npy", x)
    with torch.no_grad():
        return folder, net(torch.from_numpy(x)).numpy()


def check_it_runs(wheel, lenet, tmp_path, engine):
    """Install a wheel and run a network by its command; the answers and the engine are right."""
    licence = [name for name in names_in(wheel) if name.endswith(".dist-info/licenses/LICENSE")]
    assert len(licence) == 1
    python = environment(tmp_path / "venv")
    pip = [python, "-m", "pip", "install", "--no-index", "--no-deps", wheel]
    run(pip, cwd=tmp_path)
    folder, expected = lenet
    command = [python.with_name("secateur-run"), folder / "m.packed", folder / "x.npy"]
    out = tmp_path / "y.npy"
    told = run([*command, "--out", out, "--explain"], cwd=tmp_path).stderr
    assert f"engine: {engine}" in told
    assert ("many times more slowly" in told) == (engine == "numpy")
    assert np.abs(np.load(out) - expected).max() < 1e-4
    code = "import secateur_runtime as s; print(s.__file__)"
    assert str(tmp_path) in run([python, "-c", code], cwd=tmp_path).stdout
    return python


@compiled
@pytest.mark.parametrize("name", ["compiler", "insisted on"])
def test_with_a_compiler_the_wheel_has_the_compiled_engine(builder, lenet, tmp_path, name):
    _, (wheel,) = wheel_of(builder, tmp_path / "dist", **SETTINGS[name])
    assert "-cp311-abi3-" in wheel.name
    assert "secateur_runtime/_native.abi3.so" in names_in(wheel)
    assert not [name for name in names_in(wheel) if "native_c" in name]
    check_it_runs(wheel, lenet, tmp_path, "compiled, ")


@pytest.mark.parametrize("name", ["no compiler", "no programs", "not wanted"])
def test_without_a_compiler_the_wheel_runs_by_numpy_and_says_so(builder, lenet, tmp_path, name):
    done, (wheel,) = wheel_of(builder, tmp_path / "dist", **SETTINGS[name])
    assert "It is installed without" in done.stdout + done.stderr
    assert wheel.name.endswith("-py3-none-any.whl")  # it holds nothing of this machine
    assert not [name for name in names_in(wheel) if name.endswith(".so")]
    python = check_it_runs(wheel, lenet, tmp_path, "numpy")
    folder = lenet[0]
    command = [python.with_name("secateur-run"), folder / "m.packed", folder / "x.npy"]
    done = run([*command, "--engine", "native"], check=False)
    assert done.returncode == 2 and "no compiled engine" in done.stderr


@pytest.mark.parametrize("name", ["no compiler", "no programs"])
def test_a_build_that_insists_on_the_engine_fails_without_a_compiler(builder, tmp_path, name):
    settings = {**SETTINGS[name], "SECATEUR_RUNTIME_NATIVE": "1"}
    done, wheels = wheel_of(builder, tmp_path / "dist", check=False, **settings)
    assert done.returncode != 0 and not wheels
