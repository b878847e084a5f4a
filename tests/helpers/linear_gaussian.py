"""A linear-Gaussian VAE made by hand, in which all that a VAE estimates is known exactly.

p(z) = N(0, I) and p(x|z) = N(W z + b, s^2 I). The columns of W are orthogonal, so that p(z|x) is a diagonal Gaussian.
q(z|x) is that one, moved by `shift` of its standard deviations and with its variance scaled by exp(`log_ratio`).
"""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy import stats

from jaxvae import likelihoods
from jaxvae.models import Data, Latent, Model

LATENT, DATA, BATCH, NOISE = 3, 5, 4, 0.5  # NOISE is s^2

_rng = np.random.default_rng(0)
WEIGHT = np.linalg.qr(_rng.normal(size=(DATA, LATENT)))[0] * [0.5, 1.0, 2.0]
BIAS = _rng.normal(size=DATA)
MARGINAL = stats.multivariate_normal(BIAS, WEIGHT @ WEIGHT.T + NOISE * np.eye(DATA))
X = MARGINAL.rvs(BATCH, random_state=1).astype(np.float32)
LOG_PX = MARGINAL.logpdf(X)


def params(shift: float = 0.0, log_ratio: float = 0.0) -> dict:
    values = {"weight": WEIGHT, "bias": BIAS, "shift": np.full(LATENT, shift), "log_ratio": np.full(LATENT, log_ratio)}
    return {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}


def gap(shift: float, log_ratio: float) -> float:
    """KL(q(z|x) || p(z|x)), which is log p(x) - ELBO, the same for every x."""
    return LATENT * 0.5 * (shift**2 + np.exp(log_ratio) - 1 - log_ratio)


def posterior_moments(params: dict, x) -> tuple:
    weight = params["weight"]
    variance = 1 / (1 + jnp.sum(weight**2, axis=0) / NOISE)
    mean = variance * ((x - params["bias"]) @ weight) / NOISE
    return mean + params["shift"] * jnp.sqrt(variance), variance * jnp.exp(params["log_ratio"])


def _encode(params, x, context=None):
    mean, variance = posterior_moments(params, x)
    return dist.Normal(mean, jnp.sqrt(variance)).to_event(1)


def _decode(params, z, context=None):
    return dist.Normal(z @ params["weight"].T + params["bias"], NOISE**0.5).to_event(1)


MODEL = Model(
    init=lambda key: params(),
    encode=_encode,
    decode=_decode,
    prior=lambda params, context=None: dist.Normal(jnp.zeros(LATENT), jnp.ones(LATENT)).to_event(1),
    latent=Latent((LATENT,)),
    data=Data((DATA,)),
    likelihood=likelihoods.gaussian(variance=NOISE),
)
