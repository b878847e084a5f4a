"""The inverse problem: NUTS and importance weights of draws from the prior agree on the posterior."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density

import jaxvae
from jaxvae.common.errors import UserError

PATH = Path(__file__).resolve().parents[2] / "examples" / "inverse_problem.py"
spec = importlib.util.spec_from_file_location("inverse_problem", PATH)
assert spec is not None
assert spec.loader is not None
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


@pytest.mark.slow
@pytest.mark.optimised
def test_nuts_finds_the_importance_weighted_moments(tmp_path, capsys):
    with jax.debug_key_reuse(False):  # NumPyro's sampler splits a key that it has used
        run, obs, mask, drawn = example.main(num_samples=1000, path=tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "mean absolute error" in capsys.readouterr().out
    z = jax.random.normal(jax.random.key(5), (300_000, 4))

    @jax.jit
    def weigh(z):
        seen = example.observe(run.model.decode(run.params, z).mean)
        return jnp.sum(jnp.where(mask, seen.base_dist.log_prob(obs), 0.0), axis=(-1, -2, -3))

    log_weight = np.concatenate([np.asarray(weigh(part), np.float64) for part in np.split(np.asarray(z), 30)])
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    effective = 1 / np.sum(weight**2)
    assert effective > 1000
    mean, found = weight @ z, np.asarray(drawn["z"], np.float64)
    deviation = np.sqrt(weight @ np.square(z - mean))
    error = np.sqrt(1 / effective + 1 / 300)  # 1,000 draws of NUTS are worth at least 300
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - mean) / deviation, 4 * error)
    np.testing.assert_array_less(np.abs(found.std(axis=0) / deviation - 1), 4 * error)


def test_a_run_gives_a_model_at_its_context_and_without_one_says_so():
    x = np.random.default_rng(0).random((60, 4)).astype(np.float32)
    options = {"network__hidden": (8,), "model__latent_dim": 2, "train__num_epochs": 1, "progress": False}
    given = {"x": x, "y": np.arange(60) % 3}
    run = jaxvae.fit("vae", given, data__context="label", model__likelihood="gaussian", **options)
    densities = [
        float(log_density(jaxvae.as_numpyro(run, context=label), (x[0],), {}, {"z": jnp.zeros(2)})[0])
        for label in (0, 1)
    ]
    assert np.isfinite(densities).all()
    assert densities[0] != densities[1]
    with pytest.raises(UserError, match=r"conditional on .*: give as_numpyro\(run, context=...\)"):
        jaxvae.as_numpyro(run)
    with pytest.raises(UserError, match="takes one context, and 2 were given"):
        jaxvae.as_numpyro(run, context=[0, 1])


def test_the_blur_is_a_mean_of_nine_pixels():
    image = np.zeros((8, 8, 1), np.float32)
    image[3, 4] = 9.0
    blurred = np.asarray(example.blur(image))
    np.testing.assert_allclose(blurred[2:5, 3:6], 1.0)
    assert blurred.sum() == pytest.approx(9.0)
