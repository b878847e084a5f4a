"""Sample and reconstruct data with a model."""

from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.models.base import Model, centre, context_args, noise_key, reparameterize


def draw_prior(
    model: Model, params: Params, key: Key, num: int, temperature: float | Array = 1.0, context: Array | None = None
) -> Array:
    """Draw z ~ p(z), `[num, *latent_shape]`; in R^n `temperature` scales it about the prior's mean.

    Of a conditional model each z is drawn from p(z|context) at its own row of the context `[num, C]`.
    """
    prior: Any = model.prior(params, *context_args(context))
    z = from_prior(prior, key, (num,))
    return prior.mean + temperature * (z - prior.mean) if model.latent.space.is_linear else z


def from_prior(prior: Any, key: Key, batch: tuple[int, ...]) -> Array:
    """Draw z `[*batch, *latent_shape]` from p(z), or each from p(z|context) where the prior has a batch `[..., B]`."""
    return prior.sample(key, batch[: len(batch) - len(prior.batch_shape)])


def sample(
    model: Model, params: Params, key: Key, num: int, temperature: float = 1.0, context: Array | None = None
) -> Array:
    """Sample new data: draw z from the prior and decode point estimates of x, or draws, `[num, *data_shape]`.

    Args:
      model: the model.
      params: its parameters.
      key: of the draws.
      num: number of examples.
      temperature: scale of z about the prior's mean: below 1 gives more typical, less varied samples.
      context: `[num, C]` of a conditional model, a row for each example.

    Raises:
      UserError: a temperature other than 1 for latents outside R^n, or a conditional model without a context.
    """
    if not model.latent.space.is_linear and temperature != 1.0:
        raise UserError(f"sample.temperature is {temperature}, but latents in {model.latent.space} take only 1.")
    z = draw_prior(model, params, key, num, temperature, context)
    return decoded_sample(model, key, model.decode(params, z, *context_args(context)))


def decoded_sample(model: Model, key: Key, likelihood: Any) -> Array:
    """Return x for a sample of z: the mean of p(x|z), a decoded sequence, or a draw where the likelihood says so.

    Random decodings and draws use `key`.
    """
    if model.data.is_sequential:
        return likelihood.write(noise_key(key), likelihood)
    return likelihood.sample(noise_key(key)) if model.likelihood.samples_draw else likelihood.mean


def reconstruct(
    model: Model,
    params: Params,
    x: Array,
    key: Key | None = None,
    context: Array | None = None,
    mask: Array | None = None,
) -> Array:
    """Reconstruct x as the mean of p(x|z), `[B, *data_shape]`, at the posterior's centre, or at a draw with `key`.

    The encoder does not see values where the `mask` of x's shape is False.
    """
    given = context_args(context)
    posterior = model.encode(params, x, *given, **({} if mask is None else {"mask": mask}))
    z = centre(posterior) if key is None else reparameterize(key, posterior)
    return model.decode(params, z, *given).mean
