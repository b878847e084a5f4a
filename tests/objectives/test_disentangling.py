"""The parts of the KL against loops and finite mixtures, the covariance penalties against NumPy."""

import jax
import numpy as np
import objective_tools as tools
import pytest
from scipy import special, stats

from jaxvae import posteriors
from jaxvae.common.errors import UserError
from jaxvae.distributions.kl import analytic_kl
from jaxvae.objectives import KL_WEIGHTS, StepContext

PARTS = ("mutual_information", "total_correlation", "dimension_wise_kl")
WHOLE = StepContext(0, len(tools.X))  # the batch is the data set


@pytest.fixture
def params(random_like):
    return {"model": random_like(tools.small().init, jax.random.key(0))}


def test_the_three_parts_are_those_of_the_finite_mixture_and_sum_to_the_kl(params, assert_mean):
    model, weights = tools.small(), {"alpha": 0.5, "beta": 3.0, "gamma": 2.0}
    objective = tools.make("beta_tcvae", model, KL_WEIGHTS["constant"](0.7), **weights)
    metrics = tools.evaluate(objective, params, ctx=WHOLE).metrics
    out = jax.jit(lambda key: model.forward(params["model"], key, {"x": tools.X}))(
        jax.random.split(jax.random.key(1))[0]
    )
    z, mean, scale = (np.asarray(a, np.float64) for a in (out.z[0], out.posterior.mean, out.posterior.variance**0.5))
    by_dim = stats.norm.logpdf(z[:, None], mean, scale)  # [i, j, dim]
    log_joint = special.logsumexp(by_dim.sum(axis=-1), axis=1) - np.log(5)
    log_product = (special.logsumexp(by_dim, axis=1) - np.log(5)).sum(axis=-1)
    own, prior = by_dim[np.arange(5), np.arange(5)].sum(axis=-1), stats.norm.logpdf(z).sum(axis=-1)
    expected = dict(zip(PARTS, (own - log_joint, log_joint - log_product, log_product - prior), strict=True))
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    weighted = sum(w * expected[name] for w, name in zip(weights.values(), PARTS, strict=True))
    np.testing.assert_allclose(metrics["loss"], metrics["reconstruction"] + 0.7 * weighted, rtol=1e-5)
    np.testing.assert_allclose(metrics["elbo"], -metrics["reconstruction"] - (own - prior), rtol=1e-4)

    def parts(key):
        found = objective.loss(params, {}, {"x": tools.X}, key, WHOLE).metrics
        return sum(found[name] for name in PARTS), sum(found[name].mean() for name in PARTS[:2])

    sums, positive = jax.jit(jax.vmap(parts))(jax.random.split(jax.random.key(2), 2000))
    assert_mean(sums, analytic_kl(out.posterior, out.prior))
    assert positive.mean() > 0  # KLs of a known q(z), both


def test_the_weights_of_one_leave_the_elbo(params):
    objective = tools.make("beta_tcvae", tools.small(), alpha=1.0, beta=1.0, gamma=1.0)
    assert objective.whole_batch
    metrics = tools.evaluate(objective, params).metrics
    np.testing.assert_allclose(metrics["loss"], -metrics["elbo"], rtol=1e-5)


COVARIANCES = {"diagonal_gaussian": posteriors.diagonal_gaussian, "full_covariance": posteriors.full_covariance}


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("posterior", COVARIANCES)
def test_dip_penalises_numpys_covariance(kind, posterior, random_like):
    model = tools.small(posterior=COVARIANCES[posterior])
    params = {"model": random_like(model.init, jax.random.key(0))}
    options = {"kind": kind, "lambda_diagonal": 3.0, "lambda_off_diagonal": 5.0}
    objective = tools.make("dip_vae", model, KL_WEIGHTS["constant"](2.0), **options)
    metrics = tools.evaluate(objective, params).metrics
    q = model.encode(params["model"], tools.X)
    covariance = np.cov(np.asarray(q.mean, np.float64), rowvar=False, bias=True)
    if kind == 2:
        own = q.covariance_matrix if posterior == "full_covariance" else q.variance[..., None] * np.eye(2)
        covariance += np.asarray(own, np.float64).mean(axis=0)
    away = (covariance - np.eye(2)) ** 2
    expected = 3 * np.trace(away) + 5 * (away.sum() - np.trace(away))
    np.testing.assert_allclose(metrics["covariance_penalty"], expected, rtol=1e-4)
    loss = metrics["reconstruction"] + 2 * metrics["kl"] + expected
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-4)
    assert objective.whole_batch


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("beta_tcvae", {"estimator": "strat"}, "Did you mean 'stratified'"), ("beta_tcvae", {"beta": -1.0}, "beta is -1"),
     ("beta_tcvae", {"alpha": float("nan")}, "alpha is nan"), ("dip_vae", {"kind": 3}, "kind is 3"),
     ("dip_vae", {"lambda_diagonal": -1.0}, "lambda_diagonal is -1"),
     ("dip_vae", {"lambda_off_diagonal": -1.0}, "lambda_off_diagonal is -1"),
     ("dip_vae", {"kl_estimate": "exact"}, "Unknown kl_estimate")],
)  # fmt: skip
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        tools.make(name, tools.small(), **options)


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [("beta_tcvae", lambda: tools.small(posterior=posteriors.full_covariance), "posterior 'diagonal_gaussian'"),
     ("beta_tcvae", lambda: tools.small(posterior=posteriors.planar_flow), "posterior 'diagonal_gaussian'"),
     ("beta_tcvae", tools.mixture_model, "prior 'standard_normal'"),
     ("beta_tcvae", tools.gumbel_model, "posterior 'diagonal_gaussian'"),
     ("beta_tcvae", lambda: tools.small(posterior=posteriors.delta), "infinite"),
     ("dip_vae", tools.gumbel_model, "latents in codes"),
     ("dip_vae", lambda: tools.small(posterior=posteriors.delta), "infinite")],
)  # fmt: skip
def test_models_that_the_mathematics_forbids_are_refused(name, model, message):
    with pytest.raises(UserError, match=message):
        tools.trace(tools.make(name, model()))


def test_dip_refuses_a_flow_whose_moments_nobody_knows():
    objective = tools.make("dip_vae", tools.small(posterior=posteriors.planar_flow), kl_estimate="monte_carlo")
    with pytest.raises(UserError, match="no closed form"):
        tools.trace(objective)


def test_one_example_has_no_aggregate(params):
    with pytest.raises(UserError, match="2 examples"):
        tools.make("beta_tcvae", tools.small()).loss(params, {}, {"x": tools.X[:1]}, jax.random.key(0), tools.CTX)
