"""A model of the codes of a fixed one: what is composed, and that no gradient reaches the first stage."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest

from jaxvae import likelihoods, networks, objectives, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models import make_model
from jaxvae.models.base import centre
from jaxvae.models.two_stage import two_stage
from jaxvae.objectives import StepContext

FIRST = tools.small()
SECOND = make_model(
    posteriors.diagonal_gaussian(1), priors.standard_normal(1), likelihoods.gaussian(variance=0.5),
    networks.mlp((4,), "tanh"), data_shape=(2,),
)  # fmt: skip
MODEL = two_stage(FIRST, SECOND)
MADE = objectives.of_codes(objectives.elbo(SECOND), FIRST)
PARAMS, EXTRA = jax.tree.map(lambda leaf: 3 * leaf, MADE.init(jax.random.key(0)))
TRAINING = StepContext(0, 100, is_training=True)


def loss(params, extra, ctx, x=tools.X):
    return jax.jit(functools.partial(MADE.loss, ctx=ctx))(params, extra, {"x": x}, jax.random.key(1))


def test_the_loss_is_that_of_the_second_on_codes_of_the_first():
    q = FIRST.encode(EXTRA["first"], tools.X)
    own = objectives.elbo(SECOND)
    wanted = own.loss(PARAMS, {}, {"x": centre(q)}, jax.random.key(1), tools.CTX)
    out = loss(PARAMS, EXTRA, tools.CTX)
    np.testing.assert_allclose(out.losses["model"], wanted.losses["model"], rtol=1e-5)
    np.testing.assert_allclose(out.metrics["elbo"], wanted.metrics["elbo"], rtol=1e-5)


def test_training_draws_codes_from_the_posterior_of_the_first():
    drawn, fixed = loss(PARAMS, EXTRA, TRAINING), loss(PARAMS, EXTRA, tools.CTX)
    assert np.all(np.asarray(drawn.metrics["reconstruction"]) != np.asarray(fixed.metrics["reconstruction"]))
    narrow = jax.tree.map(lambda leaf: leaf, EXTRA)  # a first stage without noise has its centres alone
    kernel, bias = (narrow["first"]["encoder"]["Dense_1"][name] for name in ("kernel", "bias"))
    narrow["first"]["encoder"]["Dense_1"] = {"kernel": kernel.at[:, 2:].set(0), "bias": bias.at[2:].set(-60)}
    drawn, fixed = loss(PARAMS, narrow, TRAINING), loss(PARAMS, narrow, tools.CTX)
    np.testing.assert_allclose(drawn.metrics["reconstruction"], fixed.metrics["reconstruction"], rtol=1e-4)


def test_the_first_stage_stays_as_it_is():
    out = loss(PARAMS, EXTRA, TRAINING)
    for mine, before in zip(jax.tree.leaves(out.extra["first"]), jax.tree.leaves(EXTRA["first"]), strict=True):
        np.testing.assert_array_equal(mine, before)
    assert PARAMS.keys() == {"model"}
    gradient = jax.grad(lambda extra: jnp.mean(MADE.loss(PARAMS, extra, {"x": tools.X}, jax.random.key(1), TRAINING)
                                               .losses["model"]))(EXTRA)  # fmt: skip
    assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(gradient))


def test_the_composed_model_goes_through_both():
    params = MADE.model_params(PARAMS, EXTRA)
    first, second = params["first"], {name: tree for name, tree in params.items() if name != "first"}
    z1 = centre(FIRST.encode(first, tools.X))
    q = MODEL.encode(params, tools.X)
    np.testing.assert_allclose(q.mean, SECOND.encode(second, z1).mean, rtol=1e-6)
    wanted = FIRST.decode(first, SECOND.decode(second, q.mean).mean).mean
    np.testing.assert_allclose(MODEL.decode(params, q.mean).mean, wanted, rtol=1e-6)
    assert (MODEL.data_shape, MODEL.latent_shape, MODEL.has_likelihood) == ((6,), (1,), False)
    assert jax.tree.structure(params) == jax.tree.structure(MODEL.init(jax.random.key(0)))
    assert MODEL.forward(params, jax.random.key(0), {"x": tools.X}).log_likelihood.shape == (1, 5)


def test_what_is_no_pair_of_stages_is_refused():
    with pytest.raises(UserError, match=r"of data \(6,\), the codes are \(2,\)"):
        two_stage(FIRST, tools.small())
    codes = tools.small(posterior=lambda d: posteriors.finite_scalar(d, (3,)),
                        prior=lambda d: priors.uniform_categorical(d, 3))  # fmt: skip
    with pytest.raises(UserError, match="not in R"):
        two_stage(codes, SECOND)
    with pytest.raises(UserError, match="conditional on a context"):
        two_stage(FIRST._replace(context_dim=2), SECOND)
