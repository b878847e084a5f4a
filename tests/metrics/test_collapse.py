"""Posterior collapse is found and put in words, and what is none is not."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest
from gaussian_codes import BATCHES, DATA, LINEAR, MIX, NUM, WRONG, encoded_as

from jaxvae import posteriors, priors
from jaxvae.metrics.latent_use import collapse
from jaxvae.models.vae import latent_of

COLLAPSED = encoded_as(lambda x: 1e-3 * (x @ MIX.astype(np.float32)), 1.0)


def make(posterior, prior=priors.standard_normal):
    return tools.small(posterior=posterior, prior=prior)


def codes(posterior):
    return make(posterior, lambda dim: priors.uniform_categorical(dim, 9))


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
