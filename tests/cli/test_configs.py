"""Configs by name or path, and mistakes that are answered without JAX."""

import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest
from absl import flags

from jaxvae.cli import devices
from jaxvae.cli.flags import parse
from jaxvae.cli.main import command
from jaxvae.common.errors import UserError
from jaxvae.experiment import configs

ROOT = Path(__file__).parents[2]
# Runs the command line and says which modules of weight were imported.
WATCHED = """
import sys, time
from jaxvae.cli.main import main
status = main(sys.argv, time.time())
print(status, *sorted({"jax", "numpy", "flax", "optax", "tensorflow_datasets"} & set(sys.modules)))
"""


def config_of(*argv):
    return parse(["jaxvae", *argv], flags.FlagValues()).to_dict()


@pytest.mark.parametrize("given", ["vae", "vae:mnist", "iwae:fashion_mnist"])
def test_a_bare_name_is_the_installed_config_in_any_folder(tmp_path, monkeypatch, given):
    name, colon, dataset = given.partition(":")
    by_path = config_of(f"--config={ROOT}/configs/{name}.py{colon}{dataset}")
    monkeypatch.chdir(tmp_path)
    assert config_of(f"--config={given}") == by_path


def test_all_configs_of_the_folder_are_installed():
    assert set(configs.installed()) == {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert len(configs.installed()) >= 45


def test_a_config_file_of_the_users_own_comes_before_an_installed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = "from jaxvae.experiment import defaults\n\ndef get_config(dataset=''):\n    config = "
    Path("vae.py").write_text(source + "defaults.get_config('mine', dataset)\n    config.seed = 7\n    return config\n")
    assert (config_of("--config=vae.py:mnist")["seed"], config_of("--config=vae.py")["name"]) == (7, "mine-digits")
    assert config_of("--config=vae")["seed"] == 0


def test_the_installed_command_takes_the_arguments_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["jaxvae", "--config=vae", "--config.train.num_epochs=0"])
    assert command() == 2
    assert "train.num_epochs is 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--config=vae", "--config.optimizer.learning_rate=-1"], "learning_rate is -1.0; it must be above 0."),
        (["--config=vae", "--config.data.path=nowhere.npz"], "data.path is 'nowhere.npz', which does not exist."),
        (["--config=vae", "--config.train.start_from=nowhere"], "start_from cannot be used: 'nowhere' holds no run"),
        (["--config=vae", "--config.parallel=pmpa"], "Did you mean 'pmap'?"),
        (["--config=text_vae", "--config.data.path=nowhere.txt"], "Give a text file with one sentence per line"),
        (["--config=frey"], "give the Frey faces, an .npz with x, uint8 [1965, 28, 20], with --config.data.path=PATH"),
        (["--config=vae", "--epochs=3"], "--config.train.num_epochs=3"),
    ],
)  # fmt: skip
def test_mistakes_in_numbers_and_paths_are_answered_before_jax_is_imported(tmp_path, argv, said):
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *argv],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "2\n"  # and nothing that was watched
    assert said in done.stderr
    assert time.monotonic() - before < 20  # 0.2 s on a free machine
    assert not list(tmp_path.iterdir())


def test_own_faces_are_taken_for_frey_and_digits_are_not(refused, workdir):
    assert "The data set 'frey' does not come with jaxvae" in refused("--config=configs/frey.py")
    assert not workdir.exists()
    config = config_of("--config=frey", "--config.data.path=some/freyfaces.npz")
    assert (config["name"], config["train"]["num_epochs"]) == ("frey-freyfaces", 1000)
    assert config_of("--config=frey:digits")["data"]["name"] == "digits"


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_platform_that_is_not_there_is_one_paragraph(tmp_path, platform):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "--config=vae"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": platform, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("2 ")
    assert done.stderr.startswith(f"error: JAX_PLATFORMS is '{platform}', which JAX cannot use here: ")
    assert "Available: 1 cpu." in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_devices_are_looked_for_before_anything_else(refused, workdir, monkeypatch):
    devices.check_devices()
    found, told = jax.devices(), [AssertionError()]

    def fail():
        if told:
            raise told.pop()
        return found

    monkeypatch.setattr(jax, "devices", fail)
    message = refused("--config=vae")
    assert "which JAX cannot use here: JAX is installed without its plugin. Available: 8 cpu. Unset" in message
    assert jax.config.jax_platforms == "cpu"
    assert not workdir.exists()


def test_a_config_folder_is_not_a_config(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        configs.load(str(tmp_path))
