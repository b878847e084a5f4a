"""The parts of the KL where they are known: Gaussian aggregates, one example, examples far apart; and collapse."""

import functools

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest

from jaxvae import posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.distributions.kl import analytic_kl
from jaxvae.metrics.latent_use import active_units, collapse
from jaxvae.metrics.rates import aggregate_kl
from jaxvae.models.vae import latent_of

NUM, WRONG = 3000, lg.params(0.4, 0.3)
DATA = lg.MARGINAL.rvs(NUM, random_state=2).astype(np.float32)
BATCHES = [DATA[i : i + 1500] for i in range(0, NUM, 1500)]  # the last one is smaller
MIX = np.asarray([[0.8, 0.6, 0.3], [0.4, 0.4, 0.1], [0.1, 0.4, 0.6], [0.1, 0.3, 0.1], [0.3, 0.6, 0.4]])
SCALE, OFFSET = np.asarray([0.5, 0.7, 0.6]), np.asarray([0.5, 0.0, -0.3])


def encoded_as(mean, scale=SCALE, full=False):
    """The model with q(z|x) = N(mean(x), diag(scale^2)), as a full covariance where asked for."""

    def encode(params, x, context=None):
        means = mean(x)
        scales = jnp.broadcast_to(jnp.asarray(scale, jnp.float32), means.shape)
        if full:
            return dist.MultivariateNormal(means, scale_tril=scales[..., None] * jnp.eye(lg.LATENT))
        return dist.Normal(means, scales).to_event(1)

    return lg.MODEL._replace(encode=encode)


LINEAR = encoded_as(lambda x: (x - lg.BIAS) @ MIX.astype(np.float32) + OFFSET)
COLLAPSED = encoded_as(lambda x: 1e-3 * (x @ MIX.astype(np.float32)), 1.0)


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


def report(model, params=WRONG, batches=BATCHES):
    return collapse(model, params, jax.random.key(0), batches, 500)


def test_a_healthy_model_has_no_warning_and_the_numbers_it_should():
    got = report(lg.MODEL, lg.params())
    assert got["warning"] == ""
    assert (got["active_units"], got["num_units"], got["unused_share"]) == (3, 3, 0)
    mean, variance = map(np.asarray, lg.posterior_moments(lg.params(), DATA))
    np.testing.assert_allclose(
        got["kl_by_variable"], 0.5 * np.mean(variance + mean**2 - 1 - np.log(variance), axis=0), rtol=1e-4
    )
    assert got["kl"] == pytest.approx(sum(got["kl_by_variable"]))
    decoded = mean @ lg.WEIGHT.T
    share = decoded.var(axis=0).sum() / DATA.astype(np.float64).var(axis=0).sum()
    assert got["decoder_variation"] == pytest.approx(share, rel=1e-4)
    assert 0.3 < got["mutual_information"] < np.log(NUM)


def test_a_collapsed_model_warns():
    got = report(COLLAPSED)
    assert (got["active_units"], got["unused_share"]) == (0, 1)
    assert got["mutual_information"] == pytest.approx(0, abs=0.01)
    assert got["warning"].startswith("Posterior collapse")
    for number in (
        "0 of 3 units are active",
        "3 of 3 KL terms are below 0.01 nats",
        "nats; the decoder's outputs vary",
    ):
        assert number in got["warning"]


def test_a_posterior_that_left_the_prior_but_not_for_x_is_collapsed():
    got = report(encoded_as(lambda x: jnp.ones_like(x[..., :3]), 0.5))
    assert got["unused_share"] == 0
    assert got["warning"].startswith("Posterior collapse")


def test_a_decoder_that_ignores_z_is_told():
    def decode(params, z, context=None):
        return dist.Normal(0 * z @ params["weight"].T + params["bias"], 1.0).to_event(1)

    got = report(LINEAR._replace(decode=decode))
    assert got["decoder_variation"] == pytest.approx(0, abs=1e-6)
    assert got["warning"].startswith("The decoder ignores z")


def test_a_latent_of_which_most_is_unused_is_told():
    got = report(encoded_as(lambda x: x[..., :3] * np.asarray([1.0, 0.0, 0.0], np.float32), np.asarray([0.2, 1, 1])))
    assert got["unused_share"] == pytest.approx(2 / 3)
    assert got["warning"].startswith("More than half of the latent variables are not used (1 of 3 units")
    assert "2 of 3 KL terms are below 0.01 nats" in got["warning"]


def test_half_of_the_latent_is_not_more_than_half():
    """One of two codes is not used."""
    x = np.arange(20, dtype=np.float32).reshape(10, 2)
    model = tools.small(posterior=posteriors.diagonal_gaussian)
    assert model.latent_shape == (2,)

    def encode(params, x, context=None):
        mean = jnp.stack([x[..., 0] - 9, 0 * x[..., 0]], axis=-1)
        return dist.Normal(mean, jnp.asarray([0.1, 1.0])).to_event(1)

    def decode(params, z, context=None):
        return dist.Normal(z + 9, 1.0).to_event(1)

    got = report(
        model._replace(encode=encode, decode=decode, data=model.data._replace(shape=(2,))),
        model.init(jax.random.key(0)),
        [x],
    )
    assert (got["unused_share"], got["active_units"], got["warning"]) == (0.5, 1, "")


@pytest.mark.parametrize(
    ("posterior", "said"),
    [
        (posteriors.diagonal_gaussian, "More than half of the units are not active (0 of 3"),
        (posteriors.von_mises_fisher, ""),
    ],
)
def test_codes_of_a_small_scale_that_tell_of_x_are_no_collapse(posterior, said):
    """On a sphere of many dimensions each of them has a small variance."""

    def decode(params, z, context=None):
        return lg.MODEL.decode(params, 20 * z, context)

    model = encoded_as(lambda x: 0.05 * (x - lg.BIAS) @ MIX.astype(np.float32), 1e-3)
    got = report(model._replace(decode=decode, latent=latent_of(posterior(lg.LATENT))))
    assert got["active_units"] == 0
    assert got["mutual_information"] > 1
    assert got["warning"].startswith(said)
    assert bool(got["warning"]) == bool(said)


def no_information(scale, posterior, decode=None):
    """The exact model at this scale of its codes, with a posterior that knows no density at any z."""

    def encode(params, x, context=None):
        mean, _ = lg.posterior_moments(params, x)
        return dist.Delta(scale * mean, event_dim=1)

    def decode_scaled(params, z, context=None):
        return lg.MODEL.decode(params, z / scale, context)

    return lg.MODEL._replace(encode=encode, decode=decode or decode_scaled, latent=latent_of(posterior))


POINT = posteriors.delta(lg.LATENT)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_codes_whose_scale_is_free_are_no_collapse_however_small(scale):
    got = report(no_information(scale, POINT), lg.params())
    assert (got["kl"], got["mutual_information"], got["warning"]) == (None, None, "")
    assert (got["active_units"], got["unused_share"]) == (3, 0)


def test_units_of_a_point_are_judged_beside_the_largest():
    def encode(params, x, context=None):
        scale = jnp.asarray([1e-3, 0.9e-4, 0.0])  # the second has less than a hundredth of the first one's variance
        return dist.Delta(scale * x[..., :1], event_dim=1)

    got = report(no_information(1e-3, POINT)._replace(encode=encode), lg.params())
    assert (got["active_units"], got["num_units"]) == (1, 3)
    assert got["unused_share"] == pytest.approx(2 / 3)
    assert got["warning"] == ""


def test_a_point_that_is_the_same_for_every_x_is_told():
    def encode(params, x, context=None):
        return dist.Delta(0 * x[..., :3] + 0.5, event_dim=1)

    got = report(no_information(1.0, POINT)._replace(encode=encode), lg.params())
    assert (got["active_units"], got["unused_share"]) == (0, 1)
    assert got["warning"].startswith("The decoder ignores z (0 of 3 units are active; the decoder's outputs vary by")


def test_a_decoder_that_varies_more_than_the_data_is_no_evidence_of_collapse():
    def decode(params, z, context=None):
        return lg.MODEL.decode(params, 50 * z, context)

    assert report(no_information(1.0, POINT, decode), lg.params())["warning"] == ""
    got = report(COLLAPSED._replace(decode=lambda params, z, context=None: decode(params, 1e4 * z)))
    assert got["decoder_variation"] > 1
    assert got["warning"].startswith("Posterior collapse")  # q is the same for every x
    assert "the decoder's outputs vary by more than the data's variance" in got["warning"]


@pytest.mark.parametrize("scale", [0.01, 1.0])
@pytest.mark.parametrize("decoded", [0.0, 1.0])
def test_codes_of_a_book_are_judged_by_what_the_decoder_makes_of_them(scale, decoded, random_like):
    model = codes(lambda dim: posteriors.vector_quantized(dim, 9, ema=False))
    params = random_like(model.init, jax.random.key(0))
    params["posterior"] = jax.tree.map(lambda leaf: jnp.asarray(scale * leaf), params["posterior"])

    def decode(params, z, context=None):
        value = decoded * z[..., 0, :1] / scale
        shape = (*value.shape[:-1], *model.data_shape)
        return dist.Normal(jnp.broadcast_to(value, shape), 1.0).to_event(len(model.data_shape))

    x = 3 * jax.random.normal(jax.random.key(1), (20, *model.data_shape))
    got = report(model._replace(decode=decode), params, [x])
    assert got["warning"].startswith("The decoder ignores z" if not decoded else "")
    assert bool(got["warning"]) == (not decoded)


@pytest.mark.parametrize(
    ("posterior", "prior", "has_kl", "has_information"),
    [
        (posteriors.delta, priors.standard_normal, False, False),
        pytest.param(posteriors.hamiltonian, priors.standard_normal, True, False, marks=pytest.mark.slow),
        pytest.param(posteriors.planar_flow, priors.standard_normal, True, True, marks=pytest.mark.slow),
        (
            lambda dim: posteriors.finite_scalar(dim, (3, 3)),
            lambda dim: priors.uniform_categorical(dim, 9),
            True,
            False,
        ),
    ],
)
def test_what_does_not_exist_is_none(posterior, prior, has_kl, has_information, random_like):
    model = make(posterior, prior)
    got = report(model, random_like(model.init, jax.random.key(0)), [tools.X[:3], tools.X[3:]])
    assert (got["kl"] is not None, got["mutual_information"] is not None) == (has_kl, has_information)
    assert got["num_units"] == np.prod(model.latent_shape)
