"""The decoder whose words are independent: its likelihood, its gradient and its samples against counts of words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from sequence_tools import V, batch, categorical

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models import make_model

RNG = np.random.default_rng(0)
Z, CONTEXT = (RNG.normal(size=(4, n)).astype(np.float32) for n in (2, 3))


def small(kind="text"):
    shape, levels = ((5,), V) if kind == "text" else ((5, 3), 2)
    network = networks.bag_of_words(shape, levels, embed_dim=3, encoder_hidden=4)
    likelihood = categorical() if kind == "text" else likelihoods.bernoulli()
    return make_model(
        posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihood, network, data_shape=shape, context_dim=3
    )


def made(kind, random_like):
    model = small(kind)
    return model, random_like(model.init, jax.random.key(0))


def logits_of(params, z, context):
    kernel, bias = (np.asarray(params["decoder"]["head"][name], np.float64) for name in ("kernel", "bias"))
    return np.concatenate([z, context], axis=1) @ kernel + bias


def test_the_likelihood_is_that_of_counts(random_like):
    model, params = made("text", random_like)
    x = batch()
    log_p = log_softmax(logits_of(params, Z, CONTEXT), axis=1)
    wanted = [sum(log_p[n, int(word)] for word in row if word >= 0) for n, row in enumerate(x)]
    found = model.decode(params, Z, CONTEXT).log_prob(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    order = np.array(x)
    order[0] = x[0, [4, 2, 0, 1, 3]]  # five words in another order
    again = np.asarray(model.decode(params, Z, CONTEXT).log_prob(order))
    np.testing.assert_allclose(again, found, rtol=1e-5)


def test_the_encoder_has_the_sizes_and_the_dropout_of_the_options():
    sizes = {leaf.shape for leaf in jax.tree.leaves(small().init(jax.random.key(0))["encoder"])}
    assert sizes >= {(V, 3), (3, 16), (4, 16)}  # embeddings, and the four gates of an LSTM of four
    for rate in (0.0, 0.5):
        network = networks.bag_of_words((5,), V, embed_dim=3, encoder_hidden=4, encoder_dropout=rate)
        encoder = networks.functions(network.encoder((5,), 2))
        variables = encoder.init(jax.random.key(0), jnp.asarray(batch()))
        one, two = (encoder.apply(variables, jnp.asarray(batch()), key=jax.random.key(seed))[0] for seed in (1, 2))
        assert np.any(np.asarray(one) != np.asarray(two)) == (rate > 0)


def test_the_gradient_is_counts_minus_expectations(random_like):
    model, params = made("text", random_like)
    x = batch()
    found = jax.grad(lambda params: jnp.sum(model.decode(params, Z, CONTEXT).log_prob(x)))(params)
    counts = np.stack([np.bincount(row[row >= 0].astype(int), minlength=V) for row in x])
    p = np.exp(log_softmax(logits_of(params, Z, CONTEXT), axis=1))
    difference = counts - counts.sum(axis=1, keepdims=True) * p
    inputs = np.concatenate([Z, CONTEXT], axis=1)
    np.testing.assert_allclose(found["decoder"]["head"]["kernel"], inputs.T @ difference, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["decoder"]["head"]["bias"], difference.sum(axis=0), rtol=1e-4, atol=1e-5)


def test_frames_have_the_same_notes_at_each_step(random_like):
    model, params = made("music", random_like)
    x = batch("music")
    logits = logits_of(params, Z, CONTEXT)
    terms = x * logits[:, None] - np.logaddexp(0, logits)[:, None]
    wanted = np.where(x >= 0, terms, 0).sum(axis=(1, 2))
    np.testing.assert_allclose(model.decode(params, Z, CONTEXT).log_prob(x), wanted, rtol=1e-4, atol=1e-5)


def test_samples_have_the_frequencies_of_the_words(random_like):
    model, params = made("text", random_like)
    num = 4000
    z, context = (np.repeat(each[:1], num, axis=0) for each in (Z, CONTEXT))
    x = np.asarray(model.decode(params, z, context).sample(jax.random.key(1)))
    first = np.bincount(x[:, 0].astype(int), minlength=V) / num
    p = np.exp(log_softmax(logits_of(params, Z[:1], CONTEXT[:1])[0]))
    assert np.all(np.abs(first - p) < 4.5 * np.sqrt(p * (1 - p) / num))
    assert p.max() < 0.9, "one word would be all"
    third = x[:, 2][x[:, 2] >= 0]  # of sentences that go on: independent of the words before, 0 ends them
    later = np.bincount(third.astype(int), minlength=V) / len(third)
    assert np.all(np.abs(later - p) < 4.5 * np.sqrt(p * (1 - p) / len(third)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"embed_dim": 0}, "embed_dim=0"),
        ({"encoder_hidden": 0}, "encoder_hidden=0"),
        ({"encoder_dropout": 1.0}, r"encoder_dropout=1\.0"),
        ({"data_shape": (8, 8, 1)}, "'bag_of_words' reads sequences"),
    ],
)
def test_what_it_cannot_be_built_from(options, words):
    with pytest.raises(UserError, match=words):
        networks.bag_of_words(**{"data_shape": (5,), "levels": V, **options})
