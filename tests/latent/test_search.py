"""Gradient search and outlier scores against closed forms and scikit-learn."""

import math

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import objective_tools as tools
import pytest
from latent_spaces import SPHERE

from jaxvae import posteriors
from jaxvae.common.errors import UserError
from jaxvae.latent import arithmetic, search
from jaxvae.metrics.outliers import outlier_scores


def test_search_reaches_the_posterior_mode_given_observed_pixels():
    observed = np.asarray([True, True, False, True, False])
    score = search.matching(np.where(observed, lg.X[0], np.nan), observed, variance=lg.NOISE)
    found = search.search(lg.MODEL, lg.params(), jax.random.key(0), score, num=3, steps=800, learning_rate=0.1)
    rows = lg.WEIGHT[observed]
    precision = np.eye(3) + rows.T @ rows / lg.NOISE
    mode = np.linalg.solve(precision, rows.T @ (lg.X[0] - lg.BIAS)[observed] / lg.NOISE)
    np.testing.assert_allclose(found.z, np.tile(mode, (3, 1)), atol=2e-3)
    np.testing.assert_allclose(found.log_prior, lg.MODEL.prior({}).log_prob(found.z), rtol=1e-6)
    np.testing.assert_allclose(found.mean, found.z @ lg.WEIGHT.T + lg.BIAS, rtol=1e-4, atol=1e-5)
    away = np.sum((found.mean - lg.X[0])[:, observed] ** 2, axis=-1)
    np.testing.assert_allclose(found.score, -0.5 * away / lg.NOISE, rtol=1e-4)


def test_search_without_a_prior_reaches_the_top_and_on_the_sphere_the_nearest_point(random_like):
    top = jnp.asarray([2.0, -1.0])
    score = lambda z, mean: -jnp.sum(jnp.square(z - top), axis=-1)  # noqa: E731
    for small, expected in ((tools.small, top), (SPHERE, top / math.sqrt(5))):
        model = small()
        params = random_like(model.init, jax.random.key(0))
        found = search.search(model, params, jax.random.key(1), score, 4, 300, 0.1, prior_weight=0.0)
        np.testing.assert_allclose(found.z, np.tile(expected, (4, 1)), atol=2e-3)


def test_class_probabilities_are_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 3)).astype(np.float32)
    mean = rng.normal(size=(60, 2, 1)).astype(np.float32)
    for features, of in ((z, "latent"), (mean, "image")):
        flat = features.reshape(60, -1)
        for classes in (2, 3):
            labels = (np.digitize(flat @ np.arange(1, flat.shape[1] + 1), [-1, 1]) % classes).astype(int)
            fitted = LogisticRegression().fit(flat, labels)
            expected = fitted.predict_log_proba(flat)
            for target in range(classes):
                score = search.class_log_probability(fitted.coef_, fitted.intercept_, target, of)
                np.testing.assert_allclose(score(z, mean), expected[:, target], rtol=1e-3, atol=1e-4)


def test_outlier_scores_are_the_terms_of_the_bound(assert_mean):
    params = lg.params(0.3, 0.3)
    keys = jax.random.split(jax.random.key(0), 16)
    scores = jax.vmap(lambda key: outlier_scores(lg.MODEL, params, key, lg.X, 500))(keys)
    np.testing.assert_allclose(scores["kl"][0], arithmetic.kl_by_group(lg.MODEL.encode(params, lg.X),
                               lg.MODEL.prior(params)).sum(axis=0), rtol=1e-5)  # fmt: skip
    elbo = lg.LOG_PX - lg.gap(0.3, 0.3)
    assert_mean(scores["reconstruction"], -elbo - np.asarray(scores["kl"][0], np.float64))
    assert_mean(scores["nll"], -lg.LOG_PX)
    far = outlier_scores(lg.MODEL, params, jax.random.key(1), lg.X + 10, 10)
    assert all(np.all(far[name] > scores[name].max()) for name in scores)


@pytest.mark.slow
def test_outlier_scores_without_a_closed_form_or_a_density(random_like, assert_mean):
    model = tools.small(posterior=lambda dim: posteriors.planar_flow(dim, 1))
    params = random_like(model.init, jax.random.key(0))
    scores = outlier_scores(model, params, jax.random.key(0), tools.X, 500)
    posterior, prior = model.encode(params, tools.X), model.prior(params)
    z, log_q = posterior.sample_and_log_prob(jax.random.key(1), (500,))
    gap = log_q - prior.log_prob(z)
    assert_mean(np.asarray(gap, np.float64), scores["kl"], sigmas=5.0)  # the scores are as uncertain
    params = random_like(tools.POINT.init, jax.random.key(0))
    scores = outlier_scores(tools.POINT, params, jax.random.key(2), tools.X, 1)
    assert list(scores) == ["reconstruction"]
    expected = np.sum((tools.X - tools.decoded(params, tools.encoded(params, tools.X))) ** 2, axis=-1)
    np.testing.assert_allclose(scores["reconstruction"], expected, rtol=1e-4)


def test_bad_input_of_searches_is_refused():
    model, coded, key, codes = tools.small(), tools.gumbel_model(), jax.random.key(0), jnp.ones((3, 2))
    score = search.matching(jnp.zeros(6), np.ones(6, bool))
    linear = search.class_log_probability
    refused = {
        "search by gradients": lambda: search.search(coded, coded.init(key), jax.random.key(0), score, 1),
        "num=0": lambda: search.search(model, {}, key, score, 0),
        "prior_weight=-1": lambda: search.search(model, {}, key, score, 1, prior_weight=-1.0),
        "mask": lambda: search.matching(jnp.zeros(6), np.ones(5, bool)),
        "variance=0": lambda: search.matching(jnp.zeros(6), np.ones(6, bool), 0.0),
        r"\[classes, features\]": lambda: linear(np.ones((2, 3)), np.ones(3), 0),
        "classes 0 to 1": lambda: linear(np.ones((1, 2)), np.ones(1), 2),
        "kind of features": lambda: linear(np.ones((1, 2)), np.ones(1), 0, "latents"),
        "fitted to 3 features": lambda: linear(np.ones((1, 3)), np.ones(1), 0)(codes, codes),
        "num_samples is 0": lambda: outlier_scores(model, {}, key, tools.X, 0),
        "do not fit": lambda: outlier_scores(model, {}, key, tools.X[:, 1:], 1),
    }
    for words, call in refused.items():
        with pytest.raises(UserError, match=words):
            call()
    params = model.init(jax.random.key(1))
    with pytest.raises(UserError, match="one number for each"):
        search.search(model, params, jax.random.key(2), lambda z, mean: mean, 2)
