"""Adversarial and perceptual losses, codebook losses and KL weights: values by NumPy, gradients by closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.special import expit

from jaxvae import losses
from jaxvae.losses.adversarial import PAIRS

RNG = np.random.default_rng(0)
REAL, FAKE = (RNG.normal(size=(4, 3)).astype(np.float32) for _ in range(2))


def test_the_discriminators_loss_is_the_cross_entropy_of_both_halves():
    wanted = -np.log(expit(REAL)).mean(axis=1) - np.log(1 - expit(FAKE)).mean(axis=1)
    np.testing.assert_allclose(losses.non_saturating_discriminator(REAL, FAKE), wanted, rtol=1e-5)
    np.testing.assert_allclose(losses.non_saturating_generator(FAKE), -np.log(expit(FAKE)).mean(axis=1), rtol=1e-5)
    slope = jax.grad(lambda fake: jnp.sum(losses.non_saturating_generator(fake)))(jnp.full((1, 1), -90.0))
    np.testing.assert_allclose(slope, -1.0, rtol=1e-6)  # it does not vanish where a fake is recognised
    assert np.all(np.isfinite(losses.non_saturating_discriminator(90.0 * np.sign(FAKE), 90.0 * np.sign(REAL))))


def test_hinge_and_wasserstein():
    hinge = np.maximum(0, 1 - REAL) + np.maximum(0, 1 + FAKE)
    np.testing.assert_allclose(losses.hinge_discriminator(REAL, FAKE), hinge.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(losses.wasserstein_critic(REAL, FAKE), (FAKE - REAL).mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(losses.wasserstein_generator(FAKE), -FAKE.mean(axis=1), rtol=1e-5, atol=1e-6)


def test_least_squares():
    wanted = (0.5 * (REAL - 1) ** 2 + 0.5 * FAKE**2).mean(axis=1)
    np.testing.assert_allclose(losses.least_squares_discriminator(REAL, FAKE), wanted, rtol=1e-5)
    np.testing.assert_allclose(losses.least_squares_generator(FAKE), (0.5 * (FAKE - 1) ** 2).mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_the_losses_of_a_pair_pull_a_fake_apart(name):
    """Whatever the score, the discriminator lowers it, the generator raises it; both are right about the threshold."""
    pair, score = PAIRS[name], jnp.asarray([[0.4]])
    down = jax.grad(lambda fake: jnp.sum(pair.discriminator(score, fake)))(score)
    up = jax.grad(lambda fake: jnp.sum(pair.generator(fake)))(score)
    assert down > 0 > up
    if pair.threshold is not None:  # both scores pull at equal strength there
        real, fake = jax.grad(lambda *both: jnp.sum(pair.discriminator(*both)), argnums=(0, 1))(
            *(jnp.full((1, 1), pair.threshold),) * 2
        )
        np.testing.assert_allclose(real, -fake, rtol=1e-6)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_the_gradient_penalty_of_a_linear_critic(target):
    weight = jnp.asarray([3.0, 4.0, 0.0])
    gradients = jax.grad(lambda x: jnp.sum(x @ weight))(jnp.asarray(REAL))
    np.testing.assert_allclose(losses.gradient_penalty(gradients, target), np.full(4, (5.0 - target) ** 2), rtol=1e-6)
    slope = jax.grad(lambda g: jnp.sum(losses.gradient_penalty(g, target)))(jnp.zeros((1, 3)))
    assert np.all(np.isfinite(slope))
    check_grads(lambda g: losses.gradient_penalty(g, target), (jnp.asarray(REAL),), 1, modes=["rev"], rtol=1e-2)


def test_features_are_compared_layer_by_layer():
    ours = [RNG.normal(size=(4, 5)).astype(np.float32), RNG.normal(size=(4, 2, 2, 3)).astype(np.float32)]
    theirs = [RNG.normal(size=layer.shape).astype(np.float32) for layer in ours]
    wanted = 0.5 * 2.0 * np.square(ours[0] - theirs[0]).mean(axis=1)
    wanted = wanted + 0.5 * 0.5 * np.square(ours[1] - theirs[1]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(losses.feature_matching(ours, theirs, (2.0, 0.5)), wanted, rtol=1e-5)
    unit = [[x / np.linalg.norm(x, axis=-1, keepdims=True) for x in layers] for layers in (ours, theirs)]
    distances = [np.square(a - b).sum(axis=-1) for a, b in zip(*unit, strict=True)]
    wanted = distances[0] + distances[1].mean(axis=(1, 2))
    np.testing.assert_allclose(losses.perceptual_distance(ours, theirs), wanted, rtol=1e-5)
    np.testing.assert_allclose(losses.perceptual_distance(ours, [3 * x for x in ours]), 0, atol=1e-6)  # length is free
    with pytest.raises(ValueError, match=r"weights|targets|layer"):
        losses.feature_matching(ours, theirs[:1])


def test_codebook_and_commitment_stop_at_the_other_side():
    inputs, codes = (RNG.normal(size=(4, 2, 3)).astype(np.float32) for _ in range(2))
    wanted = np.square(inputs - codes).sum(axis=(1, 2))
    for loss, moved, held in ((losses.codebook_loss, 1, 0), (losses.commitment_loss, 0, 1)):
        np.testing.assert_allclose(loss(inputs, codes), wanted, rtol=1e-5)
        slopes = jax.grad(lambda *both, loss=loss: jnp.sum(loss(*both)), argnums=(0, 1))(inputs, codes)
        sign = 1 if moved == 0 else -1
        np.testing.assert_allclose(slopes[moved], 2 * sign * (inputs - codes), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(slopes[held], 0)


def test_warm_up_and_cycles_at_their_corners():
    np.testing.assert_allclose([losses.warmup(step, 10) for step in (0, 5, 10, 20)], [0, 0.5, 1, 1])
    found = [float(losses.cyclical_warmup(step, 100, 4, 0.5)) for step in (0, 6, 13, 24, 25, 100)]
    np.testing.assert_allclose(found, [0, 0.48, 1, 1, 0, 1], atol=1e-6)


@pytest.mark.parametrize("function", ["non_saturating_generator", "wasserstein_generator", "gradient_penalty"])
def test_whole_numbers_are_refused(function):
    with pytest.raises(ValueError, match="int"):
        getattr(losses, function)(np.zeros((2, 3), np.int32))
