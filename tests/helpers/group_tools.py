"""What the tests of groups of parameters share: parameters, optimisers, and an objective with a critic."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvae import Model
from jaxvae.objectives import Objective, of_model
from jaxvae.train.optimizers import constant, make_optimizer

SHAPES = {"model": {"encoder": {"kernel": (3, 2), "bias": (2,)}, "decoder": (4,)}, "critic": {"kernel": (2,)}}


def numbers(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: jnp.asarray(scale * rng.normal(size=shape), jnp.float32),
        SHAPES,
        is_leaf=lambda s: type(s) is tuple,
    )


def make(update=optax.adam, schedule=constant, rate=0.1, **options):
    return make_optimizer(update, schedule, learning_rate=rate, total_steps=12, **options)


def trained(optimizer, gradients, params):
    """`[(params, opt_state)]` after each of the gradients."""

    @jax.jit
    def step(params, state, gradient):
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    state, states = optimizer.init(params), []
    for gradient in gradients:
        params, state = step(params, state, gradient)
        states.append((params, state))
    return states


GRADIENTS = [numbers(i, scale) for i, scale in enumerate([1, 1, 5, 1, 1, 1, 0.1, 5, 1, 1, 1, 1], start=1)]


def with_critic(model: Model) -> Objective:
    """The negative ELBO, and the squared error of a linear prediction of it."""
    size = math.prod(model.latent.shape)

    def terms(params, batch, key, ctx, groups):
        out = model.forward(params, key, batch, is_training=ctx.is_training)
        loss = jnp.mean(out.log_posterior - out.log_prior - out.log_likelihood, axis=0)
        z = jax.lax.stop_gradient(out.z[0]).reshape(len(loss), size)
        error = (z @ groups["critic"]["kernel"] + groups["critic"]["bias"] - jax.lax.stop_gradient(loss)) ** 2
        metrics = {"loss": loss, "reconstruction": -jnp.mean(out.log_likelihood, axis=0), "error": error}
        return out, metrics, {"critic": error}

    def init(key):
        return {"kernel": 0.1 * jax.random.normal(key, (size,)), "bias": jnp.zeros(())}

    return of_model(model, terms, groups={"critic": init})


def without_loss(model: Model) -> Objective:
    """An objective that forgets the loss of its critic."""

    def terms(params, batch, key, ctx, groups):
        del ctx, groups
        out = model.forward(params, key, batch)
        return out, dict.fromkeys(("loss", "reconstruction"), -out.log_likelihood[0])

    return of_model(model, terms, groups={"critic": lambda key: jax.random.normal(key, (2,))})
