"""Annealing paths from p(z), or from q(z|x), to p(x, z) of a model, and the chains along them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.structure import observed_log_prob
from jaxvae.metrics.annealing import Examples, Path, chain, map_chains, pilot_steps, point
from jaxvae.models.base import Model, require_context
from jaxvae.models.context import given

STARTS = ("prior", "posterior")


def paths(
    model: Model,
    params: Params,
    x: Array,
    start: str,
    num_chains: int,
    num_leapfrog: int,
    needs_density: bool = True,
    context: Array | None = None,
    mask: Array | None = None,
) -> Callable[[Array], Path]:
    """Return the function from a row to the annealing path of x[row], at its own context and of its observed values.

    Raises:
      UserError: an unknown start, a number below 1, a model without such a path, or, where `needs_density`, a
        likelihood that is not a density.
    """
    for name, value in (("num_chains", num_chains), ("num_leapfrog", num_leapfrog)):
        if value < 1:
            raise UserError(f"Annealed importance sampling got {name}={value}; it needs at least 1.")
    if start not in STARTS:
        raise unknown("start of annealed importance sampling", start, STARTS)
    if not model.latent.space.is_linear:
        raise UserError(
            f"Annealed importance sampling moves latents along gradients in R^n, but these latents live in "
            f"{model.latent.space}: take importance_nll, or a model with a posterior in R^n."
        )
    if needs_density and not model.likelihood.is_density:
        raise UserError(
            "Annealed importance sampling of log p(x) needs a likelihood that is a density, but this model's "
            "reconstruction loss is not: train with a likelihood such as 'bernoulli' or 'gaussian'."
        )
    if start == "posterior" and not model.latent.knows_density:
        raise UserError(
            "Annealed importance sampling can start from a posterior only if its density is known at any z; this "
            "posterior's is not (it is deterministic, or Hamiltonian): take start=prior."
        )
    require_context(model.context_dim, context)
    if not prior_is_density(model, params):
        raise UserError(
            "Annealed importance sampling needs log p(z), but this prior can only be sampled: take a prior with a "
            "density, 'standard_normal' for example."
        )

    def path_of(row: Array) -> Path:
        here = model if context is None else given(model, jnp.asarray(context)[row])
        one, seen = jnp.asarray(x)[row], None if mask is None else jnp.asarray(mask)[row]
        prior: Any = here.prior(params)

        def log_likelihood(z: Array) -> Array:
            return observed_log_prob(here.decode(params, z), one, seen)

        if start == "prior":
            return Path(prior.sample, prior.log_prob, log_likelihood)
        q: Any = here.encode(params, one, **({} if seen is None else {"mask": seen}))
        return Path(q.sample, q.log_prob, lambda z: log_likelihood(z) + prior.log_prob(z) - q.log_prob(z))

    return path_of


def prior_is_density(model: Model, params: Params) -> bool:
    """Whether the prior has a log-density. Nothing is computed: `params` may be shapes alone."""
    context = (jnp.zeros(model.context_dim),) if model.context_dim else ()

    def log_prior(params: Params, z: Array) -> Any:
        prior: Any = model.prior(params, *context)
        return prior.log_prob(z)

    try:
        jax.eval_shape(log_prior, params, jnp.zeros(model.latent_shape))
    except NotImplementedError:
        return False
    return True


def forward(
    path_of: Callable[[Array], Path],
    key: Key,
    examples: Examples,
    betas: Array,
    num_chains: int,
    num_leapfrog: int,
    room: int,
) -> tuple[Array, Array]:
    """Run chains from the start: log-weights up to each temperature, and `log_ratio` after its move, `[C, R, T]`."""
    pilot_key, chain_key = jax.random.split(key)
    steps = pilot_steps(path_of, pilot_key, examples, betas, num_leapfrog, room)

    def one(args):
        key, row, place = args
        start_key, key = jax.random.split(key)
        path = path_of(row)
        return chain(path, key, point(path, path.draw(start_key)), betas, steps[place], num_leapfrog)

    return map_chains(one, chain_key, examples, num_chains, room)


def backward(
    path_of: Callable[[Array], Path],
    key: Key,
    examples: Examples,
    z: Array,
    betas: Array,
    num_chains: int,
    num_leapfrog: int,
    room: int,
) -> Array:
    """Run chains from z `[B, *latent_shape]` back to the start: log-weights `[C, R]`."""
    pilot_key, chain_key = jax.random.split(key)
    steps = pilot_steps(path_of, pilot_key, examples, betas, num_leapfrog, room)

    def one(args):
        key, row, place = args
        path = path_of(row)
        at = point(path, jnp.asarray(z)[row])
        return chain(path, key, at, betas, steps[place], num_leapfrog, reverse=True)[0][-1]

    return map_chains(one, chain_key, examples, num_chains, room)


def chains_at_once(model: Model, memory_mb: float) -> int:
    """Number of chains whose decoder outputs fit into `memory_mb`, at least 1."""
    return max(1, int(memory_mb * 1e6 / (4 * model.likelihood.num_outputs(model.data_shape))))
