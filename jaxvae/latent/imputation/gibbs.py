"""Markov chains of (z, x_missing) given x_observed."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.latent.imputation.checks import require_values
from jaxvae.latent.imputation.steps import advance, make_chain
from jaxvae.models.base import Model
from jaxvae.models.densities import require_density

AT_A_TIME = 2048  # examples times chains


class Imputation(NamedTuple):
    """Imputed values; observed values are unchanged in both arrays.

    Attributes:
      mean: `[B, *data_shape]`, E[x_missing | x_observed]: the decoder's means, averaged over the chains and their
        steps after the burn-in.
      sample: `[B, *data_shape]`, the last state of one chain.
      acceptance: `[B]`, acceptance rate after the burn-in; 1 for pseudo-Gibbs.
    """

    mean: Array
    sample: Array
    acceptance: Array


def pseudo_gibbs(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    observed: Array,
    num_steps: int = 1000,
    burn_in: int = 200,
    chains: int = 16,
    context: Array | None = None,
) -> Imputation:
    """Draw z ~ q(z|x) and x_missing ~ p(x|z) in turn (Rezende et al. 2014, arXiv:1401.4082, appendix F).

    The stationary distribution is p(x_missing | x_observed) if q(z|x) is p(z|x); its error is about that of q.

    Args:
      model: any posterior, and a likelihood that is a density and a product over values.
      params: its parameters.
      key: for the start, a draw from the model, and for the chains.
      x: `[B, *data_shape]`; missing values may be anything, NaN too.
      observed: bool mask that broadcasts to x; True where x is observed.
      num_steps: steps after the burn-in.
      burn_in: steps of the burn-in.
      chains: chains per example, with different starts, so that modes missed by one may be found by another.
      context: `[B, C]` of a conditional model.

    Raises:
      UserError: a mask of another shape or type, no steps or chains, or a likelihood that is not a product over values.
    """
    require_values(model, params, x, observed, context)
    return _impute(model, params, key, x, observed, context, num_steps, burn_in, chains, False)


def metropolis_within_gibbs(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    observed: Array,
    num_steps: int = 1000,
    burn_in: int = 200,
    chains: int = 16,
    context: Array | None = None,
) -> Imputation:
    """Make `pseudo_gibbs` exact: z' ~ q(z'|x) is a proposal, accepted with the probability
    min(1, p(x|z') p(z') q(z|x) / (p(x|z) p(z) q(z'|x))), where x holds the observed and the last drawn missing values
    (Mattei & Frellsen 2018, arXiv:1802.04826, section 3.3).

    The stationary distribution of (z, x_missing) is p(z, x_missing | x_observed) for any q; a poor q lowers the
    `acceptance`, and the chain mixes slowly. The first half of the burn-in is pseudo-Gibbs, which reaches likely values
    faster.

    Args:
      model: posterior and likelihood must be densities, the posterior's known at any z.
      params: its parameters.
      key: for the start, a draw from the model, and for the chains.
      x: `[B, *data_shape]`; missing values may be anything, NaN too.
      observed: bool mask that broadcasts to x; True where x is observed.
      num_steps: steps after the burn-in.
      burn_in: steps of the burn-in.
      chains: chains per example, with different starts, so that modes missed by one may be found by another.
      context: `[B, C]` of a conditional model.

    Raises:
      UserError: as `pseudo_gibbs`, or a posterior without a density at any z.
    """
    require_values(model, params, x, observed, context)
    require_density(model, "Metropolis-within-Gibbs", "'pseudo_gibbs' needs none.")
    return _impute(model, params, key, x, observed, context, num_steps, burn_in, chains, True)


@partial(jax.jit, static_argnames=("model", "num_steps", "burn_in", "chains", "exact"))
def _impute(
    model, params, key, x, observed, context, num_steps: int, burn_in: int, chains: int, exact: bool
) -> Imputation:
    if num_steps < 1 or burn_in < 0 or chains < 1:
        raise UserError(
            f"num_steps is {num_steps}, burn_in {burn_in} and chains {chains}; they must be at least 1, 0 and 1."
        )
    # Batches of as many chains as fit run one after the other: memory does not grow with the number of chains.
    together = max(k for k in range(1, chains + 1) if chains % k == 0 and (k == 1 or k * len(x) <= AT_A_TIME))
    side_by_side = [jnp.tile(jnp.broadcast_to(a, x.shape), (together, *[1] * (x.ndim - 1))) for a in (x, observed)]
    contexts = None if context is None else jnp.tile(context, (together, 1))
    start, gibbs, metropolis = make_chain(model, params, *side_by_side, context=contexts)
    step = metropolis if exact else gibbs

    def run(total, key):
        start_key, first_key, second_key, main_key = jax.random.split(key, 4)
        state = advance(gibbs, start(start_key), first_key, burn_in // 2)
        state = advance(step, state, second_key, burn_in - burn_in // 2)

        def add(i, carry):
            state, total = carry
            state, out = step(state, jax.random.fold_in(main_key, i))
            both = jax.tree.map(lambda a: a.reshape(together, len(x), *a.shape[1:]).sum(axis=0), out)
            return state, jax.tree.map(jnp.add, total, both)

        (filled, _), total = jax.lax.fori_loop(0, num_steps, add, (state, total))
        return total, filled[: len(x)]

    zeros = (jnp.zeros(x.shape), jnp.zeros(len(x))), jnp.zeros(x.shape)
    keys = jax.random.split(key, chains // together)
    ((mean, accepted), sample), _ = jax.lax.scan(lambda carry, key: (run(carry[0], key), None), zeros, keys)
    num = chains * num_steps
    return Imputation(jnp.where(observed, x, mean / num), sample, accepted / num)
