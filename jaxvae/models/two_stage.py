"""A model of the codes of another model: p(x|z1) p(z1|z2), whose first stage is trained and fixed."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.structure import moments
from jaxvae.models.base import Model, centre, encode_batch, with_state
from jaxvae.models.facts import SPREAD, State, batch_of

FIRST = "first"  # the part of the parameters that holds those of the first stage


def two_stage(first: Model, second: Model) -> Model:
    """Put a model together from one of data and one of its codes z1 (Kingma et al. 2014, arXiv:1406.5298, "M1+M2").

    Its latent is that of the second: z2 is encoded from the centre of q(z1|x), and decoded by the mean of p(z1|z2).
    Its parameters are those of the second, and those of the first as `params["first"]`. It is for samples, codes and
    reconstructions; the second stage is trained on codes, see `objectives.of_codes`. log p(x) has no bound here.

    Args:
      first: a model of x without context, whose latents are in R^n.
      second: a model of data `[*first.latent_shape]`; it may have a context.

    Raises:
      UserError: the first has a context or latents that are not in R^n, the second is of other data, or it moves codes
        and draws from another prior.
    """
    if first.context_dim:
        raise UserError(
            "The first stage is conditional on a context, so that its codes are no data by themselves: take a run "
            "without data.context."
        )
    if not first.latent.space.is_linear:
        raise UserError(
            "The codes of the first stage are not in R^n, as a second stage of codes needs them: take a posterior such "
            "as 'diagonal_gaussian' there."
        )
    if second.data_shape != first.latent_shape:
        raise UserError(f"The second stage is of data {second.data_shape}, the codes are {first.latent_shape}.")
    if second.latent.is_moved and not _share_prior(first, second):
        raise UserError(
            "An actor draws from the prior of the first stage and moves the draws, so that both need the same one, "
            "without parameters of its own: set model.prior to that of the first stage, such as 'standard_normal'; if "
            "that is learned, train a first stage with a fixed prior."
        )

    def init(key: Key) -> Params:
        own, other = jax.random.split(key)
        return {**second.init(own), FIRST: init_first(first, other)}

    def encode(params: Params, x: Array, context: Array | None = None, mask: Array | None = None) -> Any:
        posterior = encode_batch(first, params[FIRST], batch_of(x, mask=mask))
        return second.encode(params, codes(posterior), context)

    def decode(params: Params, z: Array, context: Array | None = None) -> Any:
        decoded: Any = second.decode(params, z, context)
        return first.decode(params[FIRST], decoded.mean)

    return second._replace(
        init=init,
        encode=encode,
        decode=decode,
        data=first.data,
        likelihood=first.likelihood._replace(is_density=False),
        mask_input=first.mask_input,
        state=State(),
        penalty=None,
        metrics=lambda out: {},
        sweep=None,
        training=None,
        fit_prior=None,
        loops=first.loops and second.loops,
        stages=(first, second),
    )


def _share_prior(first: Model, second: Model) -> bool:
    """Return whether both models have the same fixed prior, compared by its density at three points."""
    points = jnp.linspace(-1.5, 2.0, 3 * math.prod(first.latent_shape))
    of_both = []
    for model in (first, second):
        if "prior" in jax.eval_shape(model.init, jax.random.key(0)):
            return False
        prior: Any = model.prior({})
        of_both.append(prior.log_prob(points.reshape(3, *first.latent_shape)))
    return bool(jnp.allclose(*of_both))


def init_first(first: Model, key: Key) -> Params:
    """Initialise parameters of a first stage with the layout of a trained one: its state merged with them."""
    params_key, state_key = jax.random.split(key)
    return with_state(first.init(params_key), first.state.init(state_key))


def spread(posterior: Any) -> dict[str, Array]:
    """Return the deviations of q(z1|x), `{SPREAD: [B, D]}`; {} where it is not Gaussian."""
    found = moments(posterior)
    if found is None:
        return {}
    return {SPREAD: jax.lax.stop_gradient(jnp.sqrt(jnp.diagonal(found[1], axis1=-2, axis2=-1)))}


def codes(posterior: Any, key: Key | None = None) -> Array:
    """Return codes z1 `[B, *latent_shape]` of examples: the centres of their q(z1|x), or draws with a key."""
    return jax.lax.stop_gradient(jnp.asarray(centre(posterior) if key is None else posterior.sample(key)))
