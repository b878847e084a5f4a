"""M2: the class as a latent that is summed over, against enumeration and the exact likelihood."""

import functools

import jax
import jax.numpy as jnp
import linear_at_context as exact
import linear_gaussian as lg
import numpy as np
import objective_tools as tools
import optax
import pytest
from scipy.special import log_softmax, logsumexp

from jaxvae import likelihoods, losses, networks, objectives, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models import make_model
from jaxvae.models.classifier import Classifier, make_classifier
from jaxvae.models.facts import Labels
from jaxvae.objectives import StepContext

LABELS = Labels((2, 5, 7), position=1, share=0.4, batch_share=0.4)
LABEL = np.array([5, -1, 2, -1, -1])
CONTEXT = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)  # one value, the label, one value
BATCH = {"x": tools.X, "label": LABEL, "context": CONTEXT}
TRAINING = StepContext(0, 100, is_training=True)


@functools.cache
def parts(labels=LABELS, **options):
    model = make_model(
        posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihoods.bernoulli(),
        networks.mlp((8,), "tanh"), data_shape=(6,), context_dim=5,
    )  # fmt: skip
    classifier = make_classifier(networks.mlp((4,), "tanh"), model.likelihood, (6,), 3)
    made = objectives.m2(model, labels, classifier, **options)
    return model, classifier, made, made.init(jax.random.key(0))[0]


def loss(made, params, batch=None, ctx=TRAINING, seed=1):
    return jax.jit(functools.partial(made.loss, ctx=ctx))(params, {}, batch or BATCH, jax.random.key(seed))


def by_class(model, params, seed=1):
    """ELBO(x, y) `[3, 5]` for each class, one pass after the other, with the draws of z of the objective."""
    terms_key, _ = jax.random.split(jax.random.key(seed))
    contexts = np.repeat(CONTEXT[None], 3, axis=0)
    contexts[:, :, 1:4] = np.eye(3)[:, None]
    whole = model.forward(
        params["model"], terms_key, {"x": np.tile(tools.X, (3, 1)), "context": contexts.reshape(15, 5)}, 1, True
    )
    z, found = np.asarray(whole.z)[0].reshape(3, 5, 2), []
    for c in range(3):
        q = model.encode(params["model"], tools.X, contexts[c]).base_dist
        kl = losses.kl_standard_normal(q.loc, 2 * jnp.log(q.scale))
        log_likelihood = model.decode(params["model"], z[c], contexts[c]).log_prob(tools.X)
        found.append(np.asarray(log_likelihood - kl, np.float64) - np.log(3))
    return np.stack(found)


def test_known_classes_are_taken_and_unknown_ones_summed_over():
    model, classifier, made, params = parts()
    elbos = by_class(model, params)
    log_q = log_softmax(np.asarray(classifier.logits(params["classifier"], tools.X), np.float64), axis=1)
    q = np.exp(log_q)
    unknown = (q * (elbos.T - log_q)).sum(axis=1)
    out = loss(made, params)
    wanted = -unknown
    wanted[0] = -elbos[1, 0] - 0.1 / 0.4 * log_q[0, 1]
    wanted[2] = -elbos[0, 2] - 0.1 / 0.4 * log_q[2, 0]
    np.testing.assert_allclose(out.losses["model"], wanted, rtol=2e-5)
    np.testing.assert_allclose(out.losses["classifier"], wanted, rtol=2e-5)
    bound = np.where(LABEL >= 0, [elbos[1, 0], 0, elbos[0, 2], 0, 0], unknown)
    np.testing.assert_allclose(out.metrics["elbo"], bound, rtol=2e-5)
    right = (log_q.argmax(axis=1) == [1, -1, 0, -1, -1]) & (LABEL >= 0)
    np.testing.assert_allclose(out.metrics["accuracy"], right / 0.4)
    kl_class = np.where(LABEL >= 0, np.log(3), np.log(3) + (q * log_q).sum(axis=1))
    np.testing.assert_allclose(out.metrics["kl_class"], kl_class, rtol=2e-5, atol=1e-6)
    parts_of_it = sum(out.metrics[name] for name in ("reconstruction", "kl", "kl_class"))
    np.testing.assert_allclose(parts_of_it, -out.metrics["elbo"], rtol=2e-5)


def test_another_order_of_the_classes_changes_nothing():
    """Relabel the data, and move the weights of each class along: losses and metrics stay."""
    _, _, made, params = parts()
    params = jax.tree.map(np.array, params)
    params["model"]["encoder"]["Dense_1"]["kernel"][:, 2:] = 0  # a posterior of nearly no width, whose draws are its
    params["model"]["encoder"]["Dense_1"]["bias"][2:] = -25  # means: noise goes by row, and rows change places
    params["model"]["decoder"]["Dense_0"]["kernel"][-4:-1] *= 5  # classes differ
    moved, order = jax.tree.map(np.array, params), np.array([2, 0, 1])  # class i becomes order[i]
    for coder in ("encoder", "decoder"):
        old, new = (each["model"][coder]["Dense_0"]["kernel"][-4:-1] for each in (params, moved))
        new[order] = old
    moved["classifier"]["Dense_1"]["kernel"][:, order] = params["classifier"]["Dense_1"]["kernel"]
    moved["classifier"]["Dense_1"]["bias"][order] = params["classifier"]["Dense_1"]["bias"]
    label = np.where(LABEL >= 0, np.array(LABELS.values)[order[np.searchsorted(LABELS.values, LABEL) % 3]], -1)
    one, other = loss(made, params), loss(made, moved, {**BATCH, "label": label})
    # "kl_class" is log 3 minus an entropy near it, rounded to 1e-7 of log 3.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one, other)
    unmoved = loss(made, params, {**BATCH, "label": label}).losses["model"]
    assert not np.allclose(unmoved, one.losses["model"], rtol=1e-2)


def test_evaluation_treats_every_class_as_unknown():
    _, _, made, params = parts()
    seen, without = loss(made, params, ctx=tools.CTX), loss(made, params, {**BATCH, "label": 0 * LABEL - 1}, tools.CTX)
    np.testing.assert_array_equal(seen.metrics["loss"], without.metrics["loss"])
    np.testing.assert_array_equal(seen.metrics["loss"], -seen.metrics["elbo"])
    assert set(np.unique(seen.metrics["accuracy"])) <= {0.0, 1.0}


def test_a_batch_richer_in_labels_has_the_mean_of_the_data():
    """Rows are weighted so that E over batches of the loss is the loss of the data, whatever the batches' share."""
    _, _, made, params = parts()
    rich = parts(LABELS._replace(batch_share=0.7))[2]
    plain, weighted = loss(made, params).losses["model"], loss(rich, params).losses["model"]
    known = LABEL >= 0
    of_data = 0.4 * plain[known].mean() + 0.6 * plain[~known].mean()
    of_batch = 0.7 * weighted[known].mean() + 0.3 * weighted[~known].mean()
    np.testing.assert_allclose(of_batch, of_data, rtol=1e-6)


def test_unlabelled_examples_weigh_less_for_the_model_where_asked():
    _, _, made, params = parts()
    light = parts(unlabelled=0.25)[2]
    whole, less = (loss(each, params) for each in (made, light))
    np.testing.assert_allclose(less.losses["model"], whole.losses["model"] * np.where(LABEL >= 0, 1, 0.25), rtol=1e-6)
    np.testing.assert_array_equal(less.losses["classifier"], whole.losses["classifier"])  # the E-step
    np.testing.assert_array_equal(less.metrics["elbo"], whole.metrics["elbo"])
    judged = (loss(each, params, ctx=tools.CTX) for each in (made, light))
    np.testing.assert_array_equal(*(each.metrics["loss"] for each in judged))  # a weight of training alone
    drawn, fewer = (loss(parts(marginal="sampled", unlabelled=u)[2], params).losses for u in (1.0, 0.25))
    np.testing.assert_allclose(fewer["model"] / drawn["model"], np.where(LABEL >= 0, 1.0, 0.25), rtol=1e-6)
    np.testing.assert_array_equal(fewer["classifier"], drawn["classifier"])
    with pytest.raises(UserError, match=r"objective\.unlabelled is -1\.0"):
        parts(unlabelled=-1.0)


def test_gradients_reach_what_they_should():
    model, classifier, made, params = parts()

    def of(row):
        return jax.jit(jax.grad(lambda params: made.loss(params, {}, BATCH, jax.random.key(1), TRAINING)
                                .losses["model"][row]))(params)  # fmt: skip

    labelled, unlabelled = of(0), of(1)
    kernel = labelled["model"]["decoder"]["Dense_0"]["kernel"][-5:]  # the rows of the context
    assert jnp.all(kernel[jnp.array([1, 3])] == 0)  # of the known class alone
    assert jnp.all(kernel[2] != 0)
    assert jnp.all(unlabelled["model"]["decoder"]["Dense_0"]["kernel"][-4:-1] != 0)
    # By the logits of an unlabelled row: minus q (bound of the class - the mean bound), in closed form.
    elbos = by_class(model, params)[:, 1]
    log_q = log_softmax(np.asarray(classifier.logits(params["classifier"], tools.X), np.float64), axis=1)[1]
    inner = elbos - log_q
    wanted = -np.exp(log_q) * (inner - np.exp(log_q) @ inner)
    np.testing.assert_allclose(unlabelled["classifier"]["Dense_1"]["bias"], wanted, rtol=1e-3, atol=1e-5)
    wanted = 0.1 / 0.4 * (np.exp(log_softmax(np.asarray(classifier.logits(params["classifier"], tools.X)), 1)[0])
                          - [0, 1, 0])  # fmt: skip
    np.testing.assert_allclose(labelled["classifier"]["Dense_1"]["bias"], wanted, rtol=1e-4, atol=1e-6)


def linear(logits):
    """M2 of the linear-Gaussian model at two classes, whose q(z|x, y) is exact, with a q(y|x) that is given."""
    classifier = Classifier(lambda key: {"logits": logits}, lambda params, x, mask=None, key=None: params["logits"])
    return objectives.m2(exact.MODEL, Labels((0, 1), 0), classifier, kl_estimate="monte_carlo")


def test_the_bound_is_tight_at_the_exact_posteriors():
    x, params = exact.X, lg.params()
    log_joint = np.stack([lg.MARGINAL.logpdf(x - row @ exact.TO_X) for row in np.eye(2, dtype=np.float32)]) - np.log(2)
    log_px, batch = logsumexp(log_joint, axis=0), {"x": x, "context": np.zeros((len(x), 2), np.float32)}
    for logits, is_exact in ((log_joint.T, True), (np.zeros((len(x), 2)), False)):
        groups = {"model": params, "classifier": {"logits": jnp.asarray(logits, jnp.float32)}}
        out = loss(linear(jnp.asarray(logits, jnp.float32)), groups, batch, tools.CTX)
        if is_exact:
            np.testing.assert_allclose(out.metrics["elbo"], log_px, rtol=1e-4)
        else:
            assert np.all(np.asarray(out.metrics["elbo"]) < log_px)


def test_marginal_elbo_is_largest_at_the_posterior_of_the_class():
    rng = np.random.default_rng(0)
    elbos, logits = rng.normal(size=(4, 6)), rng.normal(size=(6, 4))
    q = np.exp(log_softmax(logits, axis=1))
    wanted = [sum(p * (e - np.log(p)) for p, e in zip(row, column, strict=True))
              for row, column in zip(q, elbos.T, strict=True)]  # fmt: skip
    np.testing.assert_allclose(losses.marginal_elbo(elbos, logits), wanted, rtol=1e-6)
    np.testing.assert_allclose(losses.marginal_elbo(elbos, elbos.T), logsumexp(elbos, axis=0), rtol=1e-6)
    gradient = jax.grad(lambda logits: losses.marginal_elbo(elbos, logits).sum())(jnp.asarray(elbos.T))
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    gradient = jax.grad(lambda elbos: losses.marginal_elbo(elbos, logits).sum())(jnp.asarray(elbos))
    np.testing.assert_allclose(gradient, q.T, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: parts(LABELS._replace(position=None)), "data.context=label"),
        (lambda: parts(alpha=-1.0), "objective.alpha is -1.0"),
        (lambda: parts(num_samples=0), "at least 1"),
        (
            lambda: parts(kl=tools.KL_WEIGHTS["free_bits"](total_steps=10)),
            "to which classes that an example does not have",
        ),
        (
            lambda: parts(kl=tools.KL_WEIGHTS["capacity"](total_steps=10), marginal="sampled"),
            "kl=constant or kl=linear",
        ),
        (lambda: objectives.m2(tools.POINT, LABELS, parts()[1]), "is a point"),
    ],
)
def test_what_m2_cannot_be_built_from(change, words):
    with pytest.raises(UserError, match=words):
        change()


def test_a_classifier_reads_the_mask_as_an_encoder_does():
    model = parts()[0]
    made = make_classifier(networks.mlp((4,), "tanh"), model.likelihood, (6,), 3, mask_input=True)
    params = made.init(jax.random.key(0))
    mask = np.random.default_rng(0).random((5, 6)) < 0.5
    one, two = (made.logits(params, np.where(mask, tools.X, fill).astype(np.float32), mask) for fill in (0.3, 0.9))
    np.testing.assert_array_equal(one, two)
    whole = made.logits(params, tools.X)
    np.testing.assert_array_equal(whole, made.logits(params, tools.X, np.ones((5, 6), bool)))
    assert np.abs(np.asarray(whole - one)).max() > 1e-3


def test_few_labels_teach_both_groups():
    """Two clusters, two labels: the classifier learns the others' classes from their values."""
    rng = np.random.default_rng(0)
    truth = np.arange(64) % 2
    x = np.where(truth[:, None] == np.array([0, 0, 0, 1, 1, 1]), 0.9, 0.1) + rng.uniform(-0.1, 0.1, (64, 6))
    label = np.where(np.arange(64) < 2, truth, -1)
    labels = Labels((0, 1), 0, 2 / 64, 2 / 64)
    model = make_model(
        posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihoods.bernoulli(),
        networks.mlp((16,), "tanh"), data_shape=(6,), context_dim=2,
    )  # fmt: skip
    made = objectives.m2(model, labels, make_classifier(networks.mlp((8,), "tanh"), model.likelihood, (6,), 2))
    batch = {"x": x.astype(np.float32), "label": label, "context": np.zeros((64, 2), np.float32)}
    optimizer = optax.adam(1e-2)
    params = made.init(jax.random.key(0))[0]

    @jax.jit
    def train(params):
        def step(carry, key):
            params, state = carry
            grads = jax.grad(lambda p: made.loss(p, {}, batch, key, TRAINING).losses["model"].mean())(params)
            updates, state = optimizer.update(grads, state)
            return (optax.apply_updates(params, updates), state), None

        keys = jax.random.split(jax.random.key(2), 300)
        return jax.lax.scan(step, (params, optimizer.init(params)), keys)[0][0]

    probs = np.exp(made.classes.log_probs(train(params), {}, batch))
    assert (probs.argmax(axis=1) == truth).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
