"""The command and the call on a run's page: parsed again, they give the run's settings."""

import json
import shlex

import numpy as np
import pytest
from absl import flags
from slow_cases import fast

from jaxvae.api import fitting
from jaxvae.cli.flags import parse
from jaxvae.experiment import configs, defaults, repeating

SETTINGS = {
    "data": ["--config=vae:mnist"],
    "own": ["--config=vae", "--config.data.path=some where/my 'data'.npz", "--config.data.scaling=unit"],
    "part": ["--config=vae", "--config.network=conv", "--config.network.channels=(8, 16)",
             "--config.network.norm=group", "--config.optimizer.learning_rate=1e-5"],
    "text": ["--config=text_vae", "--config.train.freeze=('model.encoder',)", "--config.name=a name",
             "--config.seed=7"],
    "groups": ["--config=beta_tcvae:shapes", "--config.optimizer.groups.model.learning_rate=1e-07",
               "--config.optimizer.groups.model.schedule=cosine"],
    "switch": ["--config=iwae", "--config.objective=elbo", "--config.evaluate.report=False"],
    "discriminator": ["--config=vae_gan", "--config.objective.discriminator=patch",
                      "--config.objective.discriminator.spectral_norm=True"],
    "no discriminator": ["--config=vae_gan", "--config.objective=elbo"],
    "dotted": ["--config=vae:my_package.my_data:rows", "--config.objective=my_package.bounds:renyi",
               "--config.objective.alpha=0.5"],
}  # fmt: skip


def config_of(argv):
    return parse(["jaxvae", *argv], flags.FlagValues()).to_dict()


def as_saved(config):
    return json.loads(json.dumps(config))


def argv_of(text, workdir):
    name, *argv = shlex.split(text.replace("\\\n", " "))
    assert name == "jaxvae"
    assert argv[-1] == f"--workdir={workdir}"
    return argv[:-1]


def called(monkeypatch, text):
    """The config that `jaxvae.fit` of the text would train."""

    class Reached(Exception):
        pass

    def setup(config, *args):
        raise Reached(config)

    monkeypatch.setattr(fitting, "setup", setup)
    with pytest.raises(Reached) as reached:
        exec(text, {"x": np.zeros((9, 4), np.float32)})
    return reached.value.args[0]


@pytest.mark.parametrize("name", [*SETTINGS, *fast(configs.installed(), "text_vae", "celeba")])
def test_the_command_and_the_call_give_the_settings_of_the_run(name, monkeypatch):
    argv = SETTINGS.get(name, [f"--config={name}"])
    config = as_saved(config_of(argv))
    how = repeating.recipe(config)
    text = repeating.command(how, "some/new folder")
    assert as_saved(config_of(argv_of(text, "some/new folder"))) == config
    if name != "own" and name != "dotted":  # a file and modules that do not exist
        assert as_saved(called(monkeypatch, repeating.call(how))) == config
    if name not in SETTINGS:
        assert how.config == name
        assert not how.settings
    else:
        assert len(how.settings) <= len(argv)


@pytest.mark.parametrize("name", fast(configs.installed(), "music_vae"))
def test_a_run_of_an_unknown_name_starts_from_the_nearest_config(name):
    config = as_saved(configs.load(name)) | {"name": "mine"}
    how = repeating.recipe(config)
    assert how.settings["name"] == "mine"
    assert len(how.settings) <= 2
    assert as_saved(config_of(argv_of(repeating.command(how, "x"), "x"))) == config


def test_settings_that_no_override_reaches_have_no_recipe():
    config = as_saved(defaults.get_config("mine").to_dict())
    assert repeating.recipe(config) is not None
    del config["objective"]["num_samples"]
    for base in map(configs.load, ("vae", "iwae", "beta_vae", "vq_vae")):
        assert repeating.differing(base, config) is None or base["objective"]["name"] != "elbo"


def test_arrays_are_x_and_built_parts_are_dots(monkeypatch):
    config = fitting._named("vae_2d", np.zeros((9, 4)))
    config["train"]["num_epochs"] = 3
    how = repeating.recipe(config)
    assert repeating.command(how, "x") is None
    text = repeating.call(how)
    assert text.startswith("import jaxvae\n\nrun = jaxvae.fit('vae_2d', x, settings={\n    'train.num_epochs': 3,\n})")
    assert called(monkeypatch, text) == config
    config["model"]["posterior"] = {"name": "given"}
    how = repeating.recipe(config)
    assert how.objects == ["model.posterior"]
    assert "'model.posterior': ...," in repeating.call(how)
    assert repeating.command(how, "x") is None


def test_modules_of_the_user_are_imported():
    how = repeating.recipe(config_of(SETTINGS["dotted"]))
    assert repeating.call(how).startswith("import jaxvae\nimport my_package.bounds\nimport my_package.my_data\n\n")
