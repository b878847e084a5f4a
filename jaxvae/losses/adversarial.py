"""Losses of discriminators, generators and feature networks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats
from jaxvae.losses.elementary import softplus


def _mean_per_example(x: Array) -> Array:
    chex.assert_scalar_positive(x.ndim)  # a batch axis
    return jnp.mean(x, axis=tuple(range(1, x.ndim)))


def non_saturating_discriminator(real: Array, fake: Array) -> Array:
    """-log D(real) - log(1 - D(fake)), with D = sigmoid(logits): the binary cross-entropy of both halves.

    Args:
      real: `[B]` logits of data, or `[B, ...]` of its patches, over which the mean is taken.
      fake: logits of generated examples, of the same shape.

    Returns:
      `[B]` nats (Goodfellow et al. 2014, arXiv:1406.2661, equation 1, with the sign turned).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    real, fake = floats(real=real, fake=fake)
    chex.assert_equal_shape([real, fake])
    return _mean_per_example(softplus(-real) + softplus(fake))


def non_saturating_generator(fake: Array) -> Array:
    """-log D(fake), with D = sigmoid(logits), whose gradient does not vanish where D recognises every fake.

    Args:
      fake: `[B]` logits, or `[B, ...]` of patches, over which the mean is taken.

    Returns:
      `[B]` nats (Goodfellow et al. 2014, arXiv:1406.2661, section 3).

    Raises:
      ValueError: integers.
    """
    (fake,) = floats(fake=fake)
    return _mean_per_example(softplus(-fake))


def hinge_discriminator(real: Array, fake: Array) -> Array:
    """max(0, 1 - real) + max(0, 1 + fake); its generator minimises `wasserstein_generator`.

    Args:
      real: `[B]` scores of data, or `[B, ...]` of its patches, over which the mean is taken.
      fake: scores of generated examples, of the same shape.

    Returns:
      `[B]` (Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, equation 16).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    real, fake = floats(real=real, fake=fake)
    chex.assert_equal_shape([real, fake])
    return _mean_per_example(jax.nn.relu(1 - real) + jax.nn.relu(1 + fake))


def least_squares_discriminator(real: Array, fake: Array) -> Array:
    """((real - 1)^2 + fake^2) / 2, with the labels 1 of data and 0 of generated examples.

    Args:
      real: `[B]` scores of data, or `[B, ...]` of its patches, over which the mean is taken.
      fake: scores of generated examples, of the same shape.

    Returns:
      `[B]` (Mao et al. 2017, arXiv:1611.04076, equation 9).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    real, fake = floats(real=real, fake=fake)
    chex.assert_equal_shape([real, fake])
    return _mean_per_example(0.5 * (jnp.square(real - 1) + jnp.square(fake)))


def least_squares_generator(fake: Array) -> Array:
    """(fake - 1)^2 / 2, the generator's loss against `least_squares_discriminator`.

    Args:
      fake: `[B]` scores, or `[B, ...]` of patches, over which the mean is taken.

    Returns:
      `[B]` (Mao et al. 2017, arXiv:1611.04076, equation 9).

    Raises:
      ValueError: integers.
    """
    (fake,) = floats(fake=fake)
    return _mean_per_example(0.5 * jnp.square(fake - 1))


def wasserstein_critic(real: Array, fake: Array) -> Array:
    """Score fake - real, minimised by a critic that is held 1-Lipschitz, by `gradient_penalty` for example.

    Args:
      real: `[B]` scores of data, or `[B, ...]` of its patches, over which the mean is taken.
      fake: scores of generated examples, of the same shape.

    Returns:
      `[B]`; the batch mean is minus an estimate of the Wasserstein-1 distance (Arjovsky et al. 2017, arXiv:1701.07875,
      equation 2).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    real, fake = floats(real=real, fake=fake)
    chex.assert_equal_shape([real, fake])
    return _mean_per_example(fake - real)


def wasserstein_generator(fake: Array) -> Array:
    """-fake, the generator's loss against `wasserstein_critic` and `hinge_discriminator`.

    Args:
      fake: `[B]` scores, or `[B, ...]` of patches, over which the mean is taken.

    Returns:
      `[B]` (Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1).

    Raises:
      ValueError: integers.
    """
    (fake,) = floats(fake=fake)
    return _mean_per_example(-fake)


class AdversarialPair(NamedTuple):
    """Losses of a discriminator and of its generator.

    Attributes:
      discriminator: `(real, fake) -> [B]`.
      generator: `(fake) -> [B]`.
      threshold: score above which an example counts as data; None where scores have no such zero.
    """

    discriminator: Callable[[Array, Array], Array]
    generator: Callable[[Array], Array]
    threshold: float | None = 0.0


PAIRS = {
    "non_saturating": AdversarialPair(non_saturating_discriminator, non_saturating_generator),
    "hinge": AdversarialPair(hinge_discriminator, wasserstein_generator),
    "least_squares": AdversarialPair(least_squares_discriminator, least_squares_generator, 0.5),
    "wasserstein": AdversarialPair(wasserstein_critic, wasserstein_generator, None),
}


def gradient_penalty(gradients: Array, target: float = 1.0) -> Array:
    """(|g| - target)^2 for the gradients g of a critic's scores by its inputs; finite derivative at g = 0, too.

    Args:
      gradients: `[B, ...]`, at points between data and generated examples: `jax.grad(lambda x: critic(x).sum())(x)`.
      target: norm to reach: 1 as in the paper, 0 for the zero-centred penalty.

    Returns:
      `[B]`; the paper's weight is 10 (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).

    Raises:
      ValueError: integers.
    """
    (gradients,) = floats(gradients=gradients)
    squares = jnp.sum(jnp.square(gradients), axis=tuple(range(1, gradients.ndim)))
    norm = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
    return jnp.square(norm - target)


def feature_matching(features: Sequence[Array], targets: Sequence[Array], weights: Sequence[float] = ()) -> Array:
    """Weighted sum over layers of half the mean squared difference of features.

    The perceptual loss of Hou et al. 2016 (arXiv:1610.00291, section 3.2) on the layers of a trained classifier, and
    the similarity of Larsen et al. 2015 (arXiv:1512.09300, equation 7) on those of a discriminator, up to its scale.

    Args:
      features: one `[B, ...]` for each layer, of the reconstruction.
      targets: the same of the data.
      weights: one for each layer; 1 each if empty.

    Returns:
      `[B]`.

    Raises:
      AssertionError: the shapes of a layer differ.
      ValueError: integers, no layer, or another number of targets or weights.
    """
    pairs = _layers(features, targets, weights)
    return sum((0.5 * w * _mean_per_example(jnp.square(a - b)) for a, b, w in pairs), jnp.zeros(()))


def perceptual_distance(
    features: Sequence[Array], targets: Sequence[Array], weights: Sequence[Array | float] = ()
) -> Array:
    """LPIPS: features of unit length in each position, their squared difference averaged over positions.

    Args:
      features: one `[B, ..., C]` for each layer of a trained network, of the reconstruction.
      targets: the same of the data.
      weights: one scalar or `[C]` for each layer, 0 or more; 1 each if empty.

    Returns:
      `[B]` (Zhang et al. 2018, arXiv:1801.03924, equation 1; its weights are w^2 there).

    Raises:
      AssertionError: the shapes of a layer differ.
      ValueError: integers, no layer, or another number of targets or weights.
    """

    def unit(x: Array) -> Array:
        return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + 1e-10)

    pairs = _layers(features, targets, weights)
    parts = (_mean_per_example(jnp.sum(w * jnp.square(unit(a) - unit(b)), axis=-1)) for a, b, w in pairs)
    return sum(parts, jnp.zeros(()))


def _layers(features: Sequence[Array], targets: Sequence[Array], weights: Sequence) -> list[tuple[Array, Array, Array]]:
    weights = weights or [1.0] * len(features)
    if not len(features) == len(targets) == len(weights) > 0:
        raise ValueError(
            f"Got {len(features)} layers of features, {len(targets)} of targets and {len(weights)} weights; each layer "
            "needs one of each."
        )
    layers = []
    for a, b, w in zip(features, targets, weights, strict=True):
        a, b = floats(features=a, targets=b)
        chex.assert_equal_shape([a, b])
        layers.append((a, b, w))
    return layers
