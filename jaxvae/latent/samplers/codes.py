"""Sampler for latents that are rows of a codebook."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.types import Key, Params
from jaxvae.distributions import AutoregressiveCodes, Coded, nearest_code
from jaxvae.latent.samplers.base import Codes, Draw, Sampler, compiled
from jaxvae.latent.samplers.fitting import check_fits, check_training, minimise
from jaxvae.models.base import Model
from jaxvae.priors import autoregressive_codes

AT_A_TIME = 64  # examples whose codes are compared with the whole codebook
COLDEST = 1e-6  # replaces a temperature of 0: always the most likely code


def autoregressive(
    hidden: Sequence[int] = (256,), embed_dim: int = 16, steps: int = 2000, batch_size: int = 256
) -> Sampler:
    """Masked autoregressive network over codes, fitted after training (arXiv:1711.00937, section 3.3).

    It is fitted to one z ~ q(z|x) per example. The temperature divides the logits of each code: at 0 each code is the
    most likely one given the codes before it.

    Args:
      hidden: widths of the network.
      embed_dim: length of the embedding of a code.
      steps: of Adam.
      batch_size: examples per step.

    Raises:
      UserError: an option out of its range.
    """
    check_training("autoregressive", hidden, embed_dim=embed_dim, steps=steps, batch_size=batch_size)

    def fit(model: Model, params: Params, codes: Codes, key: Key) -> Draw:
        check_fits("autoregressive", model)
        assert model.latent.codebook is not None
        codebook = model.latent.codebook(params.get("posterior", {}))
        nearest = jax.jit(lambda z: jax.lax.map(lambda one: nearest_code(one, codebook), z, batch_size=AT_A_TIME))
        data, (start, train) = nearest(codes.draws), jax.random.split(key)
        length = data.shape[1]
        prior = autoregressive_codes(length, model.latent.num_codes, hidden, embed_dim)

        def loss(params, rows, key):
            del key
            p: Any = prior.build(params, model.encode)
            return -p.log_prob(rows)

        fitted = minimise(loss, prior.init(start), data, train, steps, batch_size, 2e-3)

        def draw(tree, key, num, temperature):
            fitted, codebook = tree
            p: Any = prior.build(fitted, model.encode)
            colder = lambda params, codes: p.net(params, codes) / jnp.maximum(temperature, COLDEST)  # noqa: E731
            return Coded(AutoregressiveCodes(colder, fitted, length), codebook).sample(key, (num,))

        return compiled("autoregressive", draw, (fitted, codebook))

    return Sampler(fit)
