"""A wheel in an environment of its own: the command trains from any folder, by name and with a config of the user's."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("jaxvae", "configs", "setup.py", "pyproject.toml", "README.md", "LICENSE")
OWN = """
from jaxvae.experiment import defaults

def get_config(dataset=""):
    config = defaults.get_config("mine", dataset)
    config.network.hidden = (16,)
    return config
"""
SHORT = ["--config.train.num_epochs=1", "--config.evaluate.nll_samples=2", "--config.evaluate.report=False"]


def run(*command, cwd):
    hidden = ("PYTHONPATH", "PIP_CONSTRAINT")
    env = {key: value for key, value in os.environ.items() if key not in hidden} | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder `bin` of an environment with the wheel; what the wheel depends on comes from this environment."""
    place = tmp_path_factory.mktemp("wheel")
    (place / "source").mkdir()
    for name in SOURCES:  # a copy: building leaves folders in the source tree
        source, target = ROOT / name, place / "source" / name
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignore) if source.is_dir() else shutil.copy(source, target)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(place), "./source", cwd=place)
    (wheel,) = place.glob("*.whl")
    assert wheel.stat().st_size < 8_000_000
    venv.create(place / "env", with_pip=False)
    python = place / "env" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel), cwd=place)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip()
    (Path(packages) / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python.parent


@pytest.mark.slow
def test_a_wheel_trains_from_any_folder(installed, tmp_path):
    where = run(installed / "python", "-c", "import jaxvae; print(jaxvae.__file__)", cwd=tmp_path).strip()
    package = Path(where).parent
    assert package.is_relative_to(installed.parent)
    assert (package / "py.typed").exists()
    assert {p.name for p in (package / "configs").glob("*.py")} == {p.name for p in (ROOT / "configs").glob("*.py")}
    zoo = "import jaxvae; print(jaxvae.load('zoo/vae-digits').sample(2).shape)"
    assert run(installed / "python", "-c", zoo, cwd=tmp_path).strip() == "(2, 8, 8, 1)"
    run(installed / "jaxvae", "--config=vae:digits", *SHORT, cwd=tmp_path)
    assert json.loads((tmp_path / "runs" / "vae-digits" / "results.json").read_text())["test"]["loss"] > 0
    run(installed / "jaxvae", "--workdir=runs/vae-digits", "--mode=sample", cwd=tmp_path)
    (tmp_path / "mine.py").write_text(OWN)
    run(installed / "jaxvae", "--config=mine.py", *SHORT, cwd=tmp_path)
    assert json.loads((tmp_path / "runs" / "mine-digits" / "config.json").read_text())["network"]["hidden"] == [16]
    assert "hamiltonian" in run(installed / "jaxvae", "help", "posterior", cwd=tmp_path)
