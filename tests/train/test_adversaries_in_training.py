"""Discriminators in the one loop: cadence, exact resume within a cadence, devices, penalties, spectral norm, NaN."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import optax
import pytest
from numerics_tools import BATCH, IMAGES, MLP, assert_close, assert_same, small, trainer
from slow_cases import fast

from jaxvae import UserError, likelihoods, networks, posteriors, priors, train
from jaxvae.common.errors import NonFiniteLoss
from jaxvae.models import make_actor
from jaxvae.models.discriminator import make_discriminator
from jaxvae.objectives import of_codes
from jaxvae.objectives.adversaries import make_game
from jaxvae.train import sharding
from jaxvae.train.gradients import check_accumulate
from jaxvae.train.loop import check_finite
from jaxvae.train.state import join_state, split_state
from jaxvae.train.transforms import every_nth

NORMALISED = networks.mlp_discriminator((6,), "tanh", spectral_norm=True)
JUDGE = lambda *shapes: make_discriminator(NORMALISED, *shapes)  # noqa: E731
CLASSES = np.eye(2, dtype=np.float32)[np.arange(len(IMAGES)) % 2]
FEATURES = {"image_autoencoder": {"features": None}}


def optimizer(every=1):
    adam = optax.adam(1e-2)
    return train.by_group({"model": adam, "discriminator": every_nth(adam, every) if every > 1 else adam})


@pytest.fixture(scope="module")
def cadence():
    """A VAE-GAN on one device whose discriminator moves at every second step, with spectral normalisation."""
    objective = tools.make("vae_gan", small(MLP), discriminator=JUDGE, r1=1.0)
    return trainer(objective, sharding.global_view(jax.devices()[:1]), optimizer(every=2))


def moved(before, after):
    return any(np.any(one != other) for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True))


def test_a_discriminator_moves_at_its_own_cadence_and_its_vectors_at_every_step(cadence):
    start, run = cadence
    states = [start]
    for step in range(4):
        states.append(run(states[-1], step, 1)[0])
    for group, wanted in (("discriminator", [False, True] * 2), ("model", [True] * 4)):
        found = [moved(a.params[group], b.params[group]) for a, b in itertools.pairwise(states)]
        assert found == wanted
    vectors = [state.extra["groups"]["discriminator"] for state in states]
    assert all(moved(a, b) for a, b in itertools.pairwise(vectors))


def test_a_run_that_stops_within_a_cadence_goes_on_to_the_same_bits(cadence):
    start, run = cadence
    whole, rows = run(start, 0, 6)
    at, first = run(start, 0, 3)
    split, second = run(join_state(*split_state(at)), 3, 3)
    assert_same(whole, split)
    for name, values in rows.items():
        np.testing.assert_array_equal(values, np.concatenate([first[name], second[name]]))


def image_autoencoder(start):
    return tools.make("image_autoencoder", small(MLP), discriminator=JUDGE, features=None, start=start)


@pytest.mark.slow
def test_a_discriminator_that_starts_late_stays_until_then_and_a_run_goes_on_to_the_same_bits():
    start, run = trainer(image_autoencoder(4), sharding.global_view(jax.devices()[:1]), optimizer())
    whole, rows = run(start, 0, 6)
    before, first = run(start, 0, 3)
    after, second = run(join_state(*split_state(before)), 3, 3)
    assert_same(whole, after)
    assert not moved(start.params["discriminator"], before.params["discriminator"])
    assert not moved(start.params["discriminator"], run(start, 0, 4)[0].params["discriminator"])
    assert moved(start.params["discriminator"], after.params["discriminator"])
    weights = np.concatenate([first["adversarial_weight"], second["adversarial_weight"]])
    np.testing.assert_array_equal(rows["adversarial_weight"], weights)
    assert np.all(weights[:4] == 0)
    assert np.all(weights[4:] > 0)


def latent_constraints():
    """Of two classes, on the codes of a first stage."""
    parts = posteriors.delta(2), priors.standard_normal(2), likelihoods.squared_error()
    actor = make_actor(*parts, MLP, data_shape=(2,), context_dim=2)
    return of_codes(tools.make("latent_constraints", actor, discriminator=JUDGE), small(MLP))


def made(name):
    """The objective of a name, with the arguments of its trainer."""
    if name == "latent_constraints":
        return latent_constraints(), optimizer(), CLASSES
    if name == "dfc_vae":
        return tools.make(name, small(MLP)), None, None
    return tools.make(name, small(MLP), discriminator=JUDGE, **FEATURES.get(name, {})), optimizer(), None


@pytest.mark.parametrize("name", fast(sorted(tools.ADVERSARIAL | tools.PERCEPTUAL), "vae_gan"))
def test_eight_devices_equal_one(name):
    objective, *how = made(name)
    ends = []
    for devices in (jax.devices()[:1], jax.devices()):
        start, run = trainer(objective, sharding.global_view(devices), *how)
        ends.append(run(start, 0, 5))
    assert jax.device_count() == 8
    assert moved(start.params["model"], ends[0][0].params["model"])
    assert_close(ends[1], ends[0], rtol=1e-4, atol=1e-5)


def test_what_is_compared_over_the_batch_is_not_accumulated():
    whole = {name: tools.make(name, small(MLP)).whole_batch for name in ("factor_vae", "vae_gan", "avb")}
    assert "slopes of the whole batch" in image_autoencoder(0).whole_batch
    assert "permuted over the whole batch" in whole["factor_vae"]
    assert whole["vae_gan"] == whole["avb"] == ""
    with pytest.raises(UserError, match="permuted over the whole batch"):
        check_accumulate(2, BATCH, 1, whole["factor_vae"])


def test_a_discriminator_that_is_not_finite_ends_training(cadence):
    """Its scores are in the model's loss."""
    start, run = cadence
    broken = {**start.params, "discriminator": jax.tree.map(lambda leaf: leaf * np.nan, start.params["discriminator"])}
    _, metrics = run(start._replace(params=broken), 0, 3)
    with pytest.raises(NonFiniteLoss, match="became NaN at step 1"):
        check_finite(3, metrics["loss"])


def test_spectral_normalisation_follows_the_largest_singular_values(cadence):
    """So that those of the kernels in use are 1."""
    state, run = cadence
    for step in range(0, 30, 3):
        state, _ = run(state, step, 3)
    used, vectors = state.params["discriminator"], state.extra["groups"]["discriminator"]
    for layer, vector in (("Dense_0", vectors["1"]), ("Dense_1", vectors["3"])):
        kernel = used[layer]["kernel"]
        largest = np.linalg.svd(kernel, compute_uv=False)[0]
        assert np.linalg.norm(kernel @ vector) == pytest.approx(largest, rel=0.02)  # the estimate that divides it


@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty"])
def test_penalties_of_a_linear_discriminator(penalty):
    """The slope of its scores is its kernel w: |w|^2 / 2 at data, (|w| - 1)^2 between data and generated examples."""
    discriminator = make_discriminator(networks.mlp_discriminator(()), (3,))
    params = {"Dense_0": {"kernel": np.float32([[2.0], [-1.0], [2.0]]), "bias": np.zeros(1, np.float32)}}
    real, fake = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    plain, with_penalty = (
        make_game("it", discriminator, "wasserstein", **{penalty: weight}).judge(
            params, real, [fake], jax.random.key(0)
        )
        for weight in (0.0, 0.5)
    )
    added = with_penalty["discriminator_loss"] - plain["discriminator_loss"]
    np.testing.assert_allclose(added, {"r1": 0.5 * 9 / 2, "gradient_penalty": 0.5 * (3 - 1) ** 2}[penalty], rtol=1e-4)
    assert plain.keys() == {"discriminator_loss"}  # a critic's scores have no zero


def test_fakes_weigh_equally_and_together_as_much_as_data():
    discriminator = make_discriminator(networks.mlp_discriminator(()), (1,))
    params = {"Dense_0": {"kernel": np.ones((1, 1), np.float32), "bias": np.zeros(1, np.float32)}}
    game = make_game("it", discriminator, "hinge")
    real, one, other = (jnp.full((2, 1), value) for value in (0.3, -0.2, 0.4))
    found = game.judge(params, real, [one, other], jax.random.key(0))
    np.testing.assert_allclose(found["discriminator_loss"], 0.7 + (0.8 + 1.4) / 2, rtol=1e-6)
    np.testing.assert_allclose(found["discriminator_accuracy"], (1 + 0.5) / 2)
    np.testing.assert_allclose(game.fool(params, [one, other]), -(-0.2 + 0.4) / 2, rtol=1e-6)
