"""`jax.vmap(step)` over states of several seeds: each member is the run of its own seed alone."""

import functools

import jax
import numpy as np
import objective_tools as tools
import optax
import pytest
from slow_cases import fast

from jaxvae import objectives as all_objectives
from jaxvae import posteriors, priors, train

SEEDS, STEPS = (0, 1, 7), 5
BATCH = {"x": tools.X}
# No restarts: two codes that restart from the same output are equal, and rounding would decide which one is nearest.
CODES = {"codebook_size": 4, "code_dim": 3, "decay": 0.7, "restart_below": 0.0}


def objectives():
    codes = tools.small(
        posterior=lambda dim: posteriors.vector_quantized(dim, **CODES),
        prior=lambda dim: priors.uniform_categorical(dim, 4),
    )
    return {
        "elbo": tools.make("elbo", tools.small()),
        "iwae": tools.make("iwae", tools.mixture_model(), num_samples=3),
        "game": all_objectives.factor_vae(tools.small(), tools.JUDGE),
        "codebook": tools.make("elbo", codes),  # with state that gradients do not own
    }


@pytest.mark.parametrize("name", fast(["elbo", "iwae", "game", "codebook"], "game"))
def test_a_member_equals_the_same_seed_alone(name):
    objective, optimizer = objectives()[name], optax.adam(1e-2)
    init = jax.jit(functools.partial(train.init_state, objective, optimizer))
    step = train.make_step(objective, optimizer, lambda key, x: x, 100)
    one, many = jax.jit(step), jax.jit(jax.vmap(step, in_axes=(0, None)))
    population = jax.jit(jax.vmap(init))(jax.vmap(jax.random.key)(np.asarray(SEEDS)))
    alone = [init(jax.random.key(seed)) for seed in SEEDS]
    for _ in range(STEPS):
        population, metrics = many(population, BATCH)
        alone, own = zip(*(one(state, BATCH) for state in alone), strict=True)
        for i, expected in enumerate(own):  # the noise is the same bits; sums may be rounded in another order
            np.testing.assert_allclose(metrics["loss"][i], expected["loss"], rtol=1e-5)
    for i, expected in enumerate(alone):
        member = jax.tree.map(lambda leaf, i=i: leaf[i], population)
        np.testing.assert_array_equal(member.key, expected.key)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), member, expected)
    kernel = population.params["model"]["encoder"]["Dense_0"]["kernel"]
    assert np.abs(kernel[0] - kernel[1]).max() > 0.1


def test_members_of_equal_parameters_draw_noise_of_their_own():
    objective, optimizer = objectives()["elbo"], optax.sgd(0.0)
    init = jax.jit(jax.vmap(functools.partial(train.init_state, objective, optimizer)))
    population = init(jax.random.split(jax.random.key(0)))
    same = jax.tree.map(lambda leaf: leaf.at[1].set(leaf[0]), population.params)
    step = train.make_step(objective, optimizer, lambda key, x: x, 100)
    _, metrics = jax.jit(jax.vmap(step, in_axes=(0, None)))(population._replace(params=same), BATCH)
    assert metrics["kl"][0] == metrics["kl"][1]
    assert abs(metrics["reconstruction"][0] - metrics["reconstruction"][1]) > 1e-4


def test_the_keys_of_a_run_follow_from_its_root_key_alone():
    objective, optimizer = objectives()["elbo"], optax.sgd(0.1)
    init, training, *_ = jax.random.split(jax.random.key(3), 5)
    state = jax.jit(lambda key: train.init_state(objective, optimizer, key))(jax.random.key(3))
    jax.tree.map(np.testing.assert_array_equal, state.params, jax.jit(objective.init)(init)[0])
    np.testing.assert_array_equal(state.key, jax.random.key_data(training))
