"""New data and reconstructions from a model."""

from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.models.base import Model, centre, context_args, noise_key, reparameterize


def draw_prior(model: Model, params: Params, key: Key, num: int, temperature: float | Array = 1.0) -> Array:
    """Draws z ~ p(z), `[num, *latent_shape]`; in R^n `temperature` scales it about the prior's mean or centre."""
    prior: Any = model.prior(params)
    z = prior.sample(key, (num,))
    return prior.mean + temperature * (z - prior.mean) if model.latent.space.is_linear else z


def sample(model: Model, params: Params, key: Key, num: int, temperature: float = 1.0) -> Array:
    """Draws z from the prior and decodes new data: point estimates of x, `[num, *data_shape]`.

    `temperature` scales z about the prior's mean: below 1 gives safer, less varied samples.

    Raises:
      UserError: a temperature other than 1 where sums of latents are not latents, or a conditional model.
    """
    if not model.latent.space.is_linear and temperature != 1.0:
        raise UserError(f"sample.temperature is {temperature}, but latents in {model.latent.space} take only 1.")
    return point_estimate(model, key, model.decode(params, draw_prior(model, params, key, num, temperature)))


def point_estimate(model: Model, key: Key, likelihood: Any) -> Array:
    """The mean of p(x|z); of sequences one that the model decodes, with this key where that is done at random."""
    return likelihood.write(noise_key(key), likelihood) if model.data.is_sequential else likelihood.mean


def reconstruct(model: Model, params: Params, x: Array, key: Key | None = None, context: Array | None = None) -> Array:
    """The mean of p(x|z), `[B, *data_shape]`; z is the posterior's centre, or a draw where a key is given."""
    given = context_args(context)
    posterior = model.encode(params, x, *given)
    z = centre(posterior) if key is None else reparameterize(key, posterior)
    return model.decode(params, z, *given).mean
