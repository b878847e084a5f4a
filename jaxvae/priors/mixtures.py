"""The standard normal, mixtures, and their conditional forms p(z|context)."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxvae.common.columns import Column
from jaxvae.common.errors import UserError
from jaxvae.distributions import NestedMixture
from jaxvae.distributions.em import Moments, fit_diagonal_mixture, moments_of_clusters
from jaxvae.networks import MLP, Pure, check_widths
from jaxvae.networks.mlp import ACTIVATIONS
from jaxvae.priors.base import ANY, Prior

HIDDEN = (64,)  # widths of a network from the context to a prior


def standard_normal(latent_dim: int) -> Prior:
    """Standard normal N(0, I)."""
    return Prior(lambda params, encode: dist.Normal(jnp.zeros(latent_dim), jnp.ones(latent_dim)).to_event(1))


def conditional_normal(latent_dim: int, context_size: int, hidden: Sequence[int] = HIDDEN) -> Prior:
    """Diagonal Gaussian p(z|context), whose mean and variance are a network's (Sohn et al. 2015, section 4.1).

    Args:
      latent_dim: the length of z.
      context_size: the length of the context.
      hidden: widths of the network.

    Raises:
      UserError: the model has no context.
    """
    if not context_size:
        raise UserError(
            "The prior 'conditional_normal' is p(z|context): set data.context, to 'label' for example. Without a "
            "context take 'standard_normal'."
        )
    check_widths(hidden=hidden)
    net = Pure(MLP((context_size,), tuple(hidden), (2, latent_dim), ACTIVATIONS["relu"]))

    def build(params, encode, context):
        del encode
        outputs: Any = net(params, context)
        mean, logvar = jnp.moveaxis(outputs, -2, 0)
        return dist.Normal(mean, jnp.exp(0.5 * logvar)).to_event(1)

    return Prior(build, lambda key: net.init(key, jnp.zeros(context_size)), takes_context=True)


def mixture_of_gaussians(latent_dim: int, components: int = 10, spread: float = 1.0, context_size: int = 0) -> Prior:
    """Learned mixture of diagonal Gaussians, with initial means from N(0, spread^2), or fitted to codes.

    In a conditional model, with `context_size` above 0, a network adds to the means, log-variances and logits what the
    context changes.

    Args:
      latent_dim: the length of z.
      components: the number of components, C.
      spread: standard deviation of the initial means, in units of z.
      context_size: the length of the context; 0 for p(z).

    Raises:
      UserError: fewer than 1 component, or a spread that is not above 0.
    """
    _check_components("mixture_of_gaussians", components)
    _check_spread("mixture_of_gaussians", spread)

    sizes = (components, 2 * latent_dim + 1)
    net = Pure(MLP((context_size,), HIDDEN, sizes, ACTIVATIONS["relu"])) if context_size else None

    def init(key):
        mean = spread * jax.random.normal(key, (components, latent_dim))
        own = {"mean": mean, "logvar": jnp.zeros_like(mean), "logits": jnp.zeros(components)}
        return own if net is None else {**own, "context": net.init(jax.random.fold_in(key, 1), jnp.zeros(context_size))}

    def build(params, encode, context=None):
        del encode
        mean, logvar, logits = params["mean"], params["logvar"], params["logits"]
        if net is not None:
            change: Any = net(params["context"], context)
            mean, logvar = mean + change[..., :latent_dim], logvar + change[..., latent_dim : 2 * latent_dim]
            logits = logits + change[..., -1]
        parts = dist.Normal(mean, jnp.exp(0.5 * logvar)).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), parts)

    def fit(codes, seed, clusters=None):
        found = _fitted(codes, components, seed, clusters)
        of = {"mean": found.means, "logvar": np.log(found.variances), "logits": np.log(found.weights)}
        return {name: np.asarray(array, np.float32) for name, array in of.items()}

    return Prior(build, init, takes_context=net is not None, fit=fit if net is None else None)


def nested_mixture(
    latent_dim: int, noise_dim: int = 10, components: int = 10, hidden: Sequence[int] = (100,), spread: float = 1.0
) -> Prior:
    """Mixture whose components depend on a further latent w by a network: the prior of the GMVAE (arXiv:1611.02648).

    Of the latent `[z | w]` the last `noise_dim` dimensions are w ~ N(0, I), which the decoder does not get, and
    z given w is a uniform mixture of diagonal Gaussians with mu_c(w) and sigma_c(w). What w changes
    is added to means and log-variances that do not depend on w, which can be fitted to codes.

    Args:
      latent_dim: the length of z and w together.
      noise_dim: the length of w.
      components: the number C of components.
      hidden: widths of the network from w to the moments of all components, with tanh.
      spread: standard deviation of the initial means.

    Raises:
      UserError: nothing left for z, fewer than 1 component, or a spread that is not above 0.
    """
    if not 0 < noise_dim < latent_dim:
        raise UserError(
            f"The prior 'nested_mixture' got noise_dim={noise_dim}, of a latent [z | w] with model.latent_dim="
            f"{latent_dim}: take 1 to {latent_dim - 1} for w, or a larger model.latent_dim, the sum of both."
        )
    _check_components("nested_mixture", components)
    _check_spread("nested_mixture", spread)
    check_widths(hidden=hidden)
    size = latent_dim - noise_dim
    net = Pure(MLP((noise_dim,), tuple(hidden), (components, 2, size), ACTIVATIONS["tanh"]))

    def init(key):
        mean_key, net_key = jax.random.split(key)
        mean = spread * jax.random.normal(mean_key, (components, size))
        return {"mean": mean, "logvar": jnp.zeros_like(mean), "network": net.init(net_key, jnp.zeros(noise_dim))}

    def build(params, encode):
        del encode
        return NestedMixture(net, params, noise_dim)

    def fit(codes, seed, clusters=None):
        found = _fitted(codes[:, :size], components, seed, clusters)
        own = {"mean": np.float32(found.means), "logvar": np.float32(np.log(found.variances))}
        return jax.device_get(init(jax.random.key(seed))) | own

    return Prior(build, init, noise_dim=noise_dim, fit=fit)


def vamp(
    data_shape: tuple[int, ...],
    pixel_range: tuple[float, float],
    components: int = 500,
    context_size: int = 0,
    table: tuple[Column, ...] = (),
) -> Prior:
    """VampPrior: mixture of the posteriors of learned pseudo-inputs (arXiv:1705.07120, equation 9).

    A sigmoid keeps pseudo-inputs within the data's range, those of a table within the range of each column; they are
    initialised as grey noise. In a conditional model,
    with `context_size` above 0, each example has the mixture of q(z|u, context) at its own context, which takes
    `components` passes of the encoder for each example.

    Args:
      data_shape: the shape of one example.
      pixel_range: the least and the greatest value of the data; empty for counts.
      components: the number of pseudo-inputs, K.
      context_size: the length of the context; 0 for p(z).
      table: the columns of a table; empty for arrays.

    Raises:
      UserError: fewer than 1 component.
    """
    _check_components("vamp", components)
    low, high = map(np.asarray, pixel_range or (-math.inf, math.inf))
    if any(column.low < column.high for column in table):
        low, high = (np.array([getattr(column, end) for column in table], np.float32) for end in ("low", "high"))

    def init(key):
        return {"pseudo_inputs": jax.random.normal(key, (components, *data_shape))}

    def build(params, encode, context=None):
        inputs = params["pseudo_inputs"]
        inputs = low + (high - low) * jax.nn.sigmoid(inputs) if np.isfinite(high).all() else jax.nn.softplus(inputs)
        if context is None:
            return dist.MixtureSameFamily(dist.Categorical(logits=jnp.zeros(components)), encode(inputs))
        inputs = jnp.broadcast_to(inputs, (*context.shape[:-1], *inputs.shape))
        parts = encode(inputs, context[..., None, :])
        return dist.MixtureSameFamily(dist.Categorical(logits=jnp.zeros(parts.batch_shape)), parts)

    return Prior(build, init, space=ANY, learns_inputs=True, takes_context=bool(context_size))


def _fitted(codes: np.ndarray, num: int, seed: int, clusters: np.ndarray | None) -> Moments:
    """Fit a mixture to codes `[N, D]`: that of given clusters `[N]`, or else the likeliest one."""
    if clusters is not None:
        return moments_of_clusters(codes, clusters, num)
    found = fit_diagonal_mixture(codes, num, seed)
    return Moments(found.weights_, found.means_, found.covariances_)


def _check_components(name: str, components: int) -> None:
    if components < 1:
        raise UserError(f"The prior '{name}' got components={components}; it needs at least 1.")


def _check_spread(name: str, spread: float) -> None:
    if not spread > 0:  # equal components would stay equal
        raise UserError(f"The prior '{name}' got spread={spread}; it must be above 0.")
