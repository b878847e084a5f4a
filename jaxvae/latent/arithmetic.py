"""Latent arithmetic, traversals, denoising and grids."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Params
from jaxvae.distributions.kl import kl_by_group
from jaxvae.distributions.structure import normal_factors
from jaxvae.latent.geodesics import decode_path
from jaxvae.models.base import Model, centre, context_args, encode_batch
from jaxvae.models.facts import batch_of
from jaxvae.models.sampling import reconstruct

DRAWS = 4096  # to estimate the standard deviations of a prior without closed-form ones


def require_euclidean(model: Model, tool: str) -> None:
    """Raise UserError where sums and multiples of latents are not latents."""
    if not model.latent.space.is_linear:
        others = "" if model.latent.space.is_discrete else " Here 'interpolate' works, along the space's own lines."
        raise UserError(
            f"{tool} adds vectors to z, but this model's latents live in {model.latent.space}, where sums are not "
            f"latents. It works in R^n: train with the posterior 'diagonal_gaussian', for example.{others}"
        )


def attribute_vector(codes: Array, labels: Array | np.ndarray, positive: int, negative: int | None = None) -> Array:
    """Mean code of the class `positive` minus the mean code of `negative`, or of all other classes: `[D]`.

    Args:
      codes: `[N, D]`, in R^n (elsewhere a mean of codes is not a latent: see `require_euclidean`).
      labels: `[N]`.
      positive: a class.
      negative: another class, or None for all others.

    Raises:
      UserError: a class without codes, or not one label per code.
    """
    classes = np.asarray(labels)
    if classes.shape != (len(codes),):
        raise UserError(f"{len(codes)} codes need as many labels, but the labels have shape {list(classes.shape)}.")
    first = classes == positive
    second = ~first if negative is None else classes == negative
    for name, chosen in ((positive, first), (negative, second)):
        if not chosen.any():
            what = "there is no code of another class" if name is None else f"there is no code of class {name}"
            raise UserError(
                f"An attribute vector needs codes on both sides, but {what}. Classes of the labels: "
                f"{', '.join(map(str, np.unique(classes)))}."
            )
    return jnp.mean(codes[first], axis=0) - jnp.mean(codes[second], axis=0)


def attribute_vectors(codes: Array, labels: Array | np.ndarray) -> dict[int, Array]:
    """Compute `attribute_vector` `[D]` for each class against all others.

    For programs that need the directions of all classes; the tool 'attribute' takes one.

    Raises:
      UserError: fewer than 2 classes, or not one label per code.
    """
    return {int(name): attribute_vector(codes, labels, name) for name in np.unique(np.asarray(labels))}


def move(codes: Array, vector: Array, strengths: Array) -> Array:
    """Add strength * vector `[D]` to codes `[B, D]`, for each of `strengths` `[S]`: `[B, S, D]`.

    Raises:
      UserError: codes and vector of different lengths.
    """
    if codes.shape[-1:] != vector.shape:
        raise UserError(f"Codes of shape {list(codes.shape)} and a vector of shape {list(vector.shape)} do not add up.")
    return codes[:, None] + jnp.asarray(strengths)[:, None] * vector


def analogy(a: Array, b: Array, c: Array) -> Array:
    """Code that relates to c as b to a: c + (b - a), codes `[..., D]`."""
    return c + (b - a)


def kl_per_dimension(
    model: Model, params: Params, x: Array, context: Array | None = None, mask: Array | None = None
) -> Array:
    """KL(q(z_d|x) || p(z_d)) in closed form, `[D]` nats, averaged over x `[N, *data_shape]`.

    Each x is encoded at its own row of the context `[N, C]`, if the model is conditional, and by its observed values.

    Raises:
      UserError: no closed form by dimension is known for this pair of posterior and prior.
    """
    posterior = encode_batch(model, params, batch_of(x, context, mask))
    groups = kl_by_group(posterior, model.prior(params, *context_args(context)))
    if len(groups) != model.latent_shape[0]:
        raise UserError(
            "This posterior's KL is not a sum over latent variables. 'order_dimensions' takes the variances of the "
            "centres instead; the posterior 'diagonal_gaussian' with the prior 'standard_normal' has such a sum."
        )
    return jnp.mean(groups, axis=1)


@partial(jax.jit, static_argnums=0)
def information_per_dimension(
    model: Model, params: Params, x: Array, context: Array | None = None, mask: Array | None = None
) -> tuple[Array, Array]:
    """Measure how informative each dimension of z is about x `[N, *data_shape]`: `([D], bool [] whether in nats)`.

    By `kl_per_dimension` in nats, or without a closed form by the variance of the posterior's centres.
    The `context` is `[N, C]`, of a conditional model; the `mask` is bool of x's shape, True where a value is observed.

    Raises:
      UserError: latents that are not in R^n.
    """
    require_euclidean(model, "An order of dimensions")
    try:
        return kl_per_dimension(model, params, x, context, mask), jnp.asarray(True)
    except UserError:
        codes = centre(encode_batch(model, params, batch_of(x, context, mask)))
        return jnp.var(codes.reshape(len(x), -1), axis=0), jnp.asarray(False)


@partial(jax.jit, static_argnums=0)
def order_dimensions(model: Model, params: Params, x: Array) -> Array:
    """Order the dimensions of z, `[D]` indices, from the most informative about x `[N, *data_shape]` to the least.

    By `information_per_dimension`.

    Raises:
      UserError: latents that are not in R^n.
    """
    return jnp.argsort(-information_per_dimension(model, params, x)[0])


def _prior_scale(prior: Any) -> Array:
    try:
        return jnp.sqrt(prior.variance)
    except NotImplementedError:  # a flow
        return jnp.std(prior.sample(jax.random.key(0), (DRAWS,)), axis=0)


def traversal(
    model: Model, params: Params, z: Array, dims: Sequence[int] | Array | None = None, span: float = 3.0, num: int = 9
) -> Array:
    """Decode means `[len(dims), num, *data_shape]` while one dimension of z `[*latent_shape]` at a time varies.

    Args:
      model: with latents in R^n.
      params: its parameters.
      z: the centre; an odd `num` includes it.
      dims: the dimensions, in order: all by default; `order_dimensions` gives the informative ones first.
      span: from z_d - span to z_d + span, in standard deviations of the prior.
      num: steps from one end to the other, at least 2.

    Raises:
      UserError: latents that are not in R^n, num below 2, a z of another shape, or dimensions that z does not have.
    """
    require_euclidean(model, "A traversal")
    if num < 2:
        raise UserError(f"A traversal needs at least 2 steps, its ends, but num is {num}.")
    if z.shape != model.latent_shape:
        raise UserError(f"A traversal needs one z of shape {list(model.latent_shape)}, not {list(z.shape)}.")
    length = math.prod(model.latent_shape)
    chosen = np.arange(length) if dims is None else np.asarray(dims)
    if chosen.ndim != 1 or not len(chosen) or not ((chosen >= 0) & (chosen < length)).all():
        raise UserError(f"A traversal got the dimensions {chosen.tolist()}; z has dimensions 0 to {length - 1}.")
    directions = jnp.eye(length)[chosen].reshape(-1, 1, *z.shape) * _prior_scale(model.prior(params))
    offsets = jnp.linspace(-span, span, num).reshape(num, *[1] * z.ndim)
    return decode_path(model, params, z + offsets * directions)


def denoise(
    model: Model,
    params: Params,
    x_noisy: Array,
    steps: int = 1,
    context: Array | None = None,
    mask: Array | None = None,
) -> Array:
    """Replace noisy x `[B, *data_shape]` by the mean of p(x|z) at the centre of q(z|x), `steps` times.

    The `context` is `[B, C]`, of a conditional model; where the `mask` is False, a value is missing in each step.

    Raises:
      UserError: fewer than 1 step.
    """
    if steps < 1:
        raise UserError(f"Denoising got steps={steps}; it needs at least 1.")
    return jax.lax.fori_loop(0, steps, lambda _, x: reconstruct(model, params, **batch_of(x, context, mask)), x_noisy)


def latent_grid(model: Model, params: Params, size: int = 20) -> np.ndarray | None:
    """Decode means `[size * size, *data_shape]` over a grid of equally likely z (arXiv:1312.6114, appendix A).

    None where the prior is not a diagonal Gaussian. The grid is the inverse normal distribution function of evenly
    spaced probabilities, scaled to the prior; z[0] runs to the right and z[1] upwards, as in the scatter plot.
    """
    prior: Any = model.prior(params)
    if normal_factors(prior) is None:
        return None
    steps = np.asarray(ndtri((np.arange(size) + 0.5) / size))
    right, up = np.meshgrid(steps, steps[::-1])
    z = np.stack([right.ravel(), up.ravel()], axis=-1).astype(np.float32)
    return np.asarray(model.decode(params, prior.mean + jnp.sqrt(prior.variance) * z).mean)
