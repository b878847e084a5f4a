"""Runs with the features of another run: whole by themselves, resumed exactly; what is refused before training."""

import json
import shutil
import time

import jax
import numpy as np
import pytest
from tensor_files import tensors_of
from test_start_from import weights

import launch
from jaxvae.api.settings import changed
from jaxvae.common.errors import UserError
from jaxvae.experiment import configs
from jaxvae.experiment.plain import load_config
from jaxvae.experiment.setup import setup
from jaxvae.runs.feature_weights import feature_weights
from jaxvae.runs.restore import restore_run

SMALL = (
    "--config.evaluate.report=False", "--config.figures.draw=False", "--config.evaluate.nll_samples=2",
    "--config.train.eval_every_epochs=100", "--config.evaluate.metrics=",
)  # fmt: skip


def trains(config, workdir, *more):
    return launch.main(
        ["launch.py", f"--config=configs/{config}.py", f"--workdir={workdir}", *SMALL, *more], time.time()
    )


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("features") / "classifier"
    assert trains("classifier", workdir, "--config.network.hidden=(8,)", "--config.train.num_epochs=1") == 0
    return workdir


DFC = ("--config.network=mlp", "--config.network.hidden=(20,)", "--config.model.latent_dim=3",
       "--config.train.steps_per_call=10")  # fmt: skip


@pytest.fixture(scope="module")
def trained(classifier, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("features") / "dfc"
    assert trains("dfc_vae", workdir, f"--config.objective.features.run={classifier}", *DFC,
                  "--config.train.num_epochs=2") == 0  # fmt: skip
    return workdir


def test_a_run_holds_its_feature_network(classifier, trained, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(trained, moved)
    config = json.loads((moved / "config.json").read_text())
    config["objective"]["features"]["run"] = str(tmp_path / "nowhere")  # which is not needed any more
    (moved / "config.json").write_text(json.dumps(config))
    held, there = restore_run(moved, "last").weights, restore_run(classifier).weights["params"]["classifier"]
    jax.tree.map(np.testing.assert_array_equal, held["extra"]["features"]["params"], there)
    assert set(held["params"]) == {"model"}
    assert load_config(trained)["features"]["outputs"] == 10
    assert launch.main(["launch.py", f"--workdir={moved}", "--config.train.num_epochs=3"], time.time()) == 0
    assert (trained / "results.json").exists()
    assert json.loads((trained / "results.json").read_text())["test"]["perceptual"] > 0


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_bits(classifier, trained, tmp_path):
    stopped, run = tmp_path / "stopped", f"--config.objective.features.run={classifier}"
    assert trains("dfc_vae", stopped, run, *DFC, "--config.train.num_epochs=1") == 0
    assert trains("dfc_vae", stopped, run, *DFC, "--config.train.num_epochs=2") == 0
    for one, other in zip(weights(stopped, "last").values(), weights(trained, "last").values(), strict=True):
        np.testing.assert_array_equal(one, other)


def weights_of(config, **changes):
    """The weights of the feature network of a new run, and its shapes of layers for one example."""
    experiment = setup(changed(configs.load(config), changes))
    found = feature_weights(experiment)
    state = jax.eval_shape(experiment.objective.init, jax.random.key(0))[1]
    assert jax.tree.map(np.shape, found) == jax.tree.map(np.shape, {"features": state["features"]})
    return found["features"]["params"]


def test_features_of_an_encoder(trained):
    found = weights_of("dfc_vae", **{"objective.features.run": str(trained), "objective.features.part": "encoder"})
    jax.tree.map(np.testing.assert_array_equal, found, restore_run(trained).params["encoder"])


@pytest.fixture
def images(tmp_path):
    np.savez(tmp_path / "net.npz", allow_pickle=False, **tensors_of("alexnet"))
    np.savez(tmp_path / "images.npz", x=np.random.default_rng(0).integers(0, 256, (40, 32, 32, 1)).astype(np.uint8))
    return {"data.path": str(tmp_path / "images.npz"), "objective.features.weights": str(tmp_path / "net.npz"),
            "objective.features.architecture": "alexnet", "objective.features.layers": (0, 1)}  # fmt: skip


def test_weights_of_a_named_architecture(images, tmp_path):
    with pytest.raises(UserError, match=r"it needs either objective\.features\.run=FOLDER"):
        weights_of("dfc_vae", **images)
    images["objective.features.run"] = ""
    tensors = tensors_of("alexnet")
    found = weights_of("dfc_vae", **images)
    assert {place: layer["kernel"].shape[-1] for place, layer in found.items()} == {
        "0": 64, "3": 192, "6": 384, "8": 256, "10": 256
    }  # fmt: skip
    tensors["features.3.weight"] = np.ones((64, 3, 3, 3))
    np.savez(tmp_path / "net.npz", allow_pickle=False, **tensors)
    with pytest.raises(UserError, match=r"features.3.weight has the shape \[64, 3, 3, 3\], but it must have"):
        weights_of("dfc_vae", **images)
    with pytest.raises(UserError, match="at least 31 pixels a side"):
        weights_of("dfc_vae", **{**images, "data.path": ""})


@pytest.mark.slow
def test_a_run_does_not_need_its_files_again(images, tmp_path):
    settings = [f"--config.{key}={value}" for key, value in {**images, "objective.features.run": ""}.items()]
    assert trains("dfc_vae", tmp_path / "run", *settings, *DFC, "--config.train.num_epochs=1") == 0
    (tmp_path / "net.npz").unlink()
    assert launch.main(["launch.py", f"--workdir={tmp_path / 'run'}", "--config.train.num_epochs=2"], time.time()) == 0
    restored = restore_run(tmp_path / "run", "last")
    assert (restored.step, restored.weights["extra"]["features"]["params"]["0"]["kernel"].shape) == (2, (11, 11, 3, 64))


REFUSED = [
    ("{trained}", (), "has no classifier. Give a run of configs/classifier.py"),
    ("{tmp}", (), "Train it before this one, with configs/classifier.py"),
    ("{run}", ("--config.objective.features.layer=(0,)",), "Unknown option 'layer' of the feature network 'run'"),
    ("{run}", ("--config.objective.features.layers=(7,)",), "the feature network has layers 0 to 0"),
    ("{run}", ("--config.objective.features.layers=0",), "layers is 0; it must be a list of numbers"),
    ("{run}", ("--config.objective.features.part=decoder",), "Unknown part of a run with features 'decoder'"),
    ("{run}", ("--config.data.path={tmp}/other.npz",), "of the shape [8, 8, 1], but those of the data have [6, 6, 1]"),
    ("{run}", ("--config.data.missing=0.2",), "compares whole examples"),
    ("{run}", ("--config.objective=elbo",), "does not take a features"),
]


@pytest.mark.parametrize(("run", "more", "said"), REFUSED)
def test_features_that_cannot_be_used_are_refused(classifier, trained, tmp_path, capsys, run, more, said):
    np.savez(tmp_path / "other.npz", x=np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1)).astype(np.uint8))
    places = {"trained": trained, "tmp": tmp_path, "run": classifier}
    asked = [each.format(**places) for each in (*more, f"--config.objective.features.run={run}")]
    assert trains("dfc_vae", tmp_path / "run", *DFC, *asked) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "run").exists()
