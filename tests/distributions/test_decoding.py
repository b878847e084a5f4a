"""How sequences are written, against the enumeration of all of them."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sequence_tools import V, conditionals, joined, sentences, small

from jaxvae import likelihoods
from jaxvae.common.errors import UserError
from jaxvae.distributions import decoding
from jaxvae.models.sampling import sample

T, LEVELS, DRAWS = 3, 3, 20_000
Z = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
X = sentences(T, LEVELS)


@functools.cache
def toy(network="lstm"):
    """A model of sentences of up to three words, two in all, and p(x|z) of all of them for each of Z, `[6, 15]`."""
    model = small(network=network, shape=(T,), levels=LEVELS)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: 1.2 * rng.normal(size=leaf.shape), jax.eval_shape(model.init, jax.random.key(0)))
    params = jax.tree.map(jnp.float32, params)
    log_prob = jax.jit(lambda z: model.decode(params, z).log_prob(X))(np.repeat(Z[:, None], len(X), 1))
    return model, params, np.exp(np.asarray(log_prob, np.float64))


def write(how, network="lstm", z=Z, seed=0):
    model, params, _ = toy(network)
    return np.asarray(jax.jit(lambda key, z: how(key, model.decode(params, z)))(jax.random.key(seed), z))


def frequencies(x):
    """How often each of X is among x `[N, T]`; each x must be one of them."""
    found = np.all(x[:, None] == X, axis=-1)
    np.testing.assert_array_equal(found.sum(axis=1), 1)
    return found.sum(axis=0)


def assert_distributed(counts, probabilities):
    possible = probabilities > 0
    assert not counts[~possible].any()
    expected = counts.sum() * probabilities / probabilities.sum()  # which are rounded to float32
    assert stats.chisquare(counts[possible], expected[possible]).pvalue > 1e-3


@pytest.mark.parametrize("network", ["lstm", "tied", "hierarchical"])
def test_the_probabilities_of_all_sentences_sum_to_one(network):
    probabilities = toy(network)[2]
    assert probabilities.shape == (6, 1 + 2 + 4 + 8)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("network", ["lstm", "hierarchical"])
def test_samples_have_the_probabilities_that_log_prob_says(network):
    model, params, probabilities = toy(network)
    x = np.asarray(jax.jit(lambda key: model.decode(params, Z[:2]).sample(key, (DRAWS,)))(jax.random.key(0)))
    assert x.shape == (DRAWS, 2, T)
    for i in range(2):
        assert_distributed(frequencies(x[:, i]), probabilities[i])


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 0), (0.5, 0), (3.0, 0), (1.0, 2), (1.0, 9), (0.5, 2)])
def test_random_decoding_changes_each_steps_probabilities(temperature, top_k):
    probabilities = toy()[2][0]

    def changed(p):
        p = p ** (1 / temperature)
        p = np.where(p >= np.sort(p)[-min(top_k or LEVELS, LEVELS)], p, 0)
        return p / p.sum()

    steps = {s: changed(p) for s, p in conditionals(X, probabilities, LEVELS).items()}
    expected = joined(X, steps)
    x = write(decoding.random(temperature, top_k), z=np.repeat(Z[:1], DRAWS, 0))
    assert_distributed(frequencies(x), expected)
    if temperature != 1 or top_k == 2:
        assert np.abs(expected - probabilities).max() > 0.01


def test_greedy_takes_the_likeliest_token_of_each_step():
    for i, probabilities in enumerate(toy()[2]):
        steps, s = conditionals(X, probabilities, LEVELS), ()
        while len(s) < T and (not s or s[-1] != 0):
            s = (*s, int(np.argmax(steps[s])))
        np.testing.assert_array_equal(write(decoding.greedy())[i], [*s, *[-1] * (T - len(s))])


@pytest.mark.parametrize("how", [decoding.beam(1), decoding.random(top_k=1), decoding.random(temperature=1e-4)])
def test_what_must_be_greedy(how):
    np.testing.assert_array_equal(write(how), write(decoding.greedy()))


def searched(probabilities, width):
    """Beam search by hand over lists; and the probability of what it finds."""
    steps, beams = conditionals(X, probabilities, LEVELS), [((), 1.0)]
    for _ in range(T):
        longer = [(s, p) for s, p in beams if s and s[-1] == 0]
        longer += [((*s, t), p * steps[s][t]) for s, p in beams if not s or s[-1] != 0 for t in range(LEVELS)]
        beams = sorted(longer, key=lambda beam: -beam[1])[:width]
    return [*beams[0][0], *[-1] * (T - len(beams[0][0]))]


@pytest.mark.parametrize("network", ["lstm", "hierarchical"])
@pytest.mark.parametrize("width", [*(pytest.param(few, marks=pytest.mark.slow) for few in (1, 2)), 3, LEVELS**T])
def test_beam_search_keeps_the_likeliest_beginnings(network, width):
    found = write(decoding.beam(width), network)
    for x, probabilities in zip(found, toy(network)[2], strict=True):
        np.testing.assert_array_equal(x, searched(probabilities, width))
        if width == LEVELS**T:
            np.testing.assert_array_equal(x, X[np.argmax(probabilities)])


def test_the_likeliest_sentence_is_not_the_greedy_one():
    """Else the tests of beam search would show little."""
    assert np.any(write(decoding.beam(27)) != write(decoding.greedy()))


@pytest.mark.parametrize("how", [decoding.greedy(), decoding.random(0.7), decoding.beam(3)])
@pytest.mark.parametrize("batch", [pytest.param((), marks=pytest.mark.slow), (2, 4)])
def test_what_is_written_has_the_shape_of_the_data_and_padding_after_its_end(how, batch):
    model = small(write=how)
    rng = np.random.default_rng(2)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.float32(rng.normal(size=leaf.shape)), shapes)
    z = rng.normal(size=(*batch, 2)).astype(np.float32)
    x = np.asarray(jax.jit(lambda z: model.decode(params, z).mean)(z))
    assert x.shape == (*batch, 5)
    np.testing.assert_array_equal(x, jax.jit(lambda z: model.decode(params, z).mean)(z))  # the same each time
    for row in x.reshape(-1, 5).astype(int).tolist():
        length = row.index(0) + 1 if 0 in row else 5
        assert all(0 <= token < V for token in row[:length])
        assert row[length:] == [-1] * (5 - length)


def test_samples_of_the_model_are_written_as_it_was_told():
    model, params, _ = toy()
    key = functools.partial(jax.random.key, 3)
    z = jax.random.normal(key(), (50, 2))
    assert sample(model, params, key(), 50).shape == (50, T)
    np.testing.assert_array_equal(sample(model, params, key(), 50), write(decoding.greedy(), z=z))


def frames(likelihood=None):
    """Two frames of two pitches, and their parameters."""
    model = small("music", shape=(2, 2), likelihood=likelihood)
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return model, jax.tree.map(lambda leaf: jnp.float32(rng.normal(size=leaf.shape)), shapes)


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_frames_have_the_probabilities_that_log_prob_says(temperature):
    model, params = frames()
    every = np.array(list(itertools.product([0, 1], repeat=4)), np.float32).reshape(-1, 2, 2)
    how = decoding.random(temperature)

    @jax.jit
    def run(key):
        x = how(key, model.decode(params, jnp.repeat(Z[:1], DRAWS, 0)))
        return x, model.decode(params, jnp.repeat(Z[:1], 16, 0)).log_prob(every)

    x, log_prob = (np.asarray(value, np.float64) for value in run(jax.random.key(0)))
    probabilities = np.exp(log_prob)
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-6)
    first = probabilities.reshape(4, 4).sum(axis=1)  # p(x_1), and p(x_2 | x_1) of single notes that know not each other
    steps = [first, *(probabilities.reshape(4, 4) / first[:, None])]
    steps = [p ** (1 / temperature) / np.sum(p ** (1 / temperature)) for p in steps]
    counts = np.all(x[:, None] == every, axis=(2, 3)).sum(axis=0)
    assert counts.sum() == DRAWS
    assert_distributed(counts, (steps[0][:, None] * np.stack(steps[1:])).ravel())


@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical", "gaussian"])
def test_greedy_frames_are_the_modes_of_their_steps(likelihood):
    made = {
        "bernoulli": likelihoods.bernoulli(),
        "categorical": likelihoods.categorical(2, (0.0, 1.0)),
        "gaussian": likelihoods.gaussian(),
    }[likelihood]
    model, params = frames(made)

    @jax.jit
    def run(z):
        p = model.decode(params, z)
        return p.mean, p.decoder.apply(p.variables, z, p.mean)[0]

    x, outputs = map(np.asarray, run(Z))
    modes = {"bernoulli": outputs > 0, "categorical": outputs.argmax(axis=-1), "gaussian": outputs}
    np.testing.assert_allclose(x, modes[likelihood].reshape(x.shape), atol=1e-6)
    assert len(np.unique(x)) > 1


@pytest.mark.parametrize(("likelihood", "how", "message"), [
    (likelihoods.bernoulli(), decoding.beam(2), "'beam' searches among tokens"),
    (likelihoods.bernoulli(), decoding.random(top_k=2), "must be 'categorical' for both"),
    (likelihoods.gaussian(), decoding.random(temperature=0.5), "must be 'categorical' for both"),
])  # fmt: skip
def test_steps_without_logits_are_no_place_for_what_changes_them(likelihood, how, message):
    model, params = frames(likelihood)
    with pytest.raises(UserError, match=message):
        jax.eval_shape(how, jax.random.key(0), model.decode(params, Z))
