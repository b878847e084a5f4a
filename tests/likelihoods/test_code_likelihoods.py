"""The likelihood of models whose latents are codes, against the sum over all codes."""

import itertools

import jax
import numpy as np
import objective_tools as tools
import pytest
from scipy import special
from slow_cases import fast

from jaxvae import posteriors, priors
from jaxvae.metrics.likelihood import importance_nll

X = np.round(tools.X)  # Bernoulli, so that this is a mass
PRIORS = {
    "uniform": priors.uniform_categorical,
    "autoregressive": lambda dim, num_codes: priors.autoregressive_codes(dim, num_codes, (8,), 2),
}
QUANTISED = {
    "vector_quantized": lambda dim: posteriors.vector_quantized(dim, 4, 2, ema=False),
    "finite_scalar": lambda dim: posteriors.finite_scalar(dim, (3, 2)),
}


def quantised(posterior, prior):
    return tools.small(
        posterior=QUANTISED[posterior], prior=lambda dim: PRIORS[prior](dim, QUANTISED[posterior](dim).num_codes)
    )


def log_likelihood(params, z):
    """log p(x|z) `[..., B]` in float64 for latents z `[..., 2, D]`, the same for every x."""
    layers = [params["decoder"][f"Dense_{i}"] for i in range(2)]
    hidden = np.tanh(z.reshape(*z.shape[:-2], -1) @ layers[0]["kernel"].astype(np.float64) + layers[0]["bias"])
    logits = hidden @ layers[1]["kernel"] + layers[1]["bias"]
    return (X * special.log_expit(logits) + (1 - X) * special.log_expit(-logits)).sum(axis=-1)


def log_joints(model, params):
    """log p(x, z) `[all combinations of codes, B]`."""
    book = np.asarray(model.latent.codebook(params.get("posterior", {})), np.float64)
    codes = np.array(list(itertools.product(range(len(book)), repeat=2)))
    log_prior = np.asarray(model.prior(params).codes.log_prob(codes), np.float64)
    assert np.exp(log_prior).sum() == pytest.approx(1, rel=1e-5)
    return codes, log_likelihood(params, book[codes][:, None]) + log_prior[:, None]


def estimates(model, params, num_samples, num):
    """`importance_nll` for `num` keys, `[num, B]`."""

    @jax.jit
    def over(params, keys):
        return jax.vmap(lambda key: importance_nll(model, params, key, X, num_samples))(keys)

    return np.asarray(over(params, jax.random.split(jax.random.key(num_samples), num)), np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("prior", fast(PRIORS, "autoregressive"))
@pytest.mark.parametrize("straight_through", fast([False, True], True))
def test_the_weights_of_a_gumbel_softmax_have_the_moments_that_the_sum_over_codes_gives(
    straight_through, prior, random_like, assert_mean
):
    model = tools.gumbel_model(straight_through, lambda dim: PRIORS[prior](dim, 3))
    params = random_like(model.init, jax.random.key(0))
    codes, log_joint = log_joints(model, params)
    log_px = special.logsumexp(log_joint, axis=0)
    logits = tools.encoded(params, X).reshape(len(X), 2, 3)
    log_q = np.take_along_axis(special.log_softmax(logits, axis=-1)[None], codes[:, None, :, None], axis=-1).sum((2, 3))
    gap = np.sum(np.exp(log_q) * (log_q - log_joint + log_px), axis=0)  # KL(q(z|x) || p(z|x))
    one, few, many = (estimates(model, params, *sizes) for sizes in ((1, 5000), (5, 5000), (500, 64)))
    assert_mean(one, gap - log_px)
    assert_mean(np.exp(-one - log_px), 1)
    assert_mean(np.exp(-few - log_px), 1)
    assert_mean(many, -log_px)  # its bias, var(w) / 2K, is below 0.4 standard errors


@pytest.mark.parametrize("prior", fast(PRIORS, "autoregressive"))
@pytest.mark.parametrize("posterior", QUANTISED)
def test_the_nll_of_quantised_latents_is_that_of_the_chosen_codes_and_above_the_sum(posterior, prior, random_like):
    model = quantised(posterior, prior)
    params = random_like(model.init, jax.random.key(0))
    codes, log_joint = log_joints(model, params)
    outputs = tools.encoded(params, X).reshape(len(X), 2, -1)
    book = np.asarray(model.latent.codebook(params.get("posterior", {})), np.float64)
    points = np.tanh(outputs) if posterior == "finite_scalar" else outputs
    chosen = np.argmin(np.sum((points[:, :, None] - book) ** 2, axis=-1), axis=-1)
    row = np.argmax(np.all(codes[:, None] == chosen, axis=-1), axis=0)
    assert len(set(row)) > 1
    for num_samples in (1, 7):  # all draws are the same
        got = estimates(model, params, num_samples, 1)[0]
        np.testing.assert_allclose(got, -log_joint[row, np.arange(len(X))], rtol=1e-5)
        assert np.all(got > 0.01 - special.logsumexp(log_joint, axis=0))
