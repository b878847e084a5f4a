"""A linear-Gaussian model whose codes are means of one's own."""

import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist

NUM, WRONG = 3000, lg.params(0.4, 0.3)
DATA = lg.MARGINAL.rvs(NUM, random_state=2).astype(np.float32)
BATCHES = [DATA[i : i + 1500] for i in range(0, NUM, 1500)]  # the last one is smaller
MIX = np.asarray([[0.8, 0.6, 0.3], [0.4, 0.4, 0.1], [0.1, 0.4, 0.6], [0.1, 0.3, 0.1], [0.3, 0.6, 0.4]])
SCALE, OFFSET = np.asarray([0.5, 0.7, 0.6]), np.asarray([0.5, 0.0, -0.3])


def encoded_as(mean, scale=SCALE, full=False):
    """The model with q(z|x) = N(mean(x), diag(scale^2)), as a full covariance where asked for."""

    def encode(params, x, context=None):
        means = mean(x)
        scales = jnp.broadcast_to(jnp.asarray(scale, jnp.float32), means.shape)
        if full:
            return dist.MultivariateNormal(means, scale_tril=scales[..., None] * jnp.eye(lg.LATENT))
        return dist.Normal(means, scales).to_event(1)

    return lg.MODEL._replace(encode=encode)


LINEAR = encoded_as(lambda x: (x - lg.BIAS) @ MIX.astype(np.float32) + OFFSET)
