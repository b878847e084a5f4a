"""Sequence models: their LSTM, teacher forcing against steps, padding and noise."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sequence_tools import CASES, NOISY, ONE, SHAPES, TRAINING, V, batch, small
from slow_cases import fast, fast_rows

from jaxvae import likelihoods, objectives
from jaxvae.networks.recurrent_cells import LSTM, drop, steps_before

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, (4, 1, 6)])
def test_the_lstm_is_that_of_pytorch(reverse, lengths, random_like):
    torch = pytest.importorskip("torch")
    x, start, module = normal(3, 6, 2), (normal(3, 4), normal(3, 4)), LSTM(4)
    present = np.arange(6) < np.array(lengths or (6, 6, 6))[:, None]
    weights, ends = normal(3, 6, 4) * present[..., None], (normal(3, 4), normal(3, 4))
    params = random_like(lambda key: module.init(key, x, start)["params"], jax.random.key(0))

    def loss(params, x, start):
        outputs, end = module.apply({"params": params}, x, start, jnp.asarray(present) if lengths else None, reverse)
        total = jnp.sum(outputs * weights) + sum(jnp.sum(a * b) for a, b in zip(end, ends, strict=True))
        return total, (outputs, end)

    gradients, (outputs, end) = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(params, x, start)

    def tensor(array):
        return torch.tensor(np.asarray(array, np.float64), requires_grad=True)

    theirs = torch.nn.LSTM(2, 4, batch_first=True, bidirectional=True).double()
    bias = np.array(params["of_input"]["bias"])
    bias[4:8] += 1  # of the forget gate
    suffix = "_l0" + "_reverse" * reverse
    of_input, of_state, of_bias = (
        getattr(theirs, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih")
    )  # fmt: skip
    with torch.no_grad():
        of_input.copy_(tensor(params["of_input"]["kernel"].T))
        of_state.copy_(tensor(params["kernel"].T))
        of_bias.copy_(tensor(bias))
        getattr(theirs, "bias_hh" + suffix).zero_()
    inputs, cell, hidden = tensor(x), *map(tensor, start)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        inputs, list(lengths or (6, 6, 6)), batch_first=True, enforce_sorted=False
    )
    found, (last_hidden, last_cell) = theirs(packed, tuple(torch.stack([a, a]) for a in (hidden, cell)))
    found = torch.nn.utils.rnn.pad_packed_sequence(found, batch_first=True, total_length=6)[0]
    mine = found[..., 4:] if reverse else found[..., :4]
    last = last_cell[int(reverse)], last_hidden[int(reverse)]
    total = (mine * tensor(weights)).sum() + sum((a * tensor(b)).sum() for a, b in zip(last, ends, strict=True))
    total.backward()
    np.testing.assert_allclose(np.where(present[..., None], outputs, 0), mine.detach(), atol=1e-6)
    for a, b in zip(end, last, strict=True):
        np.testing.assert_allclose(a, b.detach(), atol=1e-6)
    expected = {"kernel": of_state.grad.T, "of_input": {"kernel": of_input.grad.T, "bias": of_bias.grad}}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, np.asarray(b), rtol=1e-4, atol=1e-5),
        gradients,
        (expected, inputs.grad, (cell.grad, hidden.grad)),
    )


@pytest.mark.parametrize(("kind", "network"), fast_rows(CASES, ("text", "lstm"), ("music", "hierarchical")))
@pytest.mark.parametrize("num_context", [pytest.param(0, marks=pytest.mark.slow), 3])
def test_teacher_forcing_is_one_step_after_the_other(kind, network, num_context, random_like):
    model, x, z = small(kind, network, num_context, **NOISY), batch(kind), normal(4, 2)
    context = normal(4, num_context) if num_context else None
    params = random_like(model.init, jax.random.key(0))

    @jax.jit
    def run(params, z, x, context):
        p = model.decode(params, z, context)
        at_once, _ = p.decoder.apply(p.variables, z, x, *(() if context is None else (context,)))
        state, before, outputs, log_probs = p.start((4,)), jnp.full(x.shape[:1] + x.shape[2:], -1.0), [], []
        for t in range(5):
            _, given = p.decoder.step(p.variables, state, before)
            state, step = p.step(state, before)
            outputs.append(given)
            log_probs.append(step.log_prob(x[:, t]))
            before = x[:, t]
        return p.log_prob(x), at_once, jnp.stack(outputs, 1), jnp.stack(log_probs, 1)

    log_prob, at_once, by_step, terms = map(np.asarray, run(params, z, x, context))
    assert at_once.shape == (4, 5, V) if kind == "text" else (4, 5, 3)
    present = np.arange(5) < np.array([5, 1, 3, 4])[:, None]  # the state after the end is nobody's
    np.testing.assert_allclose(at_once[present], by_step[present], rtol=1e-4, atol=1e-5)
    terms = terms.reshape(4, 5, -1).sum(axis=-1, dtype=np.float64)
    np.testing.assert_allclose(log_prob, np.where(present, terms, 0).sum(axis=1), rtol=1e-5)
    if num_context:
        assert np.all(log_prob != np.asarray(run(params, z, x, context[::-1])[0])), "the context is not looked at"
    assert np.all(log_prob != np.asarray(run(params, z[::-1], x, context)[0])), "z is not looked at"


@pytest.mark.parametrize("likelihood", fast(["pixel", "categorical", "poisson"], "pixel"))
def test_frames_take_any_likelihood_of_single_values(likelihood, random_like):
    made = {
        "pixel": likelihoods.gaussian(learn="pixel"),
        "categorical": likelihoods.categorical(2, (0.0, 1.0)),
        "poisson": likelihoods.poisson(),
    }[likelihood]
    model, x, z = small("music", likelihood=made), batch("music"), normal(4, 2)
    params = random_like(model.init, jax.random.key(0))

    @jax.jit
    def run(params, z):
        p = model.decode(params, z)
        outputs, _ = p.decoder.apply(p.variables, z, x)
        steps = made.build(params.get("likelihood", {}), outputs).log_prob(jnp.maximum(x, 0))
        gradient = jax.grad(lambda params: jnp.sum(model.decode(params, z).log_prob(x)))(params)
        return p.log_prob(x), steps, gradient, p.mean, model.encode(params, x).mean

    log_prob, steps, gradient, written, code = jax.device_get(run(params, z))
    present = np.arange(5) < np.array([5, 1, 3, 4])[:, None]
    np.testing.assert_allclose(log_prob, np.where(present, steps.sum(-1), 0).sum(1), rtol=1e-5)
    for leaf in jax.tree.leaves((gradient, written, code)):
        assert np.all(np.isfinite(leaf))
    assert written.shape == (4, 5, 3)


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        ("text", "lstm"),
        pytest.param("music", "lstm", marks=pytest.mark.slow),
        pytest.param("text", "hierarchical", marks=pytest.mark.slow),
    ],
)
def test_padding_and_neighbours_change_no_number(kind, network, random_like):
    model, x, others = small(kind, network, **NOISY), batch(kind, (3, 1, 2, 3)), batch(kind, (3, 5, 4, 4), seed=5)
    objective = objectives.elbo(model, ONE)
    params, _ = random_like(objective.init, jax.random.key(0))
    longer = np.pad(x, [(0, 0), (0, 1), (0, 0)][: x.ndim], constant_values=-1)
    wild = np.where(x < 0, RNG.integers(-9, 0, x.shape), x).astype(np.float32)
    if kind == "music":  # the first pitch says what is padding
        wild[..., 1:] = np.where(x[..., 1:] < 0, RNG.integers(0, 9, x[..., 1:].shape), x[..., 1:])
    others[0] = x[0]

    @jax.jit
    def run(params, x):
        key = jax.random.key(1)  # of noise too, which is the same for a step however many follow

        def loss(params):
            out = objective.loss(params, {}, {"x": x}, key, TRAINING)
            return out.losses["model"].mean(), out.metrics

        gradient, metrics = jax.grad(loss, has_aux=True)(params)
        code = model.encode(params["model"], x)
        log_prob = model.decode(params["model"], code.mean).log_prob(x)
        return {**metrics, "mean": code.mean, "variance": code.variance, "log_prob": log_prob}, gradient

    expected, gradient = run(params, x)
    for other in (x[:, :3], longer):
        numbers, slope = run(params, other)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), numbers, expected)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), slope, gradient)
    jax.tree.map(np.testing.assert_array_equal, run(params, wild), (expected, gradient))
    for name, value in run(params, others)[0].items():
        np.testing.assert_array_equal(value[0], expected[name][0])
        assert np.all(value[1] != expected[name][1])


def test_longer_sequences_than_the_models_own_are_scored(random_like):
    model, x = small(), batch()
    params = random_like(model.init, jax.random.key(0))
    log_prob = jax.jit(lambda x: model.decode(params, jnp.ones((4, 2))).log_prob(x))
    padded = np.pad(x, ((0, 0), (0, 3)), constant_values=-1)
    np.testing.assert_allclose(log_prob(padded), log_prob(x), rtol=1e-6)
    longer = padded.copy()
    longer[0, 5:7] = 2, 0
    assert log_prob(longer)[0] < log_prob(x)[0]
    np.testing.assert_array_equal(log_prob(longer)[1:], log_prob(padded)[1:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "network"), [("text", "lstm"), pytest.param("music", "hierarchical", marks=pytest.mark.slow)]
)
def test_a_sequence_distribution_broadcasts_and_is_a_pytree(kind, network, random_like):
    model, x, z, context = small(kind, network, 5), batch(kind), normal(3, 4, 2), normal(4, 5)
    params = random_like(model.init, jax.random.key(0))
    made = jax.jit(model.decode)(params, z, context)  # through the boundary of a jit, and back
    assert (made.batch_shape, made.event_shape) == ((3, 4), SHAPES[kind])

    @jax.jit
    def run(p, z):
        stopped = jax.tree.map(jax.lax.stop_gradient, p)
        slope = jax.grad(lambda p: jnp.sum(jax.tree.map(jax.lax.stop_gradient, p).log_prob(x)), allow_int=True)(p)
        by_hand = [[model.decode(params, z[k, b], context[b]).log_prob(x[b]) for b in (0, 3)] for k in (0, 2)]
        mapped = jax.vmap(jax.vmap(lambda z, x, c: model.decode(params, z, c).log_prob(x)), (0, None, None))
        several = model.decode(params, z[0], context).log_prob(jnp.stack([x, x[::-1]]))
        return p.log_prob(x), stopped.log_prob(x), mapped(z, x, context), jnp.array(by_hand), slope, several

    log_prob, stopped, mapped, by_hand, slope, several = run(made, z)
    assert log_prob.shape == (3, 4)
    assert len(np.unique(log_prob)) == 12
    np.testing.assert_array_equal(log_prob, stopped)
    np.testing.assert_allclose(log_prob, mapped, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(log_prob)[::2, ::3], by_hand, rtol=1e-5)
    np.testing.assert_allclose(several[0], log_prob[0], rtol=1e-5)
    assert several.shape == (2, 4)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(slope))
    with pytest.raises(AssertionError):
        jax.eval_shape(model.decode, params, z[..., :1], context)


class Noise(nn.Module):
    """What is drawn in training, by itself."""

    rate: float

    def __call__(self, x, vectors):
        before, keep = steps_before(self, x, self.rate)
        return before, keep, drop(self, vectors, self.rate)


def test_words_and_outputs_are_dropped_at_their_rates(assert_mean):
    x, ones = normal(400, 9), jnp.ones((400, 9, 4))
    before, keep, kept = Noise(0.3).apply({}, x, ones, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_array_equal(before, np.pad(x[:, :-1], ((0, 0), (1, 0)), constant_values=-1))
    assert keep.shape == (400, 9)
    assert_mean(keep, 0.7)  # of each step, over sentences
    assert np.std(np.mean(keep, axis=1)) > 0.5 * np.sqrt(0.21 / 9)  # each sentence by itself
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.7], rtol=1e-6)
    assert_mean(np.reshape(kept, (400, -1)), 1)
    assert_mean((np.asarray(kept) > 0) & np.asarray(keep)[..., None], 0.49)  # the two are independent
    np.testing.assert_array_equal(Noise(0.3).apply({}, x, ones)[2], ones)
    assert Noise(0.3).apply({}, x, ones)[1] is True


@pytest.mark.parametrize("network", fast(["lstm", "hierarchical"], "lstm"))
def test_noise_is_only_where_there_is_a_key(network, random_like):
    plain, x, z = small(network=network), batch(), normal(4, 2)
    params = random_like(plain.init, jax.random.key(0))
    options = {"dropout": {"dropout": 0.5}, "words": {"word_dropout": 0.5}, "blind": {"word_dropout": 1 - 1e-7}}
    models = {name: small(network=network, **rates) for name, rates in options.items()}

    @jax.jit
    def run(seed):
        key = jax.random.key(seed)
        scored = {name: model.training.decode(params, key, z)[0].log_prob(x) for name, model in models.items()}
        without_key = [model.decode(params, z).log_prob(x) for model in models.values()]
        decoder = plain.decode(params, z).decoder
        hidden, _ = decoder.apply({"params": params["decoder"]}, z, jnp.full_like(x, -1))
        blind = jnp.take_along_axis(jax.nn.log_softmax(hidden), jnp.maximum(x, 0).astype(int)[..., None], 2)[..., 0]
        clean = plain.decode(params, z).log_prob(x), plain.training.decode(params, key, z)[0].log_prob(x)
        return scored, without_key, clean, jnp.sum(jnp.where(x >= 0, blind, 0), axis=1)

    scored, without_key, (clean, with_key), blind = run(0)
    np.testing.assert_array_equal(with_key, clean)  # its rates are 0
    for same in without_key:
        np.testing.assert_array_equal(same, clean)
    jax.tree.map(np.testing.assert_array_equal, run(0)[0], scored)
    for name in ("dropout", "words"):
        assert np.any(scored[name] != clean)
        assert np.any(scored[name] != run(1)[0][name])
    np.testing.assert_allclose(scored["blind"], blind, rtol=1e-5)  # every word before is hidden
