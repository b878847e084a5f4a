"""The likelihood of the rows of a table: against SciPy, sums and integrals; what the encoder gets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import integrate, special, stats

from jaxvae import likelihoods
from jaxvae.common.columns import Column
from jaxvae.common.errors import UserError
from jaxvae.distributions.columns import Categories, Columns, LogNormal, Ordinal
from jaxvae.distributions.pixels import Shaped
from jaxvae.distributions.structure import averaged, observed_log_prob, point_estimate
from jaxvae.likelihoods.columns import encoder_input

TABLE = (
    Column("kind", "categorical", "text", ("a", "b", "c"), frequencies=(0.2, 0.3, 0.5)),
    Column("size", "positive", centre=0.1, spread=0.7),
    Column("sick", "binary", "bool", (False, True), 0.4, 0.5, (0.6, 0.4)),
    Column("grade", "ordinal", "int", (1, 2, 5, 7), 1.5, 1.1, (0.1, 0.4, 0.3, 0.2)),
    Column("weight", "real"),
    Column("visits", "count", "int", centre=1.3, spread=0.6),
    Column("height", "real"),
    Column("town", "categorical", "text", ("x", "y", "z"), frequencies=(0.3, 0.3, 0.4)),
)
ROW = np.array([2.0, 1.7, 1.0, 2.0, -0.3, 4.0, 0.8, 0.0], np.float32)


def built(learn="column", batch=()):
    likelihood = likelihoods.columns(TABLE, learn)
    params = likelihood.init(jax.random.key(0))
    outputs = jax.random.normal(jax.random.key(1), (*batch, likelihood.output_size))
    return likelihood, params, outputs


def test_the_log_likelihood_of_a_row_is_that_of_scipy():
    likelihood, params, outputs = built()
    assert set(params) == {"positive", "ordinal_4", "real"}
    o = np.asarray(outputs, np.float64)  # categorical 2 x 3, positive, binary, ordinal, real x 2, count
    sd = np.exp(0.5 * (2 * np.log(0.01) + np.log1p(np.exp(-2 * np.log(0.01)))))
    kind, town = (special.log_softmax(np.log(TABLE[i].frequencies) + o[j : j + 3]) for i, j in ((0, 0), (7, 3)))
    thresholds = special.logit(np.cumsum(TABLE[3].frequencies)[:3])
    wanted = [
        kind[2],
        stats.lognorm(0.7 * sd, scale=np.exp(0.1 + 0.7 * o[6])).logpdf(1.7),
        stats.bernoulli(special.expit(np.log(0.4 / 0.6) + o[7])).logpmf(1),
        np.log(special.expit(thresholds[2] - o[8]) - special.expit(thresholds[1] - o[8])),
        stats.norm(o[9], sd).logpdf(ROW[4]),
        stats.poisson(np.exp(1.3 + 0.6 * o[11])).logpmf(4),
        stats.norm(o[10], sd).logpdf(ROW[6]),
        town[0],
    ]
    row = Shaped(likelihood.build(params, outputs), (8,))
    np.testing.assert_allclose(row.values.log_prob(ROW), wanted, rtol=2e-5)
    np.testing.assert_allclose(row.log_prob(ROW), np.sum(wanted), rtol=2e-5)


def test_the_variance_of_a_row_is_an_output_of_the_decoder():
    likelihood, params, outputs = built("row")
    assert likelihood.output_size == built()[0].output_size + 3  # two real columns and a positive one
    parts = likelihood.build(params, outputs).parts
    assert set(params) == {"ordinal_4"}
    real = parts[4]
    raw = outputs[10:14].reshape(2, 2)
    np.testing.assert_allclose(real.loc, raw[:, 0])
    assert np.all(np.asarray(real.scale) >= 0.01)


def test_the_masses_of_categories_sum_to_one_and_densities_integrate_to_one():
    ordinal = Ordinal(jnp.array([-7.0, 0.3, 9.0]), jnp.array([-1.0, 0.5, 0.6, 4.0]))
    categories = Categories(jax.random.normal(jax.random.key(2), (3, 5)))
    for codes in (ordinal, categories):
        log_prob = jax.jit(codes.log_prob)
        masses = np.stack([np.exp(log_prob(jnp.full(3, float(k)))) for k in range(5)])
        np.testing.assert_allclose(masses.sum(axis=0), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(codes.mean, masses.argmax(axis=0))
    density = jax.jit(lambda x: jnp.exp(LogNormal(0.4, 0.6).log_prob(x)))
    found, _ = integrate.quad(lambda x: float(density(x)), 0, np.inf)
    assert found == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("location", [-300.0, -2.0, 0.0, 2.0, 300.0])
def test_an_ordinal_mass_is_the_difference_of_two_sigmoids_and_stays_finite_far_away(location):
    thresholds = np.array([-1.0, 0.5, 3.0])
    edges = np.concatenate([[-np.inf], thresholds, [np.inf]]) - location
    if location > 0:  # by symmetry, sigmoid(b) - sigmoid(a) = sigmoid(-a) - sigmoid(-b), of which none is 1
        wanted = special.log_expit(edges[1:]) + np.log(
            -np.expm1(special.log_expit(edges[:-1]) - special.log_expit(edges[1:]))
        )
    else:
        wanted = special.log_expit(-edges[:-1]) + np.log(
            -np.expm1(special.log_expit(-edges[1:]) - special.log_expit(-edges[:-1]))
        )
    found = Ordinal(jnp.full(4, location), jnp.asarray(thresholds)).log_prob(jnp.arange(4.0))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("learn", [pytest.param("column", marks=pytest.mark.slow), "row"])
def test_the_gradients_are_those_of_differences(learn):
    likelihood, params, outputs = built(learn, (2,))
    x = jnp.stack([ROW, ROW])
    log_prob = jax.jit(lambda params, outputs: likelihood.build(params, outputs).log_prob(x).sum())
    check_grads(
        log_prob, (params, 0.3 * outputs), 1,
        modes=["rev"], atol=0.05, rtol=0.02, eps=2e-3,
    )  # fmt: skip


def test_a_missing_cell_contributes_nothing_and_has_no_gradient():
    likelihood, params, outputs = built()
    mask = np.ones(8, bool)
    mask[[1, 5]] = False  # the model's value of a missing cell is 0: no positive number

    @jax.jit
    def log_prob(outputs):
        row = Shaped(likelihood.build(params, outputs), (8,))
        return observed_log_prob(row, jnp.where(mask, ROW, np.nan), mask)

    each = jax.jit(lambda outputs: likelihood.build(params, outputs).log_prob(ROW))(outputs)
    np.testing.assert_allclose(log_prob(outputs), each[mask].sum(), rtol=1e-6)
    slope = np.asarray(jax.jit(jax.grad(log_prob))(outputs))
    assert np.isfinite(slope).all()
    np.testing.assert_array_equal(slope[[6, 11]], 0)
    assert (slope[[7, 8, 9, 10]] != 0).all()


def test_the_encoder_gets_standardised_numbers_and_one_hot_categories():
    found = np.asarray(encoder_input(TABLE, ROW))
    assert found.shape == (likelihoods.columns(TABLE).input_size,) == (12,)
    wanted = [(np.log(1.7) - 0.1) / 0.7, (1 - 0.4) / 0.5, (2 - 1.5) / 1.1, -0.3, (np.log(5) - 1.3) / 0.6, 0.8]
    np.testing.assert_allclose(found, [*wanted, 0, 0, 1, 1, 0, 0], rtol=1e-5)
    fill = jnp.asarray(likelihoods.columns(TABLE).fill)
    np.testing.assert_allclose(encoder_input(TABLE, fill), 0.0, atol=1e-6)
    slope = jax.jit(jax.jacobian(lambda x: encoder_input(TABLE, x)))(jnp.where(np.arange(8) == 0, 1.3, 0.0))
    assert np.isfinite(np.asarray(slope)).all()


def test_draws_have_the_frequencies_and_moments_of_their_distribution():
    likelihood, params, _ = built()
    row = likelihood.build(params, jnp.zeros(likelihood.output_size))
    drawn = np.asarray(jax.jit(lambda key: row.sample(key, (20_000,)))(jax.random.key(1)))
    assert drawn.shape == (20_000, 8)
    for i in (0, 2, 3, 7):
        shares = np.bincount(drawn[:, i].astype(int), minlength=len(TABLE[i].categories)) / len(drawn)
        np.testing.assert_allclose(shares, TABLE[i].frequencies, atol=5 * 0.5 / np.sqrt(len(drawn)))
    for i in (1, 4, 5):
        error = 5 * drawn[:, i].std() / np.sqrt(len(drawn))
        assert drawn[:, i].mean() == pytest.approx(float(row.mean[i]), abs=error)


def test_the_product_keeps_the_order_of_its_columns():
    parts = [LogNormal(jnp.zeros(1), jnp.ones(1)), Ordinal(jnp.zeros(2), jnp.array([0.0]))]
    columns = Columns(parts, ((1,), (2, 0)))
    found = columns.log_prob(jnp.array([0.0, 1.0, 1.0]))
    np.testing.assert_allclose(found, [-np.log(2), stats.lognorm(1).logpdf(1.0), -np.log(2)], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"table": ()}, "needs a table.*data.kind to 'table'"),
        ({"table": TABLE, "learn": "pixel"}, "Unknown value of learn"),
        ({"table": TABLE, "min_sd": 0.0}, "min_sd=0.0; it must be above 0"),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        likelihoods.columns(**options)


def test_averages_over_latents_are_means_of_numbers_and_the_likeliest_category():
    likelihood, params, outputs = built(batch=(3, 2))
    rows = Shaped(likelihood.build(params, 2 * outputs), (8,))
    average = jax.jit(lambda weights: point_estimate(rows, averaged(rows, weights)))
    found = average(jnp.full((3, 2), 1 / 3))
    means = np.mean(rows.mean, axis=0)
    for i in (1, 2, 4, 5, 6):
        np.testing.assert_allclose(found[:, i], means[:, i], rtol=1e-5)
    for i, part in ((0, 0), (7, 0), (3, 3)):
        at = rows.values.places[part].index(i)
        shares = np.exp(rows.values.parts[part].log_probs)[:, :, at].mean(axis=0)
        np.testing.assert_array_equal(found[:, i], shares.argmax(axis=-1))
    one = average(jnp.zeros((3, 2)).at[1].set(1.0))
    np.testing.assert_allclose(one, rows.mean[1], rtol=1e-5)
