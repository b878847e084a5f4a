"""What all adversarial objectives share: penalties that reach the discriminator, evaluation mode, missing values."""

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest
from scipy.integrate import quad
from test_latent_constraints import actor

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.losses.adversarial import PAIRS
from jaxvae.models import make_model
from jaxvae.models.base import Training
from jaxvae.models.discriminator import Discriminator
from jaxvae.objectives import OBJECTIVES, StepContext
from jaxvae.objectives.adversaries import make_game

TRAINING = StepContext(jnp.asarray(0), 100, is_training=True)
PENALISED = sorted(tools.ADVERSARIAL - {"factor_vae", "avb"})  # whose scores are not to be log-ratios of densities
ACTOR_BATCH = {"x": tools.X[:, :3], "context": np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 1]]}


def case(name):
    """A model that fits the objective, and a batch."""
    return (actor(), ACTOR_BATCH) if name in tools.OF_CODES else (tools.small(), {"x": tools.X})


def make(name, model, **options):
    given = {} if name in tools.WITHOUT_KL else {"kl": tools.ONE}
    return OBJECTIVES[name](model, discriminator=tools.JUDGE, **given, **options)


def run(objective, batch, ctx=TRAINING, scale=3.0):
    params, extra = objective.init(jax.random.key(0))
    params = jax.tree.map(lambda leaf: scale * leaf, params)
    return objective.loss(params, extra, batch, jax.random.key(1), ctx)


@pytest.mark.parametrize("name", PENALISED)
@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty"])
def test_a_penalty_moves_the_discriminator_alone_by_its_weight(name, penalty):
    model, batch = case(name)
    none, one, two = (run(make(name, model, **{penalty: weight}), batch) for weight in (0.0, 1.0, 2.0))
    added = one.losses["discriminator"] - none.losses["discriminator"]
    assert np.all(added > 0)
    np.testing.assert_allclose(two.losses["discriminator"] - none.losses["discriminator"], 2 * added, rtol=1e-3)
    np.testing.assert_array_equal(one.losses["model"], none.losses["model"])


@pytest.mark.parametrize("name", sorted(tools.ADVERSARIAL))
def test_networks_run_in_the_mode_of_the_step(name):
    def fail(*args):
        raise AssertionError("another mode")

    model, batch = case(name)
    run(make(name, model._replace(training=Training(fail, fail))), batch, tools.CTX)
    run(make(name, model._replace(encode=fail, decode=fail)), batch, TRAINING)


def test_a_discriminator_of_x_and_z_does_not_see_missing_values():
    objective = make("avb", tools.small())
    mask = np.arange(30).reshape(5, 6) % 3 > 0
    first, other = (run(objective, {"x": jnp.asarray(x), "mask": jnp.asarray(mask)}).losses
                    for x in (tools.X, np.where(mask, tools.X, 0.7)))  # fmt: skip
    jax.tree.map(np.testing.assert_array_equal, first, other)


def test_the_gradient_penalty_is_taken_on_the_segment_between_data_and_fakes():
    """The slope of |x|^2 / 2 is x, so that the mean penalty is an integral over the segment."""
    bowl = Discriminator(lambda key: {}, lambda params, x, context: (jnp.sum(x**2, axis=-1) / 2, []))
    real, fake = (jnp.tile(jnp.asarray(point), (4000, 1)) for point in ([3.0, 0.0], [0.0, 4.0]))
    game = make_game("it", bowl, "wasserstein", gradient_penalty=1.0)
    found = game.judge({}, real, [fake], jax.random.key(0))["discriminator_loss"] - (4**2 - 3**2) / 2

    def penalty(share):
        return (np.hypot(3 * share, 4 * (1 - share)) - 1) ** 2

    assert abs(np.mean(found) - quad(penalty, 0, 1)[0]) < 4 * np.std(found) / np.sqrt(4000)
    assert 1.4**2 - 1e-3 <= np.min(found) < np.max(found) <= 9 + 1e-3


def test_penalties_are_taken_where_they_belong():
    """R1 at the data, half the squared slope; the gradient penalty between the data and the first of the fakes."""
    bowl = Discriminator(lambda key: {}, lambda params, x, context: (jnp.sum(x**2, axis=-1) / 2, []))
    real, fake, other = (jnp.tile(jnp.asarray(point), (50, 1)) for point in ([3.0, 0.0], [0.0, 4.0], [40.0, 40.0]))

    def penalty(**weights):
        loss, none = (
            make_game("it", bowl, "wasserstein", **each).judge({}, real, [fake, other], jax.random.key(0))
            for each in (weights, {})
        )
        return np.asarray(loss["discriminator_loss"] - none["discriminator_loss"])

    np.testing.assert_allclose(penalty(r1=1.0), 0.5 * 3**2, rtol=1e-5)
    patches = Discriminator(lambda key: {}, lambda params, x, context: (jnp.tile(bowl.scores({}, x)[:, None], 4), []))
    of_patches = make_game("it", patches, "wasserstein", r1=1.0).judge({}, real, [fake], jax.random.key(0))
    without = make_game("it", patches, "wasserstein").judge({}, real, [fake], jax.random.key(0))
    added = np.asarray(of_patches["discriminator_loss"] - without["discriminator_loss"])
    np.testing.assert_allclose(added, 0.5 * 3**2, rtol=1e-5)  # of the mean score of the patches
    segment = penalty(gradient_penalty=1.0)
    assert 1.4**2 - 1e-3 <= np.min(segment) < np.max(segment) <= 9 + 1e-3


def test_no_gradient_goes_through_the_adaptive_weight():
    model = tools.small(likelihoods.squared_error)

    def slopes(**options):
        objective = make("image_autoencoder", model, **options)
        params, extra = objective.init(jax.random.key(0))

        def loss(params):
            out = objective.loss(params, extra, {"x": tools.X}, jax.random.key(1), TRAINING)
            return jnp.mean(out.losses["model"]), out.metrics["adversarial_weight"]

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    found, weight = slopes(discriminator_weight=0.7)
    wanted, one = slopes(adaptive=False, discriminator_weight=0.7 * float(weight))
    assert (float(one), abs(float(weight) - 1) > 0.1) == (1.0, True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), found["model"], wanted["model"])


def test_the_adaptive_weight_counts_pixels_and_features():
    """It is the ratio of the slopes of those parts of the loss, which other options single out."""
    model = tools.small(likelihoods.squared_error)
    options = {"features": tools.FEATURES, "pixel_weight": 0.1, "perceptual_weight": 50.0}

    def slope(**more):
        objective = make("image_autoencoder", model, **options, **more)
        params, extra = objective.init(jax.random.key(0))

        def loss(last):
            decoder = {**params["model"]["decoder"], "Dense_1": last}
            given = {**params, "model": {**params["model"], "decoder": decoder}}
            return jnp.mean(objective.loss(given, extra, {"x": tools.X}, jax.random.key(1), TRAINING).losses["model"])

        found = jax.grad(loss)(params["model"]["decoder"]["Dense_1"])
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)])

    restoration = slope(discriminator_weight=0.0)
    generator = slope(discriminator_weight=1.0, adaptive=False) - restoration
    found = run(make("image_autoencoder", model, **options), {"x": tools.X}, scale=1.0).metrics["adversarial_weight"]
    wanted = np.linalg.norm(restoration) / (np.linalg.norm(generator) + 1e-6)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


@pytest.mark.parametrize("name", ["vae_gan", "image_autoencoder", "avb"])
def test_the_discriminator_of_a_conditional_model_sees_the_context(name):
    """A stand-in scores the context alone, the same for data and fakes, so that both losses are known."""

    def judge(shape, context_dim):
        def apply(params, x, context):
            assert context.shape == (len(x), context_dim)
            scores = 0.1 * jnp.sum(x, axis=-1) * (params["w"] - 1) + context[:, :2] @ jnp.asarray([0.5, -2.0])
            return scores, [x * params["w"]]

        return Discriminator(lambda key: {"w": jnp.ones(())}, apply)

    model = make_model(
        posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihoods.squared_error(),
        networks.mlp((8,), "tanh"), data_shape=(6,), context_dim=2,
    )  # fmt: skip
    options = {"adaptive": False} if name == "image_autoencoder" else {}
    objective = OBJECTIVES[name](model, discriminator=judge, kl=tools.ONE, **options)
    context = np.asarray([[0, 0], [1, 0], [0, 1], [1, 1], [2, 1]], np.float32)
    pair = "hinge" if name == "image_autoencoder" else "non_saturating"
    found = run(objective, {"x": tools.X, "context": context}, scale=1.0).metrics
    scores = jnp.asarray(context @ [0.5, -2.0])
    of_judge, of_generator = (getattr(PAIRS[pair], side) for side in ("discriminator", "generator"))
    np.testing.assert_allclose(found["discriminator_loss"], of_judge(scores, scores), rtol=1e-5)
    if "generator_loss" in found:
        np.testing.assert_allclose(found["generator_loss"], of_generator(scores), rtol=1e-5)


def test_the_adaptive_weight_is_of_the_decoding_that_the_loss_has():
    """The slopes at the last layer are taken with the dropout of the pass: every decoding of a step has one key."""
    model, keys = tools.small(likelihoods.squared_error), []

    def decode(params, key, z, *context):
        keys.append(np.asarray(jax.random.key_data(key)).tolist())
        return model.decode(params, z, *context), {}

    def encode(params, key, x, *context):
        return model.encode(params, x, *context), {}

    found = run(make("image_autoencoder", model._replace(training=Training(encode, decode))), {"x": tools.X})
    assert np.isfinite(found.metrics["adversarial_weight"])
    assert len(keys) >= 3
    assert all(key == keys[0] for key in keys)
