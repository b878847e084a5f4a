"""Objectives, bounds and likelihoods of sequence models."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from objective_tools import OF_CLUSTERS, OF_CODES, OF_LABELS, PERCEPTUAL, make
from sequence_tools import JUDGING, NOISY, ONE, SPECS, TRAINING, batch, config, small
from sequence_tools import sentences as all_sentences
from slow_cases import fast

from jaxvae import objectives, posteriors, priors
from jaxvae.experiment import build
from jaxvae.metrics.likelihood import importance_nll
from jaxvae.train.state import init_state
from jaxvae.train.step import make_step


@pytest.mark.slow
def test_training_has_noise_and_judging_has_none(random_like):
    noisy, plain = (
        objectives.OBJECTIVES["reconstruction"](small(posterior=posteriors.delta, **options)) for options in (NOISY, {})
    )
    params, x = random_like(plain.init, jax.random.key(0))[0], batch()
    optimizer = optax.sgd(0.0)
    state = init_state(noisy, optimizer, jax.random.key(0))._replace(params=params)

    @jax.jit
    def run(seed):
        def loss(objective, ctx):
            return objective.loss(params, {}, {"x": x}, jax.random.key(seed), ctx).losses["model"]

        def step(objective):
            step = make_step(objective, optimizer, lambda key, x: x, 100)
            return step(state, {"x": x})[1]["loss"]

        losses = {"judging": loss(noisy, JUDGING), "plain": loss(plain, TRAINING), "training": loss(noisy, TRAINING)}
        return losses, step(noisy), step(plain)

    (losses, noisy_step, plain_step), others = run(0), run(1)[0]
    np.testing.assert_array_equal(losses["judging"], others["judging"])
    np.testing.assert_allclose(losses["judging"], losses["plain"], rtol=1e-6)
    assert np.all(losses["training"] != others["training"])
    assert np.all(losses["training"] != losses["judging"])
    np.testing.assert_allclose(plain_step, losses["plain"].mean(), rtol=1e-6)
    assert abs(noisy_step - plain_step) > 1e-3


POINTS = ("wae_mmd", "swae", "rae", "reconstruction", "contractive")


LIKE_OTHERS = {"beta_tcvae", "ciwae", "dip_vae", "info_vae", "miwae", "piwae", "swae", "wae_mmd"}
SEQUENTIAL = sorted(objectives.OBJECTIVES.keys() - {"avb", "denoising", "vae_gan", *OF_LABELS, *OF_CODES, *PERCEPTUAL})


@pytest.mark.parametrize("name", fast(SEQUENTIAL, *sorted({*SEQUENTIAL} - LIKE_OTHERS)))
def test_every_objective_trains_with_the_decoders_noise(name):
    """By how often a traced loss draws; nothing is compiled."""

    def draws(rates, ctx):
        prior = priors.mixture_of_gaussians if name in OF_CLUSTERS else priors.standard_normal
        model = small("music", posterior=posteriors.delta if name in POINTS else None, prior=prior, **rates)
        objective = make(name, model)

        def loss(params, extra, key):
            return objective.loss(params, extra, {"x": batch("music")}, key, ctx)

        states = jax.eval_shape(objective.init, jax.random.key(0))
        return str(jax.make_jaxpr(loss)(*states, jax.random.key(0))).count("random_bits")

    assert draws(NOISY, TRAINING) > draws(NOISY, JUDGING) == draws({}, TRAINING)


@pytest.mark.parametrize(("kind", "options"), [
    pytest.param("text", {"name": "elbo", "num_samples": 3}, marks=pytest.mark.slow),
    pytest.param("music", {"name": "elbo", "kl_estimate": "monte_carlo", "gradient": "stl"}, marks=pytest.mark.slow),
    ("text", {"name": "iwae", "num_samples": 3, "gradient": "dreg"}),
    pytest.param("music", {"name": "iwae", "num_samples": 3}, marks=pytest.mark.slow),
])  # fmt: skip
def test_objectives_train_on_sequences(kind, options, random_like):
    settings = config(kind, objective=options)
    model = build.model(settings, SPECS[kind])
    objective = build.objective(settings, model, SPECS[kind], 10)
    params, _ = random_like(objective.init, jax.random.key(0))
    x = batch(kind)

    @jax.jit
    def run(params):
        def loss(params):
            out = objective.loss(params, {}, {"x": x}, jax.random.key(1), TRAINING)
            return out.losses["model"].mean(), out.metrics

        nll = importance_nll(model, params["model"], jax.random.key(2), x, 500)
        grouped = importance_nll(model, params["model"], jax.random.key(2), x, 500, memory_mb=1e-3)
        return *jax.value_and_grad(loss, has_aux=True)(params), nll, grouped

    (value, metrics), gradient, nll, grouped = jax.device_get(run(params))
    assert np.isfinite(value)
    np.testing.assert_allclose(value, metrics["loss"].mean(), rtol=1e-6)
    # a single input, 0 for frames without notes, may meet no weight; all else has a slope
    assert all(np.any(leaf != 0) and np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient["model"]))
    np.testing.assert_allclose(grouped, nll, rtol=1e-5)


def test_likelihoods_of_all_sentences_are_integrals_over_z(assert_mean, random_like):
    model, x = small(shape=(2,), levels=3, latent=1), all_sentences(2, 3)
    params = random_like(model.init, jax.random.key(0))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = np.broadcast_to(nodes[:, None, None], (60, len(x), 1)).astype(np.float32)
    log_prob = np.asarray(jax.jit(lambda z: model.decode(params, z).log_prob(x))(z), np.float64)
    evidence = (weights / weights.sum()) @ np.exp(log_prob)
    np.testing.assert_allclose(evidence.sum(), 1, rtol=1e-6)
    keys = jax.random.split(jax.random.key(1), 200)
    estimates = jax.jit(jax.vmap(lambda key: importance_nll(model, params, key, x, 20)))(keys)
    assert_mean(np.exp(-np.asarray(estimates)), evidence)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", pytest.param("music", marks=pytest.mark.slow)])
def test_a_language_model_does_not_see_z(kind, random_like):
    model, x = small(kind, use_latent=False), batch(kind)
    params = random_like(model.init, jax.random.key(0))
    params["encoder"] = jax.tree.map(np.zeros_like, params["encoder"])  # q(z|x) is p(z)
    objective = objectives.elbo(model, ONE, 3)

    @jax.jit
    def run(z):
        def log_prob(z):
            return model.decode(params, z).log_prob(x)

        out = objective.loss({"model": params}, {}, {"x": x}, jax.random.key(1), JUDGING)
        slope = jax.grad(lambda z: jnp.sum(log_prob(z)))(z)
        return log_prob(z), slope, out.metrics, importance_nll(model, params, jax.random.key(2), x, 7)

    (log_prob, slope, metrics, nll), others = map(run, np.random.default_rng(0).normal(size=(2, 4, 2)))
    np.testing.assert_array_equal(log_prob, others[0])
    assert not np.any(slope)
    np.testing.assert_allclose(metrics["kl"], 0, atol=1e-6)
    np.testing.assert_allclose(metrics["elbo"], log_prob, rtol=1e-5)
    np.testing.assert_allclose(nll, -log_prob, rtol=1e-5)
