"""Estimates of q(z) from a batch, against loops and finite mixtures."""

import itertools

import numpy as np
import pytest
from scipy import special

from jaxvae.losses import log_aggregate

PAIRS = np.random.default_rng(1).normal(size=(6, 6, 2)).astype(np.float32)  # log q(z_i|x_j), by dimension


def loop(pairs, train_size, estimator):
    pairs, size = np.exp(pairs.astype(np.float64)), len(pairs)
    out = np.zeros((size, *pairs.shape[2:]))
    for i, j in itertools.product(range(size), repeat=2):
        share = 1 / (train_size * size)
        if estimator == "stratified":
            share = 1 / train_size if i == j else (1 - 1 / train_size) / (size - 1)
        out[i] += share * pairs[i, j]
    return np.log(out)


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
@pytest.mark.parametrize("train_size", [6, 1000])
def test_aggregate_is_the_slow_loop(estimator, train_size):
    expected = loop(PAIRS, train_size, estimator)
    np.testing.assert_allclose(log_aggregate(PAIRS, train_size, estimator), expected, rtol=1e-5, atol=1e-5)
    summed = loop(PAIRS.sum(axis=-1), train_size, estimator)
    np.testing.assert_allclose(log_aggregate(PAIRS.sum(axis=-1), train_size, estimator), summed, rtol=1e-5, atol=1e-5)


def test_the_stratified_estimate_is_unbiased_over_all_batches_and_the_weighted_one_is_not():
    log_q = PAIRS[0, :, 0]  # of one z, drawn for example 0, under each of the 6 examples
    truth = np.exp(log_q.astype(np.float64)).mean()
    estimates = {"stratified": [], "weighted": []}
    for others in itertools.combinations(range(1, 6), 2):
        rows = np.tile(log_q[[0, *others]], (3, 1))  # only the first row is of a z drawn for the first column
        for name, values in estimates.items():
            values.append(np.exp(np.float64(log_aggregate(rows, 6, name)[0])))
    np.testing.assert_allclose(np.mean(estimates["stratified"]), truth, rtol=1e-5)
    assert np.std(estimates["stratified"]) > 0
    own, rest = np.exp(log_q[0]), np.exp(log_q[1:].astype(np.float64)).mean()
    np.testing.assert_allclose(np.mean(estimates["weighted"]), (own + 2 * rest) / (6 * 3), rtol=1e-5)


def test_the_stratified_estimate_from_all_the_data_is_the_mixture():
    expected = special.logsumexp(PAIRS.astype(np.float64), axis=1) - np.log(6)
    np.testing.assert_allclose(log_aggregate(PAIRS, 6), expected, rtol=1e-5, atol=1e-6)
