"""VaDE and GMVAE: their bounds against integrals over z (and w), their order, and what they refuse."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models import make_model
from jaxvae.models.clusters import cluster_log_probs, num_clusters
from jaxvae.models.facts import Labels
from jaxvae.objectives import KL_WEIGHTS, StepContext

X = tools.X[:3]
GRID = np.linspace(-8, 8, 801, dtype=np.float32)
STEP = GRID[1] - GRID[0]


logsumexp = np.logaddexp.reduce


def model_with(prior, dim, posterior=posteriors.diagonal_gaussian):
    return make_model(posterior(dim), prior, likelihoods.bernoulli(), networks.mlp((8,), "tanh"), data_shape=(6,))


ONE_DIM = model_with(priors.mixture_of_gaussians(1, 3), 1)
NESTED = model_with(priors.nested_mixture(2, 1, 3, (4,)), 2)


def log_densities(model, params, z):
    """log p(x|z) and log q(z|x) `[N, B]`, log p(z, c) `[N, C]` for points z `[N, D]`, in float64."""
    each = jnp.broadcast_to(z[:, None], (len(z), len(X), z.shape[-1]))

    @jax.jit
    def compute(params):
        posterior, prior = model.encode(params, X), model.prior(params)
        return model.decode(params, each).log_prob(X), posterior.log_prob(each), prior.component_log_probs(z)

    return (np.asarray(array, np.float64) for array in compute(params))


def metric(model, params, name, num_samples, num=1, **options):
    """A metric `[num, B]` of the objective, for `num` keys."""
    objective = tools.make(name, model, num_samples=num_samples, **options)
    found = jax.vmap(lambda key: objective.loss({"model": params}, {}, {"x": X}, key, tools.CTX).metrics)
    return jax.jit(found)(jax.random.split(jax.random.key(0), num))


def test_the_bound_of_vade_is_its_integral_and_below_log_p_x(random_like, assert_mean):
    """With many samples q(c|x) is E[p(c|z)] (equation 16), and the bound has one value, by the grid over z."""
    params = random_like(ONE_DIM.init, jax.random.key(0))
    log_px_z, log_q, log_joint = log_densities(ONE_DIM, params, GRID[:, None])
    q = np.exp(log_q) * STEP
    q_c = np.einsum("nb,nc->bc", q, np.exp(log_joint - logsumexp(log_joint, axis=1)[:, None]))
    expected = np.einsum("nb,nb->b", q, log_px_z - log_q) + np.einsum("nb,bc,nc->b", q, q_c, log_joint)
    expected -= np.sum(q_c * np.log(q_c), axis=1)
    found = metric(ONE_DIM, params, "vade", 400, num=50)
    assert_mean(found["elbo"], expected)
    evidence = logsumexp(log_px_z + logsumexp(log_joint, axis=1)[:, None], axis=0) + np.log(STEP)
    few = np.asarray(metric(ONE_DIM, params, "vade", 1, num=2000)["elbo"]).mean(axis=0)
    assert np.all(few < expected)  # p(c|z) of one sample is another q(c|x)
    assert np.all(expected < evidence)


def test_more_samples_of_the_gmvae_estimate_the_same_bound(random_like, assert_mean):
    """q(c|z, w) belongs to each sample; averaged over samples, as that of VaDE, the bound would rise with them."""
    params = random_like(NESTED.init, jax.random.key(0))
    one = np.asarray(metric(NESTED, params, "gmvae", 1, num=200_000)["elbo"]).mean(axis=0)
    assert_mean(metric(NESTED, params, "gmvae", 20, num=1000)["elbo"], one)


def test_the_bound_of_the_gmvae_is_its_integral_over_z_and_w_and_below_log_p_x(random_like, assert_mean):
    params = random_like(NESTED.init, jax.random.key(0))
    grid = GRID[::8]
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)  # [z, w]
    log_px_z, log_q, log_joint = log_densities(NESTED, params, points.reshape(-1, 2))
    area, sides, batch = (8 * STEP) ** 2, (len(grid), len(grid)), len(X)
    q = np.exp(log_q).reshape(*sides, batch) * area
    log_joint = log_joint.reshape(*sides, 3)
    log_classes = log_joint - logsumexp(log_joint, axis=-1)[..., None]
    q_w = q.sum(axis=0)  # [w, B]
    q_c = np.einsum("zwb,zwc->wbc", q, np.exp(log_classes)) / np.maximum(q_w, 1e-30)[..., None]  # E_z p(c|z, w)
    kl_given_w = (
        np.einsum("zwb,zwbc->wbc", q, log_q.reshape(*sides, batch, 1) - log_joint[:, :, None])
        / np.maximum(q_w, 1e-30)[..., None]
    )  # of the joint with log p(c), for each component
    entropy = np.einsum("zwb,zwc,zwc->b", q, np.exp(log_classes), log_classes)
    kl = np.einsum("wb,wbc,wbc->b", q_w, q_c, kl_given_w) + entropy
    expected = np.einsum("zwb,zwb->b", q, log_px_z.reshape(*sides, batch)) - kl
    assert_mean(metric(NESTED, params, "gmvae", 1, num=4000)["elbo"], expected)
    evidence = logsumexp(log_px_z + logsumexp(log_joint.reshape(-1, 3), axis=1)[:, None], axis=0) + np.log(area)
    assert np.all(expected < evidence)


LABELS = Labels((2, 5, 7))  # as stored; the components are 0, 1, 2 in this order
KNOWN = np.array([5, -1, 7])


def in_training(name, batch, num_samples=1, key=0, model=ONE_DIM, **options):
    """The objective with use_labels, as `params -> Loss` of a training step."""
    objective = tools.make(name, model, num_samples=num_samples, use_labels=True, data_labels=LABELS, **options)
    ctx = StepContext(0, 100, is_training=True)
    return lambda params: objective.loss({"model": params}, {}, batch, jax.random.key(key), ctx)


@pytest.mark.parametrize("name", ["vade", "gmvae"])
def test_an_example_of_a_known_class_has_the_bound_of_its_component_alone(name, random_like):
    """E log p(x|z) - KL(q(z|x) || p(z|c)) + log p(c), below log p(x, c); where the class is unknown nothing changes."""
    params = random_like(ONE_DIM.init, jax.random.key(0))
    found = in_training(name, {"x": X, "label": KNOWN}, 3)(params).metrics
    free = in_training(name, {"x": X, "label": np.full(3, -1)}, 3)(params).metrics
    for key in free:
        np.testing.assert_array_equal(found[key][1], free[key][1])
    own, posterior = params["prior"], ONE_DIM.encode(params, X).base_dist
    for row, c in ((0, 1), (2, 2)):
        component = dist.Normal(own["mean"][c, 0], jnp.exp(0.5 * own["logvar"][c, 0]))
        one = dist.Normal(posterior.loc[row, 0], posterior.scale[row, 0])
        log_class = jax.nn.log_softmax(own["logits"])[c]
        expected = dist.kl_divergence(one, component) - log_class
        np.testing.assert_allclose(found["kl"][row], expected, rtol=1e-5)
        np.testing.assert_allclose(found["kl_classes"][row], -log_class, rtol=1e-5)
        np.testing.assert_allclose(found["loss"][row], free["reconstruction"][row] + expected, rtol=1e-5)
    log_px_z, _, log_joint = log_densities(ONE_DIM, params, GRID[:, None])
    log_pxc = logsumexp(log_px_z[:, [0, 2]] + log_joint[:, [1, 2]], axis=0) + np.log(STEP)
    many = in_training(name, {"x": X, "label": KNOWN}, 5000)(params).metrics["elbo"]
    assert np.all(np.asarray(many)[[0, 2]] < log_pxc)


def test_an_example_moves_the_component_of_its_class_and_no_other(random_like):
    params = random_like(ONE_DIM.init, jax.random.key(0))
    loss = in_training("vade", {"x": X[:1], "label": KNOWN[:1]})
    moved = jax.grad(lambda params: loss(params).losses["model"].mean())(params)["prior"]
    for name in ("mean", "logvar"):
        assert np.array_equal(np.flatnonzero(moved[name]), [1])


@pytest.mark.parametrize("name", ["vade", "gmvae"])
def test_labels_of_validation_and_test_are_not_used(name, random_like):
    params = random_like(ONE_DIM.init, jax.random.key(0))
    objective = tools.make(name, ONE_DIM, use_labels=True, data_labels=LABELS)
    one, other = (
        objective.loss({"model": params}, {}, batch, jax.random.key(0), tools.CTX).metrics
        for batch in ({"x": X, "label": KNOWN}, {"x": X})
    )
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


def test_with_one_component_both_are_the_elbo(random_like):
    model = tools.small(prior=lambda dim: priors.mixture_of_gaussians(dim, 1))
    params = random_like(model.init, jax.random.key(0))
    own = params["prior"]
    gaussian = dist.Normal(own["mean"][0], jnp.exp(0.5 * own["logvar"][0])).to_event(1)
    plain = model._replace(prior=lambda params: gaussian)
    for name in ("vade", "gmvae"):
        found, expected = (
            tools.evaluate(tools.make(which, of, num_samples=2), {"model": params})
            for which, of in ((name, model), ("elbo", plain))
        )
        np.testing.assert_allclose(found.metrics["elbo"], expected.metrics["elbo"], rtol=1e-5)


@pytest.mark.parametrize("name", ["vade", "gmvae"])
def test_the_order_of_components_changes_nothing(name, random_like):
    params = random_like(ONE_DIM.init, jax.random.key(0))
    order = np.array([2, 0, 1])
    permuted = {**params, "prior": {key: array[order] for key, array in params["prior"].items()}}
    one, other = (metric(ONE_DIM, each, name, 2) for each in (params, permuted))
    for key in one:
        np.testing.assert_allclose(one[key], other[key], rtol=1e-5, atol=1e-6)


def test_the_least_information_is_the_least_value_of_the_last_term_alone(random_like):
    params = random_like(NESTED.init, jax.random.key(0))
    free = metric(NESTED, params, "gmvae", 2)
    least = float(np.median(free["kl_classes"]))
    bound = metric(NESTED, params, "gmvae", 2, minimum_information=least)
    raised = np.maximum(free["kl_classes"], least) - free["kl_classes"]
    assert 0 < np.count_nonzero(raised) < raised.size
    np.testing.assert_allclose(bound["loss"], free["loss"] + raised, rtol=1e-6)
    for key in ("kl", "elbo", "kl_classes"):
        np.testing.assert_array_equal(bound[key], free[key])


def test_the_weight_of_the_kl_is_that_of_both_terms(random_like):
    params = random_like(ONE_DIM.init, jax.random.key(0))
    found = metric(ONE_DIM, params, "vade", 2, kl=KL_WEIGHTS["constant"](0.3))
    np.testing.assert_allclose(found["loss"], found["reconstruction"] + 0.3 * found["kl"], rtol=1e-6)


def test_the_decoder_does_not_get_w_and_clusters_are_bayes_rule_at_the_mean(random_like):
    params = random_like(NESTED.init, jax.random.key(0))
    z = jnp.asarray([[0.3, -1.0], [0.3, 2.0], [0.4, 2.0]])
    decoded = NESTED.decode(params, z).mean
    np.testing.assert_array_equal(decoded[0], decoded[1])
    assert np.all(decoded[1] != decoded[2])
    assert params["decoder"]["Dense_0"]["kernel"].shape == (1, 8)
    prior: Any = NESTED.prior(params)
    log_joint = np.asarray(prior.component_log_probs(NESTED.encode(params, X).mean))
    expected = log_joint - logsumexp(log_joint, axis=-1)[:, None]
    np.testing.assert_allclose(cluster_log_probs(NESTED, params, {"x": X}), expected, rtol=1e-4, atol=1e-5)


def test_a_mixture_fitted_to_codes_is_the_one_that_they_come_from():
    rng = np.random.default_rng(0)
    means, scales, weights = (
        np.array([[-4.0, 0], [4, 1], [0, 6]]),
        np.array([[0.5, 1], [1, 2], [0.3, 0.4]]),
        [0.5, 0.3, 0.2],
    )
    which = rng.choice(3, 6000, p=weights)
    prior = priors.mixture_of_gaussians(2, 3)
    assert prior.fit is not None
    params = prior.fit((means[which] + scales[which] * rng.normal(size=(6000, 2))).astype(np.float32), 0)
    drawn = prior.init(jax.random.key(0))
    assert {name: array.shape for name, array in params.items()} == {name: array.shape for name, array in drawn.items()}
    order = np.argsort(-params["logits"])
    np.testing.assert_allclose(params["mean"][order], means, atol=4 * scales.max() / np.sqrt(1200))
    np.testing.assert_allclose(np.exp(0.5 * params["logvar"][order]), scales, rtol=4 / np.sqrt(2 * 1200))
    np.testing.assert_allclose(np.exp(params["logits"][order]), weights, atol=4 * 0.5 / np.sqrt(6000))


def test_a_mixture_of_given_clusters_has_their_moments():
    codes = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32) * [1, 3]
    clusters = np.repeat([3, 0, 2], [40, 17, 3])
    nested = priors.nested_mixture(3, 1, 4)
    for prior, latent in ((priors.mixture_of_gaussians(2, 4), codes), (nested, codes[:, [0, 1, 1]])):
        assert prior.fit is not None
        found = prior.fit(latent, 0, clusters)
        parts = codes[40:57], codes, codes[57:], codes[:40]  # the second has no codes
        np.testing.assert_allclose(found["mean"], [part.mean(axis=0) for part in parts], rtol=1e-4)
        variances = np.stack([part.var(axis=0) for part in (parts[0], codes, codes, parts[3])])  # three codes are few
        np.testing.assert_allclose(np.exp(found["logvar"]), variances + 1e-6, rtol=1e-4)
        if "logits" in found:
            np.testing.assert_allclose(np.exp(found["logits"]), np.array([17, 1, 3, 40]) / 61, rtol=1e-6)


def test_only_mixtures_have_clusters():
    vamp = model_with(priors.vamp((6,), (0.0, 1.0), 4), 2)
    assert [num_clusters(model) for model in (ONE_DIM, NESTED, vamp, tools.small())] == [3, 3, 4, 0]


FULL = model_with(priors.nested_mixture(2, 1), 2, posteriors.full_covariance)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tools.make("vade", tools.small()), "'vade' needs a prior that is a mixture"),
        (lambda: tools.make("gmvae", tools.small()), "'gmvae' needs a prior that is a mixture"),
        (lambda: tools.make("vade", ONE_DIM, num_samples=0), "num_samples is 0"),
        (lambda: tools.make("vade", ONE_DIM, use_labels=True), "the data has no labels of at least two classes"),
        (
            lambda: tools.make("gmvae", NESTED, use_labels=True, data_labels=Labels((0, 1))),
            "each of the 2 classes, but the prior is a mixture of 3 components",
        ),
        (lambda: tools.make("gmvae", NESTED, minimum_information=-1.0), "minimum_information is -1.0"),
        (lambda: tools.trace(tools.make("gmvae", FULL)), "'gmvae' needs the KL of"),
        (lambda: tools.make("vade", tools.POINT), "is a point"),
        (lambda: priors.nested_mixture(5, 5), "noise_dim=5"),
        (lambda: priors.nested_mixture(5, 2, 0), "components=0"),
        (lambda: priors.nested_mixture(5, 2, spread=0.0), "spread=0.0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(UserError, match=message):
        call()
