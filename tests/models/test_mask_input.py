"""The encoder's mask: beside x on the last axis; nothing missing, all missing, and what stands in a missing entry."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest

from jaxvae import likelihoods, networks, objectives, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.metrics.likelihood import importance_nll
from jaxvae.models import make_model, reconstruct

RNG = np.random.default_rng(0)
MASK = RNG.uniform(size=tools.X.shape) < 0.6
IMAGES, SEEN = RNG.uniform(size=(4, 8, 6, 2)).astype(np.float32), RNG.uniform(size=(4, 8, 6, 2)) < 0.5


def model_of(network, shape, likelihood=likelihoods.bernoulli, prior=priors.standard_normal, mask_input=True):
    parts = posteriors.diagonal_gaussian(2), prior(2), likelihood(), network
    return make_model(*parts, data_shape=shape, mask_input=mask_input)


SMALL = model_of(networks.mlp((8,), "tanh"), (6,))


def test_the_encoder_gets_zeros_and_the_mask():
    params = jax.jit(SMALL.init)(jax.random.key(0))
    assert params["encoder"]["Dense_0"]["kernel"].shape == (12, 8)
    q = SMALL.encode(params, np.where(MASK, tools.X, np.nan), mask=MASK).base_dist
    outputs = tools.encoded(params, np.concatenate([np.where(MASK, tools.X, 0.0), MASK], axis=1))
    np.testing.assert_allclose(q.loc, outputs[:, :2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "network", [networks.conv((4,), kernel=3), networks.conv_pool((4, 4)), networks.resnet((4, 4), groups=2)]
)
def test_images_have_a_mask_for_each_channel(network, random_like):
    model = model_of(network, (8, 6, 2))
    params = random_like(model.init, jax.random.key(0))
    encode = jax.jit(lambda x, mask: model.encode(params, x, mask=mask).mean)
    given = encode(np.where(SEEN, IMAGES, np.nan), SEEN)
    assert np.all(np.isfinite(given))
    others = [encode(np.where(SEEN, IMAGES, 0.0), mask) for mask in (np.ones_like(SEEN), ~SEEN)]
    assert all(np.any(np.abs(given - other) > 1e-5) for other in others)
    plain = jax.eval_shape(model_of(network, (8, 6, 4), mask_input=False).init, jax.random.key(0))["encoder"]
    assert jax.tree.map(jnp.shape, params["encoder"]) == jax.tree.map(lambda leaf: leaf.shape, plain)


@pytest.mark.parametrize("mask_input", [True, False])
def test_a_mask_of_ones_gives_the_numbers_of_none(mask_input):
    """The loss has the same bits, the gradients of two compiled programs differ by rounding. In a data set such a mask
    is left out, so that training has the same bits."""
    model = model_of(networks.mlp((8,), "tanh"), (6,), mask_input=mask_input)
    objective = objectives.elbo(model)
    params, extra = jax.jit(objective.init)(jax.random.key(0))

    @jax.jit
    def run(batch):
        def loss(params):
            return jnp.mean(objective.loss(params, extra, batch, jax.random.key(1), tools.CTX).losses["model"])

        return jax.value_and_grad(loss)(params)

    found = run({"x": tools.X}), run({"x": tools.X, "mask": np.ones_like(MASK)})
    np.testing.assert_array_equal(found[0][0], found[1][0])
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), *found)


def test_a_mask_of_nothing_leaves_the_kl(random_like):
    objective = objectives.elbo(SMALL)
    params, extra = {"model": random_like(SMALL.init, jax.random.key(0))}, {}
    batch = {"x": np.full_like(tools.X, np.nan), "mask": np.zeros_like(MASK)}
    metrics = jax.jit(lambda: objective.loss(params, extra, batch, jax.random.key(1), tools.CTX).metrics)()
    np.testing.assert_array_equal(metrics["reconstruction"], 0.0)
    np.testing.assert_array_equal(metrics["loss"], metrics["kl"])
    assert np.all(metrics["kl"] > 0)
    params = params["model"]
    nll = jax.jit(lambda: importance_nll(SMALL, params, jax.random.key(2), **batch, num_samples=20_000))()
    np.testing.assert_allclose(nll, 0.0, atol=0.05)  # the probability of no observation is 1


@pytest.mark.parametrize("name", ["elbo", "iwae"])
def test_a_missing_value_has_no_gradient(name):
    objective = tools.make(name, SMALL)
    params, extra = jax.jit(objective.init)(jax.random.key(0))

    @jax.jit
    def slopes(x):
        def loss(x):
            out = objective.loss(params, extra, {"x": x, "mask": MASK}, jax.random.key(1), tools.CTX)
            return jnp.mean(out.losses["model"])

        return jax.grad(loss)(x)

    for other in (0.0, np.nan):
        found = np.asarray(slopes(np.where(MASK, tools.X, other).astype(np.float32)))
        np.testing.assert_array_equal(found[~MASK], 0.0)
        assert np.all(np.isfinite(found))
        assert np.all(found[MASK] != 0)


def test_a_vamp_prior_has_complete_pseudo_inputs():
    model = model_of(networks.mlp((8,), "tanh"), (6,), prior=lambda dim: priors.vamp((6,), (0.0, 1.0), 3))
    params = jax.jit(model.init)(jax.random.key(0))
    assert np.all(np.isfinite(model.prior(params).log_prob(jnp.zeros((4, 2)))))
    assert reconstruct(model, params, tools.X, mask=MASK).shape == tools.X.shape


def test_sequences_are_refused():
    with pytest.raises(UserError, match="Values of sequences cannot be missing"):
        model_of(networks.lstm((5, 3), 2), (5, 3))
