"""Judging synthetic rows: perfect and useless generators have the known scores."""

import numpy as np
import pytest

from jaxvae.common.errors import UserError
from jaxvae.metrics.synthetic_rows import correlation_error, train_on_synthetic, two_sample

RNG = np.random.default_rng(0)


def correlated(num, rho, rng):
    return rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], num)


def test_rows_of_one_distribution_are_not_told_and_shifted_ones_are():
    real, same = RNG.normal(size=(2, 80, 3))
    found = two_sample(real, same, 0)
    error = 4 * np.sqrt((2 * 80 + 1) / (12 * 80 * 80))  # of the rank statistic with this many rows
    assert found == pytest.approx({"auroc_forest": 0.5, "auroc_linear": 0.5}, abs=error)
    assert min(two_sample(real[:9], same[:9] + 10, 0).values()) == 1.0


def test_a_forest_tells_rows_that_no_linear_classifier_does():
    real = correlated(150, 0.9, RNG)
    fake = RNG.permuted(correlated(150, 0.9, RNG), axis=0)  # the same columns, without their correlation
    found = two_sample(real, fake, 0)
    assert found["auroc_forest"] > 0.65
    assert abs(found["auroc_linear"] - 0.5) < 0.15


def test_the_error_of_correlations_is_their_mean_absolute_difference():
    real = np.column_stack([correlated(4000, 0.8, RNG), RNG.normal(size=4000)])
    fake = np.column_stack([correlated(4000, 0.2, RNG), RNG.normal(size=4000)])
    assert correlation_error(real, real)["correlation_error"] == 0
    wanted = np.abs(np.corrcoef(real.T) - np.corrcoef(fake.T))[np.triu_indices(3, 1)].mean()
    assert correlation_error(real, fake)["correlation_error"] == pytest.approx(wanted)
    assert wanted == pytest.approx(0.2, abs=0.03)
    constant = np.column_stack([fake[:, :2], np.full(4000, 0.1)])
    assert np.isfinite(correlation_error(real, constant)["correlation_error"])


@pytest.mark.parametrize("is_class", [True, False])
def test_a_forest_learns_from_synthetic_rows_what_they_hold(is_class):
    def rows(num, noise=False):
        x = RNG.normal(size=(num, 3))
        y = x[:, 0] + x[:, 1]
        y = RNG.permutation(y) if noise else y
        return x, (y > 0).astype(int) if is_class else y

    score = "accuracy" if is_class else "r2"
    good = train_on_synthetic(rows(120), rows(120), rows(120), 0)
    bad = train_on_synthetic(rows(120, noise=True), rows(120), rows(120), 0)
    assert good.keys() == {f"synthetic_{score}", f"real_{score}"}
    assert min(good.values()) > 0.75
    assert bad[f"synthetic_{score}"] < (0.7 if is_class else 0.2)


@pytest.mark.parametrize(
    ("real", "fake", "said"),
    [
        (np.zeros((4, 2)), np.zeros((9, 2)), "real rows have the shape .*N at least 5"),
        (np.zeros((9, 2)), np.full((9, 2), np.nan), "synthetic rows are NaN"),
        (np.zeros((9, 2)), np.zeros((9, 3)), "2 dimensions in one set and 3 in the other"),
    ],
)
def test_rows_that_cannot_be_judged_are_refused(real, fake, said):
    with pytest.raises(UserError, match=said):
        two_sample(real, fake, 0)
