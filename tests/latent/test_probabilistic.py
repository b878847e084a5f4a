"""The decoder as a NumPyro model: its log-density is that of the model, and NUTS over z finds the known posterior."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import log_density

from jaxvae.common.errors import UserError
from jaxvae.distributions.spaces import CODES, SPHERE
from jaxvae.latent.probabilistic import numpyro_model
from jaxvae.models.facts import Data, Latent

PARAMS = lg.params()
Z = jnp.asarray(np.random.default_rng(5).normal(size=lg.LATENT), jnp.float32)
MASK = np.arange(lg.DATA) % 2 == 0


def half(x):
    """An observation: each value at half its size, with noise."""
    return dist.Normal(x / 2, 0.3).to_event(1)


def expected(likelihood, obs, mask=True):
    prior = dist.Normal(jnp.zeros(lg.LATENT), 1.0).log_prob(Z).sum()
    return prior + jnp.sum(jnp.where(mask, likelihood.base_dist.log_prob(obs), 0.0))


@pytest.mark.parametrize("observe", [None, half])
@pytest.mark.parametrize("mask", [None, MASK])
def test_the_density_is_that_of_the_prior_and_of_observed_values(observe, mask):
    model = numpyro_model(lg.MODEL, PARAMS, observe)
    obs = lg.X[0] if mask is None else np.where(mask, lg.X[0], np.nan)
    found, trace = log_density(model, (obs, mask), {}, {"z": Z})
    likelihood = lg.MODEL.decode(PARAMS, Z)
    np.testing.assert_allclose(trace["x"]["value"], likelihood.mean, rtol=1e-6)
    seen = likelihood if observe is None else half(likelihood.mean)
    assert float(found) == pytest.approx(float(expected(seen, lg.X[0], True if mask is None else mask)), rel=1e-5)
    slope = jax.grad(lambda z: log_density(model, (obs, mask), {}, {"z": z})[0])(Z)
    assert np.isfinite(slope).all()


def test_without_an_observation_it_draws_one():
    drawn = handlers.trace(handlers.seed(numpyro_model(lg.MODEL, PARAMS), jax.random.key(0))).get_trace()
    assert {name: site["value"].shape for name, site in drawn.items()} == {"z": (3,), "x": (5,), "obs": (5,)}
    assert not drawn["obs"]["is_observed"]


@pytest.mark.slow
def test_nuts_samples_the_posterior():
    chain = MCMC(NUTS(numpyro_model(lg.MODEL, PARAMS)), num_warmup=500, num_samples=2000, progress_bar=False)
    with jax.debug_key_reuse(False):  # NumPyro's sampler splits a key that it has used
        chain.run(jax.random.key(0), obs=lg.X[0])
    z = np.asarray(chain.get_samples()["z"], np.float64)
    mean, variance = (np.asarray(value) for value in lg.posterior_moments(PARAMS, lg.X[0]))
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=4 * np.sqrt(variance.max() / 1000))
    np.testing.assert_allclose(z.var(axis=0), variance, rtol=4 * np.sqrt(2 / 1000))


def test_models_that_do_not_fit_are_refused():
    loss = lg.MODEL._replace(likelihood=lg.MODEL.likelihood._replace(is_density=False))
    for model, observe, message in (
        (lg.MODEL._replace(latent=Latent((3,), CODES)), None, "these latents live in codes"),
        (lg.MODEL._replace(latent=Latent((3,), SPHERE)), None, "these latents live in the unit sphere"),
        (lg.MODEL._replace(context_dim=2), None, "conditional on a context of 2 values"),
        (loss, None, "reconstruction loss of this model is not a density"),
        (lg.MODEL._replace(data=Data((5,), True)), half, "no mean for `observe`"),
    ):
        with pytest.raises(UserError, match=message):
            numpyro_model(model, PARAMS, observe)
    numpyro_model(loss, PARAMS, half)
    with pytest.raises(UserError, match=r"The mask has the shape \[3\], and the observation \[5\]"):
        log_density(numpyro_model(lg.MODEL, PARAMS), (lg.X[0], np.ones(3, bool)), {}, {"z": Z})
