"""Rate-distortion curve of a prior and a decoder, by annealed importance sampling (AIS)."""

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.metrics.annealing import Examples, log_mean_exp, temperatures
from jaxvae.metrics.paths import chains_at_once, forward, paths
from jaxvae.models.base import Model


def rate_distortion(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_temperatures: int = 500,
    num_chains: int = 16,
    max_beta: float = 10.0,
    num_points: int = 50,
    num_leapfrog: int = 10,
    memory_mb: float = 8.0,
    context: Array | None = None,
    mask: Array | None = None,
) -> dict[str, Array]:
    """Compute the rate-distortion curve of prior and decoder (Huang et al. 2020, arXiv:2008.06653, section 4).

    The distortion d is -log p(x|z), or the reconstruction loss of a likelihood that is not a density. The optimal
    latent densities are p(z) exp(-b d) / Z_b; AIS from the prior passes through them on its way to b = `max_beta`. The
    distortion is the mean of d under the normalised weights, the rate KL(.|| p(z)) is -b distortion - log Z_b. Both are
    consistent as temperatures and chains grow. log Z_b is estimated from below, so that the rate tends to be too high.

    Args:
      model: with continuous latents in R^n and a prior density.
      params: its parameters.
      key: for all chains.
      x: `[B, *data_shape]`.
      num_temperatures: transitions along the path.
      num_chains: chains per example.
      max_beta: the last b.
      num_points: P, the number of temperatures returned.
      num_leapfrog: leapfrog steps per transition.
      memory_mb: bound on the decoder outputs held at a time.
      context: `[B, C]` of a conditional model: the curve is the mean of those at each example's own context.
      mask: bool of the shape of x, True where a value is observed; the distortion is of these values alone.

    Returns:
      `beta` `[P]`, `rate` and `distortion` `[P]`: nats per example, means over x. At b = 1, rate + distortion is the
      mean of -log p(x).

    Raises:
      UserError: latents outside R^n, no prior density, a `max_beta` that is not above 0, or a number below 1.
    """
    options = num_temperatures, num_chains, max_beta, num_points, num_leapfrog, memory_mb
    beta, rate, distortion = by_example(model, params, key, x, *options, context, mask)
    return {"beta": beta, "rate": jnp.mean(rate, axis=0), "distortion": jnp.mean(distortion, axis=0)}


def by_example(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_temperatures: int = 500,
    num_chains: int = 16,
    max_beta: float = 10.0,
    num_points: int = 50,
    num_leapfrog: int = 10,
    memory_mb: float = 8.0,
    context: Array | None = None,
    mask: Array | None = None,
    rows: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Compute beta `[P]`, and rate and distortion `[R, P]` of the examples `rows`, by default all.

    The other arguments are those of `rate_distortion`; the chains of an example are the same whichever `rows`.
    """
    if not max_beta > 0:
        raise UserError(f"The rate-distortion curve got max_beta={max_beta}; it must be above 0.")
    if not 1 <= num_points <= num_temperatures:
        raise UserError(f"The rate-distortion curve got num_points={num_points}; take 1 to num_temperatures of them.")
    betas = max_beta * temperatures(num_temperatures)
    path_of = paths(model, params, x, "prior", num_chains, num_leapfrog, False, context, mask)
    room = chains_at_once(model, memory_mb)
    log_weight, log_ratio = forward(path_of, key, Examples.of(x, rows), betas, num_chains, num_leapfrog, room)
    kept = jnp.linspace(0, num_temperatures - 1, num_points).round().astype(int)
    log_weight, log_ratio, beta = log_weight[..., kept], log_ratio[..., kept], betas[1:][kept]
    distortion = -jnp.sum(jax.nn.softmax(log_weight, axis=0) * log_ratio, axis=0)  # [B, P]
    return beta, -beta * distortion - log_mean_exp(log_weight), distortion
