"""Spectral normalisation against NumPy's singular values, and as a part of training."""

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import optax
import pytest

from jaxvae import train
from jaxvae.objectives import spectral_normalisation


def singular_values(decoder):
    kernels = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(decoder) if leaf.ndim > 1]
    return np.array([np.linalg.svd(k.reshape(-1, k.shape[-1]), compute_uv=False)[0] for k in kernels])


def test_spectral_normalisation_divides_by_numpys_largest_singular_value(random_like):
    shapes = {"dense": (8, 6), "convolution": (3, 3, 2, 4), "bias": (6,)}
    rng = np.random.default_rng(4)
    params = {"decoder": {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}, "rest": 1}
    transform = spectral_normalisation("decoder")
    state = transform.init(jax.random.key(0), params)
    apply = jax.jit(transform.apply)
    assert np.all(singular_values(apply(params, state)[0]["decoder"]) > 1.001)  # one iteration finds too small a one
    for _ in range(200):
        used, state = apply(params, state)
    np.testing.assert_allclose(singular_values(used["decoder"]), 1, rtol=1e-4)
    largest = np.linalg.svd(params["decoder"]["dense"], compute_uv=False)[0]
    np.testing.assert_allclose(used["decoder"]["dense"], params["decoder"]["dense"] / largest, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(used["decoder"]["bias"], params["decoder"]["bias"])
    assert used["rest"] == 1
    # the gradient passes through the singular value: the normalised kernel does not know its own length
    gradient = jax.grad(lambda p: jnp.sum(jnp.sin(transform.apply(p, state)[0]["decoder"]["dense"])), allow_int=True)
    along = np.sum(np.asarray(gradient(params)["decoder"]["dense"], np.float64) * params["decoder"]["dense"])
    assert abs(along) < 1e-4
    assert np.abs(gradient(params)["decoder"]["dense"]).max() > 0.01


@pytest.mark.slow
def test_rae_with_spectral_normalisation_trains_and_gives_away_the_normalised_kernels():
    objective, optimizer = tools.make("rae", tools.POINT, penalty="spectral"), optax.sgd(1e-2)
    state = train.init_state(objective, optimizer, jax.random.key(0))
    step = jax.jit(train.make_step(objective, optimizer, lambda _, x: x, 5))
    first = jax.tree.map(np.asarray, state.extra)
    losses = []
    for _ in range(60):
        state, metrics = step(state, {"x": tools.X})
        losses.append(float(metrics["loss"]))
    assert losses[-1] < losses[10]
    assert "decoder_penalty" not in metrics
    assert jax.tree.map(np.shape, first) == jax.tree.map(np.shape, state.extra)
    assert np.abs(first["transform"]["1"] - state.extra["transform"]["1"]).max() > 1e-3
    used = objective.model_params(state.params, state.extra)
    np.testing.assert_allclose(singular_values(used["decoder"]), 1, rtol=1e-2)
    assert np.all(np.abs(singular_values(state.params["model"]["decoder"]) - 1) > 0.02)
    np.testing.assert_array_equal(
        used["encoder"]["Dense_0"]["kernel"], state.params["model"]["encoder"]["Dense_0"]["kernel"]
    )
    # what the loss decodes with is what the model is used with
    out = tools.evaluate(objective, state.params, state.extra)
    expected = ((tools.X - tools.decoded(used, tools.encoded(used, tools.X))) ** 2).sum(axis=-1)
    np.testing.assert_allclose(out.metrics["reconstruction"], expected, rtol=1e-4)
