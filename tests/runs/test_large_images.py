"""The command of the pages for images of 256 pixels builds a model and a loss; nothing is computed here."""

import ast

import jax
import numpy as np
import pytest
from pages import ROOT, commands
from PIL import Image
from tensor_files import tensors_of, write_safetensors

from jaxvae.api.settings import changed
from jaxvae.experiment import configs
from jaxvae.experiment.setup import setup
from jaxvae.objectives import StepContext


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The settings of the command in a folder with some images and the two files of weights that it names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    for i in range(20):
        pixels = np.random.default_rng(i).integers(0, 256, (256, 256, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "FOLDER" / f"{i}.png")
    tensors = tensors_of("vgg16", heads=True)
    for name, prefix in (("vgg16", "features"), ("lpips", "lin")):
        write_safetensors(tmp_path / f"{name}.safetensors", {k: v for k, v in tensors.items() if k.startswith(prefix)})
    (argv,) = (argv for argv in commands(ROOT / "docs" / "adversarial.md") if "--config.data.image_size=256" in argv)
    assert argv[0] == "--config=kl_autoencoder:own"
    pairs = (arg.removeprefix("--config.").split("=", 1) for arg in argv[1:])
    return {key: value_of(value) for key, value in pairs}


def value_of(text):
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def test_the_command_for_256_pixels_has_a_model_and_a_loss(settings):
    experiment = setup(changed(configs.load("kl_autoencoder:own"), settings))
    assert experiment.model.data_shape == (256, 256, 3)
    key = jax.random.key(0)
    params, extra = jax.eval_shape(experiment.objective.init, key)
    batch = {"x": jax.ShapeDtypeStruct((settings["train.batch_size"], 256, 256, 3), np.float32)}

    def slopes(params, extra, x):
        ctx = StepContext(60_000, 100_000, is_training=True)

        def loss(params):
            out = experiment.objective.loss(params, extra, {"x": x}, key, ctx)
            return sum(each.mean() for each in out.losses.values()), out

        return jax.grad(loss, has_aux=True)(params)

    found, out = jax.eval_shape(slopes, params, extra, batch["x"])
    assert jax.tree.map(np.shape, found) == jax.tree.map(np.shape, params)
    assert {name: loss.shape for name, loss in out.losses.items()} == dict.fromkeys(("model", "discriminator"), (32,))
    assert out.metrics["perceptual"].shape == (32,)
