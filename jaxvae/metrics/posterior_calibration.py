"""Simulation-based calibration: whether draws from q(z|x) are like draws from p(z|x), on data drawn from the model."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.metrics.annealed import simulate
from jaxvae.models.base import Model, encode_batch
from jaxvae.models.facts import batch_of

DRAWS = 99  # from q(z|x), so that a rank is one of 100
BINS = 20  # of the ranks
PER_BIN = 5  # expected ranks in a bin from which the chi-square distribution is a good approximation


def ranks(
    model: Model,
    params: Params,
    key: Key,
    num: int,
    num_draws: int = DRAWS,
    context: Array | None = None,
    mask: Array | None = None,
) -> Array:
    """Rank the true z of data from the model among draws of q(z|x) (Talts et al. 2018, arXiv:1804.06788, algorithm 1).

    z ~ p(z) and x ~ p(x|z), so that z is a draw from p(z|x). Where q(z|x) is p(z|x), the rank of each z_d among draws
    from q is uniform. It does not depend on test data.

    Args:
      model: with continuous z and an encoder that is not deterministic.
      params: its parameters.
      key: for all draws.
      num: N, pairs (z, x).
      num_draws: L draws of z for each x.
      context: `[N, C]` of a conditional model: each pair is drawn at its own.
      mask: bool `[N, *data_shape]`, True where the encoder sees the value of x.

    Returns:
      int `[N, D]`, from 0 to L, for the D values of a flattened z.

    Raises:
      UserError: z are codes, q(z|x) is a point, x cannot be drawn from p(x|z), or a number below 1.
    """
    for name, value in (("num", num), ("num_draws", num_draws)):
        if value < 1:
            raise UserError(f"Simulation-based calibration got {name}={value}; it must be 1 or more.")
    require_ranks(model)
    model_key, posterior_key = jax.random.split(key)
    z, x = simulate(model, params, model_key, num, context)
    posterior: Any = encode_batch(model, params, batch_of(x, context, mask))

    def below(count: Array, index: Array) -> tuple[Array, None]:
        drawn = posterior.sample(jax.random.fold_in(posterior_key, index))
        return count + (drawn < z), None

    found, _ = jax.lax.scan(below, jnp.zeros(z.shape, jnp.int32), jnp.arange(num_draws))
    return found.reshape(num, -1)


def require_ranks(model: Model) -> None:
    """Raise UserError for a model whose z have no ranks among draws of q(z|x)."""
    reason = ""
    if model.latent.space.is_discrete:
        reason = "its z are codes, which have no order"
    elif not (model.latent.is_density or model.latent.is_implicit):
        reason = "its q(z|x) is a point"
    elif not model.likelihood.is_density:
        reason = "its reconstruction loss is not a density, so that no x can be drawn from it"
    if reason:
        raise UserError(
            f"Simulation-based calibration ranks z among draws of q(z|x), which this model does not allow: {reason}. "
            "Take a continuous posterior such as 'diagonal_gaussian' and a likelihood such as 'bernoulli'."
        )


def judge_ranks(found: np.ndarray, num_draws: int = DRAWS, num_bins: int = BINS) -> dict[str, Any]:
    """Test that ranks are uniform, for each dimension and for all.

    Args:
      found: `[N, D]` ranks from 0 to `num_draws`.
      num_draws: L; `num_bins` divides L + 1.
      num_bins: of equal width, at most N / 5.

    Returns:
      "p_value": of the chi-square test, the smallest of the D dimensions times D (Bonferroni), at most 1.
      "rank_variance": (variance of the ranks) / (variance of uniform ranks), about the middle rank, as a mean over
        dimensions: 1 for an exact q, above 1 for a q that is too narrow or misplaced, below 1 for one that is too wide.
      "shift": mean rank, from 0 to 1, minus 1/2, of the dimension where it is largest in size: 0 for an exact q.
      "dimensions_rejected": dimensions with p-values below 0.05 / D.
      "p_values" `[D]`; "counts" `[D, num_bins]` of ranks by bin, and "band", the counts between which 99% of the bins
        of a dimension lie if its ranks are uniform.

    Raises:
      UserError: there are fewer than 5 ranks for each bin, or the bins do not divide L + 1.
    """
    num, dims = found.shape
    if (num_draws + 1) % num_bins:
        raise UserError(f"{num_bins} bins do not divide the {num_draws + 1} ranks equally.")
    if num < PER_BIN * num_bins:
        raise UserError(f"{num_bins} bins of ranks need at least {PER_BIN * num_bins} examples; there are {num}.")
    bins = found * num_bins // (num_draws + 1)
    counts = np.stack([np.bincount(column, minlength=num_bins) for column in bins.T])
    p_values = stats.chisquare(counts, axis=1).pvalue
    middle = found - num_draws / 2
    shift = middle.mean(axis=0) / num_draws
    variance = num_draws * (num_draws + 2) / 12
    return {
        "p_value": float(min(1.0, dims * p_values.min())),
        "rank_variance": float((middle**2).mean() / variance),
        "shift": float(shift[np.argmax(np.abs(shift))]),
        "dimensions_rejected": int((p_values < 0.05 / dims).sum()),
        "p_values": p_values.tolist(),
        "counts": counts.tolist(),
        "band": [float(count) for count in stats.binom.interval(0.99, num, 1 / num_bins)],
    }
