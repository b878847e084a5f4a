"""Parts defined outside the package: a prior and an objective, each a few lines, trained like any other."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

from jaxvae import likelihoods, networks, posteriors, train
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build, defaults
from jaxvae.models.base import Model
from jaxvae.models.vae import make_model
from jaxvae.objectives import Objective, of_model
from jaxvae.priors import Prior


def logistic(latent_dim: int, scale: float = 1.0) -> Prior:
    """Independent logistic latents, with a learned location."""

    def build_prior(params, encode):
        del encode
        return dist.Logistic(params["loc"], scale).to_event(1)

    return Prior(build_prior, lambda key: {"loc": jnp.zeros(latent_dim)})


def renyi(model, alpha: float = 0.5, num_samples: int = 4) -> Objective:
    """The variational Rényi bound (Li & Turner 2016, arXiv:1602.02311, equation 11)."""

    def terms(params, batch, key, ctx):
        del ctx
        out = model.forward(params, key, batch, num_samples)
        log_weights = out.log_likelihood + out.log_prior - out.log_posterior
        bound = jax.nn.logsumexp((1 - alpha) * log_weights, axis=0) - jnp.log(num_samples)
        return out, {"loss": -bound / (1 - alpha), "reconstruction": -jnp.mean(out.log_likelihood, axis=0)}

    return of_model(model, terms)


def wide(
    posterior, prior, likelihood, network, data_shape, write, context_dim, context_to, mask_input, factor: int = 1
) -> Model:
    """A model whose latents are scaled before they are decoded."""
    made = make_model(
        posterior, prior, likelihood, network, data_shape=data_shape, write=write, context_dim=context_dim,
        context_to=context_to, mask_input=mask_input,
    )  # fmt: skip
    return made._replace(decode=lambda params, z: made.decode(params, factor * z))


@pytest.fixture(scope="module")
def trained():
    parts = {"prior": {"logistic": logistic}, "objective": {"renyi": renyi}}
    prior = build.part("prior", {"name": "logistic", "scale": 0.5}, {"latent_dim": 2}, parts)()
    model = make_model(
        posteriors.diagonal_gaussian(2), prior, likelihoods.bernoulli(), networks.mlp((8,)), data_shape=(5,)
    )
    objective = build.part("objective", {"name": "renyi", "alpha": 0.3}, {"model": model}, parts)()
    step = train.make_step(objective, optax.adam(1e-2), lambda key, x: x, 16)
    two_patterns = np.arange(16)[:, None] % 2 * np.ones(5)
    batches = {"x": jnp.broadcast_to(jnp.asarray(two_patterns, jnp.float32), (200, 16, 5))}
    start = train.init_state(objective, optax.adam(1e-2), jax.random.key(0))
    return jax.device_get((start, *jax.jit(lambda s: jax.lax.scan(step, s, batches))(start)))


def test_they_train(trained):
    start, state, metrics = trained
    assert metrics["loss"][-20:].mean() < metrics["loss"][:20].mean() - 1
    assert np.all(state.params["model"]["prior"]["loc"] != start.params["model"]["prior"]["loc"])


def test_a_structure_of_ones_own_gets_all_parts_of_the_config_and_its_options():
    config = defaults.get_config("mine").to_dict()
    config["network"] = {"name": "mlp", "hidden": (4,)}
    spec = DataSpec((3,))
    plain = build.model(config, spec)
    config["model"] |= {"name": wide, "factor": 2}
    own = build.model(config, spec)
    params, z = jax.jit(plain.init)(jax.random.key(0)), jnp.ones(20)
    np.testing.assert_allclose(own.decode(params, z).mean, plain.decode(params, 2 * z).mean, rtol=1e-6)
    config["model"]["factor"] = "two"
    with pytest.raises(UserError, match="factor"):
        build.model(config, spec)
