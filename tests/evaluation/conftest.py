"""Small runs that the tests of metrics evaluate, trained once for each file."""

import numpy as np
import pytest
from metric_runs import DIGITS, train


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return train(tmp_path_factory, *DIGITS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train(tmp_path_factory, "--config=configs/ae.py", "--config.train.num_epochs=2")


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    """A VQ-VAE."""
    return train(tmp_path_factory, "--config=configs/vq_vae.py", "--config.train.num_epochs=2")


@pytest.fixture(scope="module")
def on_tiny(tmp_path_factory):
    """What trains on 20 examples without labels, of which 4 are for testing."""
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, x=np.random.default_rng(0).random((20, 4, 4), dtype=np.float32))
    argv = f"--config.data.path={path}", "--config.train.num_epochs=1", "--config.train.batch_size=8"
    return "--config=configs/ae.py", *argv
