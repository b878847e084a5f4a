"""The KL weights at their corner steps, alone and within every objective that has a KL."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest

from jaxvae.common.errors import UserError
from jaxvae.objectives import KL_WEIGHTS, OBJECTIVES, StepContext

KL = np.array([[0.05, 0.11, 0.02], [2.0, 1.0, 0.6]], np.float32)  # [L, B]
MADE = {
    "constant": KL_WEIGHTS["constant"](4.0),
    "linear": KL_WEIGHTS["linear"](100, beta=2.0, start=0.5, fraction=0.5),
    "cyclic": KL_WEIGHTS["cyclic"](100, beta=2.0, cycles=4, fraction=0.5),
    "free_bits": KL_WEIGHTS["free_bits"](100, nats=0.1, beta=2.0, fraction=0.5),
    "capacity": KL_WEIGHTS["capacity"](100, nats=2.0, gamma=3.0, fraction=0.5),
}


@pytest.mark.parametrize(
    ("name", "steps", "weights"),
    [("constant", [0, 10**6], [4, 4]),
     ("linear", [0, 25, 49, 50, 51, 10**6], [0.5, 1.25, 1.97, 2, 2, 2]),
     ("cyclic", [0, 1, 12, 13, 24, 25, 26, 50, 75, 99, 100, 10**6], [0, 0.16, 1.92, 2, 2, 0, 0.16, 0, 0, 2, 2, 2]),
     ("free_bits", [0, 25, 50, 10**6], [0, 1, 2, 2])],
)  # fmt: skip
def test_the_weight_at_its_corners(name, steps, weights):
    got = [MADE[name].weight(jnp.asarray(step)) for step in steps]
    np.testing.assert_allclose(got, weights, rtol=1e-6)
    if MADE[name].is_linear:
        terms = [MADE[name].term(KL, jnp.asarray(step)) for step in steps]
        np.testing.assert_allclose(terms, np.outer(weights, KL.sum(axis=0)), rtol=1e-6)
        assert not MADE[name].whole_batch


@pytest.mark.parametrize("total_steps", [7, 1000, 999_999])
def test_a_cycle_starts_at_exactly_zero_and_a_step_before_ends_at_beta(total_steps):
    weight = jax.jit(KL_WEIGHTS["cyclic"](7 * total_steps, cycles=7, fraction=0.5).weight)
    for cycle in range(1, 7):
        assert weight(jnp.asarray(cycle * total_steps)) == 0
        assert weight(jnp.asarray(cycle * total_steps - 1)) == 1


def test_without_a_rise_the_weight_is_there_at_once():
    assert KL_WEIGHTS["linear"](100, beta=2.0, fraction=0.0).weight(0) == 2
    assert KL_WEIGHTS["free_bits"](0, beta=2.0).weight(0) == 2
    assert KL_WEIGHTS["linear"](0, beta=2.0).weight(jnp.asarray(1)) == 2  # a run of no steps divides by nothing


def test_free_bits_are_a_floor_under_the_batchs_mean_of_each_variable():
    kl = MADE["free_bits"]
    per_variable = np.maximum(KL.mean(axis=1), 0.1)
    value, gradient = jax.value_and_grad(lambda k: jnp.mean(kl.term(k, 50)))(KL)
    np.testing.assert_allclose(value, 2 * per_variable.sum(), rtol=1e-6)
    np.testing.assert_allclose(gradient, [[0] * 3, [2 / 3] * 3], rtol=1e-6)  # the first has a mean of 0.06 < 0.1
    assert kl.whole_batch
    assert not kl.is_linear


@pytest.mark.parametrize(("step", "bound"), [(0, 0.0), (25, 1.0), (50, 2.0), (10**6, 2.0)])
def test_capacity_is_the_distance_of_the_mean_kl_from_a_rising_bound(step, bound):
    mean = KL.sum(axis=0).mean()
    value, gradient = jax.value_and_grad(lambda k: jnp.mean(MADE["capacity"].term(k, jnp.asarray(step))))(KL)
    np.testing.assert_allclose(value, 3 * abs(mean - bound), rtol=1e-5)
    np.testing.assert_allclose(gradient, np.full_like(KL, np.sign(mean - bound)), rtol=1e-6)
    assert MADE["capacity"].whole_batch


LINEAR_ONLY = {"iwae", "miwae", "ciwae", "piwae", "beta_tcvae"}


@pytest.mark.parametrize("objective", sorted(OBJECTIVES.keys() - tools.WITHOUT_KL - tools.OF_LABELS))
@pytest.mark.parametrize("name", MADE)
def test_every_objective_with_a_kl_takes_every_weight_or_says_why_not(objective, name):
    model, kl = tools.model_for(objective), MADE[name]
    if objective in LINEAR_ONLY and not kl.is_linear:
        with pytest.raises(UserError, match="take the kl weight 'constant', 'linear' or 'cyclic'"):
            tools.make(objective, model, kl)
        return
    made = tools.make(objective, model, kl)
    out = tools.trace(made)
    assert out.losses["model"].shape == (5,)
    assert bool(kl.whole_batch) <= bool(made.whole_batch)


@pytest.mark.parametrize("name", ["elbo", "dip_vae", "info_vae"])
def test_the_schedule_reaches_the_loss(name, random_like):
    model, kl = tools.small(), MADE["capacity"]
    params = {"model": random_like(model.init, jax.random.key(0))}
    loss = jax.jit(tools.make(name, model, kl).loss)
    first, last = (
        loss(params, {}, {"x": tools.X}, jax.random.key(1), StepContext(jnp.asarray(step), 5)) for step in (0, 50)
    )
    factor = kl.term(first.metrics["kl"][None], 50) - kl.term(first.metrics["kl"][None], 0)
    np.testing.assert_allclose(last.losses["model"] - first.losses["model"], factor, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["iwae", "beta_tcvae"])
def test_at_weight_zero_the_prior_does_not_matter(name, random_like):
    model = tools.small()
    wider = model._replace(prior=lambda params: dist.Normal(jnp.zeros(2), 3 * jnp.ones(2)).to_event(1))
    params = {"model": random_like(model.init, jax.random.key(0))}

    def losses(model):
        loss = jax.jit(tools.make(name, model, MADE["cyclic"]).loss)
        at = [StepContext(jnp.asarray(step), 5) for step in (25, 30)]
        return [loss(params, {}, {"x": tools.X}, jax.random.key(1), ctx).losses["model"] for ctx in at]

    (zero, above), (zero_of_wider, above_of_wider) = losses(model), losses(wider)
    np.testing.assert_array_equal(zero, zero_of_wider)
    assert np.all(np.abs(above - above_of_wider) > 0.01)


@pytest.mark.parametrize(
    ("name", "options"),
    [("constant", {"beta": -0.1}), ("linear", {"start": -1.0}), ("linear", {"fraction": 1.1}),
     ("linear", {"beta": float("nan")}), ("cyclic", {"cycles": 0}), ("cyclic", {"fraction": -0.1}),
     ("free_bits", {"nats": -1.0}), ("capacity", {"gamma": -1.0}), ("capacity", {"nats": -1.0})],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(name, options):
    given = {} if name == "constant" else {"total_steps": 100}
    with pytest.raises(UserError, match=f"KL weight '{name}' got {next(iter(options))}="):
        KL_WEIGHTS[name](**given, **options)
