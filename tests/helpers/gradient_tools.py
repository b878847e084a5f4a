"""Derivatives of an objective's loss at fixed noise: by reverse mode, and by central differences in float64."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.models import make_model
from jaxvae.objectives import Objective, StepContext

STEP = 1e-5
X = tools.X.astype(np.float64)
CTX = StepContext(np.float64(30), 100, is_training=True)  # step 30; 100 training examples


def key():
    """The key of every loss here. This generator compiles faster than JAX's default."""
    return jax.random.key(1, impl="unsafe_rbg")


def terms_key():
    """The key that the terms of an objective receive where the loss receives `key()`."""
    return jax.random.split(key())[0]


def small(
    likelihood=likelihoods.bernoulli, posterior=posteriors.diagonal_gaussian, prior=priors.standard_normal, dim=2
):
    """Six values of data and linear networks: few parameters, and little to compile."""
    return make_model(posterior(dim), prior(dim), likelihood(), networks.mlp(()), data_shape=(6,))


class Point(NamedTuple):
    """Where derivatives are taken: random parameters, with the state that gradients do not own."""

    params: Any
    extra: Any


def point(objective: Objective) -> Point:
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(objective.init, jax.random.key(0))
    return Point(*jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape)), shapes))


def mean_loss(objective: Objective, extra: Any) -> Callable:
    """`(params) -> []`, as the training step has it."""
    return lambda params: jnp.mean(objective.loss(params, extra, {"x": X}, key(), CTX).losses["model"])


def slopes(objective: Objective, at: Point, references: Mapping[str, Callable] = MappingProxyType({})) -> tuple:
    """The derivative along a random direction of each leaf, `[leaves]`: as training has it, and by differences.

    The differences are those of the loss, or for the part of the model that `references` names, of
    `references[part](params) -> []`.
    """
    loss = jax.jit(jax.value_and_grad(mean_loss(objective, at.extra)))
    values = {part: jax.jit(function) for part, function in references.items()}
    rng, found = np.random.default_rng(1), []
    gradient = jax.tree.leaves(loss(at.params)[1])
    leaves, tree = jax.tree_util.tree_flatten_with_path(at.params)
    for i, (path, leaf) in enumerate(leaves):
        direction = rng.normal(size=np.shape(leaf))
        ends = []
        for step in (STEP, -STEP):
            moved = [other for _, other in leaves]
            moved[i] = leaf + step * direction
            params = tree.unflatten(moved)
            ends.append(float(values[path[1].key](params) if path[1].key in values else loss(params)[0]))
        found.append((np.sum(gradient[i] * direction), (ends[0] - ends[1]) / (2 * STEP)))
    return tuple(np.transpose(found))
