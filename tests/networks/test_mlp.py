"""Initial weights of fully connected networks: their variance, and what passes through many layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae import UserError, networks

WIDTH = 300


def kernels(**options):
    module = networks.mlp(**options).encoder((WIDTH,), WIDTH)
    params = module.init(jax.random.key(0), jnp.zeros((1, WIDTH)))["params"]
    return module, params, [np.asarray(params[f"Dense_{i}"]["kernel"]) for i in range(len(params))]


@pytest.mark.parametrize(
    ("options", "hidden", "last"),
    [
        ({"hidden": (WIDTH,)}, 1 / 3, 1 / 10),
        ({"hidden": (WIDTH,), "activation": "tanh"}, 1 / 3, 1 / 10),
        ({"hidden": (WIDTH, WIDTH)}, 2, 1 / 10),
        ({"hidden": (WIDTH, WIDTH), "activation": "gelu"}, 2, 1 / 10),
        ({"hidden": (WIDTH, WIDTH), "activation": "tanh"}, 1, 1 / 10),
        ({"hidden": (WIDTH, WIDTH), "hidden_scale": 0.5, "output_scale": 1.5}, 0.5, 1.5),
    ],
)
def test_the_variance_of_initial_weights(options, hidden, last):
    """In units of Glorot's 1 / width; of uniform values, so that the error of a variance is sqrt(0.8 / N) of it."""
    found = [WIDTH * np.var(kernel) for kernel in kernels(**options)[2]]
    wanted = [hidden] * len(options["hidden"]) + [last]
    np.testing.assert_allclose(found, wanted, rtol=5 * np.sqrt(0.8) / WIDTH)


@pytest.mark.parametrize("activation", ["relu", "tanh", "leaky_relu"])
def test_what_passes_through_eight_layers_keeps_its_size(activation):
    x = jax.random.normal(jax.random.key(1), (500, WIDTH))
    module, params, _ = kernels(hidden=(WIDTH,) * 8, activation=activation)
    _, state = module.apply({"params": params}, x, mutable="intermediates")
    sizes = [float(jnp.mean(jnp.square(layer))) for layer in state["intermediates"]["features"]]
    assert 0.1 < sizes[-1] / sizes[0] < 10
    module, params, _ = kernels(hidden=(WIDTH,) * 8, activation=activation, hidden_scale=1 / 3)
    _, state = module.apply({"params": params}, x, mutable="intermediates")
    small = [float(jnp.mean(jnp.square(layer))) for layer in state["intermediates"]["features"]]
    assert small[-1] / small[0] < 1e-3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden_scale": -1.0}, "hidden_scale=-1.0; it must be above 0, or 0"),
        ({"hidden_scale": float("nan")}, "hidden_scale=nan"),
        ({"output_scale": 0.0}, "output_scale=0.0; it must be above 0"),
    ],
)
def test_scales_that_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        networks.mlp(**options)
