"""Clusters of codes by their neighbourhoods."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from jaxvae.common.errors import UserError
from jaxvae.latent import manifold
from jaxvae.latent.manifold import manifold_clusters
from jaxvae.metrics.clusters import agreement

LINE = np.arange(600) % 3


def lines():
    """Three long lines of codes side by side, in two of six dimensions."""
    rng = np.random.default_rng(0)
    along, across = 10 * rng.uniform(-1, 1, 600), 0.2 * rng.normal(size=(600, 5))
    across[:, 0] += 3 * LINE
    return np.concatenate([along[:, None], across], axis=1)


def test_long_clusters_are_found_where_centres_cut_them():
    codes = lines()
    assert agreement(manifold_clusters(codes, 3, 0), LINE)["accuracy"] > 0.95
    assert agreement(KMeans(3, n_init=10, random_state=0).fit_predict(codes), LINE)["accuracy"] < 0.7


def test_the_clusters_follow_the_seed_alone():
    codes = lines()
    one, other = (manifold_clusters(codes, 3, 1) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (600,)
    assert set(one) == {0, 1, 2}


def test_codes_that_are_not_on_the_map_join_their_neighbours(monkeypatch):
    monkeypatch.setattr(manifold, "MOST_MAPPED", 300)
    codes = lines()
    assert agreement(manifold_clusters(codes, 3, 0), LINE)["accuracy"] > 0.95


def test_few_codes_are_mapped_with_fewer_neighbours():
    codes = np.repeat(np.eye(2) * 50, 6, axis=0) + np.random.default_rng(0).normal(size=(12, 2))
    found = manifold_clusters(codes, 2, 0)
    assert agreement(found, np.repeat([0, 1], 6))["accuracy"] == 1


def test_codes_on_a_line_are_their_own_map():
    codes = np.repeat([0.0, 10.0, 15.0], 20)[:, None] + np.random.default_rng(0).normal(size=(60, 1))
    assert agreement(manifold_clusters(codes, 3, 0), np.repeat([0, 1, 2], 20))["accuracy"] > 0.95


def test_collapsed_codes_are_refused():
    with pytest.raises(UserError, match=r"3 clusters of codes .* 9 different codes, and there are 8 among 600 rows"):
        manifold_clusters(np.repeat(np.eye(8), 75, axis=0), 3, 0)
