"""Sequence models: their LSTM, teacher forcing against steps, padding, noise, and objectives on them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from objective_tools import make
from sequence_tools import CASES, NETWORKS, SHAPES, V, batch, small
from sequence_tools import sentences as all_sentences

from configs import base, text_vae
from jaxvae import build, experiment, likelihoods, networks, objectives, posteriors
from jaxvae.errors import UserError
from jaxvae.evaluate import importance_nll
from jaxvae.networks.recurrent import LSTM, drop, steps_before
from jaxvae.objectives import KL_WEIGHTS, StepContext
from jaxvae.train import init_state, make_step

RNG = np.random.default_rng(0)
ONE = KL_WEIGHTS["constant"]()
TRAINING, JUDGING = StepContext(0, 100, True), StepContext(0, 100)
NOISY = {"dropout": 0.5, "word_dropout": 0.5}


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


@pytest.mark.parametrize(("kind", "network"), CASES)
@pytest.mark.parametrize("num_context", [0, 3])
def test_teacher_forcing_is_one_step_after_the_other(kind, network, num_context, random_like):
    model, x, z = small(kind, network, **NOISY), batch(kind), normal(4, 2)
    context = normal(4, num_context) if num_context else None
    params = random_like(model.init, jax.random.key(0), context)

    @jax.jit
    def run(params, z, x, context):
        p = model.decode(params, z, context)
        at_once = p.decoder.apply({"params": p.params}, z, x, context)
        state, before, outputs, log_probs = p.start((4,)), jnp.full(x.shape[:1] + x.shape[2:], -1.0), [], []
        for t in range(5):
            _, given = p.decoder.apply({"params": p.params}, state, before, method="step")
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


@pytest.mark.parametrize("likelihood", ["pixel", "categorical", "poisson"])
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
        outputs = p.decoder.apply({"params": p.params}, z, x)
        steps = made.build(params.get("likelihood", {}), outputs).log_prob(jnp.maximum(x, 0))
        gradient = jax.grad(lambda params: jnp.sum(model.decode(params, z).log_prob(x)))(params)
        return p.log_prob(x), steps, gradient, p.mean, model.encode(params, x).mean

    log_prob, steps, gradient, written, code = jax.device_get(run(params, z))
    present = np.arange(5) < np.array([5, 1, 3, 4])[:, None]
    np.testing.assert_allclose(log_prob, np.where(present, steps.sum(-1), 0).sum(1), rtol=1e-5)
    for leaf in jax.tree.leaves((gradient, written, code)):
        assert np.all(np.isfinite(leaf))
    assert written.shape == (4, 5, 3)


@pytest.mark.parametrize(("kind", "network"), [("text", "lstm"), ("music", "lstm"), ("text", "hierarchical")])
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


@pytest.mark.parametrize(("kind", "network"), [("text", "lstm"), ("music", "hierarchical")])
def test_a_sequence_distribution_broadcasts_and_is_a_pytree(kind, network, random_like):
    model, x, z, context = small(kind, network), batch(kind), normal(3, 4, 2), normal(4, 5)
    params = random_like(model.init, jax.random.key(0), context)
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


@pytest.mark.parametrize("network", ["lstm", "hierarchical"])
def test_noise_is_only_where_there_is_a_key(network, random_like):
    plain, x, z = small(network=network), batch(), normal(4, 2)
    params = random_like(plain.init, jax.random.key(0))
    options = {"dropout": {"dropout": 0.5}, "words": {"word_dropout": 0.5}, "blind": {"word_dropout": 1 - 1e-7}}
    models = {name: small(network=network, **rates) for name, rates in options.items()}

    @jax.jit
    def run(seed):
        key = jax.random.key(seed)
        scored = {name: model.decode(params, z, key=key).log_prob(x) for name, model in models.items()}
        without_key = [model.decode(params, z).log_prob(x) for model in models.values()]
        hidden = plain.decode(params, z).decoder.apply({"params": params["decoder"]}, z, jnp.full_like(x, -1))
        blind = jnp.take_along_axis(jax.nn.log_softmax(hidden), jnp.maximum(x, 0).astype(int)[..., None], 2)[..., 0]
        clean = plain.decode(params, z).log_prob(x), plain.decode(params, z, key=key).log_prob(x)
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


def test_training_has_noise_and_judging_has_none(random_like):
    noisy, plain = (
        objectives.OBJECTIVES["reconstruction"](small(posterior=posteriors.delta, **options)) for options in (NOISY, {})
    )
    params, x = random_like(plain.init, jax.random.key(0))[0], batch()
    optimizer = optax.sgd(0.0)
    state = init_state(noisy, optimizer, jax.random.key(0))._replace(params=params)

    @jax.jit
    def run(seed):
        def loss(objective, ctx):
            return objective.loss(params, {}, {"x": x}, jax.random.key(seed), ctx).losses["model"]

        def step(objective):
            step = make_step(objective, optimizer, lambda key, x: x, jax.random.key(2), 100)
            return step(state, {"x": x})[1]["loss"]

        losses = {"judging": loss(noisy, JUDGING), "plain": loss(plain, TRAINING), "training": loss(noisy, TRAINING)}
        return losses, step(noisy), step(plain)

    (losses, noisy_step, plain_step), others = run(0), run(1)[0]
    np.testing.assert_array_equal(losses["judging"], others["judging"])
    np.testing.assert_allclose(losses["judging"], losses["plain"], rtol=1e-6)
    assert np.all(losses["training"] != others["training"])
    assert np.all(losses["training"] != losses["judging"])
    np.testing.assert_allclose(plain_step, losses["plain"].mean(), rtol=1e-6)
    assert abs(noisy_step - plain_step) > 1e-3


POINTS = ("wae_mmd", "swae", "rae", "reconstruction", "contractive")


@pytest.mark.parametrize("name", sorted(objectives.OBJECTIVES.keys() - {"denoising"}))  # which takes no sequences
def test_every_objective_trains_with_the_decoders_noise(name):
    """By how often a traced loss draws; nothing is compiled."""

    def draws(rates, ctx):
        objective = make(name, small("music", posterior=posteriors.delta if name in POINTS else None, **rates))

        def loss(params, extra, key):
            return objective.loss(params, extra, {"x": batch("music")}, key, ctx)

        states = jax.eval_shape(objective.init, jax.random.key(0))
        return str(jax.make_jaxpr(loss)(*states, jax.random.key(0))).count("random_bits")

    assert draws(NOISY, TRAINING) > draws(NOISY, JUDGING) == draws({}, TRAINING)


SPECS = {
    "text": build.DataSpec((5,), V, False, "text", ("<eos>", "<unk>", "a", "b", "c", "d")),
    "music": build.DataSpec((5, 3), 2, False, "music"),
    "images": build.DataSpec((8, 8, 1), 17),
}


def config(kind="text", **sections):
    """Of tiny networks; a section replaces a part of the config."""
    made = text_vae.get_config().to_dict() if kind != "images" else base.get_config("test").to_dict()
    if kind != "images":
        made["network"] = {"name": "lstm", "embed_dim": 3, "hidden": 4, **NOISY}
        made["kl"] = {"name": "constant"}
        made["model"].update(latent_dim=2, likelihood={"name": "categorical" if kind == "text" else "bernoulli"})
        made["train"]["batch_size"] = 4
    for name, value in sections.items():
        section, _, key = name.rpartition("__")
        (made[section] if section else made)[key] = value
    return made


@pytest.mark.parametrize(("kind", "options"), [
    ("text", {"name": "elbo", "num_samples": 3}),
    ("music", {"name": "elbo", "kl_estimate": "monte_carlo", "gradient": "stl"}),
    ("text", {"name": "iwae", "num_samples": 3, "gradient": "dreg"}),
    ("music", {"name": "iwae", "num_samples": 3}),
])  # fmt: skip
def test_objectives_train_on_sequences(kind, options, random_like):
    settings = config(kind, objective=options)
    model = build.model(settings, SPECS[kind])
    objective = build.objective(settings, model, SPECS[kind], 10)
    params, _ = random_like(objective.init, jax.random.key(0))
    x = batch(kind)

    @jax.jit
    def run(params):
        def loss(params):
            out = objective.loss(params, {}, {"x": x}, jax.random.key(1), TRAINING)
            return out.losses["model"].mean(), out.metrics

        nll = importance_nll(model, params["model"], jax.random.key(2), x, 500)
        grouped = importance_nll(model, params["model"], jax.random.key(2), x, 500, memory_mb=1e-3)
        return *jax.value_and_grad(loss, has_aux=True)(params), nll, grouped

    (value, metrics), gradient, nll, grouped = jax.device_get(run(params))
    assert np.isfinite(value)
    np.testing.assert_allclose(value, metrics["loss"].mean(), rtol=1e-6)
    # a single input, 0 for frames without notes, may meet no weight; all else has a slope
    assert all(np.any(leaf != 0) and np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient["model"]))
    np.testing.assert_allclose(grouped, nll, rtol=1e-5)


def test_likelihoods_of_all_sentences_are_integrals_over_z(assert_mean, random_like):
    model, x = small(shape=(2,), levels=3, latent=1), all_sentences(2, 3)
    params = random_like(model.init, jax.random.key(0))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = np.broadcast_to(nodes[:, None, None], (60, len(x), 1)).astype(np.float32)
    log_prob = np.asarray(jax.jit(lambda z: model.decode(params, z).log_prob(x))(z), np.float64)
    evidence = (weights / weights.sum()) @ np.exp(log_prob)
    np.testing.assert_allclose(evidence.sum(), 1, rtol=1e-6)
    keys = jax.random.split(jax.random.key(1), 200)
    estimates = jax.jit(jax.vmap(lambda key: importance_nll(model, params, key, x, 20)))(keys)
    assert_mean(np.exp(-np.asarray(estimates)), evidence)


@pytest.mark.parametrize("kind", ["text", "music"])
def test_a_language_model_does_not_see_z(kind, random_like):
    model, x = small(kind, use_latent=False), batch(kind)
    params = random_like(model.init, jax.random.key(0))
    params["encoder"] = jax.tree.map(np.zeros_like, params["encoder"])  # q(z|x) is p(z)
    objective = objectives.elbo(model, ONE, 3)

    @jax.jit
    def run(z):
        def log_prob(z):
            return model.decode(params, z).log_prob(x)

        out = objective.loss({"model": params}, {}, {"x": x}, jax.random.key(1), JUDGING)
        slope = jax.grad(lambda z: jnp.sum(log_prob(z)))(z)
        return log_prob(z), slope, out.metrics, importance_nll(model, params, jax.random.key(2), x, 7)

    (log_prob, slope, metrics, nll), others = run(normal(4, 2)), run(normal(4, 2))
    np.testing.assert_array_equal(log_prob, others[0])
    assert not np.any(slope)
    np.testing.assert_allclose(metrics["kl"], 0, atol=1e-6)
    np.testing.assert_allclose(metrics["elbo"], log_prob, rtol=1e-5)
    np.testing.assert_allclose(nll, -log_prob, rtol=1e-5)


@pytest.mark.parametrize(("kind", "sections", "message"), [
    ("text", {"network": {"name": "mlp"}}, "'mlp' does not fit this data, which is sequences: take the network 'lstm'"),
    ("music", {"network": {"name": "mlp"}}, "'mlp' does not fit this data"),
    ("images", {"network": {"name": "lstm"}}, r"'lstm' reads sequences.*\(8, 8, 1\)"),
    ("images", {"network": {"name": "hierarchical"}}, "'hierarchical' reads sequences"),
    ("text", {"model__likelihood": {"name": "bernoulli"}}, "'bernoulli' is not one for text. Take 'categorical'"),
    ("text", {"model__likelihood": {"name": "gaussian"}}, "'gaussian' is not one for text. Take 'categorical'"),
    ("music", {"model__likelihood": {"name": "squared_error"}}, "'squared_error' is not one for music. Take 'bern"),
    ("music", {"network": {"name": "lstm", "tied": True}}, "tied=True, which is for tokens"),
    ("text", {"network": {"name": "lstm", "hidden": 0}}, "hidden=0; it must be 1 or more"),
    ("text", {"network": {"name": "lstm", "embed_dim": 0}}, "embed_dim=0; it must be 1 or more"),
    ("text", {"network": {"name": "lstm", "encoder_hidden": -1}}, "encoder_hidden=-1; it must be 0 or more"),
    ("text", {"network": {"name": "lstm", "dropout": 1.0}}, "dropout=1.0; it must be from 0 to below 1"),
    ("text", {"network": {"name": "lstm", "word_dropout": -0.1}}, "word_dropout=-0.1; it must be from 0 to below 1"),
    ("music", {"network": {"name": "hierarchical", "bar": 0}}, "bar=0; it must be 1 or more"),
    ("music", {"network": {"name": "hierarchical", "conductor": 0}}, "conductor=0; it must be 1 or more"),
    ("music", {"network": {"name": "hierarchical", "word_dropout": 1.0}}, "word_dropout=1.0"),
    ("text", {"sample__decoding": {"name": "gready"}}, "Unknown decoding 'gready'. Did you mean 'greedy'"),
    ("text", {"sample__decoding": {"name": "beam", "widht": 3}}, "Unknown option of the decoding 'beam' 'widht'"),
    ("text", {"sample__decoding": {"name": "beam", "width": 0}}, "width=0; it must be 1 or more"),
    ("text", {"sample__decoding": {"name": "random", "temperature": 0.0}}, "temperature=0.0; it must be above 0"),
    ("text", {"sample__decoding": {"name": "random", "top_k": -1}}, "top_k=-1; it must be 0 or more"),
])  # fmt: skip
def test_what_does_not_fit_sequences_is_refused(kind, sections, message):
    with pytest.raises(UserError, match=message):
        build.model(config(kind, **sections), SPECS[kind])


def test_a_row_of_numbers_is_no_sentence():
    settings = config("images", network={"name": "lstm"}, model__likelihood={"name": "gaussian"})
    with pytest.raises(UserError, match="'lstm' does not fit this data, which is no sequences: take the network 'mlp'"):
        build.model(settings, build.DataSpec((6,), is_float=True))


@pytest.mark.parametrize(("sections", "message"), [
    ({"data__pixel_range": (0.0, 1.0)}, r"data.pixel_range is \(0.0, 1.0\), but text is taken as it is: set it"),
    ({"data__binarization": "dynamic"}, "data.binarization is 'dynamic', but text is taken as it is"),
    ({"data__image_size": 8}, "data.image_size is 8"),
    ({"data__stream": True}, "data.stream is True"),
    ({"data__kind": "txt"}, "Unknown data.kind 'txt'. Did you mean 'text'"),
    ({"data__kind": "music"}, "no data of that kind is called 'sentences': take 'melodies'"),
    ({"data__name": "ptb"}, "no data of that kind is called 'ptb': take 'sentences', which is bundled"),
    ({"network": {"name": "mlp"}}, "'mlp' does not fit this data"),
])  # fmt: skip
def test_settings_of_images_are_refused_for_sequences(sections, message):
    with pytest.raises(UserError, match=message):
        experiment.setup(config(**sections))


def test_the_bundled_text_gives_the_model_its_shape():
    made = experiment.setup(config())
    assert made.model.is_sequential
    assert made.model.data_shape == made.dataset.shape == made.spec.shape
    assert made.spec.levels == len(made.spec.vocabulary) == len(made.dataset.vocabulary)
    assert NETWORKS["lstm"](made.spec.shape, made.spec.levels).is_sequential
    assert not networks.mlp().is_sequential


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("text", {"objective": {"name": "denoising"}}, "'denoising' adds noise to single values"),
        ("music", {"objective": {"name": "denoising"}}, "'denoising' adds noise to single values"),
        ("text", {"objective": {"name": "contractive"}}, "tokens are whole numbers"),
        ("text", {"prior": {"name": "vamp", "components": 2}}, "'vamp' learns pseudo-inputs by their slope"),
        ("music", {"likelihood": {"name": "negative_binomial"}}, "'negative_binomial' is not one for music"),
        ("music", {"decoding": {"name": "beam"}}, "'beam' searches among tokens"),
        ("music", {"decoding": {"name": "random", "top_k": 2}}, "'random' changes logits"),
        ("music", {"likelihood": {"name": "gaussian"}, "decoding": {"name": "random", "temperature": 0.5}}, "logits"),
    ],
)
def test_what_has_no_meaning_for_sequences_is_refused_when_built(kind, changes, message):
    config = base.get_config("test").to_dict()
    config["data"]["pixel_range"] = ()
    config["network"] = {"name": "lstm", "hidden": 4, "embed_dim": 3}
    config["model"] |= {"latent_dim": 2, "likelihood": {"name": "categorical" if kind == "text" else "bernoulli"}}
    config["model"] |= {key: changes[key] for key in ("prior", "likelihood") if key in changes}
    config["objective"] = changes.get("objective", {"name": "elbo", "kl_estimate": "monte_carlo"})
    config["sample"]["decoding"] = changes.get("decoding", {"name": "greedy"})
    shape, levels = ((5,), 6) if kind == "text" else ((5, 3), 2)
    spec = build.DataSpec(shape, levels, sequence=kind)
    with pytest.raises(UserError, match=message):
        build.objective(config, build.model(config, spec), spec, total_steps=10)


@pytest.mark.parametrize("network", ["lstm", "hierarchical"])
def test_longer_sequences_than_the_data_has_and_one_context_alone(network):
    config = base.get_config("test").to_dict()
    config["data"]["pixel_range"] = ()
    config["network"] = {"name": network, "hidden": 4, "embed_dim": 3}
    config["model"] |= {"latent_dim": 2, "likelihood": {"name": "bernoulli"}}
    model = build.model(config, build.DataSpec((5, 3), 2, sequence="music"))
    params = jax.jit(model.init)(jax.random.key(0), jnp.ones(2))
    x = jnp.pad(jnp.ones((1, 5, 3)), ((0, 0), (0, 9), (0, 0)), constant_values=-1)
    likelihood = model.decode(params, jnp.ones((1, 2)), jnp.ones((1, 2)))
    np.testing.assert_allclose(likelihood.log_prob(x), likelihood.log_prob(x[:, :5]), rtol=1e-6)
