"""Losses in the features of a fixed network: values by hand, no gradient to the network, refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest

from jaxvae import likelihoods, losses, networks, posteriors
from jaxvae.common.errors import UserError
from jaxvae.models.discriminator import make_discriminator
from jaxvae.models.features import make_features, pretrained_features
from jaxvae.objectives import OBJECTIVES, StepContext
from jaxvae.objectives.perceptual import perceptual_loss

MODEL = tools.small()
NET = networks.functions(networks.mlp((5, 4), "tanh").encoder((6,), 3))
FEATURES = make_features(NET, (6,), layer_weights=(2.0, 0.5))


def dfc(model=MODEL, features=FEATURES, **options):
    return OBJECTIVES["dfc_vae"](model, features, **options)


def drawn(objective):
    params, extra = jax.jit(objective.init)(jax.random.key(0))
    return jax.tree.map(lambda leaf: 3 * leaf, params), jax.tree.map(lambda leaf: 2 * leaf, extra)


def layers(extra, x):
    found, h = [], np.asarray(x, np.float64)
    for i in range(2):
        dense = extra["features"]["params"][f"Dense_{i}"]
        h = np.tanh(h @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"]))
        found.append(h)
    return found


def test_the_loss_is_the_kl_and_the_weighted_distance_of_features():
    objective = dfc(weight=7.0, pixel_weight=0.3, kl=tools.KL_WEIGHTS["constant"](beta=2.0), num_samples=2)
    params, extra = drawn(objective)
    out = tools.evaluate(objective, params, extra)

    @jax.jit
    def forward(params):
        out = MODEL.forward(params, jax.random.split(jax.random.key(1))[0], {"x": jnp.asarray(tools.X)}, 2)
        return out.likelihood.mean, out.log_likelihood, out.kl()

    means, log_likelihood, parts = map(np.asarray, forward(params["model"]))
    wanted = np.zeros(5)
    for mean in means:
        for weight, a, b in zip((2.0, 0.5), layers(extra, tools.X), layers(extra, mean), strict=True):
            wanted += weight * 0.5 * np.mean((a - b) ** 2, axis=1) / 2
    np.testing.assert_allclose(out.metrics["perceptual"], wanted, rtol=1e-4)
    reconstruction = -np.mean(log_likelihood, axis=0)
    kl = parts.sum(axis=0)
    np.testing.assert_allclose(out.losses["model"], 2 * kl + 7 * wanted + 0.3 * reconstruction, rtol=1e-4)
    np.testing.assert_allclose(out.metrics["elbo"], -kl - reconstruction, rtol=1e-4)
    assert objective.whole_batch == ""


def test_no_gradient_reaches_the_features_and_all_reaches_the_model():
    objective = dfc()
    params, extra = drawn(objective)

    def loss(params, extra):
        key, ctx = jax.random.key(1), StepContext(0, 100, is_training=True)
        return jnp.sum(objective.loss(params, extra, {"x": jnp.asarray(tools.X)}, key, ctx).losses["model"])

    to_params, to_extra = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, extra)
    assert all(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(to_params))
    assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(to_extra))
    moved = jax.tree.map(lambda leaf: leaf + 0.1, extra)
    out, other = (tools.evaluate(objective, params, state) for state in (extra, moved))
    assert np.all(out.losses["model"] != other.losses["model"])
    jax.tree.map(np.testing.assert_array_equal, out.extra, jax.device_get(extra))


def test_lpips_weighs_channels_by_its_heads():
    heads = {"0": np.float32([1, 0, 0, 0, 2]), "1": np.float32([0, 3, 0, 0])}
    params = {**jax.jit(FEATURES.init)(jax.random.key(0)), "heads": heads}
    of = jax.jit(FEATURES.layers)
    x, back = np.asarray(tools.X), 1 - np.asarray(tools.X)
    found = perceptual_loss(FEATURES, "lpips")(params, x, np.stack([back, x]))
    wanted = losses.perceptual_distance(of(params, back), of(params, x),
                                        [2 * heads["0"], 0.5 * heads["1"]])  # fmt: skip
    np.testing.assert_allclose(found, wanted / 2, rtol=1e-5)
    assert np.all(wanted > 0)
    without = perceptual_loss(FEATURES, "lpips")({"params": params["params"]}, x, back[None])
    plain = losses.perceptual_distance(of(params, back), of(params, x), [2.0, 0.5])
    np.testing.assert_allclose(without, plain, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: dfc(distance="lpip"), "Unknown distance 'lpip'. Did you mean 'lpips'"),
        (lambda: dfc(weight=-1.0), "objective.weight is -1.0"),
        (lambda: dfc(pixel_weight=-1.0), "objective.pixel_weight is -1.0"),
        (lambda: dfc(num_samples=0), "num_samples is 0"),
        (lambda: dfc(tools.small(posterior=posteriors.delta)), "needs a posterior with a density"),
        (
            lambda: dfc(tools.small(lambda: likelihoods.gaussian(learn="shared"))),
            "a learned spread, or more",
        ),
        (
            lambda: dfc(tools.small(lambda: likelihoods.gaussian(learn="pixel"))),
            "a learned spread, or more",
        ),
        (lambda: dfc(MODEL._replace(mask_input=True)), "compares whole examples"),
    ],
)
def test_what_cannot_be_compared_is_refused(make, said):
    with pytest.raises(UserError, match=said):
        make()


def test_a_learned_spread_is_allowed_with_the_pixels():
    out = tools.trace(dfc(tools.small(lambda: likelihoods.gaussian(learn="shared")), pixel_weight=1.0))
    assert out.losses["model"].shape == (5,)


@pytest.mark.parametrize("loops", [True, False])
def test_features_that_are_slow_in_a_loop_are_kept_out_of_it(loops):
    features = FEATURES._replace(loops=loops)
    assert dfc(features=features).loops == loops
    discriminator = functools.partial(make_discriminator, networks.mlp_discriminator(()))
    assert OBJECTIVES["image_autoencoder"](MODEL, discriminator, features).loops == loops


def test_convolutions_of_named_architectures_are_slow_in_a_loop():
    assert FEATURES.loops
    assert not pretrained_features("alexnet", (31, 31, 1)).loops
