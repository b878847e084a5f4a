"""The contract of every public loss: shape, jit, vmap, gradients, low precision, integers, extreme arguments."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae import losses

RNG = np.random.default_rng(0)
B, H = 3, 0.005  # examples; step of the differences
STEPS = (-2 * H, -H, H, 2 * H)
STENCIL = np.array([1, -8, 8, -1]) / (12 * H)  # first derivative from values at these steps, to fourth order


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def uniform(*shape):
    return RNG.uniform(0.2, 0.8, size=shape).astype(np.float32)


def values(*numbers):
    """The numbers, repeated to fill `[B, 2]`."""
    return np.resize(np.float32(numbers), (B, 2))


class Row(NamedTuple):
    """A loss with example arguments, those of floats differentiable there."""

    loss: Callable
    args: tuple
    shape: tuple = (B,)
    whole: tuple = ()  # positions of counts, categories and steps
    stopped: tuple = ()  # positions whose gradient is 0 on purpose
    extremes: tuple = ()  # more arguments: finite values and gradients
    casts: bool = False  # elementwise: integers are cast, not refused


Elementwise = partial(Row, shape=(B, 2), casts=True)
M, N, U, V = normal(B, 2), normal(B, 2), uniform(B, 2), uniform(B, 2)
FAR = M + np.where(N > 0, 1, -1) * (0.5 + U)  # no residual near 0
LOGITS, IMAGES = normal(B, 2, 4), uniform(2, B, 5, 5, 1)
PARTS, TRIL = normal(B, B, 2), np.float32(np.tril(0.3 * normal(B, 2, 2)) + np.eye(2))
COUNTS, SOME = np.float32(RNG.integers(1, 9, (B, 2))), np.int32([[0, 3], [2, 0], [0, 7]])
CODES, LAYERS = np.int32(RNG.integers(0, 4, (B, 2))), (normal(B, 4), normal(B, 2, 3))
WEIGHT, THRESHOLDS = normal(2, 3), np.float32([-1, 0, 2])
HUGE, TINY, ZERO, LARGE = values(-1e4, 1e4, 0), values(1e-12, 1e-6, 1e-3), values(0), values(0, 1, 1e3, 1e6, 1e6)
MEANS, RATES = values(-20, 14, 7, 0, 14), values(-100, 100, 0, -10, 14, 60)


def layer(x):
    return jnp.tanh(x @ WEIGHT)


ROWS = {
    "elbo": Row(losses.elbo, (normal(2, B), N[:, 0])),
    "beta_elbo": Row(losses.beta_elbo, (M[:, 0], N[:, 0], np.float32(4))),
    "iwae_bound": Row(losses.iwae_bound, (normal(2, B),), extremes=((HUGE.T,),)),
    "miwae_bound": Row(losses.miwae_bound, (normal(2, 2, B),), extremes=((np.stack([HUGE.T, -HUGE.T]),),)),
    "ciwae_bound": Row(losses.ciwae_bound, (normal(2, B), np.float32(0.3)), extremes=((HUGE.T, np.float32(0.3)),)),
    "marginal_elbo": Row(losses.marginal_elbo, (normal(2, B), normal(B, 2)), extremes=((HUGE.T, HUGE),)),
    "bernoulli_cross_entropy": Row(losses.bernoulli_cross_entropy, (M, U), extremes=((HUGE, U), (HUGE, ZERO))),
    "bernoulli_log_prob": Elementwise(losses.bernoulli_log_prob, (M, U), extremes=((HUGE, U),)),
    "continuous_bernoulli_nll": Row(losses.continuous_bernoulli_nll, (M, U), extremes=((HUGE, U), (TINY, U))),
    "continuous_bernoulli_log_prob": Elementwise(
        losses.continuous_bernoulli_log_prob, (M, U), extremes=((HUGE, U), (ZERO, U))
    ),
    "gaussian_nll": Row(losses.gaussian_nll, (M, N, U), extremes=((M, HUGE, TINY),)),
    "diagonal_gaussian_nll": Row(losses.diagonal_gaussian_nll, (M, N, U), extremes=((M, values(-60, 60), U),)),
    "gaussian_log_prob": Elementwise(losses.gaussian_log_prob, (M, N, U), extremes=((M, values(-60, 60), U),)),
    "optimal_gaussian_nll": Row(losses.optimal_gaussian_nll, (M, FAR), extremes=((M, M), (M, HUGE))),
    "log_normal_nll": Row(losses.log_normal_nll, (M, N, U), extremes=((M, values(-20, 60), TINY),)),
    "log_normal_log_prob": Elementwise(losses.log_normal_log_prob, (M, N, U), extremes=((M, N, TINY),)),
    "ordinal_nll": Row(
        losses.ordinal_nll, (M, THRESHOLDS, CODES), whole=(2,), extremes=((HUGE, THRESHOLDS, CODES),)
    ),
    "ordinal_log_prob": Elementwise(losses.ordinal_log_prob, (M, THRESHOLDS, CODES), whole=(2,)),
    "laplace_nll": Row(losses.laplace_nll, (M, FAR, U), extremes=((M, M, TINY), (M, HUGE, TINY))),
    "laplace_log_prob": Elementwise(losses.laplace_log_prob, (M, U, FAR), extremes=((M, TINY, HUGE),)),
    "squared_error": Row(losses.squared_error, (M, N), extremes=((M, HUGE), (M, M))),
    "log_cosh": Row(partial(losses.log_cosh, a=2.0), (M, FAR), extremes=((M, HUGE), (M, M))),
    "categorical_nll": Row(
        losses.categorical_nll, (LOGITS, CODES), whole=(1,), extremes=((1e4 * np.sign(LOGITS), CODES),)
    ),
    "categorical_log_prob": Elementwise(losses.categorical_log_prob, (LOGITS, CODES), whole=(1,)),
    "discretized_logistic_nll": Row(
        losses.discretized_logistic_nll, (M, U, V), extremes=((M, TINY, V), (HUGE, TINY, V), (M, values(1e6), V))
    ),
    "discretized_logistic_log_prob": Elementwise(
        losses.discretized_logistic_log_prob, (M, U, V), extremes=((HUGE, TINY, V), (M, TINY, ZERO))
    ),
    "discretized_logistic_mixture_nll": Row(
        losses.discretized_logistic_mixture_nll,
        (LOGITS, normal(B, 2, 4), uniform(B, 2, 4), V),
        extremes=((1e4 * np.sign(LOGITS), LOGITS, 1e-6 + 0 * LOGITS, V),),
    ),
    "discretized_logistic_mixture_log_prob": Elementwise(
        losses.discretized_logistic_mixture_log_prob, (LOGITS, normal(B, 2, 4), uniform(B, 2, 4), V)
    ),
    "poisson_nll": Row(losses.poisson_nll, (M, COUNTS), whole=(1,), extremes=((MEANS, LARGE),)),
    "poisson_log_prob": Elementwise(losses.poisson_log_prob, (M, COUNTS), extremes=((MEANS, LARGE),)),
    "negative_binomial_nll": Row(
        losses.negative_binomial_nll, (M, N, COUNTS), whole=(2,), extremes=((MEANS, RATES, LARGE), (MEANS, HUGE, LARGE))
    ),
    "negative_binomial_log_prob": Elementwise(
        losses.negative_binomial_log_prob, (M, N, COUNTS), extremes=((MEANS, RATES, LARGE),)
    ),
    "zero_inflated_negative_binomial_nll": Row(
        losses.zero_inflated_negative_binomial_nll,
        (M, N, normal(B, 2), SOME),
        whole=(3,),
        extremes=((MEANS, RATES, HUGE, np.int32(LARGE)),),
    ),
    "zero_inflated_log_prob": Elementwise(
        losses.zero_inflated_log_prob, (M, -U, SOME), extremes=((HUGE, -U, SOME), (HUGE, HUGE, SOME))
    ),
    "ms_ssim_loss": Row(losses.ms_ssim_loss, tuple(IMAGES), extremes=((0 * IMAGES[0], 0 * IMAGES[0]),)),
    "ms_ssim": Row(losses.ms_ssim, tuple(IMAGES), extremes=((0 * IMAGES[0], IMAGES[0]), (IMAGES[0], 1 - IMAGES[0]))),
    "kl_standard_normal": Row(losses.kl_standard_normal, (M, N), extremes=((M, values(-150, 60, 0)),)),
    "kl_diagonal_gaussians": Row(losses.kl_diagonal_gaussians, (M, N, U, V), extremes=((M, 30 * M, U, V),)),
    "kl_full_covariance": Row(losses.kl_full_covariance, (M, TRIL), extremes=((M, 1e-12 * TRIL),)),
    "kl_gaussian_components": Row(
        losses.kl_gaussian_components, (M, N, normal(4, 2), normal(4, 2)), (B, 4),
        extremes=((HUGE / 10, values(-60, 20, 0), normal(4, 2), np.float32(np.resize([-9, 20], (4, 2)))),),
    ),
    "mixture_kl": Row(
        lambda *args: jnp.stack(losses.mixture_kl(*args)), (5 * uniform(B, 4), normal(B, 4), normal(4)), (2, B),
        extremes=((1e4 * uniform(B, 4), 1e4 * np.sign(normal(B, 4)), normal(4)),),
    ),
    "kl_categorical": Row(
        losses.kl_categorical, (LOGITS, LOGITS[::-1]), extremes=((1e4 * np.sign(LOGITS), 1e4 * np.sign(LOGITS[::-1])),)
    ),
    "kl_categorical_uniform": Row(losses.kl_categorical_uniform, (LOGITS,), extremes=((1e4 * np.sign(LOGITS),),)),
    "kl_vmf_uniform": Row(partial(losses.kl_vmf_uniform, dim=3), (5 * U,), extremes=((values(1e-3, 1e4),),)),
    "warmup": Row(partial(losses.warmup, num_steps=10), (np.int32(3),), (), whole=(0,)),
    "cyclical_warmup": Row(partial(losses.cyclical_warmup, total_steps=100), (np.int32(30),), (), whole=(0,)),
    "free_bits": Row(losses.free_bits, (np.float32([[0.1, 0.2, 0.3], [3, 1, 2]]), np.float32(0.5))),
    "capacity": Row(losses.capacity, (U[:, 0], np.float32(5), np.float32(30))),
    "log_aggregate": Row(
        partial(losses.log_aggregate, train_size=10), (PARTS,), (B, 2), extremes=((1e4 * np.sign(PARTS),),)
    ),
    "kl_parts": Row(
        lambda *args: jnp.stack(losses.kl_parts(*args, train_size=10)), (M[:, 0], PARTS, N[:, 0]), (3, B)
    ),
    "permuted_dimensions": Row(lambda z: losses.permuted_dimensions(jax.random.key(0), z), (M,), (B, 2)),
    "covariance_penalty": Row(losses.covariance_penalty, (M, np.matmul(TRIL, TRIL.mT)), ()),
    "mmd": Row(losses.mmd, (M, N), (), extremes=((100 + ZERO, ZERO), (HUGE, HUGE))),
    "sliced_wasserstein": Row(
        lambda x, y: losses.sliced_wasserstein(jax.random.key(0), x, y, 3), (3 * M, 3 * N), (), extremes=((ZERO, ZERO),)
    ),
    "codebook_loss": Row(losses.codebook_loss, (M, N), stopped=(0,)),
    "commitment_loss": Row(losses.commitment_loss, (M, N), stopped=(1,)),
    "squared_jacobian": Row(partial(losses.squared_jacobian, layer), (M,)),
    "projected_jacobian": Row(partial(losses.projected_jacobian, layer), (M, N)),
    "half_squared_norm": Row(losses.half_squared_norm, (M,)),
    "squared_weights": Row(lambda a, b: losses.squared_weights({"kernel": a, "bias": [b]}), (M, N[0]), ()),
    "non_saturating_discriminator": Row(losses.non_saturating_discriminator, (M, N), extremes=((HUGE, -HUGE),)),
    "non_saturating_generator": Row(losses.non_saturating_generator, (M,), extremes=((HUGE,),)),
    "hinge_discriminator": Row(losses.hinge_discriminator, (M, N), extremes=((HUGE, -HUGE),)),
    "least_squares_discriminator": Row(losses.least_squares_discriminator, (M, N), extremes=((HUGE, -HUGE),)),
    "least_squares_generator": Row(losses.least_squares_generator, (M,), extremes=((HUGE,),)),
    "wasserstein_critic": Row(losses.wasserstein_critic, (M, N)),
    "wasserstein_generator": Row(losses.wasserstein_generator, (M,)),
    "gradient_penalty": Row(losses.gradient_penalty, (M,), extremes=((ZERO,), (TINY,), (HUGE,))),
    "feature_matching": Row(lambda a, b, c, d: losses.feature_matching([a, b], [c, d], (2, 0.5)), (*LAYERS, *LAYERS)),
    "perceptual_distance": Row(
        lambda a, b, c, d: losses.perceptual_distance([a, b], [c, d], (2, 0.5)),
        (*LAYERS, normal(B, 4), normal(B, 2, 3)),
        extremes=((*(0 * x for x in LAYERS), *LAYERS), (*(1e4 * x for x in LAYERS), *LAYERS)),
    ),
    "softplus": Elementwise(losses.softplus, (M,), extremes=((HUGE,),)),
    "log_softplus": Elementwise(losses.log_softplus, (8 * M,), extremes=((HUGE,),)),
}  # fmt: skip
every_loss = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def test_every_public_name_has_a_row():
    assert {*ROWS, "LOG_2PI", "KLParts", "MixtureKL"} == set(losses.__all__)
    assert pytest.approx(math.log(2 * math.pi), abs=1e-15) == losses.LOG_2PI
    parts = jax.eval_shape(partial(losses.kl_parts, train_size=10), M[:, 0], PARTS, N[:, 0])
    assert isinstance(parts, losses.KLParts)


def is_float(x):
    return jnp.issubdtype(x.dtype, jnp.floating)


def as_type(args, dtype):
    return [jnp.asarray(arg, dtype) if is_float(arg) else arg for arg in args]


@partial(jax.jit, static_argnums=0)
def program(loss, args, directions, weights):
    """One compiled program: value, that in bfloat16, gradients of the weighted sum, and the values of neighbours.

    The neighbours of `args`, `[K]`, are themselves, and each argument moved along its direction by each step.
    """
    at = [i for i, arg in enumerate(args) if is_float(arg)]

    def weighted(*args):
        value = loss(*args)
        return jnp.sum(weights * value), value

    if at:
        (_, value), gradients = jax.value_and_grad(weighted, at, has_aux=True)(*args)
    else:
        value, gradients = loss(*args), ()
    steps = np.kron(np.eye(len(at)), np.float32(STEPS)[:, None])  # [4 positions, positions]
    steps = jnp.concatenate([jnp.zeros((1, len(at))), jnp.asarray(steps, jnp.float32)])
    neighbours = list(args)
    for j, i in enumerate(at):
        neighbours[i] = args[i] + jnp.multiply.outer(steps[:, j], directions[i])
    neighbours = jax.vmap(loss, in_axes=[0 if i in at else None for i in range(len(args))], axis_size=len(steps))(
        *neighbours
    )
    return value, loss(*as_type(args, jnp.bfloat16)), gradients, neighbours


@every_loss
def test_values_and_gradients(row):
    rng = np.random.default_rng(1)
    args = as_type(as_type(row.args, jnp.bfloat16), jnp.float32)  # numbers that bfloat16 holds
    directions = [rng.choice(np.float32([-1, 1]), np.shape(arg)) for arg in args]
    weights = rng.uniform(0.5, 1.5, row.shape).astype(np.float32)
    compiled = partial(program, row.loss, directions=directions, weights=weights)
    value, low, gradients, neighbours = compiled(args)
    assert value.dtype == low.dtype == neighbours.dtype == np.float32
    assert value.shape == row.shape
    np.testing.assert_allclose(value, low, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(value, neighbours[0], rtol=1e-5, atol=1e-6)
    differences = STENCIL @ np.tensordot(neighbours[1:], weights, weights.ndim).reshape(-1, 4).T
    at = [i for i, arg in enumerate(args) if is_float(arg)]
    for i, gradient, difference in zip(at, gradients, differences, strict=True):
        assert np.all(np.isfinite(gradient))
        if i in row.stopped:
            np.testing.assert_array_equal(gradient, 0)
        else:
            assert np.vdot(gradient, directions[i]) == pytest.approx(float(difference), rel=2e-3, abs=1e-3), i
    for args in row.extremes:
        assert [arg.shape for arg in args] == [arg.shape for arg in row.args]
        value, _, gradients, _ = compiled(list(args))
        for array in (value, *gradients):
            assert np.all(np.isfinite(array)), args


@every_loss
def test_integers_are_refused_or_cast(row):
    if row.casts:  # bytes, whose differences wrap
        byte = [
            np.arange(1, 1 + arg.size, dtype=np.uint8).reshape(arg.shape) if is_float(arg) else arg for arg in row.args
        ]
        as_floats = [arg.astype(np.float32) if arg.dtype == np.uint8 else arg for arg in byte]
        np.testing.assert_array_equal(row.loss(*byte), row.loss(*as_floats))
    for i, arg in enumerate(row.args):
        whole = [*row.args[:i], arg.astype(np.int32), *row.args[i + 1 :]]
        if i in row.whole:
            np.testing.assert_array_equal(row.loss(*whole), row.loss(*row.args))
        elif arg.ndim and not row.casts:
            with pytest.raises(ValueError, match="int32, but this loss needs floats"):
                row.loss(*whole)
