"""Objectives that match q(z) to the prior by samples."""

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest
from distance_tools import slow_mmd

from jaxvae import likelihoods, posteriors
from jaxvae.common.errors import UserError
from jaxvae.objectives import KL_WEIGHTS

MODELS = {
    "delta": lambda: tools.small(likelihoods.squared_error, posteriors.delta),
    "diagonal_gaussian": tools.small,
    "gumbel_softmax": lambda: tools.gumbel_model(straight_through=True),
}
OPTIONS = {"wae_mmd": {"weight": 7.0}, "swae": {"weight": 7.0}, "info_vae": {"alpha": 0.5, "lambda_": 4.0}}
METRIC = {"wae_mmd": "mmd", "swae": "sliced_wasserstein", "info_vae": "mmd"}


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in OPTIONS for k in MODELS if (n, k) != ("info_vae", "delta")])
def test_the_loss_is_reconstruction_and_the_weighted_distance(name, kind, random_like):
    model = MODELS[kind]()
    params = {"model": random_like(model.init, jax.random.key(0))}
    objective = tools.make(name, model, KL_WEIGHTS["constant"](3.0), **OPTIONS[name])
    metrics = tools.evaluate(objective, params).metrics
    assert metrics[METRIC[name]].shape == ()
    kl = 0.5 * 3 * metrics["kl"] if name == "info_vae" else 0
    factor = 4 + 0.5 - 1 if name == "info_vae" else 7
    expected = metrics["reconstruction"] + kl + factor * metrics[METRIC[name]]
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
    assert objective.whole_batch


@pytest.mark.slow
def test_the_distance_is_of_the_latents_and_the_priors_samples(random_like):
    model = tools.gumbel_model(straight_through=True)  # latents of shape [2, 3]
    params = {"model": random_like(model.init, jax.random.key(0))}
    metrics = tools.evaluate(tools.make("wae_mmd", model, kernel="rbf", variance=0.5), params).metrics
    terms_key = jax.random.split(jax.random.key(1))[0]
    pass_key, prior_key, _ = jax.random.split(terms_key, 3)
    out = model.forward(params["model"], pass_key, {"x": tools.X})
    z, prior_z = out.z[0].reshape(5, 6), out.prior.sample(prior_key, (5,)).reshape(5, 6)
    np.testing.assert_allclose(metrics["mmd"], slow_mmd(z, prior_z, "rbf", 0.5), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["wae_mmd", "swae"])
def test_the_distance_moves_the_encoder(name, random_like):
    model = MODELS["delta"]()
    params = {"model": random_like(model.init, jax.random.key(0))}
    objective = tools.make(name, model)

    def distance(params):
        loss = objective.loss(params, {}, {"x": tools.X}, jax.random.key(1), tools.CTX)
        return loss.metrics[METRIC[name]]

    gradient = jax.jit(jax.grad(distance))(params)["model"]
    assert np.abs(gradient["encoder"]["Dense_0"]["kernel"]).max() > 1e-4
    assert all(not leaf.any() for leaf in jax.tree.leaves(gradient["decoder"]))


def test_a_learned_prior_follows_the_kl_alone(random_like):
    model = tools.mixture_model()
    params = {"model": random_like(model.init, jax.random.key(0))}
    loss = tools.make("info_vae", model, kl_estimate="monte_carlo").loss

    def metric(name, params):
        return jnp.mean(loss(params, {}, {"x": tools.X}, jax.random.key(1), tools.CTX).metrics[name])

    for name, moves in (("mmd", False), ("kl", True)):
        gradient = jax.jit(jax.grad(lambda p, name=name: metric(name, p)))(params)["model"]["prior"]
        assert np.any(np.asarray(gradient["mean"])) == moves


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("info_vae", {"alpha": 1.1}, "alpha=1.1"), ("info_vae", {"alpha": -1.0, "lambda_": 1.0}, "lambda_=1.0"),
     ("info_vae", {"lambda_": float("nan")}, "lambda_=nan"), ("info_vae", {"kernel": "rfb"}, "Did you mean 'rbf'"),
     ("wae_mmd", {"kernel": "linear"}, "Unknown kernel"), ("wae_mmd", {"variance": 0.0}, "variance=0.0"),
     ("wae_mmd", {"weight": -1.0}, "weight is -1"), ("swae", {"weight": -1.0}, "weight is -1"),
     ("swae", {"num_projections": 0}, "num_projections is 0"), ("info_vae", {"kl_estimate": "mc"}, "kl_estimate 'mc'")],
)  # fmt: skip
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        tools.make(name, tools.small(), **options)


@pytest.mark.parametrize(
    ("name", "model", "options", "message"),
    [("wae_mmd", tools.mixture_model, {}, "'wae_mmd' uses only samples of the prior"),
     ("swae", tools.mixture_model, {}, "'swae' uses only samples of the prior"),
     ("info_vae", tools.mixture_model, {"alpha": 1.0}, "'info_vae' uses only samples of the prior"),
     ("info_vae", tools.mixture_model, {}, "kl_estimate=monte_carlo"),
     ("info_vae", MODELS["delta"], {}, "infinite"), ("info_vae", tools.gumbel_model, {}, "straight_through=True"),
     ("wae_mmd", tools.gumbel_model, {}, "straight_through=True"),
     ("swae", tools.gumbel_model, {}, "straight_through=True")],
)  # fmt: skip
def test_models_that_the_mathematics_forbids_are_refused(name, model, options, message):
    with pytest.raises(UserError, match=message):
        tools.trace(tools.make(name, model(), **options))


@pytest.mark.parametrize("name", ["wae_mmd", "info_vae"])
def test_a_batch_of_one_has_no_unbiased_mmd(name):
    objective = tools.make(name, tools.small())
    params, extra = objective.init(jax.random.key(0))
    with pytest.raises(UserError, match="take a larger batch"):
        objective.loss(params, extra, {"x": tools.X[:1]}, jax.random.key(1), tools.CTX)
