"""New data and reconstructions from a model."""

from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions import Sequence
from jaxvae.distributions.spaces import EUCLIDEAN
from jaxvae.models.base import Model, centre, noise_key, reparameterize


def draw_prior(model: Model, params: Params, key: Key, num: int, temperature: float | Array = 1.0) -> Array:
    """Z ~ p(z), `[num, *latent_shape]`; in R^n `temperature` scales it about the prior's mean (a flow's centre)."""
    prior: Any = model.prior(params)
    z = prior.sample(key, (num,))
    return prior.mean + temperature * (z - prior.mean) if model.posterior.space == EUCLIDEAN else z


def sample(model: Model, params: Params, key: Key, num: int, temperature: float = 1.0) -> Array:
    """New data: the mean of p(x|z), `[num, *data_shape]`, for z drawn from the prior; sequences as they are written.

    `temperature` scales z about the prior's mean: below 1 gives safer, less varied samples.

    Raises:
      UserError: a temperature other than 1 where the latent space knows no scaling.
    """
    if model.posterior.space != EUCLIDEAN and temperature != 1.0:
        raise UserError(f"sample.temperature is {temperature}, but latents in {model.posterior.space} take only 1.")
    return written(key, model.decode(params, draw_prior(model, params, key, num, temperature)))


def written(key: Key, likelihood: Any) -> Array:
    """What is shown of p(x|z): its mean, or sequences as the model writes them, by chance with this key."""
    return likelihood.write(noise_key(key), likelihood) if isinstance(likelihood, Sequence) else likelihood.mean


def reconstruct(model: Model, params: Params, x: Array, key: Key | None = None) -> Array:
    """The mean of p(x|z), `[B, *data_shape]`; z is the posterior's mean, or a draw from it where a key is given."""
    posterior = model.encode(params, x)
    z = centre(posterior) if key is None else reparameterize(key, posterior)
    return model.decode(params, z).mean
