"""A classifier on the labels alone, with self-training: against the cross-entropies of its logits."""

import jax
import numpy as np
import objective_tools as tools
import pytest
from scipy.special import log_softmax
from test_semi_supervised import BATCH, LABEL, LABELS, loss, parts

from jaxvae import networks, objectives
from jaxvae.common.errors import UserError
from jaxvae.models.classifier import make_classifier


def test_a_classifier_beside_a_vae_learns_from_labels_alone():
    model, classifier = parts()[:2]
    made = objectives.supervised(model, LABELS._replace(position=None), classifier)
    params = made.init(jax.random.key(0))[0]
    out, elbo = loss(made, params), loss(objectives.elbo(model), {"model": params["model"]})
    np.testing.assert_array_equal(out.losses["model"], elbo.losses["model"])
    log_q = log_softmax(np.asarray(classifier.logits(params["classifier"], tools.X), np.float64), axis=1)
    wanted = np.where(LABEL >= 0, -log_q[np.arange(5), [1, 0, 0, 0, 0]], 0) / 0.4
    np.testing.assert_allclose(out.losses["classifier"], wanted, rtol=1e-5)
    whole = loss(made, params, {**BATCH, "label": np.array([5, 2, 2, 7, 7])}, tools.CTX).metrics
    np.testing.assert_allclose(whole["classification"], -log_q[np.arange(5), [1, 0, 0, 2, 2]], rtol=1e-5)


def test_self_training_takes_sure_guesses_as_labels():
    model, classifier = parts()[:2]
    made, plain = (
        objectives.supervised(model, LABELS._replace(position=None), classifier, self_training=s) for s in (0.9, 0.0)
    )
    params = made.init(jax.random.key(0))[0]
    params["classifier"] = jax.tree.map(lambda leaf: 10 * leaf, params["classifier"])
    q = np.exp(log_softmax(np.asarray(classifier.logits(params["classifier"], tools.X), np.float64), axis=1))
    sure = (LABEL < 0) & (q.max(axis=1) > 0.9)
    assert 0 < sure.sum() < 3
    more = loss(made, params).losses["classifier"] - loss(plain, params).losses["classifier"]
    np.testing.assert_allclose(more, np.where(sure, -np.log(q.max(axis=1)), 0) / 0.6, rtol=1e-4, atol=1e-6)
    judged = (loss(each, params, ctx=tools.CTX).losses["classifier"] for each in (made, plain))
    np.testing.assert_array_equal(*judged)


def test_a_threshold_is_a_probability():
    with pytest.raises(UserError, match=r"objective\.self_training is 1\.0"):
        objectives.supervised(parts()[0], LABELS, parts()[1], self_training=1.0)


@pytest.mark.parametrize("loops", [True, False])
def test_a_classifier_that_is_slow_in_a_loop_is_kept_out_of_it(loops):
    model = parts()[0]
    network = networks.mlp((4,), "tanh")._replace(loops=loops)
    classifier = make_classifier(network, model.likelihood, (6,), 3)
    for build in (objectives.supervised, objectives.m2):
        assert build(model, LABELS._replace(share=1.0), classifier).loops == loops
