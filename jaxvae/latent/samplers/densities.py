"""Samplers that fit a mixture or a second VAE to the codes of the training set, in R^n or on a Poincaré ball.

Both are fitted to one z ~ q(z|x) per example, and so to the aggregate posterior that the decoder was trained on; for a
deterministic q, z is its centre.
"""

import warnings
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.optional import require
from jaxvae.common.ranges import check, within
from jaxvae.common.threads import one_thread
from jaxvae.common.types import Key, Params
from jaxvae.latent.samplers.base import Codes, Draw, Sampler, compiled
from jaxvae.latent.samplers.fitting import check_fits, check_training, coordinates, minimise
from jaxvae.models.base import Model
from jaxvae.models.vae import make_model
from jaxvae.objectives import KL_WEIGHTS, StepContext
from jaxvae.objectives.elbo import elbo

COVARIANCES = {"full": "full", "diagonal": "diag"}  # and their names in scikit-learn
FIRST_VARIANCE = 0.5  # initial, of codes of variance 1; from 1 on, the second VAE could stay collapsed


def gmm(components: int = 10, covariance: str = "full") -> Sampler:
    """Mixture of Gaussians by expectation maximisation (Ghosh et al. 2020, arXiv:1903.12436, section 4).

    The temperature scales the spread of each component: at 0 all draws are means of components.

    Args:
      components: number of Gaussians; 10 in the paper.
      covariance: "full" or "diagonal".

    Raises:
      UserError: fewer than 1 component, or an unknown covariance. `fit` refuses more components than codes.
    """
    check("sampler", "gmm", components=(components, within(1)))
    if covariance not in COVARIANCES:
        raise unknown("covariance of the sampler 'gmm'", covariance, COVARIANCES)

    def fit(model: Model, params: Params, codes: Codes, key: Key) -> Draw:
        del params
        check_fits("gmm", model)
        if len(codes.draws) < components:
            raise UserError(
                f"The sampler 'gmm' got components={components}, but there are only {len(codes.draws)} training "
                "examples to fit them to: take fewer."
            )
        space = coordinates(model, codes.draws)
        seed = int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max))
        mixture = require("sklearn.mixture").GaussianMixture(
            components, covariance_type=COVARIANCES[covariance], random_state=seed
        )
        with warnings.catch_warnings(), one_thread("openmp"):
            # A fit to few different codes, or not quite converged, is good enough.
            warnings.simplefilter("ignore", require("sklearn.exceptions").ConvergenceWarning)
            mixture.fit(np.asarray(space.to(codes.draws), np.float64))
        if covariance == "full":
            factors = np.linalg.cholesky(mixture.covariances_)
        else:
            factors = np.sqrt(mixture.covariances_)[..., None] * np.eye(mixture.means_.shape[1])
        tree = [jnp.asarray(a, jnp.float32) for a in (np.log(mixture.weights_), mixture.means_, factors)]

        def draw(tree, key, num, temperature):
            log_weights, means, factors = tree
            choice, noise = jax.random.split(key)
            index = jax.random.categorical(choice, log_weights, shape=(num,))
            normal = jax.random.normal(noise, (num, means.shape[-1]))
            offset = jnp.einsum("kij,nj->kni", factors, normal, precision="highest")[index, jnp.arange(num)]
            return space.back(means[index] + temperature * offset)

        return compiled("gmm", draw, tree)

    return Sampler(fit)


def two_stage(hidden: Sequence[int] = (256, 256), steps: int = 2000, batch_size: int = 512) -> Sampler:
    """Second VAE over the codes, with as many latents as the codes have dimensions (arXiv:1903.05789, section 4).

    Its likelihood is Gaussian with one learned variance. The temperature scales its latents about 0 and its noise: at 0
    all draws are the decoded mean at 0.

    Args:
      hidden: widths of the encoder; the decoder mirrors them.
      steps: of Adam.
      batch_size: codes per step.

    Raises:
      UserError: an option out of its range.
    """
    check_training("two_stage", hidden, steps=steps, batch_size=batch_size)
    network = networks.mlp(
        hidden, hidden_scale=1.0, output_scale=1.0
    )  # codes are small: initial weights need no shrinking

    def fit(model: Model, params: Params, codes: Codes, key: Key) -> Draw:
        del params
        check_fits("two_stage", model)
        space, (start, train) = coordinates(model, codes.draws), jax.random.split(key)
        data = space.to(codes.draws)
        latent_dim = data.shape[1]
        second = make_model(
            posteriors.diagonal_gaussian(latent_dim),
            priors.standard_normal(latent_dim),
            likelihoods.gaussian(variance=FIRST_VARIANCE, learn="shared"),
            network,
            data_shape=(latent_dim,),
        )
        objective = elbo(second, KL_WEIGHTS["constant"]())

        def loss(params, rows, key):
            context = StepContext(jnp.zeros((), jnp.int32), len(data))
            return objective.loss({"model": params}, {}, {"x": rows}, key, context).losses["model"]

        fitted = minimise(loss, second.init(start), data, train, steps, batch_size, 5e-3)

        def draw(fitted, key, num, temperature):
            latent_key, noise_key = jax.random.split(key)
            p = second.decode(fitted, temperature * second.prior(fitted).sample(latent_key, (num,)))
            return space.back(p.mean + temperature * (p.sample(noise_key) - p.mean))

        return compiled("two_stage", draw, fitted)

    return Sampler(fit)
