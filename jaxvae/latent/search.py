"""Search for z that maximise a score, such as a match of observed values or a class probability."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array, Key, Params
from jaxvae.latent.charts import chart
from jaxvae.latent.descent import descend
from jaxvae.latent.imputation import check_mask
from jaxvae.models.base import Model, context_args
from jaxvae.models.sampling import from_prior

Score = Callable[[Array, Array], Array]  # z [num, *latent_shape], decoded mean [num, *data_shape] -> [num]


class Found(NamedTuple):
    """Points `[num, *latent_shape]`, their decoded means `[num, *data_shape]`, and `[num]` scores and log p(z)."""

    z: Array
    mean: Array
    score: Array
    log_prior: Array


def search(
    model: Model,
    params: Params,
    key: Key,
    score: Score,
    num: int,
    steps: int = 300,
    learning_rate: float = 0.05,
    prior_weight: float = 1.0,
    context: Array | None = None,
) -> Found:
    """Maximise score(z, E[x|z]) + prior_weight * log p(z) by Adam from `num` draws of the prior.

    If the score is the log-probability of an event and the weight is 1, the maxima are modes of p(z | event). Each z is
    optimised independently and its best iterate is kept. On a sphere or a Poincaré ball z stays there.

    Args:
      model: with latents in R^n, on a sphere or on a Poincaré ball.
      params: its parameters.
      key: for the draws.
      score: `(z [num, *latent_shape], mean [num, *data_shape]) -> [num]`, differentiable: `matching`,
        `class_log_probability`, or your own.
      num: number of z.
      steps: of Adam, whose learning rate decays to 0 by a cosine.
      learning_rate: the initial one, in units of z.
      prior_weight: 0 or more; 0 ignores the prior, and may find z that are unlikely under it.
      context: `[num, C]` of a conditional model, a row for each z.

    Raises:
      UserError: discrete latents, num or steps below 1, a weight below 0, or a score of another shape.
    """
    chart(model, "A search by gradients")
    if num < 1 or steps < 1 or not prior_weight >= 0:
        raise UserError(
            f"A search got num={num}, steps={steps} and prior_weight={prior_weight}; the first two must be at least "
            "1, the weight 0 or more."
        )
    return _search(model, params, key, score, context, num, steps, learning_rate, prior_weight)


@partial(jax.jit, static_argnames=("model", "score", "num", "steps", "learning_rate", "prior_weight"))
def _search(model, params, key, score, context, num, steps, learning_rate, prior_weight) -> Found:
    space, given = chart(model, "A search by gradients"), context_args(context)
    prior: Any = model.prior(params, *given)

    def judge(u: Array) -> Found:
        z = space.to_latent(u)
        mean = model.decode(params, z, *given).mean
        value, log_prior = score(z, mean), prior.log_prob(z)
        if value.shape != (num,):
            raise UserError(f"A score must be one number for each of the {num} z, but has shape {list(value.shape)}.")
        return Found(z, mean, value, log_prior)  # pyright: ignore[reportArgumentType]

    def loss(u: Array) -> Array:
        found = judge(u)
        return -found.score - (prior_weight * found.log_prior if prior_weight else 0.0)

    start = space.from_latent(from_prior(prior, key, (num,)))
    return judge(descend(loss, start, steps, learning_rate))


def matching(x: Array, observed: Array, variance: float = 1.0) -> Score:
    """Score -sum over observed values of (mean - x)^2 / (2 variance), the Gaussian log-density without its constant.

    Args:
      x: `[*data_shape]`, or `[num, *data_shape]` for one target per z.
      observed: bool mask, broadcasts to x; missing values may be anything, NaN too.
      variance: of an observed value about the decoded mean, above 0.

    Raises:
      UserError: a mask of another shape or type, or a variance that is not above 0.
    """
    check_mask(x, observed)
    if not variance > 0:
        raise UserError(f"A match of observed values got variance={variance}; it must be above 0.")
    known = jnp.where(observed, x, 0.0)

    def score(z: Array, mean: Array) -> Array:
        away = jnp.where(observed, mean - known, 0.0)
        return -0.5 / variance * jnp.sum(jnp.square(away).reshape(len(z), -1), axis=-1)

    return score


def class_log_probability(weights: Array, bias: Array, target: int, of: str = "latent") -> Score:
    """Score log p(class `target`) under a linear classifier, such as scikit-learn's LogisticRegression.

    Args:
      weights: `[classes, features]`, its `coef_`; `[1, features]` for two classes, with positive logits for class 1.
      bias: `[classes]`, its `intercept_`.
      target: row of the class, or 0 or 1 where there is one row.
      of: "latent" where the features are z, "image" where they are the decoded mean, both flattened.

    Raises:
      UserError: an unknown class or `of`, or weights and bias that fit neither each other nor the features.
    """
    weights, bias = jnp.asarray(weights), jnp.asarray(bias)
    if weights.ndim != 2 or bias.shape != weights.shape[:1]:
        raise UserError(
            f"A linear classifier got weights of shape {list(weights.shape)} and a bias of shape {list(bias.shape)}; "
            "they must be [classes, features] and [classes]."
        )
    if of not in ("latent", "image"):
        raise unknown("kind of features", of, ("latent", "image"))
    if len(weights) == 1:
        weights, bias = jnp.pad(weights, ((1, 0), (0, 0))), jnp.pad(bias, (1, 0))
    if not 0 <= target < len(weights):
        raise UserError(f"The classifier has classes 0 to {len(weights) - 1}, but target is {target}.")

    def score(z: Array, mean: Array) -> Array:
        features = (z if of == "latent" else mean).reshape(len(z), -1)
        if features.shape[1] != weights.shape[1]:
            raise UserError(
                f"The classifier was fitted to {weights.shape[1]} features, but the {of} has {features.shape[1]}."
            )
        logits = jnp.matmul(features, weights.T, precision="highest") + bias
        return jax.nn.log_softmax(logits)[:, target]

    return score
