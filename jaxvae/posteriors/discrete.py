"""Posteriors over codes: relaxed categorical, vector-quantised, finite scalar quantisation."""

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae import losses
from jaxvae.common.errors import UserError
from jaxvae.common.ranges import NOT_NEGATIVE, POSITIVE, UNIT, check, within
from jaxvae.common.types import Array, no_params
from jaxvae.distributions import GumbelSoftmax, Quantized, nearest_code
from jaxvae.distributions.spaces import CODES
from jaxvae.posteriors.base import Posterior


def gumbel_softmax(
    latent_dim: int, categories: int = 10, temperature: float = 0.5, straight_through: bool = False
) -> Posterior:
    """Gumbel-softmax: `latent_dim` one-hot categorical variables, relaxed in training (arXiv:1611.01144).

    The temperature is fixed; the paper lowers it during training. At lower temperatures samples are nearer to one-hot
    vectors and gradients have more variance.

    Args:
      latent_dim: the number of variables.
      categories: of each variable, K.
      temperature: tau, above 0, of the relaxation.
      straight_through: whether training decodes one-hot draws, with the gradients of the relaxed ones.

    Raises:
      UserError: fewer than 2 categories, or a temperature that is not above 0.
    """
    check("posterior", "gumbel_softmax", categories=(categories, within(2)), temperature=(temperature, POSITIVE))

    def build(params, outputs, log_joint):
        del params, log_joint
        logits = outputs.reshape(*outputs.shape[:-1], latent_dim, categories)
        return GumbelSoftmax(logits, temperature, straight_through)

    return Posterior(
        (latent_dim, categories),
        latent_dim * categories,
        build,
        space=CODES,
        is_relaxed=not straight_through,
        has_soft_codes=True,
        codebook=lambda params: jnp.eye(categories),
        num_codes=categories,
    )


def vector_quantized(
    latent_dim: int,
    codebook_size: int = 128,
    code_dim: int = 8,
    commitment: float = 0.25,
    ema: bool = True,
    decay: float = 0.99,
    restart_below: float = 0.1,
) -> Posterior:
    """Vector quantisation: `latent_dim` vectors, each the nearest row of a codebook (arXiv:1711.00937).

    The penalty is that of equation 3: commitment |z_e - sg(e)|^2, and without `ema` also |sg(z_e) - e|^2. With `ema`
    the codebook is the running mean of the encoder's outputs by code (appendix A.1), and codes chosen less often than
    `restart_below` times the mean are restarted at outputs of the batch.

    Args:
      latent_dim: the number of vectors.
      codebook_size: the number of codes, K.
      code_dim: the length of a code, and of each vector.
      commitment: weight of the commitment loss; beta in the paper.
      ema: whether the codebook is a running mean instead of parameters with a loss.
      decay: share that a step keeps of the running sums and counts; gamma in the paper.
      restart_below: codes chosen less often than this share of the mean count are restarted; 0 for none.

    Raises:
      UserError: a codebook below 2 codes, or a number out of its range.
    """
    check(
        "posterior",
        "vector_quantized",
        codebook_size=(codebook_size, within(2)),
        code_dim=(code_dim, within(1)),
        commitment=(commitment, NOT_NEGATIVE),
        decay=(decay, within(0, 0.999999)),
        restart_below=(restart_below, UNIT),
    )

    def start(key):
        return {"codebook": jax.random.normal(key, (codebook_size, code_dim)) / math.sqrt(code_dim)}

    def start_ema(key):
        book = start(key)["codebook"]
        return {"posterior": {"codebook": book, "counts": jnp.zeros(codebook_size), "sums": jnp.zeros_like(book)}}

    def build(params, outputs, log_joint):
        del log_joint
        inputs = outputs.reshape(*outputs.shape[:-1], latent_dim, code_dim)
        codes = nearest_code(inputs, params["codebook"])
        return Quantized(inputs, params["codebook"][codes], codes)

    def penalty(q):
        value = commitment * losses.commitment_loss(q.inputs, q.values)
        return value if ema else value + losses.codebook_loss(q.inputs, q.values)

    def update_state(state, q, key):
        old = state["posterior"]
        inputs = jax.lax.stop_gradient(q.inputs).reshape(-1, code_dim)
        chosen = jax.nn.one_hot(q.codes.reshape(-1), codebook_size)
        counts = decay * old["counts"] + (1 - decay) * jnp.sum(chosen, axis=0)
        sums = decay * old["sums"] + (1 - decay) * jnp.matmul(chosen.T, inputs, precision="highest")
        usual = (1 - decay) * len(inputs) / codebook_size  # the mean share of one batch
        dead = counts < restart_below * jnp.maximum(jnp.mean(counts), usual)
        fresh = inputs[jax.random.choice(key, len(inputs), (codebook_size,), replace=len(inputs) < codebook_size)]
        counts = jnp.where(dead, jnp.maximum(jnp.mean(counts), usual), counts)
        sums = jnp.where(dead[:, None], fresh * counts[:, None], sums)
        unused = (counts == 0)[:, None]  # without restarts
        codebook = jnp.where(unused, old["codebook"], sums / jnp.where(unused, 1, counts[:, None]))
        return {"posterior": {"codebook": codebook, "counts": counts, "sums": sums}}

    return Posterior(
        (latent_dim, code_dim),
        latent_dim * code_dim,
        build,
        init=no_params if ema else start,
        space=CODES,
        knows_density=False,
        init_state=start_ema if ema else no_params,
        update_state=update_state if ema else (lambda state, q, key: state),
        codebook=lambda params: params["codebook"],
        num_codes=codebook_size,
        penalty=penalty,
        metrics=lambda q: {"commitment": penalty(q), "codes_used": _codes_used(q, codebook_size)},
    )


def finite_scalar(latent_dim: int, grid: Sequence[int] = (8, 5, 5, 5)) -> Posterior:
    """Finite scalar quantisation: `latent_dim` vectors, rounded to levels of a `grid` (arXiv:2309.15505, section 3).

    The codebook is the fixed grid of all combinations, which cannot collapse.

    Levels are symmetric about 0. With an even number of them 0 is not a level but the boundary of the two middle ones;
    the paper shifts even grids by half a level, so that 0 is a level.

    Args:
      latent_dim: the number of vectors.
      grid: the number of levels of each dimension of a vector; their product is the size of the codebook.

    Raises:
      UserError: a dimension of fewer than 2 levels, or more than 2^16 codes.
    """
    if not isinstance(grid, (tuple, list)) or not grid or any(type(n) is not int or not 2 <= n <= 1000 for n in grid):
        raise UserError(f"The posterior 'finite_scalar' got grid={grid}; each must be a whole number from 2 to 1000.")
    if math.prod(grid) > 2**16:
        raise UserError(f"The posterior 'finite_scalar' got grid={grid}: {math.prod(grid)} codes; 65536 at most.")
    half = (np.asarray(grid, np.float32) - 1) / 2
    strides = np.asarray([math.prod(grid[i + 1 :]) for i in range(len(grid))], np.int32)
    codebook = np.asarray(list(itertools.product(*[np.linspace(-1, 1, n) for n in grid])), np.float32)

    def build(params, outputs, log_joint):
        del params, log_joint
        inputs = outputs.reshape(*outputs.shape[:-1], latent_dim, len(grid))
        # level i of n sits at 2 i / (n - 1) - 1: the codebook is symmetric, so that even counts need no offset
        position = half * (1 + jnp.tanh(inputs))
        level = jnp.round(position)
        return Quantized(position / half - 1, level / half - 1, level.astype(jnp.int32) @ strides)

    return Posterior(
        (latent_dim, len(grid)),
        latent_dim * len(grid),
        build,
        space=CODES,
        knows_density=False,
        codebook=lambda params: jnp.asarray(codebook),
        num_codes=len(codebook),
        metrics=lambda q: {"codes_used": _codes_used(q, len(codebook))},
    )


def _codes_used(q: Quantized, num_codes: int) -> Array:
    """Return the fraction of the codebook that this batch uses, `[]` in [0, 1]."""
    return jnp.mean(jnp.zeros(num_codes).at[q.codes.reshape(-1)].set(1.0))
