"""Latent constraints: the actor, its losses and the critic's by hand, their gradients, and a class that is drawn."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import optax
import pytest

from jaxvae import likelihoods, networks, objectives, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models import make_actor, make_model
from jaxvae.models.facts import SPREAD
from jaxvae.models.two_stage import spread, two_stage
from jaxvae.objectives import StepContext

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(6, 3)).astype(np.float32)
Y = np.eye(2, dtype=np.float32)[[0, 1, 0, 0, 1, 1]]
BATCH: dict[str, Any] = {"x": Z, "context": Y, SPREAD: RNG.uniform(0.1, 1.0, (6, 3)).astype(np.float32)}
TRAINING = StepContext(0, 100, is_training=True)


def actor(dim=3, hidden=(8,), **options):
    how = {"data_shape": (dim,), "context_dim": 2, **options}
    parts = priors.standard_normal(dim), likelihoods.squared_error(), networks.mlp(hidden, "tanh")
    return make_actor(options.pop("posterior", posteriors.delta(dim)), *parts, **how)


ACTOR = actor()
MADE = objectives.latent_constraints(ACTOR, tools.JUDGE, distance=0.3)


@functools.cache
def params():
    """Parameters as after some training, so that the actor moves codes and the critic tells them apart."""
    made = jax.tree.map(lambda leaf: 3 * leaf, MADE.init(jax.random.key(0))[0])
    noise = jax.random.normal(jax.random.key(1), (2,))
    made["model"]["decoder"]["Dense_1"]["bias"] += noise[0]
    made["discriminator"]["Dense_2"]["bias"] += noise[1]
    return made


def moved(params, z, y):
    layers = [params["model"]["decoder"][f"Dense_{i}"] for i in range(2)]
    hidden = np.tanh(np.concatenate([z, y], axis=1, dtype=np.float64) @ layers[0]["kernel"] + layers[0]["bias"])
    gates, values = np.split(hidden @ layers[1]["kernel"] + layers[1]["bias"], 2, axis=1)
    gates = 1 / (1 + np.exp(2 - gates))
    return (1 - gates) * z + gates * values


def scores(params, z, y):
    x = np.concatenate([z, y], axis=1, dtype=np.float64)
    for i in range(2):
        layer = params["discriminator"][f"Dense_{i}"]
        x = np.tanh(x @ layer["kernel"] + layer["bias"])
    return (x @ params["discriminator"]["Dense_2"]["kernel"] + params["discriminator"]["Dense_2"]["bias"])[:, 0]


def test_an_actor_moves_codes_by_gates():
    own = params()["model"]
    assert own.keys() == {"decoder"}
    np.testing.assert_allclose(ACTOR.decode(own, Z, Y).mean, moved(params(), Z, Y), rtol=1e-5)
    np.testing.assert_array_equal(ACTOR.encode(own, Z, Y).mean, Z)
    new = ACTOR.decode(ACTOR.init(jax.random.key(3)), Z, Y).mean
    assert np.abs(new - Z).mean() < 0.2 * np.abs(Z).mean()  # a new one leaves them nearly where they are


def test_the_losses_are_those_by_hand():
    out = jax.jit(functools.partial(MADE.loss, ctx=TRAINING))(params(), {}, BATCH, jax.random.key(5))
    _, prior_key, order_key, *_ = jax.random.split(jax.random.split(jax.random.key(5))[0], 5)
    drawn = np.asarray(ACTOR.prior(params()["model"]).sample(prior_key, (6,)))
    asked = np.asarray(jax.random.permutation(order_key, Y))
    is_own = (asked == Y).all(axis=1)
    assert 0 < is_own.sum() < 6
    made = [moved(params(), z, asked) for z in (Z, drawn)]
    score = functools.partial(scores, params())
    fool = [np.log1p(np.exp(-score(each, asked))) for each in made]
    np.testing.assert_allclose(out.metrics["generator_loss"], np.mean(fool, axis=0), rtol=1e-5)
    scale = np.square(BATCH[SPREAD]).mean(axis=0)
    away = [(np.log1p(np.square(each - z)) / scale).sum(axis=1) for each, z in zip(made, (Z, drawn), strict=True)]
    np.testing.assert_allclose(out.metrics["distance"], np.mean(away, axis=0), rtol=1e-5)
    np.testing.assert_allclose(out.losses["model"], np.mean(fool, axis=0) + 0.3 * np.mean(away, axis=0), rtol=1e-5)
    false = np.where(is_own[:, None], drawn, Z)  # a code with its own attributes is not false
    fakes = [np.log1p(np.exp(score(each, asked))) for each in (*made, drawn, false)]
    critic = np.log1p(np.exp(-score(Z, Y))) + np.mean(fakes, axis=0)
    np.testing.assert_allclose(out.losses["discriminator"], critic, rtol=1e-5)
    stays = 0.5 * np.square(moved(params(), Z, Y) - Z).sum(axis=1)
    np.testing.assert_allclose(out.metrics["reconstruction"], stays, rtol=1e-5)


def test_each_group_follows_its_own_loss():
    def gradients(group):
        def of(params):
            out = MADE.loss(params, {}, BATCH, jax.random.key(5), TRAINING)
            return jnp.mean(out.losses[group])

        found = jax.jit(jax.grad(of))(params())
        return {name: max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(found[name])) for name in found}

    for group, other in (("model", "discriminator"), ("discriminator", "model")):
        found = gradients(group)
        assert found[group] > 1e-3
        assert found[other] == 0


def test_without_a_known_deviation_distances_are_plain():
    plain = {name: array for name, array in BATCH.items() if name != SPREAD}
    one, other = (MADE.loss(params(), {}, batch, jax.random.key(5), TRAINING).metrics["distance"]
                  for batch in (plain, {**BATCH, SPREAD: np.ones_like(Z)}))  # fmt: skip
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_the_deviations_are_those_of_the_first_stage():
    first = tools.small()
    weights = first.init(jax.random.key(0))
    found = spread(first.encode(weights, tools.X))[SPREAD]
    np.testing.assert_allclose(found, first.encode(weights, tools.X).base_dist.scale, rtol=1e-6)
    point = tools.small(posterior=posteriors.delta)
    assert spread(point.encode(point.init(jax.random.key(0)), tools.X)) == {}


def test_draws_go_where_the_codes_of_their_class_are():
    model = actor(2, (32,))
    made = objectives.latent_constraints(model, functools.partial(tools.JUDGE.func, networks.mlp_discriminator((32,))))
    rng, side = np.random.default_rng(1), np.arange(4000) % 2
    codes = (np.where(side[:, None], 1.0, -1.0) + 0.3 * rng.normal(size=(4000, 2))).astype(np.float32)
    rows = rng.integers(0, 4000, (600, 128))
    batches = {"x": codes[rows], "context": np.eye(2, dtype=np.float32)[side[rows]]}
    optimizer, (weights, _) = optax.adam(3e-3), made.init(jax.random.key(0))

    def step(carry, batch):
        weights, state, i = carry

        def total(weights):
            out = made.loss(weights, {}, batch, jax.random.fold_in(jax.random.key(2), i), TRAINING)
            return sum(jnp.mean(loss) for loss in out.losses.values())  # each reaches its own group alone

        updates, state = optimizer.update(jax.grad(total)(weights), state)
        return (optax.apply_updates(weights, updates), state, i + 1), None

    (weights, *_), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, batches))((weights, optimizer.init(weights), 0))
    z = jax.random.normal(jax.random.key(9), (1000, 2))
    for c, sign in ((0, -1), (1, 1)):
        drawn = model.decode(weights["model"], z, jnp.tile(jnp.eye(2)[c], (1000, 1))).mean
        assert float(jnp.mean(jnp.all(drawn * sign > 0, axis=1))) > 0.95  # a quarter of the prior's draws are there


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"posterior": posteriors.delta(2)}, r"moves codes of the first stage, which are \[3\]: .*latent_dim=3"),
        ({"posterior": posteriors.diagonal_gaussian(3)}, "take model.posterior=delta"),
        ({"data_shape": (3, 1, 1)}, r"shape \[3, 1, 1\] are none: set stage_of"),
        ({"context_dim": 0}, "there are none: set data.context"),
        ({"context_to": ("encoder",)}, "leave context.decoder at True"),
    ],
)
def test_what_no_actor_can_be_made_of(change, words):
    how = {"posterior": posteriors.delta(3), "data_shape": (3,), "context_dim": 2, **change}
    with pytest.raises(UserError, match=words):
        make_actor(
            how.pop("posterior"), priors.standard_normal(3), likelihoods.squared_error(), networks.mlp((4,)), **how
        )


def test_another_model_is_refused():
    with pytest.raises(UserError, match="set model"):
        objectives.latent_constraints(tools.small(), tools.JUDGE)
    parts = posteriors.delta(3), priors.standard_normal(3), likelihoods.squared_error(), networks.mlp((4,))
    with pytest.raises(UserError, match="set model"):  # its z has the shape of an actor's, and is none of a first stage
        objectives.latent_constraints(make_model(*parts, data_shape=(3,), context_dim=2), tools.JUDGE)
    with pytest.raises(UserError, match="distance"):
        objectives.latent_constraints(ACTOR, tools.JUDGE, distance=-1.0)
    learned = likelihoods.squared_error()._replace(output_size=6)
    with pytest.raises(UserError, match="take 'squared_error'"):
        make_actor(posteriors.delta(3), priors.standard_normal(3), learned, networks.mlp((4,)), data_shape=(3,),
                   context_dim=2)  # fmt: skip


def wider(dim):
    prior = priors.standard_normal(dim)
    return prior._replace(build=lambda params, encode: dist.Normal(jnp.zeros(dim), 2.0).to_event(1))


@pytest.mark.parametrize("prior", [wider, lambda dim: priors.mixture_of_gaussians(dim, 3)], ids=["another", "learned"])
def test_an_actor_needs_the_prior_of_the_first_stage(prior):
    assert two_stage(tools.small(), actor(2)).latent.is_moved
    with pytest.raises(UserError, match="draws from the prior of the first stage"):
        two_stage(tools.small(prior=prior), actor(2))
