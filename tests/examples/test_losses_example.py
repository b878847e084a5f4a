"""The example of public losses in an NNX loop: its objectives have gradients, and it trains as a user runs it."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae import losses

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "losses_nnx.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("losses_nnx", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_uses_more_than_ten_public_losses():
    used = set(re.findall(r"losses\.(\w+)\(", EXAMPLE.read_text()))
    assert len(used) > 10
    assert used <= set(losses.__all__)


def test_every_objective_has_a_gradient_for_all_that_it_should(example):
    keys = jax.random.split(jax.random.key(0), 5)
    mean, logvar, noise = (jax.random.normal(key, (6, example.LATENTS)) for key in keys[:3])
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 64)), jnp.float32)
    decoder = jax.random.normal(keys[3], (example.LATENTS, 64))

    @jax.jit
    def gradients(mean, logvar, keys):
        def loss(mean, logvar, objective, key):
            z = mean + jnp.exp(0.5 * logvar) * noise
            return jnp.mean(objective(example.Draw(key, jnp.asarray(50), x, mean, logvar, z, z @ decoder)))

        both = zip(example.OBJECTIVES.items(), keys, strict=True)
        return {name: jax.grad(loss, (0, 1))(mean, logvar, made, key) for (name, made), key in both}

    for name, found in gradients(mean, logvar, list(jax.random.split(keys[4], len(example.OBJECTIVES)))).items():
        assert np.all(np.isfinite(found)), name
        assert np.any(found[0] != 0), name


@pytest.mark.slow
def test_it_trains_as_a_user_runs_it():
    command = [sys.executable, "-W", "error", str(EXAMPLE), "tcvae", "swae", "--epochs=3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    lines = re.findall(r"(\w+) +loss +([\d.-]+) -> +([\d.-]+)", done.stdout)
    assert [name for name, *_ in lines] == ["tcvae", "swae"]
    assert all(float(last) < 0.9 * float(first) for _, first, last in lines)
