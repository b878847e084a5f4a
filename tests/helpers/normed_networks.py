"""Small networks with running statistics and dropout, their model, objective and training step."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvae import likelihoods, objectives, posteriors, priors, train
from jaxvae.models.vae import make_model
from jaxvae.networks import Network

RNG = np.random.default_rng(0)
BATCHES = RNG.uniform(size=(4, 8, 6)).astype(np.float32)
MOMENTUM = 0.8


class Normed(nn.Module):
    """The inputs, normalised by the batch, and a dense layer after dropout."""

    out_shape: tuple[int, ...]
    rate: float = 0.0

    @nn.compact
    def __call__(self, x, context=None, is_training=False):
        x = x if context is None else jnp.concatenate([x, context], axis=-1)
        x = nn.BatchNorm(use_running_average=not is_training, momentum=MOMENTUM)(x)
        x = nn.Dropout(self.rate, deterministic=not is_training)(x)
        return nn.Dense(self.out_shape[0])(x)


class Plain(nn.Module):
    """No more arguments than the inputs, and one batch axis."""

    out_shape: tuple[int, ...]

    @nn.compact
    def __call__(self, x):
        assert x.ndim == 2
        return nn.Dense(self.out_shape[0])(x)


def network(rate=0.0, decoder=Plain):
    return Network(lambda _, num: Normed((num,), rate), lambda _, shape: decoder(shape))


def model_of(network, **options):
    return make_model(
        posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihoods.bernoulli(), network,
        data_shape=(6,), **options,
    )  # fmt: skip


def elbo(model, **options):
    return objectives.elbo(model, objectives.KL_WEIGHTS["constant"](), **options)


def stepper(objective, optimizer=None):
    optimizer = optimizer or optax.sgd(1e-2)
    step = train.make_step(objective, optimizer, lambda key, x: x, 8)
    return jax.jit(partial(train.init_state, objective, optimizer))(jax.random.key(0)), step
