"""Convolutional networks: any image, any latent, any output; what does not fit is said."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from slow_cases import fast

from jaxvae import networks, train
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build, defaults
from jaxvae.networks.conv import SMALL_SIDE, strided

NETWORKS = {"conv": networks.conv, "conv_pool": networks.conv_pool, "resnet": networks.resnet}
SHAPES = [(8, 8, 1), (28, 28, 1), (28, 20, 1), (32, 32, 3), (64, 64, 3), (9, 13, 2)]
SOME = fast(SHAPES, (28, 28, 1), (9, 13, 2))


def shapes(module, *inputs):
    """The shapes of parameters and output; nothing is computed."""
    variables = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    return variables["params"], jax.eval_shape(module.apply, variables, *inputs).shape


@pytest.mark.parametrize("shape", SOME, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_come_from_the_data(name, shape):
    network = NETWORKS[name]()
    assert not network.loops
    for batch, latent, outputs in (((), (5,), shape), ((2, 3), (4, 2), (*shape, 6))):
        assert shapes(network.encoder(shape, 7), jnp.zeros((*batch, *shape)))[1] == (*batch, 7)
        assert shapes(network.decoder(latent, outputs), jnp.zeros((*batch, *latent)))[1] == (*batch, *outputs)


@pytest.mark.parametrize("name", fast(NETWORKS, "conv"))
def test_the_batch_axes_are_only_a_batch_and_context_counts(name):
    network, rng = NETWORKS[name](), np.random.default_rng(0)
    x, context = jnp.asarray(rng.normal(size=(2, 3, 8, 8, 1))), jnp.asarray(rng.normal(size=(3, 4)))
    z = jnp.asarray(rng.normal(size=(2, 3, 5)))
    for module, value in ((network.encoder((8, 8, 1), 7), x), (network.decoder((5,), (8, 8, 1)), z)):
        variables = jax.jit(module.init)(jax.random.key(0), value, context)
        apply = jax.jit(module.apply)
        together, other = apply(variables, value, context), apply(variables, value, context + 1)
        alone = jnp.stack([apply(variables, value[i], context) for i in range(2)])
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
        assert not np.allclose(together, other)


def test_outputs_per_value_are_those_of_their_pixel():
    """A change of the last layer's bias for (channel 1, output 2) is seen there alone."""
    module = networks.conv().decoder((5,), (8, 8, 2, 3))
    z = jnp.ones((1, 5))
    params, apply = jax.jit(module.init)(jax.random.key(0), z)["params"], jax.jit(module.apply)
    last = max((name for name in params if name.startswith("Conv")), key=lambda name: int(name.split("_")[1]))
    bias = params[last]["bias"].at[1 * 3 + 2].add(1.0)
    moved = {**params, last: {**params[last], "bias": bias}}
    change = apply({"params": moved}, z) - apply({"params": params}, z)
    wanted = np.zeros((1, 8, 8, 2, 3))
    wanted[..., 1, 2] = 1
    np.testing.assert_allclose(change, wanted, atol=1e-6)


def test_the_default_stages():
    def sides(size):
        return [stage.out for stage in strided("conv", size, (), 4, 2)]

    assert sides((8, 8)) == [(4, 4, 32), (2, 2, 64)]
    assert sides((28, 28)) == [(14, 14, 32), (7, 7, 64), (4, 4, 128)]
    assert sides((28, 20)) == [(14, 10, 32), (7, 5, 64), (4, 3, 128)]
    assert sides((64, 64)) == [(32, 32, 32), (16, 16, 64), (8, 8, 128), (4, 4, 256)]
    assert min(sides((513, 700))[-1][:2]) <= SMALL_SIDE
    assert sides((513, 700))[-1][2] == 256


def test_the_tutorials_autoencoder():
    """Its layers and sizes on 28 x 28 pixels: 32 latents are the last feature map, and there is no dense layer."""
    network = networks.conv_pool()
    encoder, _ = shapes(network.encoder((28, 28, 1), 32), jnp.zeros((1, 28, 28, 1)))
    decoder, _ = shapes(network.decoder((32,), (28, 28, 1)), jnp.zeros((1, 32)))
    kernels = [layer["kernel"].shape for tree in (encoder, decoder) for layer in tree.values()]
    assert kernels == [(3, 3, 1, 16), (3, 3, 16, 8), (3, 3, 16, 8), (5, 5, 8, 16), (2, 2, 1, 8)]
    assert "MLP_0" in shapes(network.encoder((28, 28, 1), 10), jnp.zeros((1, 28, 28, 1)))[0]


def test_the_tutorials_autoencoder_is_that_of_torch():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    theirs = nn.Sequential(
        nn.Conv2d(1, 16, 3, 3, 1), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Conv2d(16, 8, 3, 2, 1), nn.ReLU(),
        nn.MaxPool2d(2, 1), nn.ConvTranspose2d(8, 16, 3, 2), nn.ReLU(), nn.ConvTranspose2d(16, 8, 5, 3, 1), nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 2, 2, 1),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype(np.float32)

    def params(layers):
        return {
            f"Conv_{i}": {
                "kernel": jnp.asarray(layer.weight.detach().permute(2, 3, 1, 0).numpy()),
                "bias": jnp.asarray(layer.bias.detach().numpy()),
            }
            for i, layer in enumerate(layers)
        }

    network = networks.conv_pool()
    code = network.encoder((28, 28, 1), 32).apply({"params": params([theirs[0], theirs[3]])}, x)
    decoder = network.decoder((32,), (28, 28, 1))
    got: Any = decoder.apply({"params": params([theirs[6], theirs[8], theirs[10]])}, code)
    wanted = theirs(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach().numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def small_model(network, data=(12, 9, 1), **settings):
    config = defaults.get_config("test").to_dict()
    config["model"]["latent_dim"], config["network"] = 3, network
    for key, value in settings.items():
        config[key] = {**config[key], **value} if key == "model" else value
    spec = DataSpec(data, 17)
    model = build.model(config, spec)
    return model, build.objective(config, model, spec, 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        {"name": "conv", "channels": (8, 8), "hidden": (6,), "norm": "group", "groups": 4},
        {"name": "conv", "channels": (4,), "kernel": 3, "stride": 3, "activation": "tanh"},
        {"name": "conv_pool", "channels": (4, 4)},
        {"name": "resnet", "channels": (8, 8), "blocks": 1, "groups": 4},
    ],
    ids=str,
)
def test_they_learn(network):
    _, objective = small_model(network)
    x = np.zeros((16, 12, 9, 1), np.float32)
    x[::2, 3:7] = 1
    x[1::2, :, 2:5] = 1
    optimizer = optax.adam(3e-3)
    step = jax.jit(train.make_step(objective, optimizer, lambda key, x: x, 16))
    given = {"params": jax.jit(objective.init)(jax.random.key(0))[0]}
    start = state = jax.jit(lambda key: train.init_state(objective, optimizer, key, given))(jax.random.key(1))
    losses = []
    for _ in range(80):
        state, metrics = step(state, {"x": x})
        losses.append(float(metrics["loss"]))
    assert losses[0] == pytest.approx(108 * math.log(2), rel=0.3)  # starts near grey and near the prior
    assert np.mean(losses[-5:]) < 0.8 * losses[0]
    still = jax.tree.map(lambda a, b: bool(np.all(a == b)), start.params, state.params)
    assert not any(jax.tree.leaves(still))


def test_penalties_on_the_decoders_slope_train_too():
    """Forward mode within reverse mode, which a derivative for reverse mode alone would not allow."""
    network = {"name": "conv", "channels": (4,)}
    model, objective = small_model(
        network, (8, 8, 1), model={"posterior": {"name": "delta"}}, objective={"name": "rae", "penalty": "gradient"}
    )
    params, extra = jax.jit(objective.init)(jax.random.key(0))
    x = jnp.asarray(np.random.default_rng(0).random((4, *model.data_shape)), jnp.float32)

    def loss(params):
        context = build.StepContext(jnp.zeros((), jnp.int32), 4)
        return jnp.mean(objective.loss(params, extra, {"x": x}, jax.random.key(1), context).losses["model"])

    gradient = jax.jit(jax.grad(loss))(params)
    assert all(np.all(np.isfinite(leaf)) and np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    ("name", "options", "shape", "said"),
    [
        ("conv", {}, (64,), "is for images"),
        ("resnet", {}, (8, 8), "is for images"),
        ("conv_pool", {}, (5,), "is for images"),
        ("conv", {"kernel": 9}, (8, 8, 1), r"kernel=9, but the images have \[8, 8\] pixels"),
        ("conv", {"channels": (8,) * 4}, (8, 8, 1), "4 stages"),
        ("resnet", {"channels": (8,) * 4}, (8, 8, 1), "4 stages"),
        ("conv", {"kernel": 0}, (8, 8, 1), "kernel=0; it must be 1 or more"),
        ("conv", {"stride": 0}, (8, 8, 1), "stride=0; it must be 1 or more"),
        ("conv", {"stride": 1}, (8, 8, 1), "give it channels"),
        ("conv", {"channels": (8, 0)}, (8, 8, 1), "every width"),
        ("conv", {"hidden": (0,)}, (8, 8, 1), "every width"),
        ("conv", {"activation": "rely"}, (8, 8, 1), "Did you mean 'relu'"),
        ("conv", {"norm": "batch"}, (8, 8, 1), "Unknown norm 'batch'"),
        ("conv", {"norm": "group", "channels": (12,)}, (8, 8, 1), "groups=8, which does not divide 12"),
        ("resnet", {"groups": 5}, (8, 8, 1), "groups=5, which does not divide 32"),
        ("resnet", {"blocks": 0}, (8, 8, 1), "blocks=0; it must be 1 or more"),
        ("conv_pool", {"channels": (4,)}, (8, 8, 1), "two widths"),
    ],
)
def test_what_does_not_fit_is_said(name, options, shape, said):
    with pytest.raises(UserError, match=said):
        NETWORKS[name](**options).encoder(shape, 4)


@pytest.mark.parametrize(
    "network",
    [
        networks.conv((4, 4), activation="tanh"),
        pytest.param(networks.conv_pool((4, 4), activation="tanh"), marks=pytest.mark.slow),
        pytest.param(networks.resnet((4, 4), groups=2), marks=pytest.mark.slow),
    ],
)
def test_a_context_scales_and_shifts_the_channels_of_its_own_image(network):
    encoder, decoder = network.encoder((8, 8, 1), 3), network.decoder((2,), (8, 8, 1))
    zero, one = jnp.zeros((2, 3)), jnp.asarray([[0.0, 0.0, 0.0], [5.0, -5.0, 5.0]])
    for net, given in ((encoder, jnp.ones((2, 8, 8, 1))), (decoder, jnp.ones((2, 2)))):
        params = jax.jit(net.init)(jax.random.key(0), given, zero)
        base, changed = (jax.jit(net.apply)(params, given, context) for context in (zero, one))
        np.testing.assert_allclose(changed[0], base[0], rtol=1e-5, atol=1e-6)
        assert np.abs(changed[1] - base[1]).max() > 1e-3
        slopes = jax.jit(jax.grad(lambda params, net=net, x=given: jnp.sum(net.apply(params, x, one) ** 2)))(params)
        modulated = [
            slope for path, slope in jax.tree_util.tree_leaves_with_path(slopes)
            if "Modulation" in jax.tree_util.keystr(path)
        ]  # fmt: skip
        assert modulated
        assert all(np.any(slope != 0) for slope in modulated)
