"""What the tests of the objectives share: tiny models, and losses by name."""

import functools
import inspect

import jax
import numpy as np

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.models.discriminator import make_discriminator
from jaxvae.models.features import make_features
from jaxvae.models.vae import make_model
from jaxvae.objectives import KL_WEIGHTS, OBJECTIVES, StepContext

X = np.random.default_rng(0).uniform(size=(5, 6)).astype(np.float32)
ONE = KL_WEIGHTS["constant"]()
CTX = StepContext(0, 100)
# These need labels: see test_semi_supervised.py.
OF_LABELS = {name for name, each in OBJECTIVES.items() if "labels" in inspect.signature(each).parameters}
ADVERSARIAL = {name for name, each in OBJECTIVES.items() if "discriminator" in inspect.signature(each).parameters}
JUDGE = functools.partial(make_discriminator, networks.mlp_discriminator((5, 4), "tanh"))
PERCEPTUAL = {name for name, each in OBJECTIVES.items() if "features" in inspect.signature(each).parameters}
FEATURES = make_features(networks.functions(networks.mlp((5, 4), "tanh").encoder((6,), 3)), (6,))
OF_CODES = {"latent_constraints"}  # these need an actor: see test_latent_constraints.py
OF_CLUSTERS = {"vade", "gmvae"}  # these need a mixture: see test_cluster_objectives.py
WITHOUT_KL = {name for name, each in OBJECTIVES.items() if "kl" not in inspect.signature(each).parameters}


def small(likelihood=likelihoods.bernoulli, posterior=posteriors.diagonal_gaussian, prior=priors.standard_normal):
    """Six values of data, two latent dimensions, one hidden layer of eight with a smooth activation."""
    return make_model(posterior(2), prior(2), likelihood(), networks.mlp((8,), "tanh"), data_shape=(6,))


POINT = small(lambda: likelihoods.squared_error("tanh"), posteriors.delta)


def encoded(params, x):
    """What the encoder of `small` makes of x, in float64."""
    layers = [params["encoder"][f"Dense_{i}"] for i in range(2)]
    hidden = np.tanh(np.asarray(x, np.float64) @ layers[0]["kernel"] + layers[0]["bias"])
    return hidden @ layers[1]["kernel"] + layers[1]["bias"]


def decoded(params, z):
    """What the decoder of `POINT` makes of z, in float64."""
    layers = [params["decoder"][f"Dense_{i}"] for i in range(2)]
    hidden = np.tanh(np.asarray(z, np.float64) @ layers[0]["kernel"] + layers[0]["bias"])
    return np.tanh(hidden @ layers[1]["kernel"] + layers[1]["bias"])


def mixture_model():
    return small(prior=lambda dim: priors.mixture_of_gaussians(dim, 3))


def model_for(name):
    """A small model that fits the objective."""
    if name in OF_CLUSTERS:
        return mixture_model()
    return small(posterior=posteriors.delta) if name == "rae" else small()


def gumbel_model(straight_through=False, prior=lambda dim: priors.uniform_categorical(dim, 3)):
    return small(
        posterior=lambda dim: posteriors.gumbel_softmax(dim, 3, straight_through=straight_through), prior=prior
    )


def make(name, model, kl=ONE, **options):
    """The objective as the builder makes it: with a KL weight, a discriminator and features where it takes them."""
    given = {} if name in WITHOUT_KL else {"kl": kl}
    given |= {"discriminator": JUDGE} if name in ADVERSARIAL else {}
    given |= {"features": FEATURES} if name in PERCEPTUAL else {}
    return OBJECTIVES[name](model, **{**given, **options})


def evaluate(objective, params, extra=None, seed=1, x=X, ctx=CTX):
    loss = jax.jit(functools.partial(objective.loss, ctx=ctx))
    return jax.device_get(loss(params, extra or {}, {"x": x}, jax.random.key(seed)))


def trace(objective):
    """Traces the loss, as the builder does; nothing is computed."""

    def once():
        params, extra = objective.init(jax.random.key(0))
        return objective.loss(params, extra, {"x": X}, jax.random.key(1), CTX)

    return jax.eval_shape(once)
