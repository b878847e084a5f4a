"""Likelihoods of counts by the logarithm of their mean, so that no mean is too small for float32.

Written as in Loader (2000, "Fast and accurate computation of binomial probabilities"): log p(x) is what Stirling's
formula leaves of the factorials, minus the deviance of x from its mean. No term is much larger than the result, while
log Gamma(x + 1) and x log(mean) of a count of 1e6 are 1e7 each, which leaves an error of 1 nat in float32.
"""

import chex
import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import digamma, gammaln, xlogy

from jaxvae.losses.arrays import counts, floats, sum_per_example, wide
from jaxvae.losses.elementary import LOG_2PI, artanh_tail, softplus

MAX_LOG_CONCENTRATION = 60.0  # there a negative binomial is a Poisson


def _is_large(z: Array) -> Array:
    """Where the asymptotic series below are exact to the precision of z."""
    return z > (1e3 if z.dtype == jnp.float64 else 4.0)


def _factorial_excess(z: Array) -> Array:
    """Excess log Gamma(z + 1) - z log z + z, for z >= 0; 0 at 0 and log(2 pi z) / 2 + 1 / (12 z) for large z."""
    large = _is_large(z)
    big, small = jnp.where(large, z, 4.0), jnp.where(large, 1.0, z)
    square = 1 / (big * big)
    series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / big
    exact = gammaln(small + 1) - xlogy(small, small) + small
    return jnp.where(large, 0.5 * (LOG_2PI + jnp.log(big)) + series, exact)


def _digamma_excess(z: Array) -> Array:
    """Excess log z - digamma(z) - 1 / (2 z), for z > 0; 1 / (12 z^2) for large z."""
    large = _is_large(z)
    big, small = jnp.where(large, z, 4.0), jnp.where(large, 1.0, z)
    square = 1 / (big * big)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return jnp.where(large, series, jnp.log(small) - digamma(small) - 0.5 / small)


def _deviance(a: Array, excess: Array, log_ratio: Array) -> Array:
    """Deviance a log(a / b) + b - a, a >= 0, from excess = b - a; `log_ratio` is log(b / a), used where b << a."""
    t = excess / jnp.where(a > 0, a, 1.0)
    near = (jnp.abs(t) < (0.01 if t.dtype == jnp.float64 else 0.5)) & (a > 0)
    small = jnp.where(near, t, 0.0)
    v = small / (2 + small)  # log(b / a) = log1p(t) = 2 artanh(v)
    square = v * v
    log_ratio = jnp.where(t > -0.9, jnp.log1p(jnp.maximum(t, -0.9)), log_ratio)
    far = excess - jnp.where(a > 0, a * log_ratio, 0.0)
    return jnp.where(near, a * v * (small - square * artanh_tail(square)), far)


@jax.custom_jvp
def _poisson(log_mean: Array, x: Array) -> Array:
    return -_factorial_excess(x) - _deviance(x, jnp.exp(log_mean) - x, log_mean - jnp.log(x))


@_poisson.defjvp
def _poisson_jvp(primals, tangents):
    log_mean, x = primals
    by_log_mean, by_x = x - jnp.exp(log_mean), log_mean - digamma(x + 1)
    return _poisson(log_mean, x), by_log_mean * tangents[0] + by_x * tangents[1]


def _trials(log_mean: Array, log_concentration: Array, x: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Of x successes before r failures: r, log((r + x) / r), log((r + x) / (r + m)), (x - m) r / (r + m), deviance."""
    log_r = jnp.minimum(log_concentration, MAX_LOG_CONCENTRATION)
    r = jnp.maximum(jnp.exp(log_r), jnp.finfo(log_r.dtype).tiny)
    log_odds = log_mean - log_r
    p, q = jax.nn.sigmoid(-log_odds), jax.nn.sigmoid(log_odds)  # r / (r + m) and m / (r + m)
    growth = jnp.where(x > r, jnp.log(r + x) - log_r, jnp.log1p(x / r))
    residual = jnp.where(log_mean < MAX_LOG_CONCENTRATION, p * (x - jnp.exp(log_mean)), p * x - r * q)
    log_ratio = growth - softplus(log_odds)
    return r, growth, log_ratio, residual, _deviance(r, residual, log_ratio)


@jax.custom_jvp
def _negative_binomial(log_mean: Array, log_concentration: Array, x: Array) -> Array:
    r, growth, log_ratio, residual, deviance_of_r = _trials(log_mean, log_concentration, x)
    choices = _factorial_excess(r + x) - _factorial_excess(r) - _factorial_excess(x) - growth
    return choices - deviance_of_r - _deviance(x, -residual, log_mean + log_ratio - jnp.log(x))


@_negative_binomial.defjvp
def _negative_binomial_jvp(primals, tangents):
    log_mean, log_concentration, x = primals
    r, _, _, residual, deviance_of_r = _trials(log_mean, log_concentration, x)
    # r (digamma(r + x) - digamma(r)) without the logarithms, which are in the deviance
    rise = 0.5 * x / (r + x) + r * (_digamma_excess(r) - _digamma_excess(r + x))
    by_x = digamma(r + x) - digamma(x + 1) - softplus(log_concentration - log_mean)
    slope = residual * tangents[0] + (rise - deviance_of_r) * tangents[1] + by_x * tangents[2]
    return _negative_binomial(*primals), slope


def poisson_log_prob(log_mean: Array, x: Array) -> Array:
    """Log-mass log Poisson(x; exp(log_mean)), elementwise in nats; any log-mean, counts from 0."""
    log_mean, x = wide(log_mean, x)
    return _poisson(log_mean, x.astype(log_mean.dtype))


def poisson_nll(log_mean: Array, x: Array) -> Array:
    """-log Poisson(x; exp(log_mean)), exp(log_mean) - x log_mean + log x!.

    Args:
      log_mean: `[B, ...]`.
      x: `[B, ...]`, counts from 0, integers or floats.

    Returns:
      `[B]` nats, each value to about 1e-6 of itself, for counts of 1e6 too.

    Raises:
      AssertionError: the shapes differ.
      ValueError: `log_mean` holds integers.
    """
    (log_mean,), x = floats(log_mean=log_mean), counts(x)
    chex.assert_equal_shape([log_mean, x])
    return -sum_per_example(poisson_log_prob(log_mean, x))


def negative_binomial_log_prob(log_mean: Array, log_concentration: Array, x: Array) -> Array:
    """Log-mass log NB(x) with mean m and variance m + m^2 / r, r = exp(log_concentration); elementwise in nats."""
    log_mean, log_concentration, x = wide(log_mean, log_concentration, x)
    log_mean, log_concentration = jnp.broadcast_arrays(log_mean, log_concentration)
    return _negative_binomial(log_mean, log_concentration, x.astype(log_mean.dtype))


def negative_binomial_nll(log_mean: Array, log_concentration: Array, x: Array) -> Array:
    """-log NB(x), a Poisson whose rate is gamma distributed: mean m and variance m + m^2 / r.

    Args:
      log_mean: `[B, ...]`, log m.
      log_concentration: `[B, ...]`, log r; from 60 on the Poisson.
      x: `[B, ...]`, counts from 0, integers or floats.

    Returns:
      `[B]` nats, each value to about 1e-6 of itself, for counts of 1e6 too (Lopez et al. 2018, scVI,
      doi:10.1038/s41592-018-0229-2, where r is shared by all examples: broadcast it).

    Raises:
      AssertionError: the shapes differ.
      ValueError: a parameter holds integers.
    """
    log_mean, log_concentration = floats(log_mean=log_mean, log_concentration=log_concentration)
    x = counts(x)
    chex.assert_equal_shape([log_mean, log_concentration, x])
    return -sum_per_example(negative_binomial_log_prob(log_mean, log_concentration, x))


def zero_inflated_log_prob(gate_logits: Array, log_prob: Array, x: Array) -> Array:
    """log(gate [x = 0] + (1 - gate) exp(log_prob)), elementwise; the gate is sigmoid(gate_logits)."""
    gate_logits, log_prob = wide(gate_logits, log_prob)
    kept = log_prob - gate_logits
    return jnp.where(x == 0, softplus(kept), kept) - softplus(-gate_logits)


def zero_inflated_negative_binomial_nll(
    log_mean: Array, log_concentration: Array, gate_logits: Array, x: Array
) -> Array:
    """-log of a negative binomial that is set to 0 with probability sigmoid(gate_logits).

    Args:
      log_mean: `[B, ...]`, log m of the counts that are not set to 0.
      log_concentration: `[B, ...]`, log r.
      gate_logits: `[B, ...]`.
      x: `[B, ...]`, counts from 0, integers or floats.

    Returns:
      `[B]` nats (Lopez et al. 2018, scVI, doi:10.1038/s41592-018-0229-2).

    Raises:
      AssertionError: the shapes differ.
      ValueError: a parameter holds integers.
    """
    log_mean, log_concentration, gate_logits = floats(
        log_mean=log_mean, log_concentration=log_concentration, gate_logits=gate_logits
    )
    x = counts(x)
    chex.assert_equal_shape([log_mean, log_concentration, gate_logits, x])
    log_prob = negative_binomial_log_prob(log_mean, log_concentration, x)
    return -sum_per_example(zero_inflated_log_prob(gate_logits, log_prob, x))
