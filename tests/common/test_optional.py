"""Heavy packages are imported at their first use, and a missing one is named with what installs it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from jaxvae import UserError, data
from jaxvae.common.optional import EXTRAS, PACKAGES, require
from jaxvae.metrics.fidelity import psnr

ROOT = Path(__file__).parents[2]
HEAVY = {
    "grain", "matplotlib", "mido", "orbax", "pandas", "skimage", "sklearn", "tensorboardX", "tensorflow",
    "tensorflow_datasets", "torch",
}  # fmt: skip
IMPORT_LIBRARY = """
import importlib, pkgutil, sys
import jaxvae
from test_architecture import LIBRARY
for room in sorted(LIBRARY):
    module = importlib.import_module(f"jaxvae.{room}")
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"jaxvae.{room}."):
        importlib.import_module(found.name)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_the_library_imports_no_heavy_package():
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", IMPORT_LIBRARY], capture_output=True, text=True, env=path, check=True)
    loaded = set(done.stdout.split())
    assert {"jax", "flax", "optax", "numpyro", "jaxvae"} <= loaded
    assert HEAVY & loaded == set()


def hide(monkeypatch, package):
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("grain", "pip install 'jaxvae[stream]'"),
        ("skimage.metrics", "pip install 'jaxvae[metrics]'"),
        ("sklearn.cluster", "pip install 'scikit-learn'"),
        ("tensorflow_datasets", "pip install 'tensorflow-datasets'"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(monkeypatch, module, command):
    hide(monkeypatch, module.partition(".")[0])
    with pytest.raises(UserError, match=re.escape(command)):
        require(module)


def test_each_extra_is_in_pyproject_and_in_the_extra_of_the_tests():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, extra in EXTRAS.items():
        assert PACKAGES.get(name, name) in [re.split("[<>=]", each)[0] for each in extras[extra]]
    assert set(re.findall(r"\w+", extras["all"][0])) == {"jaxvae", *EXTRAS.values()} - {"wandb", "mlflow"}  # heavy
    assert "jaxvae[all,docs]" in extras["test"]


def test_metrics_without_their_package_say_so(monkeypatch):
    hide(monkeypatch, "skimage")
    with pytest.raises(UserError, match="scikit-image"):
        psnr(*[data.load("digits").test.x / 16] * 2)


def test_a_run_that_needs_a_missing_package_is_refused_before_training(monkeypatch, refused, images):
    for package in ("mido", "grain", "skimage"):
        hide(monkeypatch, package)
    assert "pip install 'mido'" in refused("--config=configs/music_vae.py")
    streamed = [f"--config.data.path={images}", "--config.data.stream=True", "--config.data.image_size=8"]
    assert "jaxvae[stream]" in refused("--config=configs/vae.py", *streamed, "--config.train.batch_size=2")
    assert "jaxvae[metrics]" in refused("--config=configs/vae.py", "--config.evaluate.metrics=fidelity")
