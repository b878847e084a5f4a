"""Missing values against the conditionals of a linear-Gaussian model, and those of a Bernoulli one by enumeration."""

import functools
import itertools

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest
from scipy import special, stats

from jaxvae import likelihoods, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.distributions.structure import value_log_probs
from jaxvae.latent.imputation import (
    gibbs,
    metropolis_within_gibbs,
    missing_log_likelihood,
    pseudo_gibbs,
)

OBSERVED = np.asarray([True, False, True, False, False])
CHAINS = 4000  # independent, so that their last states need no effective sample size


def conditional(x):
    """Mean and covariance of x_missing | x_observed, by the formula for a Gaussian's blocks."""
    mean, covariance = lg.MARGINAL.mean, lg.MARGINAL.cov
    known, unknown = np.ix_(OBSERVED, OBSERVED), np.ix_(~OBSERVED, OBSERVED)
    gain = covariance[unknown] @ np.linalg.inv(covariance[known])
    away = x[OBSERVED] - mean[OBSERVED]
    return mean[~OBSERVED] + gain @ away, covariance[np.ix_(~OBSERVED, ~OBSERVED)] - gain @ covariance[unknown].T


def deviations(method, shift, log_ratio):
    """Means and second moments of the last states less the exact ones, in standard errors; and the imputation."""
    x = np.tile(lg.X[:1], (CHAINS, 1))
    x[:, ~OBSERVED] = np.nan
    out = method(
        lg.MODEL, lg.params(shift, log_ratio), jax.random.key(0), x, OBSERVED, num_steps=40, burn_in=80, chains=1
    )
    np.testing.assert_array_equal(np.asarray(out.sample)[:, OBSERVED], x[:, OBSERVED])
    np.testing.assert_array_equal(np.asarray(out.mean)[:, OBSERVED], x[:, OBSERVED])
    mean, covariance = conditional(lg.X[0])
    centred = np.asarray(out.sample, np.float64)[:, ~OBSERVED] - mean
    products = centred[:, :, None] * centred[:, None]
    averages = np.asarray(out.mean, np.float64)[:, ~OBSERVED] - mean

    def sigmas(values, expected=0.0):
        return (values.mean(axis=0) - expected) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))

    return np.concatenate([sigmas(centred), sigmas(averages), sigmas(products, covariance).ravel()]), out


@pytest.mark.parametrize(
    ("method", "shift", "log_ratio"),
    [
        (metropolis_within_gibbs, 0.7, 0.5),
        pytest.param(metropolis_within_gibbs, 0.0, 0.0, marks=pytest.mark.slow),
        pytest.param(pseudo_gibbs, 0.0, 0.0, marks=pytest.mark.slow),
    ],
)
def test_the_chains_have_the_conditional_law(method, shift, log_ratio):
    away, out = deviations(method, shift, log_ratio)
    assert np.max(np.abs(away)) < 4.0, away
    rate = np.asarray(out.acceptance)
    if shift:
        assert 0.2 < rate.mean() < 0.95
    else:  # the exact posterior is always accepted, but for rounding
        np.testing.assert_array_less(0.99, rate)


@pytest.mark.slow
def test_pseudo_gibbs_is_wrong_where_the_posterior_is():
    """So the test above has the power to tell."""
    away, _ = deviations(pseudo_gibbs, 0.7, 0.5)
    assert np.max(np.abs(away)) > 20.0


@pytest.mark.slow
@pytest.mark.parametrize("method", [metropolis_within_gibbs, pytest.param(pseudo_gibbs, marks=pytest.mark.slow)])
def test_the_mean_of_many_chains_is_nearer_and_they_do_not_all_fit_at_once(method, monkeypatch):
    """Chains of 10 steps that are independent: the error falls as their number grows; 4 go side by side, not 12."""
    few, many = 300, 12
    monkeypatch.setattr(gibbs, "AT_A_TIME", 4 * few)
    x = np.tile(lg.X[:1], (few, 1))
    one, all_of_them = (
        method(lg.MODEL, lg.params(), jax.random.key(5), x, OBSERVED, 10, 20, chains) for chains in (1, many)
    )
    mean = conditional(lg.X[0])[0]
    errors = [np.mean((np.asarray(out.mean, np.float64)[:, ~OBSERVED] - mean) ** 2) for out in (one, all_of_them)]
    assert errors[0] / errors[1] == pytest.approx(many, rel=0.35)  # each of 900 squares of about one degree of freedom
    spread = np.asarray(all_of_them.sample, np.float64)[:, ~OBSERVED].std(axis=0)
    np.testing.assert_allclose(spread, np.sqrt(np.diag(conditional(lg.X[0])[1])), rtol=0.2)  # no average of chains
    np.testing.assert_array_less(0.99, all_of_them.acceptance)


@pytest.mark.parametrize(("shift", "log_ratio"), [pytest.param(0.0, 0.0, marks=pytest.mark.slow), (0.3, 0.3)])
def test_the_likelihood_of_missing_values_is_the_closed_form(assert_mean, shift, log_ratio):
    expected = []
    for x in lg.X:
        mean, covariance = conditional(x)
        expected.append(stats.multivariate_normal(mean, covariance).logpdf(x[~OBSERVED]))
    keys = jax.random.split(jax.random.key(1), 16)
    run = functools.partial(missing_log_likelihood, lg.MODEL, lg.params(shift, log_ratio), num_samples=4000)
    assert_mean(jax.vmap(lambda key: run(key, lg.X, OBSERVED))(keys), expected)


@pytest.mark.slow
def test_the_likelihood_of_missing_values_at_the_ends():
    """Nothing is missing in the rows 0 and 2, whatever their other estimates are; all in the others."""
    observed = np.asarray([[True], [False], [True], [False]])
    found = missing_log_likelihood(lg.MODEL, lg.params(), jax.random.key(2), lg.X, observed, 4000)
    np.testing.assert_array_equal(found[::2], 0.0)
    np.testing.assert_allclose(found[1::2], lg.LOG_PX[1::2], atol=0.1)


def bernoulli(random_like):
    """Two latent dimensions and six binary values: log p(x) of all 64 by quadrature."""
    model = tools.small()
    params = jax.tree.map(lambda leaf: 1.5 * leaf, random_like(model.init, jax.random.key(0)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = np.asarray(list(itertools.product(nodes, nodes)), np.float32)
    log_weight = np.log(np.outer(weights, weights).ravel() / (2 * np.pi))
    x = np.asarray(list(itertools.product((0, 1), repeat=6)), np.float32)
    log_likelihood = np.asarray(model.decode(params, z[:, None]).log_prob(x), np.float64)
    return model, params, x, special.logsumexp(log_weight[:, None] + log_likelihood, axis=0)


@pytest.mark.slow
def test_metropolis_visits_binary_values_as_often_as_enumeration_says(random_like, assert_mean):
    model, params, states, log_px = bernoulli(random_like)
    np.testing.assert_allclose(special.logsumexp(log_px), 0.0, atol=1e-4)
    observed, x = np.arange(6) < 3, states[45]
    fitting = (states[:, observed] == x[observed]).all(axis=1)
    expected = special.softmax(log_px[fitting])
    assert expected.min() > 0.005
    many = np.tile(x, (CHAINS, 1))
    out = metropolis_within_gibbs(
        model, params, jax.random.key(3), many, observed, num_steps=100, burn_in=100, chains=1
    )
    hits = (np.asarray(out.sample)[:, None] == states[fitting]).all(axis=-1)
    np.testing.assert_array_equal(hits.sum(axis=1), 1)  # so none has another observed value
    assert_mean(hits.astype(np.float64), expected)
    assert_mean(np.asarray(out.mean)[:, ~observed], expected @ states[fitting][:, ~observed])
    estimate = missing_log_likelihood(model, params, jax.random.key(4), states[fitting], observed, 4000)
    np.testing.assert_allclose(estimate, np.log(expected), atol=0.15)


@pytest.mark.slow
def test_log_probs_by_value_sum_to_that_of_the_whole(random_like):
    shape = (2, 3, 1)
    x = np.random.default_rng(0).integers(0, 2, size=(4, *shape)).astype(np.float32)
    for likelihood in (
        likelihoods.gaussian(learn="pixel"),
        likelihoods.discretized_logistic_mixture(16, (0.0, 1.0), 3),
        likelihoods.negative_binomial(shape, zero_inflated=True),
    ):
        model = tools.make_model(
            posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihood, tools.networks.mlp((4,)),
            data_shape=shape,
        )  # fmt: skip
        z = jax.random.normal(jax.random.key(1), (5, 4, 2))
        p = model.decode(random_like(model.init, jax.random.key(0)), z)
        by_value = jax.jit(value_log_probs)(p, x)
        assert by_value.shape == (5, 4, *shape)
        np.testing.assert_allclose(by_value.sum(axis=(2, 3, 4)), jax.jit(lambda p, x: p.log_prob(x))(p, x), rtol=1e-5)


ALL = (pseudo_gibbs, metropolis_within_gibbs, functools.partial(missing_log_likelihood, num_samples=9))


HALF = np.arange(6) < 3


def traced(method, model, x=tools.X, observed=HALF):
    """What the method would return for it; nothing is computed."""
    return jax.eval_shape(
        lambda: method(model, model.init(jax.random.key(0)), jax.random.key(1), x, observed),
    )


@pytest.mark.parametrize(
    "posterior",
    [
        posteriors.full_covariance, posteriors.hamiltonian,
        posteriors.gumbel_softmax, posteriors.finite_scalar, posteriors.delta,
        *(
            pytest.param(other, marks=pytest.mark.slow)
            for other in (posteriors.planar_flow, posteriors.radial_flow, posteriors.inverse_autoregressive_flow,
                         posteriors.von_mises_fisher, posteriors.wrapped_normal)
        ),
    ],
)  # fmt: skip
def test_every_posterior_fits_or_is_refused(posterior):
    prior = {
        posteriors.von_mises_fisher: priors.uniform_sphere,
        posteriors.wrapped_normal: priors.wrapped_normal,
        posteriors.gumbel_softmax: lambda dim: priors.uniform_categorical(dim, 10),
        posteriors.finite_scalar: lambda dim: priors.uniform_categorical(dim, 1000),
    }.get(posterior, priors.standard_normal)
    model = tools.small(posterior=posterior, prior=prior)
    assert traced(pseudo_gibbs, model).sample.shape == tools.X.shape
    for method in ALL[1:]:
        if posterior in (posteriors.hamiltonian, posteriors.finite_scalar, posteriors.delta):
            with pytest.raises(UserError, match=r"at any z|that are densities"):
                traced(method, model)
        else:
            shapes = [leaf.shape for leaf in jax.tree.leaves(traced(method, model))]
            assert shapes[0] in (tools.X.shape, (5,))


@pytest.mark.parametrize("method", ALL)
def test_bad_input_is_refused(method):
    for observed in (np.ones(5, bool), np.ones((7, 6), bool), np.ones((2, 5, 6), bool), np.ones(6, np.float32)):
        with pytest.raises(UserError, match="mask"):
            traced(method, tools.small(), observed=observed)
    with pytest.raises(UserError, match="do not fit"):
        traced(method, tools.small(), x=tools.X[:, :5])
    for likelihood in (likelihoods.squared_error, lambda: likelihoods.gaussian(learn="optimal")):
        with pytest.raises(UserError, match="not a density"):
            traced(method, tools.small(likelihood))


@pytest.mark.slow
def test_numbers_out_of_range_and_likelihoods_of_wholes_are_refused():
    model = tools.small()
    for method in ALL[:2]:
        for numbers in ({"num_steps": 0}, {"burn_in": -1}, {"chains": 0}):
            with pytest.raises(UserError, match="must be at least 1, 0 and 1"):
                traced(functools.partial(method, **numbers), model)
    for numbers in ({"num_samples": 0}, {"num_samples": 5, "fillings": 0}):
        with pytest.raises(UserError, match="both must be at least 1"):
            traced(functools.partial(missing_log_likelihood, **numbers), model)
    whole = likelihoods.Likelihood(lambda key: {}, lambda _, outputs: dist.MultivariateNormal(outputs, jnp.eye(6)))
    with pytest.raises(UserError, match="product over values"):
        traced(pseudo_gibbs, tools.small(lambda: whole))
