"""Networks as pure functions, of any library or none; outputs and arguments that are refused."""

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from normed_networks import BATCHES, RNG, Normed, Plain, elbo, model_of, stepper

from jaxvae import networks
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build, defaults
from jaxvae.networks import Functions, Network, by_path, from_paths, functions


def test_any_pytree_becomes_a_dictionary_and_back():
    tree = {"a": [np.arange(2), (np.ones(3), None)], "b": np.zeros(1)}
    paths = by_path(tree)
    assert paths.keys() == {"a.0", "a.1.0", "b"}
    back = from_paths(jax.tree.map(lambda _: 0, tree), {name: 2 * leaf for name, leaf in paths.items()})
    jax.tree.map(lambda one, other: np.testing.assert_array_equal(2 * one, other), tree, back)
    assert jax.tree.structure(back) == jax.tree.structure(tree)


def test_functions_of_functions_are_themselves_and_builtin_networks_have_no_state():
    made = functions(Normed((3,)))
    assert functions(made) is made
    assert made.may_have_state
    for builder in (networks.mlp(), networks.conv(), networks.resnet()):
        assert not functions(builder.encoder((8, 8, 1), 4)).may_have_state


class Wide(nn.Module):
    """Outputs of another shape than wanted, or two of them."""

    outputs: int = 1

    @nn.compact
    def __call__(self, x):
        out = nn.Dense(7)(x)
        return out if self.outputs == 1 else (out,) * self.outputs


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Network(lambda *_: Wide(), lambda _, shape: Plain(shape)),
         "The encoder must map inputs of shape (8, 6) to outputs of shape (8, 4), not the shape (8, 7)."),
        (Network(lambda *_: Wide(2), lambda _, shape: Plain(shape)), "outputs of shape (8, 4), not a tuple."),
        (Network(lambda _, num: Plain((num,)), lambda *_: Wide()),
         "The decoder must map inputs of shape (8, 2) to outputs of shape (8, 6), not the shape (8, 7)."),
    ],
)  # fmt: skip
def test_outputs_of_another_shape_are_refused_before_anything_is_computed(network, message):
    model = model_of(network)
    config = defaults.get_config("test").to_dict()
    config["train"]["batch_size"] = 8
    with pytest.raises(UserError) as error:
        build.objective(config, model, DataSpec((6,)), 1)
    assert message in str(error.value)


def test_a_module_with_state_must_know_when_it_trains():
    class Untold(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.BatchNorm(use_running_average=False)(x)[:, :4]

    model = model_of(Network(lambda *_: Untold(), lambda _, shape: Plain(shape)))
    with pytest.raises(UserError, match=r"has state \(batch_stats\), .* an argument `is_training: bool = False`"):
        jax.eval_shape(model.init, jax.random.key(0))


class Told(nn.Module):
    """Told by another name that it trains, as many modules are."""

    num_outputs: int = 4

    @nn.compact
    def __call__(self, x, deterministic=True):
        return nn.Dense(self.num_outputs)(nn.Dropout(0.5, deterministic=deterministic)(x))


def test_a_module_must_know_by_our_name_when_it_trains():
    with pytest.raises(UserError, match=r"Told has an argument 'deterministic', which .* is_training: bool = False"):
        networks.functions(Told())


class Running(nn.Module):
    """A decoder of sequences with state."""

    @nn.compact
    def __call__(self, z, x, is_training=False):
        return nn.BatchNorm(use_running_average=not is_training)(x)


def test_a_decoder_of_sequences_has_no_state():
    sequential = Network(lambda _, num: Plain((num,)), lambda *_: Running(), is_sequential=True)
    with pytest.raises(UserError, match="The decoder of a sequence cannot have state of its own"):
        model_of(sequential)


def test_functions_without_a_library():
    def affine(inputs, outputs):
        def init(key, *xs):
            assert [x.shape for x in xs] == [(1, inputs)]
            return {"params": {"weight": jax.random.normal(key, (inputs, outputs))}}

        return Functions(init, lambda variables, x, key=None: (x @ variables["params"]["weight"], {}))

    model = model_of(Network(lambda shape, num: affine(shape[0], num), lambda latent, shape: affine(*latent, *shape)))
    state, step = stepper(elbo(model), optax.adam(1e-2))
    losses = jax.jit(lambda s: jax.lax.scan(step, s, {"x": np.tile(BATCHES, (30, 1, 1))}))(state)[1]["loss"]
    assert losses[-4:].mean() < losses[:4].mean() - 1
    z = RNG.normal(size=(3, 4, 2)).astype(np.float32)
    params = jax.device_get(state.params["model"])
    mean = jax.jit(lambda params, z: model.decode(params, z).mean)(params, z)
    np.testing.assert_allclose(mean, jax.nn.sigmoid(z @ params["decoder"]["weight"]), rtol=1e-4, atol=1e-5)
