"""What the objectives of labels share: the weight of the KL, rows that are weighted as in the data, masks and modes."""

import flax.linen as nn
import jax
import numpy as np
import objective_tools as tools
import pytest
from test_semi_supervised import BATCH, LABEL, LABELS, TRAINING, loss, parts

from jaxvae import likelihoods, networks, objectives, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models import make_model
from jaxvae.models.base import Training
from jaxvae.models.classifier import make_classifier

KNOWN = LABEL >= 0
WAYS = {
    "m2": objectives.m2,
    "m2, sampled": lambda *args, **options: objectives.m2(*args, marginal="sampled", **options),
    "supervised": lambda model, labels, classifier, **options: objectives.supervised(
        model, labels._replace(position=None), classifier, **options
    ),
}
ALL = pytest.mark.parametrize("way", WAYS)


def made(way, labels=LABELS, model=None, classifier=None, **options):
    return WAYS[way](model or parts()[0], labels, classifier or parts()[1], **options)


@ALL
def test_the_kl_has_its_weight_in_the_loss(way):
    params = parts()[3]
    one, two = (loss(made(way, kl=tools.KL_WEIGHTS["constant"](beta=beta)), params) for beta in (1.0, 3.0))
    np.testing.assert_allclose(two.losses["model"] - one.losses["model"], 2 * one.metrics["kl"], rtol=1e-3)
    assert np.all(np.asarray(one.metrics["kl"]) > 1e-3)


@ALL
def test_evaluation_has_that_weight_too_and_the_classifier_no_weight_of_rows(way):
    params = parts()[3]
    rich = LABELS._replace(batch_share=0.7)
    plain, weighted = (loss(made(way, labels), params, ctx=tools.CTX).metrics for labels in (LABELS, rich))
    jax.tree.map(np.testing.assert_array_equal, plain, weighted)
    trained, richer = (loss(made(way, labels), params).metrics["accuracy"] for labels in (LABELS, rich))
    np.testing.assert_allclose(0.7 * np.asarray(richer), 0.4 * np.asarray(trained), rtol=1e-6)
    assert np.any(np.asarray(trained) > 0)


@ALL
def test_more_samples_of_z_are_taken_where_asked(way):
    params = parts()[3]
    one, many = (loss(made(way, num_samples=num), params).losses["model"] for num in (1, 3))
    assert np.all(np.abs(np.asarray(one - many)) > 1e-5)


@pytest.mark.parametrize("marginal", ["exact", "sampled"])
def test_rows_of_a_batch_weigh_as_in_the_data(marginal):
    """A tenth of a batch stands for four tenths of the data, and unlabelled examples weigh half for the model."""
    params = parts()[3]
    few = LABELS._replace(batch_share=0.1)
    options = {"marginal": marginal, "alpha": 0.0}
    whole = loss(parts(**options)[2], params).losses
    rows = loss(parts(few, **options, unlabelled=0.5)[2], params).losses
    np.testing.assert_allclose(rows["model"] / whole["model"], np.where(KNOWN, 4.0, 0.5 * 0.6 / 0.9), rtol=1e-5)
    of_classifier = np.where(KNOWN, 4.0, 0.6 / 0.9)
    np.testing.assert_allclose(rows["classifier"], of_classifier * whole["classifier"], rtol=1e-5)


def test_the_sampled_estimator_reports_what_the_exact_one_does():
    params = parts()[3]
    exact, drawn = (loss(parts(marginal=name)[2], params).metrics for name in ("exact", "sampled"))
    np.testing.assert_allclose(drawn["kl_class"], exact["kl_class"], atol=1e-6)
    for metrics in (exact, drawn):
        total = sum(np.asarray(metrics[name]) for name in ("reconstruction", "kl", "kl_class"))
        np.testing.assert_allclose(total, -np.asarray(metrics["elbo"]), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(drawn["elbo"])[KNOWN], np.asarray(exact["elbo"])[KNOWN], rtol=0.1)


@ALL
def test_missing_values_are_not_seen(way):
    model = make_model(
        posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihoods.bernoulli(),
        networks.mlp((8,), "tanh"), data_shape=(6,), context_dim=5, mask_input=True,
    )  # fmt: skip
    classifier = make_classifier(networks.mlp((4,), "tanh"), model.likelihood, (6,), 3, mask_input=True)
    objective = made(way, model=model, classifier=classifier)
    params = objective.init(jax.random.key(0))[0]
    mask = np.arange(30).reshape(5, 6) % 3 > 0
    batches = [{**BATCH, "x": x.astype(np.float32), "mask": mask} for x in (tools.X, np.where(mask, tools.X, 0.7))]
    first, other = (loss(objective, params, batch) for batch in batches)
    jax.tree.map(np.testing.assert_array_equal, first, other)
    one, two = (objective.classes.log_probs(params, {}, batch) for batch in batches)
    np.testing.assert_array_equal(one, two)
    unmasked = objective.classes.log_probs(params, {}, {**batches[1], "mask": np.ones_like(mask)})
    assert np.abs(np.asarray(one - unmasked)).max() > 1e-3


class Noisy(nn.Module):
    """An encoder with dropout."""

    num_outputs: int

    @nn.compact
    def __call__(self, x, context=None, is_training: bool = False):
        return nn.Dense(self.num_outputs)(nn.Dropout(0.5, deterministic=not is_training)(x))


@ALL
def test_networks_run_in_the_mode_of_the_step(way):
    """The model's, and the classifier's, whose logits a metric tells."""

    def fail(*args, **options):
        raise AssertionError("another mode")

    network = networks.mlp((4,), "tanh")._replace(encoder=lambda shape, num_outputs: Noisy(num_outputs))
    classifier = make_classifier(network, likelihoods.bernoulli(), (6,), 3)
    model, name = parts()[0], "classification" if way == "supervised" else "kl_class"
    judged = made(way, model=model._replace(training=Training(fail, fail)), classifier=classifier)
    trained = made(way, model=model._replace(encode=fail, decode=fail), classifier=classifier)
    params = judged.init(jax.random.key(0))[0]
    for objective, ctx, is_noisy in ((judged, tools.CTX, False), (trained, TRAINING, True)):
        one, two = (np.asarray(loss(objective, params, ctx=ctx, seed=seed).metrics[name]) for seed in (1, 2))
        assert np.any(one != two) == is_noisy


def test_what_classifies_alone_takes_no_label_as_known():
    with pytest.raises(UserError, match=r"takes a label in data\.context as known"):
        objectives.supervised(parts()[0], LABELS, parts()[1])
    assert objectives.supervised(parts()[0], LABELS._replace(share=1.0), parts()[1]).classes.values == (2, 5, 7)
