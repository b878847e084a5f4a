"""M2 with one class drawn for each unlabelled example: its gradients in the mean, and how it is judged."""

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest
from test_semi_supervised import BATCH, LABEL, TRAINING, loss, parts

from jaxvae.common.errors import UserError
from jaxvae.objectives.semi_supervised import _against_others


def test_the_sampled_estimator_has_the_gradient_of_the_exact_one_in_the_mean():
    exact_one, sampled = parts()[2], parts(marginal="sampled")[2]
    params = parts()[3]

    def of(made):
        def gradient(key):
            losses_of = lambda params: jax.tree.map(jnp.mean, made.loss(params, {}, BATCH, key, TRAINING).losses)  # noqa: E731
            both = jax.jacrev(losses_of)(params)
            parts_of = both["model"]["model"]["decoder"], both["classifier"]["classifier"]
            return [part["Dense_1"]["bias"] for part in parts_of]

        return jax.jit(lambda keys: jax.lax.map(gradient, keys, batch_size=100))

    pair = (
        of(exact_one)(jax.random.split(jax.random.key(5), 3000)),
        of(sampled)(jax.random.split(jax.random.key(6), 3000)),
    )
    for group in zip(*pair, strict=True):
        one, other = (np.asarray(values, np.float64) for values in group)
        error = np.sqrt(one.var(axis=0) + other.var(axis=0)) / np.sqrt(3000)
        assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) < 4.5 * error)
        assert np.all(
            np.abs(one.mean(axis=0)) > 10 * one.std(axis=0) / np.sqrt(3000)
        )  # it is not the noise that agrees


def test_the_sampled_estimator_is_judged_by_the_exact_bound():
    params = parts()[3]
    exact_one, sampled = (loss(parts(marginal=name)[2], params, ctx=tools.CTX) for name in ("exact", "sampled"))
    np.testing.assert_array_equal(exact_one.metrics["loss"], sampled.metrics["loss"])
    made = parts(marginal="sampled")[2]
    assert made.whole_batch
    one, exact_known = loss(made, params), loss(parts()[2], params)
    known = LABEL >= 0
    assert one.losses["model"].shape == one.losses["classifier"].shape == (5,)
    np.testing.assert_allclose(np.asarray(one.metrics["accuracy"]), np.asarray(exact_known.metrics["accuracy"]))
    assert np.all(np.isfinite(np.asarray(one.losses["model"])[known]))
    with pytest.raises(UserError, match="Unknown marginal 'all'"):
        parts(marginal="all")


def test_the_baseline_is_the_mean_of_the_others():
    values, all_rows, one = jnp.array([1.0, 2.0, 4.0]), jnp.ones(3, bool), jnp.array([False, True, False])
    np.testing.assert_allclose(_against_others(values, all_rows), [1 - 3, 2 - 2.5, 4 - 1.5])
    assert _against_others(values, one)[1] == 2.0
