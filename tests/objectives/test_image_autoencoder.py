"""Image autoencoders: the adaptive weight by hand, the delayed start, what each group follows, refusals."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models import make_model
from jaxvae.models.discriminator import make_discriminator
from jaxvae.objectives import OBJECTIVES, StepContext
from jaxvae.objectives.image_autoencoder import adaptive_weight

MODEL = tools.small(likelihoods.squared_error)
LINEAR = partial(make_discriminator, networks.mlp_discriminator(()))
X = jnp.asarray(tools.X)
OPTIONS = {"pixel_weight": 0.5, "perceptual_weight": 3.0, "discriminator_weight": 0.7, "loss": "wasserstein"}


def make(model=MODEL, discriminator=LINEAR, features=tools.FEATURES, **options):
    return OBJECTIVES["image_autoencoder"](model, discriminator, features, **{**OPTIONS, **options})


def drawn(objective):
    params, extra = jax.jit(objective.init)(jax.random.key(0))
    return jax.tree.map(lambda leaf: 3 * leaf, params), extra


def at(objective, params, extra, step=0):
    ctx = StepContext(jnp.asarray(step), 100, is_training=True)
    return jax.device_get(jax.jit(objective.loss)(params, extra, {"x": X}, jax.random.key(1), ctx))


def test_the_adaptive_weight_is_the_ratio_of_slopes_at_the_last_layer():
    """Of squared errors and a linear critic both slopes are products of the hidden layer and an error."""
    objective = make(features=None, kl=tools.KL_WEIGHTS["constant"](beta=2.0))
    params, extra = drawn(objective)
    pass_key = jax.random.split(jax.random.split(jax.random.key(1))[0])[0]
    out = jax.jit(lambda params: MODEL.forward(params, pass_key, {"x": X}, is_training=True).z)(params["model"])
    decoder = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["model"]["decoder"])
    hidden = np.tanh(np.asarray(out[0], np.float64) @ decoder["Dense_0"]["kernel"] + decoder["Dense_0"]["bias"])
    mean = hidden @ decoder["Dense_1"]["kernel"] + decoder["Dense_1"]["bias"]
    critic = np.asarray(params["discriminator"]["Dense_0"]["kernel"], np.float64)[:, 0]
    error = {"restoration": mean - tools.X, "critic": -np.tile(critic, (5, 1))}  # of half the squared errors
    slopes = {
        name: np.sqrt(np.sum((hidden.T @ each / 5) ** 2) + np.sum(each.mean(axis=0) ** 2))
        for name, each in error.items()
    }
    wanted = slopes["restoration"] / (slopes["critic"] + 1e-6)
    found = at(objective, params, extra)
    np.testing.assert_allclose(found.metrics["adversarial_weight"], wanted, rtol=1e-4)
    of_critic = -(mean @ critic + np.asarray(params["discriminator"]["Dense_0"]["bias"]))
    np.testing.assert_allclose(found.metrics["generator_loss"], of_critic, rtol=1e-4)
    pixels = 0.5 * np.sum((mean - tools.X) ** 2, axis=1)
    kl = found.metrics["kl"]
    np.testing.assert_allclose(found.losses["model"], pixels + 2 * kl + 0.7 * wanted * of_critic, rtol=1e-3)
    np.testing.assert_allclose(found.losses["discriminator"], -(tools.X - mean) @ critic, rtol=1e-3, atol=1e-4)


def test_the_adaptive_weight_is_bounded_and_has_no_gradient():
    last = jnp.asarray([3.0, 4.0])
    of = lambda other: adaptive_weight(last, lambda w: 2 * jnp.sum(w), other)  # noqa: E731
    np.testing.assert_allclose(of(lambda w: jnp.sum(w**2)), np.sqrt(8) / 10, rtol=1e-5)
    assert of(lambda w: jnp.zeros(())) == 1e4
    slope = jax.grad(lambda last: adaptive_weight(last, lambda w: jnp.sum(w**2), lambda w: jnp.sum(w**3)))(last)
    np.testing.assert_array_equal(slope, 0)


def test_the_features_are_part_of_the_restoration():
    objective = make(adaptive=False)
    params, extra = drawn(objective)
    found, without = at(objective, params, extra), at(make(features=None, adaptive=False), params, {})
    assert np.all(found.metrics["perceptual"] > 0)
    difference = found.losses["model"] - without.losses["model"]
    np.testing.assert_allclose(difference, 3 * found.metrics["perceptual"], rtol=1e-3)
    assert (set(extra), found.metrics["adversarial_weight"]) == ({"features"}, 1.0)


def test_the_adversary_starts_late():
    objective, never = make(start=10), make(discriminator_weight=0.0)
    params, extra = drawn(objective)
    before, after, without = at(objective, params, extra, 9), at(objective, params, extra, 10), at(never, params, extra)
    np.testing.assert_allclose(before.losses["model"], without.losses["model"], rtol=1e-6)
    np.testing.assert_array_equal(before.losses["discriminator"], 0)
    assert before.metrics["adversarial_weight"] == 0 < after.metrics["adversarial_weight"]
    added = 0.7 * after.metrics["adversarial_weight"] * after.metrics["generator_loss"]
    np.testing.assert_allclose(after.losses["model"] - before.losses["model"], added, rtol=1e-3, atol=1e-4)
    assert np.all(after.losses["discriminator"] != 0)


@pytest.mark.parametrize("start", [0, 10])
def test_each_group_has_a_gradient_of_its_own_loss_alone(start):
    objective = make(start=start)
    params, extra = drawn(objective)

    @jax.jit
    def slopes(params):
        def loss(params, group):
            ctx = StepContext(jnp.asarray(5), 100, is_training=True)
            return jnp.mean(objective.loss(params, extra, {"x": X}, jax.random.key(1), ctx).losses[group])

        return {group: jax.grad(loss)(params, group) for group in ("model", "discriminator")}

    found = slopes(params)
    for group, of in found.items():
        for name, tree in of.items():
            moves = [bool(np.any(np.asarray(leaf) != 0)) for leaf in jax.tree.leaves(tree)]
            own = group == name and (name == "model" or start == 0)
            if not own:
                assert not any(moves), (group, name)
            else:
                assert any(moves), (group, name)


def test_codes_have_their_commitment():
    quantized = make_model(posteriors.vector_quantized(2, 4, 3), priors.uniform_categorical(2, 4),
                           likelihoods.squared_error(), networks.mlp((8,), "tanh"), data_shape=(6,))  # fmt: skip
    objective = make(quantized)
    params, extra = drawn(objective)
    out = at(objective, params, extra)
    rest = 0.5 * out.metrics["reconstruction"] + 3 * out.metrics["perceptual"] + out.metrics["commitment"]
    adversary = 0.7 * out.metrics["adversarial_weight"] * out.metrics["generator_loss"]
    np.testing.assert_allclose(out.losses["model"], rest + out.metrics["kl"] + adversary, rtol=1e-3)
    assert set(extra) == {"features", "model"}
    assert "whole batch" in objective.whole_batch


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: make(start=-1), "start=-1"),
        (lambda: make(discriminator_weight=-1.0), "discriminator_weight is -1.0"),
        (lambda: make(loss="hing"), "Did you mean 'hinge'"),
        (lambda: make(distance="vgg"), "Unknown distance 'vgg'"),
        (lambda: make(tools.small(posterior=posteriors.delta)), "needs a posterior with a density"),
        (lambda: make(MODEL._replace(last_layer="")), "objective.adaptive=False"),
        (lambda: make(MODEL._replace(mask_input=True)), "compares whole examples"),
        (lambda: make(tools.small(lambda: likelihoods.gaussian(learn="pixel")), pixel_weight=0.0), "a learned spread"),
    ],
)
def test_what_cannot_work_is_refused(build, said):
    with pytest.raises(UserError, match=said):
        build()
