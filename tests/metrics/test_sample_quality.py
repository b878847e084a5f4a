"""Distances of sets of samples against closed forms and by hand; PSNR and SSIM of images."""

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm
from skimage.metrics import structural_similarity

from jaxvae.common.errors import UserError
from jaxvae.metrics.fidelity import fidelity, psnr, ssim
from jaxvae.metrics.sample_quality import (
    frechet_distance,
    frechet_of_moments,
    precision_recall_density_coverage,
)


def normal(num, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(num, dim))


def frechet(a, b):
    return frechet_distance(a, b)["frechet_distance"]


def prdc(real, fake, **options):
    return tuple(precision_recall_density_coverage(real, fake, **options).values())


def test_frechet_of_commuting_covariances_is_that_of_standard_deviations():
    one, other = np.array([0.0, 1e-6, 0.5, 3.0, 1e4]), np.array([2.0, 0.0, 0.7, 3.0, 1e4])
    axes = np.linalg.qr(normal(5, 5))[0]
    means = normal(2, 5)
    expected = np.sum((means[0] - means[1]) ** 2) + np.sum((one - other) ** 2)
    found = frechet_of_moments(means[0], np.diag(one**2), means[1], np.diag(other**2))
    assert found == pytest.approx(expected, rel=1e-9)
    small = [axes @ np.diag(np.append(s[:4], 1.0)) ** 2 @ axes.T for s in (one, other)]
    expected = np.sum((means[0] - means[1]) ** 2) + np.sum((one - other)[:4] ** 2)
    assert frechet_of_moments(means[0], small[0], means[1], small[1]) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("dim", [1, 2, 10, 50])
def test_frechet_of_any_covariances_is_that_of_the_matrix_square_root(dim):
    one, other = (np.cov(normal(3 * dim + 2, dim, seed) * (1 + np.arange(dim)), rowvar=False) for seed in (0, 1))
    one, other = one.reshape(dim, dim), other.reshape(dim, dim)
    means = normal(2, dim)
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(one + other - 2 * np.real(sqrtm(one @ other)))
    assert frechet_of_moments(means[0], one, means[1], other) == pytest.approx(expected, rel=1e-8)
    assert frechet_of_moments(means[1], other, means[0], one) == pytest.approx(expected, rel=1e-8)


def test_frechet_of_samples_takes_unbiased_variances():
    """Of 0 and 2 the variance is 2, of 0 and 4 it is 8: (1 - 2)^2 + (8^1/2 - 2^1/2)^2."""
    assert frechet(np.array([[0.0], [2.0]]), np.array([[0.0], [4.0]])) == pytest.approx(1 + 2)


@pytest.mark.parametrize("rows", [2, 5, 100])
def test_frechet_of_a_sample_with_itself_is_zero_and_shifted_the_shift(rows):
    """Of 2 and of 5 rows the covariance is singular."""
    a, shift = normal(rows, 10), np.linspace(-2, 3, 10)
    assert 0 <= frechet(a, a) < 1e-20
    assert frechet(a, a + shift) == pytest.approx(np.sum(shift**2), rel=1e-12)


@pytest.mark.parametrize("rotation", [np.eye(3), np.linalg.qr(normal(3, 3))[0]])
def test_frechet_of_rank_deficient_gaussians(rotation):
    """A line of variance 4 along e1, one of variance 9 along a unit vector at an angle: tr C^½ is 2 * 3 |cosine|."""
    for angle in (0.0, 0.3, math.pi / 2):
        direction = rotation @ np.array([math.cos(angle), math.sin(angle), 0])
        along = rotation[:, 0]
        found = frechet_of_moments(
            np.zeros(3), 4 * np.outer(along, along), np.zeros(3), 9 * np.outer(direction, direction)
        )
        assert found == pytest.approx(4 + 9 - 2 * 6 * math.cos(angle), abs=1e-6)


def test_frechet_of_two_samples_of_one_gaussian_has_the_bias_it_says(assert_mean):
    num, dim = 1000, 4
    found = [frechet(normal(num, dim, 2 * i), normal(num, dim, 2 * i + 1)) for i in range(200)]
    assert_mean(np.array(found), 2 * dim / num + dim * (dim + 1) / (2 * num))


def test_prdc_of_equal_sets_is_one_and_the_density_counts_each_ball():
    """Each point is in its own ball and, closed, in those of k neighbours on average."""
    x = normal(300, 3)
    assert prdc(x, x, k=5) == pytest.approx((1, 1, 6 / 5, 1))


def test_prdc_by_hand():
    """Radii of reals with k = 1: 1, 1, 2, 6; of fakes: 0.5, 0.5, 12."""
    real, fake = np.array([[0.0], [1.0], [3.0], [9.0]]), np.array([[2.5], [3.0], [15.0]])
    # 2.5 is in the ball of 3 only; 3 in that of 3 and on the rim of 9's; 15 on the rim of 9's.
    # 0 and 1 are in no fake's ball; 3 is; 9 and 3 are in that of 15.
    assert prdc(real, fake, k=1) == pytest.approx((1, 2 / 4, (1 + 2 + 1) / 3, 2 / 4))


def test_dropped_modes_are_precise_but_do_not_cover():
    left, right = normal(200, 2), normal(200, 2, 1) + 100
    precision, recall, density, coverage = prdc(np.concatenate([left, right]), normal(400, 2, 2))
    assert precision > 0.9
    assert density > 0.8
    assert recall < 0.5
    assert coverage <= 0.5


def test_what_is_too_wide_is_recalled_but_not_precise_and_the_other_way_round():
    narrow, wide = normal(500, 5), 4 * normal(500, 5, 1)
    precision, recall, density, _ = prdc(narrow, wide)
    assert max(precision, density) < 0.3
    assert recall > 0.9
    swapped = prdc(wide, narrow)
    assert swapped[:2] == (recall, precision)


def test_disjoint_sets_share_nothing():
    assert prdc(normal(50, 3), normal(60, 3) + 1000) == (0, 0, 0, 0)


def test_density_and_coverage_of_one_distribution_are_what_chance_gives(assert_mean):
    num, other, k = 60, 90, 4
    found = np.array([prdc(normal(num, 3, 2 * i), normal(other, 3, 2 * i + 1), k=k) for i in range(300)])
    missed = math.prod((num - i) / (num + other - i) for i in range(1, k + 1))
    assert_mean(found[:, 2:], [1, 1 - missed])


@pytest.mark.parametrize("memory_mb", [1e-9, 0.01, 0.1])
def test_chunks_change_nothing(memory_mb):
    real, fake = normal(101, 4).round(1), normal(150, 4, 1).round(1)  # rounded: with ties
    assert prdc(real, fake, memory_mb=memory_mb) == prdc(real, fake)


def images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


@pytest.mark.parametrize("shape", [(5, 8, 8, 1), (3, 28, 28, 1), (2, 32, 20, 3), (2, 3, 4, 1)])
def test_psnr_is_the_formula_and_ssim_of_equal_images_one(shape):
    x, other = images(*shape), images(*shape, seed=1)
    expected = -10 * np.log10(np.mean((x - other) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(psnr(x, other), expected, rtol=1e-12)
    np.testing.assert_allclose(ssim(x, x), np.ones(len(x)), rtol=1e-12)
    assert np.all(psnr(x, x) == np.inf)
    assert np.all(ssim(x, other) < 0.8)
    assert fidelity(x, other) == {"psnr": pytest.approx(expected.mean()), "ssim": pytest.approx(ssim(x, other).mean())}


def test_ssim_of_constant_images_is_that_of_their_means():
    """With no variance, what is left is (2 a b + c) / (a² + b² + c), c = 0.01²."""
    found = ssim(np.full((1, 8, 8, 1), 0.2), np.full((1, 8, 8, 1), 0.6))
    assert found == pytest.approx((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4), rel=1e-9)


def test_ssim_of_colours_is_the_mean_over_channels_and_takes_floats_of_any_kind():
    x, other = images(1, 16, 16, 3), images(1, 16, 16, 3, seed=1)
    each = [structural_similarity(x[0, :, :, c], other[0, :, :, c], data_range=1.0, win_size=7) for c in range(3)]
    assert ssim(x, other)[0] == pytest.approx(np.mean(each), rel=1e-12)
    assert ssim(x.astype(np.float32), other)[0] == pytest.approx(np.mean(each), rel=1e-5)


X, GREY = normal(10, 3), np.full((2, 8, 8, 1), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet(X, X[:1]), r"\[1, 3\]; .*at least 2"),
        (lambda: frechet(X, X[:, :2]), "3 dimensions in one set and 2"),
        (lambda: frechet(X * np.nan, X), "NaN or infinite in 10 of 10"),
        (lambda: prdc(X, X, k=10), r"real features have the shape \[10, 3\].*at least 11"),
        (lambda: prdc(X, X[:5]), r"fake features have the shape \[5, 3\].*at least 6"),
        (lambda: prdc(X, X, k=0), "k is 0"),
        (lambda: prdc(X, X[:, :2]), "3 dimensions in one set and 2"),
        (lambda: prdc(X, X / 0.0), "fake features are NaN or infinite"),
        (lambda: psnr(X, X), r"shapes \[10, 3\]"),
        (lambda: ssim(GREY, GREY[:1]), r"\[2, 8, 8, 1\] and \[1, 8, 8, 1\]"),
        (lambda: ssim(GREY[:, :2], GREY[:, :2]), "at least 3 pixels"),
        (lambda: psnr(GREY[:0], GREY[:0]), r"\[0, 8, 8, 1\]"),
        (lambda: fidelity(GREY, GREY + 1), "from 1.5 to 1.5"),
        (lambda: fidelity(GREY, GREY * np.nan), "from nan to nan"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # the test's own
def test_refusals(call, message):
    with pytest.raises(UserError, match=message):
        call()
