"""FactorVAE and AVB: log-ratios of densities by a discriminator, against closed forms; losses of each group by hand."""

import adversary_tools as adversaries
import gradient_tools as gt
import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import optax
import pytest
from gradient_tools import X
from slow_cases import fast

from jaxvae import likelihoods, losses, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.distributions.kl import analytic_kl
from jaxvae.models.base import draw, reparameterize
from jaxvae.models.discriminator import make_discriminator
from jaxvae.objectives.adversaries import Game

GAMMA = 0.7
IMPLICIT = lambda: gt.small(posterior=lambda dim: posteriors.implicit(dim, 3, 4, (5,)))  # noqa: E731


def scores(params, *inputs):
    x = jnp.concatenate(inputs, axis=-1)
    for i in range(3):
        x = x @ params[f"Dense_{i}"]["kernel"] + params[f"Dense_{i}"]["bias"]
        x = jnp.tanh(x) if i < 2 else x
    return x[:, 0]


def cross_entropy(real, fake):
    return jnp.mean(jax.nn.softplus(-real) + jax.nn.softplus(fake))


def keys(num):
    """The keys of a step, as the objective splits them; made anew for each use."""
    return jax.random.split(gt.terms_key(), num)


def test_each_group_of_factor_vae_follows_its_own_loss():
    with jax.enable_x64(True):
        model = gt.small()
        objective = tools.make("factor_vae", model, gamma=GAMMA)
        at = gt.point(objective)
        gradient = adversaries.found(objective, at)
        judge = at.params["discriminator"]

        def of_model(params):
            q = model.encode(params, X)
            z = draw(keys(4)[0], q, 1)[0][0]
            bound = model.decode(params, z).log_prob(X) - analytic_kl(q, model.prior(params))
            return jnp.mean(GAMMA * scores(judge, z) - bound)

        def of_discriminator(params):
            q = model.encode(at.params["model"], X)
            permuted = losses.permuted_dimensions(keys(4)[2], reparameterize(keys(4)[1], q))
            return cross_entropy(scores(params, draw(keys(4)[0], q, 1)[0][0]), scores(params, permuted))

        adversaries.assert_follows(gradient["model"], at.params["model"], of_model)
        adversaries.assert_follows(gradient["discriminator"], judge, of_discriminator)
        adversaries.assert_no_leak(objective, at)


@pytest.mark.parametrize("adaptive", [True, False])
def test_each_group_of_avb_follows_its_own_loss(adaptive):
    with jax.enable_x64(True):
        model = IMPLICIT()
        objective = tools.make("avb", model, adaptive_contrast=adaptive, contrast_samples=3)
        at = gt.point(objective)
        gradient = adversaries.found(objective, at)
        judge, fixed = at.params["discriminator"], at.params["model"]
        draws = reparameterize(keys(3)[2], model.encode(fixed, X), 3)
        mean, sd = (np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1) + 1e-6) if adaptive else (0.0, 1.0)

        def of_model(params):
            z = reparameterize(keys(3)[0], model.encode(params, X), 1)[0]
            log_ratio = jnp.sum(z**2 / 2 - ((z - mean) / sd) ** 2 / 2 - jnp.log(sd), axis=-1) if adaptive else 0
            kl = scores(judge, X, (z - mean) / sd) + log_ratio
            return jnp.mean(kl - model.decode(params, z).log_prob(X))

        def of_discriminator(params):
            z = (reparameterize(keys(3)[0], model.encode(fixed, X), 1)[0] - mean) / sd
            other = jax.random.normal(keys(3)[1], z.shape)
            return cross_entropy(scores(params, X, z), scores(params, X, other))

        adversaries.assert_follows(gradient["model"], fixed, of_model)
        adversaries.assert_follows(gradient["discriminator"], judge, of_discriminator)
        adversaries.assert_no_leak(objective, at)


def trained(loss, params, steps, rate=5e-3):
    """Minimise `loss(params, key)` by Adam, whose rate falls to 0."""
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))

    @jax.jit
    def run(params):
        def step(carry, key):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params, key), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(jax.random.key(2), steps))[0][0]

    return run(params)


@pytest.mark.optimised
@pytest.mark.parametrize("correlation", fast([0.0, 0.6, 0.9], 0.6))
def test_the_total_correlation_of_gaussians(correlation):
    """KL(q(z) || prod_d q(z_d)) = -log det(C) / 2, with C the correlations of three dimensions in a row."""
    distance = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    matrix = correlation**distance
    factor = np.linalg.cholesky(matrix).astype(np.float32)
    game = Game(make_discriminator(networks.mlp_discriminator((32, 32), "softplus"), (3,)))

    def z(key, num=256):
        return jax.random.normal(key, (num, 3)) @ factor.T

    def loss(params, key):
        one, two, three, four = jax.random.split(key, 4)
        permuted = losses.permuted_dimensions(three, z(two))
        return jnp.mean(game.judge(params, z(one), [permuted], four)["discriminator_loss"])

    params = trained(loss, game.discriminator.init(jax.random.key(0)), 400)
    found = np.mean(game.discriminator.scores(params, z(jax.random.key(3), 20000)))
    wanted = -np.linalg.slogdet(matrix)[1] / 2
    np.testing.assert_allclose(found, wanted, atol=0.02 + 0.05 * wanted)


@pytest.mark.optimised
@pytest.mark.slow
@pytest.mark.parametrize("adaptive", [True, False])
def test_the_kl_of_a_known_posterior(adaptive):
    """A trained discriminator estimates it, for a posterior whose KL has a closed form."""
    model = tools.small()
    judge = lambda *shapes: make_discriminator(networks.mlp_discriminator((32, 32), "softplus"), *shapes)  # noqa: E731
    objective = tools.make("avb", model, discriminator=judge, adaptive_contrast=adaptive, contrast_samples=100)
    params, extra = objective.init(jax.random.key(0))
    kernel = params["model"]["encoder"]["Dense_1"]["kernel"]
    params["model"]["encoder"]["Dense_1"]["kernel"] = 2 * kernel  # a KL of some size
    params["model"]["encoder"]["Dense_1"]["bias"] = jnp.float32([0.7, -0.7, -1.0, -2.0])
    x = jnp.tile(tools.X, (20, 1))

    def out(judge, key):
        return objective.loss({**params, "discriminator": judge}, extra, {"x": x}, key, tools.CTX)

    def loss(judge, key):
        return jnp.mean(out(judge, key).losses["discriminator"])

    found = trained(loss, params["discriminator"], 400 if adaptive else 1500)
    estimates = jax.jit(jax.vmap(lambda key: out(found, key).metrics["kl"]))(jax.random.split(jax.random.key(5), 40))
    wanted = analytic_kl(model.encode(params["model"], tools.X), model.prior(params["model"]))
    np.testing.assert_allclose(np.mean(estimates), np.mean(wanted), rtol=0.05)


def test_each_dimension_is_permuted_by_itself():
    z = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    z[:, 1] = z[:, 0]
    found = np.asarray(losses.permuted_dimensions(jax.random.key(0), z))
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(z, axis=0))
    assert abs(np.corrcoef(found.T)[0, 1]) < 4 / np.sqrt(500)
    assert np.mean(found == z) < 0.02
    with pytest.raises(AssertionError):
        losses.permuted_dimensions(jax.random.key(0), z[0])


@pytest.mark.parametrize(
    ("name", "model", "options", "said"),
    [
        ("factor_vae", lambda: tools.small(posterior=posteriors.delta), {}, "is a point"),
        ("factor_vae", tools.gumbel_model, {}, "straight_through=True"),
        ("factor_vae", lambda: gt.small(dim=1), {}, "there is only one"),
        ("factor_vae", tools.small, {"gamma": -1.0}, "gamma is -1.0"),
        ("factor_vae", IMPLICIT, {}, "take the objective 'avb'"),
        ("avb", lambda: tools.small(posterior=posteriors.delta), {}, "is a point"),
        ("avb", tools.gumbel_model, {}, "straight_through=True"),
        ("avb", lambda: tools.gumbel_model(straight_through=True), {}, "compares z in R"),
        ("avb", tools.small, {"contrast_samples": 1}, "need 2 or more"),
        ("avb", tools.mixture_model, {"adaptive_contrast": False}, "without adaptive contrast uses only samples"),
        ("elbo", IMPLICIT, {}, "that of an implicit posterior is not known"),
        ("rae", IMPLICIT, {}, "Take the posterior 'delta'"),
    ],
)
def test_what_does_not_fit_is_refused(name, model, options, said):
    with pytest.raises(UserError, match=said):
        tools.make(name, model(), **options)


def test_a_learned_prior_follows_the_estimated_kl():
    model = tools.small(likelihoods.bernoulli, prior=lambda dim: priors.mixture_of_gaussians(dim, 3))
    objective = tools.make("avb", model)
    params, extra = jax.jit(objective.init)(jax.random.key(0))

    def loss(params):
        return jnp.mean(objective.loss(params, extra, {"x": tools.X}, jax.random.key(1), tools.CTX).losses["model"])

    slopes = jax.jit(jax.grad(loss))(params)["model"]
    assert np.all(np.abs(slopes["prior"]["mean"]) > 1e-6)


def test_an_implicit_posterior_is_its_draws():
    model = IMPLICIT()
    params = model.init(jax.random.key(0))
    q = jax.jit(model.encode)(params, X)
    z = q.sample(jax.random.key(1), (3,))
    assert z.shape == (3, 5, 2)
    np.testing.assert_array_equal(z, q.rsample(jax.random.key(1), (3,)))
    assert np.all(np.std(z, axis=0) > 0)
    assert np.all(np.isnan(q.sample_and_log_prob(jax.random.key(1))[1]))
    with pytest.raises(UserError, match="no known density"):
        q.log_prob(z)
    wanted = q.transform(q.params, q.outputs, jnp.zeros((5, 3)))
    np.testing.assert_array_equal(q.centre, wanted)
    assert not model.has_likelihood
    assert model.latent.is_implicit
    for options in ({"noise_dim": 0}, {"num_features": 0}, {"hidden": (0,)}):
        with pytest.raises(UserError):
            posteriors.implicit(2, **options)
