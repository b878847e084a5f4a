"""The parts of the KL where they are known: Gaussian aggregates, one example, examples far apart."""

import functools

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import objective_tools as tools
import pytest
from gaussian_codes import BATCHES, DATA, LINEAR, MIX, NUM, OFFSET, SCALE, WRONG, encoded_as

from jaxvae import posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.distributions.kl import analytic_kl
from jaxvae.metrics.latent_use import active_units
from jaxvae.metrics.rates import aggregate_kl


@functools.cache
def parts(num_rows=NUM, memory_mb=64.0, full=False):
    model = LINEAR
    if full:
        model = encoded_as(lambda x: (x - lg.BIAS) @ MIX.astype(np.float32) + OFFSET, full=True)
    return aggregate_kl(model, WRONG, jax.random.key(0), BATCHES, num_rows, memory_mb)


def test_parts_of_a_gaussian_aggregate_are_those_in_closed_form():
    covariance = MIX.T @ lg.MARGINAL.cov @ MIX + np.diag(SCALE**2)
    log_det, variances = np.linalg.slogdet(covariance)[1], np.diag(covariance)
    exact = {
        "mutual_information": 0.5 * (log_det - 2 * np.log(SCALE).sum()),
        "total_correlation": 0.5 * (np.log(variances).sum() - log_det),
        "dimension_wise_kl": 0.5 * np.sum(variances + OFFSET**2 - 1 - np.log(variances)),
    }
    exact["marginal_kl"] = exact["total_correlation"] + exact["dimension_wise_kl"]
    exact["kl"] = exact["mutual_information"] + exact["marginal_kl"]
    assert min(exact.values()) > 0.15
    assert parts() == pytest.approx(exact, abs=0.08)


def test_parts_sum_to_the_mean_kl():
    got = parts()
    assert got["kl"] == pytest.approx(
        got["mutual_information"] + got["total_correlation"] + got["dimension_wise_kl"], abs=1e-5
    )
    prior = lg.MODEL.prior(WRONG)
    exact = np.asarray(analytic_kl(LINEAR.encode(WRONG, DATA), prior), np.float64).mean()
    posterior = LINEAR.encode(WRONG, DATA)
    z = posterior.sample(jax.random.key(9))
    error = np.std(np.asarray(posterior.log_prob(z) - prior.log_prob(z), np.float64)) / np.sqrt(NUM)
    assert abs(got["kl"] - exact) < 4 * error


def test_full_covariances_have_two_parts_that_are_those_of_diagonal_ones():
    got = parts(300, full=True)
    assert got.keys() == {"kl", "mutual_information", "marginal_kl"}
    assert got == pytest.approx({name: parts(300)[name] for name in got}, rel=1e-4)  # of the same z


def test_chunks_change_nothing_but_rounding():
    assert parts(300, 0.05) == pytest.approx(parts(300), rel=1e-5)


def test_one_example_has_no_information():
    got = aggregate_kl(LINEAR, WRONG, jax.random.key(0), [DATA[:1]])
    assert got["mutual_information"] == pytest.approx(0, abs=1e-5)
    assert got["total_correlation"] == pytest.approx(0, abs=1e-5)
    assert got["dimension_wise_kl"] == pytest.approx(got["kl"], rel=1e-5)


@pytest.mark.parametrize(("apart", "different"), [(0.0, 1), (100.0, 7)])
def test_information_is_the_logarithm_of_the_number_of_codes(apart, different):
    x = np.zeros((7, lg.DATA), np.float32)
    x[:, 0] = np.arange(7)
    model = encoded_as(lambda x: apart * x[..., :1] + jnp.zeros(3))
    got = aggregate_kl(model, WRONG, jax.random.key(0), [x[:4], x[4:]])
    assert got["mutual_information"] == pytest.approx(np.log(different), abs=1e-5)
    assert got["total_correlation"] == pytest.approx(2 * np.log(different), abs=1e-4)  # all three say which


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        pytest.param(posteriors.planar_flow, priors.standard_normal, marks=pytest.mark.slow),
        (posteriors.diagonal_gaussian, lambda dim: priors.mixture_of_gaussians(dim, 3)),
        pytest.param(posteriors.von_mises_fisher, priors.uniform_sphere, marks=pytest.mark.slow),
        (posteriors.wrapped_normal, priors.wrapped_normal),
        (posteriors.gumbel_softmax, lambda dim: priors.uniform_categorical(dim, 10)),
    ],
)
def test_any_posterior_with_a_density_has_two_parts(posterior, prior, random_like):
    model = tools.small(posterior=posterior, prior=prior)
    params = random_like(model.init, jax.random.key(0))
    got = aggregate_kl(model, params, jax.random.key(0), [tools.X[:3], tools.X[3:]])
    assert got.keys() == {"kl", "mutual_information", "marginal_kl"}
    assert got["kl"] == pytest.approx(got["mutual_information"] + got["marginal_kl"], abs=1e-4)
    assert got["mutual_information"] <= np.log(5) + 1e-5


def make(posterior, prior=priors.standard_normal):
    return tools.small(posterior=posterior, prior=prior)


@pytest.mark.parametrize("posterior", [posteriors.delta, posteriors.hamiltonian])
def test_refuses_a_posterior_without_a_density(posterior):
    model = make(posterior)
    with pytest.raises(UserError, match="any z"):
        aggregate_kl(model, model.init(jax.random.key(0)), jax.random.key(0), [tools.X])


def codes(posterior):
    return make(posterior, lambda dim: priors.uniform_categorical(dim, 9))


@pytest.mark.parametrize(
    ("model", "knows"),
    [
        (make(posteriors.diagonal_gaussian), True),
        (make(posteriors.full_covariance), True),
        (make(posteriors.inverse_autoregressive_flow), True),
        (make(posteriors.von_mises_fisher, priors.uniform_sphere), True),
        (make(posteriors.wrapped_normal, priors.wrapped_normal), True),
        (codes(lambda dim: posteriors.gumbel_softmax(dim, 9)), True),
        (codes(lambda dim: posteriors.finite_scalar(dim, (3, 3))), False),
        (codes(lambda dim: posteriors.vector_quantized(dim, 9, ema=False)), False),
        (make(posteriors.delta), False),
        (make(posteriors.hamiltonian), False),
    ],
)
def test_which_posteriors_know_their_density_is_seen_from_shapes(model, knows):
    assert model.latent.knows_density is knows


@pytest.mark.parametrize(("batches", "num_rows", "message"), [([], 10, "no examples"), (BATCHES, 0, "num_rows=0")])
def test_refuses_nothing_to_measure(batches, num_rows, message):
    with pytest.raises(UserError, match=message):
        aggregate_kl(LINEAR, WRONG, jax.random.key(0), batches, num_rows)


def test_active_units_are_those_whose_code_varies():
    signs = np.asarray([1.0, -1.0, 1.0, -1.0])
    codes = 3 + np.stack([signs, 0.1001 * signs, 0.0999 * signs, 0 * signs], axis=1)
    got = active_units(codes)
    assert got["active_units"] == 2  # above 0.01
    np.testing.assert_allclose(got["variances"], [1, 0.1001**2, 0.0999**2, 0], atol=1e-12)
    assert active_units(codes, 0.1)["active_units"] == 1
    assert active_units(np.stack([signs, 0.5 * signs], axis=1), 0.25)["active_units"] == 1  # above, not at it


@pytest.mark.parametrize("codes", [np.zeros(3), np.zeros((1, 3)), np.full((4, 2), np.nan)])
def test_active_units_refuses_what_is_no_table_of_codes(codes):
    with pytest.raises(UserError, match="active_units"):
        active_units(codes)
