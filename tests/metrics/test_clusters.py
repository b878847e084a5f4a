"""Agreement of clusters with classes, by hand; clusters of a Gaussian mixture."""

import itertools

import numpy as np
import pytest

from jaxvae.common.errors import UserError
from jaxvae.metrics.clusters import agreement, gaussian_mixture


def test_the_matching_is_the_best_of_all():
    rng = np.random.default_rng(0)
    clusters, labels = rng.integers(4, size=60), rng.integers(4, size=60)
    best = max(np.mean(np.array(order)[clusters] == labels) for order in itertools.permutations(range(4)))
    assert agreement(clusters, labels)["accuracy"] == pytest.approx(best, abs=1e-12)


def test_names_of_clusters_do_not_matter_and_unused_ones_do_not_count():
    labels = np.repeat([5, 2, 9], 10)
    found = agreement(np.repeat([7, 40, 0], 10), labels)
    assert found == pytest.approx({"accuracy": 1, "nmi": 1, "ari": 1, "purity": 1, "used_clusters": 3})
    one = agreement(np.zeros(30, int), labels)
    assert one == pytest.approx({"accuracy": 1 / 3, "nmi": 0, "ari": 0, "purity": 1 / 3, "used_clusters": 1})


def test_more_clusters_than_classes_are_pure_but_match_once():
    labels, clusters = np.repeat([0, 1], 20), np.repeat([0, 1, 2, 3], 10)
    found = agreement(clusters, labels)
    assert (found["accuracy"], found["purity"], found["used_clusters"]) == (0.5, 1, 4)


def test_a_gaussian_mixture_finds_what_k_means_cannot():
    """A long thin cluster across a short one: k-means cuts the long one."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 300)
    codes = rng.normal(size=(600, 2)) * np.where(labels[:, None] == 0, [20, 0.2], [1, 1]) + labels[:, None] * [0, 5]
    found = gaussian_mixture(codes, 2, seed=0)
    np.testing.assert_array_equal(found, gaussian_mixture(codes, 2, seed=0))
    assert agreement(found, labels)["accuracy"] > 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agreement(np.zeros(4), np.arange(4)), "float64"),
        (lambda: agreement(np.zeros(3, int), np.arange(4)), r"shape \[3\] for 4"),
        (lambda: agreement(np.arange(4), np.zeros(4, int)), "of one class"),
        (
            lambda: gaussian_mixture(np.ones((9, 2)), 2, 0),
            "2 components needs as many different codes",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(UserError, match=message):
        call()
