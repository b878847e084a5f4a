"""Runs whose latent space the tools walk through, trained once for each worker."""

import numpy as np
import pytest
from tool_runs import DIGITS, SHORT, launched

import jaxvae


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("vae") / "run"
    launched(*DIGITS, *SHORT, f"--workdir={workdir}")
    return workdir


@pytest.fixture(scope="session")
def codes(tmp_path_factory):
    """A VQ-VAE."""
    workdir = tmp_path_factory.mktemp("vq") / "run"
    launched("--config=configs/vq_vae.py", "--config.train.num_epochs=1", *SHORT, f"--workdir={workdir}")
    return workdir


@pytest.fixture(scope="session")
def posterior(digits):
    """q(z|x) of the test set, and the reconstructions in the data's own units, 0 to 16."""
    model, params = jaxvae.restore(digits)
    x = jaxvae.data.load().test.x / np.float32(16)
    return model.encode(params, x), 16 * np.asarray(jaxvae.reconstruct(model, params, x))
