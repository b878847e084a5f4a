"""The importance-weighted bounds against float64 arithmetic, and their gradient estimators against each other."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import objective_tools as tools
import pytest
from scipy import special, stats

from jaxvae import posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models.base import draw
from jaxvae.objectives import KL_WEIGHTS

Q = (0.3, 0.4)  # shift and log-ratio of q(z|x), away from p(z|x)
BOUNDS, SAMPLES = 2, 3


def log_terms(seed, num_samples):
    """log p(x|z), log p(z), log q(z|x) `[K, B]` in float64, at the draws of the objective with that seed."""
    key = jax.random.split(jax.random.key(seed))[0]
    posterior = lg.MODEL.encode(lg.params(*Q), lg.X)
    z = np.asarray(draw(key, posterior, num_samples)[0], np.float64)
    mean, variance = (np.asarray(m, np.float64) for m in lg.posterior_moments(lg.params(*Q), lg.X))
    decoded = z @ lg.WEIGHT.T + lg.BIAS
    return (
        stats.norm.logpdf(lg.X, decoded, lg.NOISE**0.5).sum(axis=-1),
        stats.norm.logpdf(z).sum(axis=-1),
        stats.norm.logpdf(z, mean, np.sqrt(variance)).sum(axis=-1),
    )


def log_mean_exp(log_weights, axis=0):
    return special.logsumexp(log_weights, axis=axis) - np.log(log_weights.shape[axis])


REFERENCES = {
    "iwae": ({"num_samples": 6}, log_mean_exp),
    "miwae": ({"num_bounds": 2, "num_samples": 3}, lambda w: log_mean_exp(w.reshape(2, 3, -1), 1).mean(axis=0)),
    "piwae": ({"num_bounds": 2, "num_samples": 3}, log_mean_exp),
    "ciwae": ({"num_samples": 6, "mix": 0.2}, lambda w: 0.2 * w.mean(axis=0) + 0.8 * log_mean_exp(w)),
}


@pytest.mark.parametrize("beta", [pytest.param(1.0, marks=pytest.mark.slow), 0.5])
@pytest.mark.parametrize("name", REFERENCES)
def test_bounds_are_those_of_float64(name, beta):
    options, reference = REFERENCES[name]
    objective = tools.make(name, lg.MODEL, KL_WEIGHTS["constant"](beta), **options)
    out = tools.evaluate(objective, {"model": lg.params(*Q)}, x=lg.X)
    likelihood, prior, posterior = log_terms(1, 6)
    np.testing.assert_allclose(out.losses["model"], -reference(likelihood + beta * (prior - posterior)), rtol=1e-4)
    kl = (posterior - prior).mean(axis=0)
    expected = {"reconstruction": -likelihood.mean(axis=0), "kl": kl, "elbo": likelihood.mean(axis=0) - kl}
    expected["iwae"] = log_mean_exp(likelihood + prior - posterior)
    for metric, value in expected.items():
        np.testing.assert_allclose(out.metrics[metric], value, rtol=1e-4, atol=1e-4, err_msg=metric)


@pytest.mark.parametrize("gradient", ["stl", "dreg"])
def test_the_estimators_of_the_gradient_leave_the_value_alone(gradient):
    values = [
        tools.evaluate(tools.make("iwae", lg.MODEL, num_samples=6, gradient=g), {"model": lg.params(*Q)}, x=lg.X)
        for g in ("pathwise", gradient)
    ]
    np.testing.assert_allclose(values[0].losses["model"], values[1].losses["model"], rtol=1e-6)


def replicates(seed, objectives, function, params=None, num=3000):
    """`function(loss, params, key)` for `num` keys, the same ones for all objectives."""
    params = lg.params(*Q) if params is None else params

    def value(key):
        def loss(objective, params):
            return jnp.mean(objective.loss({"model": params}, {}, {"x": lg.X}, key, tools.CTX).losses["model"])

        return [function(lambda p, o=o: loss(o, p), params) for o in objectives]

    with jax.debug_key_reuse(False):  # the same draws for all objectives, on purpose
        return jax.device_get(jax.jit(jax.vmap(value))(jax.random.split(jax.random.key(seed), num)))


def test_the_bounds_are_ordered_and_below_log_px(assert_mean):
    made = [tools.make(name, lg.MODEL, **REFERENCES[name][0]) for name in ("iwae", "miwae", "ciwae")]
    made.append(tools.make("elbo", lg.MODEL, num_samples=6, kl_estimate="monte_carlo"))
    one = tools.make("iwae", lg.MODEL, num_samples=1)
    iwae, miwae, ciwae, elbo, single = (
        -np.asarray(v, np.float64) for v in replicates(0, [*made, one], lambda loss, p: loss(p))
    )
    for lower, upper in ((elbo, miwae), (miwae, iwae), (elbo, ciwae), (ciwae, iwae)):
        assert np.all(lower <= upper + 1e-5)  # at the same draws, by Jensen
    log_px = lg.LOG_PX.mean()
    assert_mean(elbo, log_px - lg.gap(*Q))
    assert_mean(single, log_px - lg.gap(*Q))
    error = iwae.std() / len(iwae) ** 0.5
    assert log_px - lg.gap(*Q) + 4 * error < iwae.mean() < log_px - 4 * error


def test_the_weights_are_unbiased_for_px(assert_mean):
    objective = tools.make("iwae", lg.MODEL, num_samples=4)

    def bounds(key):
        return objective.loss({"model": lg.params(*Q)}, {}, {"x": lg.X}, key, tools.CTX).losses["model"]

    values = -np.asarray(jax.jit(jax.vmap(bounds))(jax.random.split(jax.random.key(5), 4000)), np.float64)
    assert_mean(np.exp(values - lg.LOG_PX), 1)


def flat(tree):
    return np.concatenate([np.asarray(leaf, np.float64).reshape(len(leaf), -1) for leaf in jax.tree.leaves(tree)], -1)


@pytest.mark.parametrize("beta", [pytest.param(1.0, marks=pytest.mark.slow), 0.5])
def test_dreg_has_the_mean_of_the_plain_gradient_at_any_beta_and_stl_has_not(beta, assert_mean):
    kl = KL_WEIGHTS["constant"](beta)
    made = [tools.make("iwae", lg.MODEL, kl, num_samples=4, gradient=g) for g in ("pathwise", "stl", "dreg")]
    plain, stl, dreg = (flat(gradient) for gradient in replicates(1, made, lambda loss, p: jax.grad(loss)(p)))
    assert_mean(dreg - plain, 0)
    away = np.abs((stl - plain).mean(axis=0)) / ((stl - plain).std(axis=0) / len(plain) ** 0.5)
    assert away.max() > 8


@pytest.mark.parametrize("gradient", [pytest.param("stl", marks=pytest.mark.slow), "dreg"])
def test_the_estimators_leave_all_but_the_encoders_gradient_alone(gradient):
    model, kl = tools.mixture_model(), KL_WEIGHTS["constant"](0.7)
    params = jax.jit(model.init)(jax.random.key(3))

    def slopes(gradient):
        objective = tools.make("iwae", model, kl, num_samples=4, gradient=gradient)

        def loss(params):
            out = objective.loss({"model": params}, {}, {"x": tools.X}, jax.random.key(1), tools.CTX)
            return jnp.sum(out.losses["model"])

        return jax.jit(jax.grad(loss))(params)

    plain, other = slopes("pathwise"), slopes(gradient)
    for part in ("decoder", "prior"):
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(plain[part])) > 0.1
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), other[part], plain[part])
    assert np.abs(other["encoder"]["Dense_1"]["bias"] - plain["encoder"]["Dense_1"]["bias"]).max() > 0.01


@pytest.mark.parametrize("beta", [pytest.param(1.0, marks=pytest.mark.slow), 0.7])
def test_dreg_is_the_written_out_sum_over_the_samples(beta):
    """Tucker et al. 2018, equation 8: the squared weights times the slopes of log w, which z alone carries."""
    model, samples = tools.mixture_model(), 4
    params = jax.jit(model.init)(jax.random.key(3))
    objective = tools.make("iwae", model, KL_WEIGHTS["constant"](beta), num_samples=samples, gradient="dreg")

    def loss(encoder):
        given = {"model": {**params, "encoder": encoder}}
        return jnp.sum(objective.loss(given, {}, {"x": tools.X}, jax.random.key(1), tools.CTX).losses["model"])

    fixed = model.encode(params, tools.X)

    def log_weights(z):
        log_prior, log_posterior = model.prior(params).log_prob(z), fixed.log_prob(z)
        return model.decode(params, z).log_prob(tools.X) + beta * (log_prior - log_posterior)

    def written_out(encoder):
        key = jax.random.split(jax.random.key(1))[0]
        z, _ = draw(key, model.encode({**params, "encoder": encoder}, tools.X), samples)
        at = jax.lax.stop_gradient(z)
        weights = jax.nn.softmax(log_weights(at), axis=0)
        factor = (1 - beta) * weights + beta * weights**2
        slopes = jax.grad(lambda z: jnp.sum(log_weights(z)))(at)
        return -jnp.sum(factor[..., None] * slopes * z)

    found, expected = (jax.jit(jax.grad(function))(params["encoder"]) for function in (loss, written_out))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected)) > 0.01


@pytest.mark.parametrize("beta", [pytest.param(1.0, marks=pytest.mark.slow), 0.5])
def test_stl_of_one_sample_has_the_mean_of_the_plain_gradient(beta, assert_mean):
    kl = KL_WEIGHTS["constant"](beta)
    made = [tools.make("iwae", lg.MODEL, kl, num_samples=1, gradient=g) for g in ("pathwise", "stl", "dreg")]
    made += [tools.make("elbo", lg.MODEL, kl, kl_estimate="monte_carlo", gradient=g) for g in ("pathwise", "stl")]
    plain, stl, dreg, elbo, elbo_stl = (flat(g) for g in replicates(2, made, lambda loss, p: jax.grad(loss)(p)))
    assert_mean(stl - plain, 0)
    np.testing.assert_allclose(dreg, stl, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(elbo, plain, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(elbo_stl, stl, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_at_the_exact_posterior_stl_and_dreg_have_no_noise_and_the_plain_gradient_has():
    made = [tools.make("elbo", lg.MODEL, num_samples=2, kl_estimate="monte_carlo", gradient="stl")]
    made += [tools.make("iwae", lg.MODEL, num_samples=2, gradient=g) for g in ("stl", "dreg", "pathwise")]
    gradients = replicates(3, made, lambda loss, p: jax.grad(loss)(p), lg.params(), num=50)
    for name in ("shift", "log_ratio"):
        *quiet, noisy = (gradient[name] for gradient in gradients)
        np.testing.assert_allclose(quiet, np.zeros_like(quiet), atol=2e-5)
        assert noisy.std(axis=0).min() > 0.05


def test_piwae_moves_the_decoder_as_iwae_does_and_the_encoder_as_miwae_does(random_like):
    model = tools.small()
    params = random_like(model.init, jax.random.key(0))
    options = {"iwae": {"num_samples": 6}} | {n: {"num_bounds": 2, "num_samples": 3} for n in ("miwae", "piwae")}

    def gradient(name):
        objective = tools.make(name, model, **options[name])

        def loss(params):
            return jnp.mean(
                objective.loss({"model": params}, {}, {"x": tools.X}, jax.random.key(4), tools.CTX).losses["model"]
            )

        return jax.jit(jax.grad(loss))(params)

    iwae, miwae, piwae = (gradient(name) for name in options)
    for part, same, other in (("decoder", iwae, miwae), ("encoder", miwae, iwae)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), piwae[part], same[part])
        assert not np.allclose(piwae[part]["Dense_0"]["kernel"], other[part]["Dense_0"]["kernel"], rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("iwae", {"num_samples": 0}, "num_samples is 0"), ("miwae", {"num_bounds": 0}, "num_bounds is 0"),
     ("piwae", {"num_samples": -1}, "num_samples is -1"), ("iwae", {"gradient": "dregs"}, "Did you mean 'dreg'"),
     ("ciwae", {"mix": 1.5}, "mix is 1.5"), ("ciwae", {"mix": float("nan")}, "mix is nan"),
     ("elbo", {"gradient": "dreg"}, "Unknown gradient"), ("elbo", {"gradient": "stl"}, "kl_estimate=monte_carlo")],
)  # fmt: skip
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        tools.make(name, tools.small(), **options)


@pytest.mark.parametrize("name", REFERENCES)
def test_posteriors_without_densities_are_refused(name):
    with pytest.raises(UserError, match="infinite"):
        tools.make(name, tools.small(posterior=posteriors.delta))
    with pytest.raises(UserError, match="straight_through=True"):
        tools.make(name, tools.gumbel_model())
    tools.trace(tools.make(name, tools.gumbel_model(straight_through=True)))
    learned = tools.gumbel_model(True, lambda dim: priors.autoregressive_codes(dim, 3, (4,), 2))
    with pytest.raises(UserError, match="its estimate no gradient"):
        tools.trace(tools.make(name, learned))


PATHS = [("iwae", {}), ("miwae", {}), ("ciwae", {}), ("piwae", {}), ("elbo", {"kl_estimate": "monte_carlo"})]


@pytest.mark.parametrize(("name", "options"), PATHS)
def test_a_hamiltonian_posterior_has_the_plain_gradient_alone(name, options):
    model = tools.small(posterior=lambda dim: posteriors.hamiltonian(dim, 2))
    tools.trace(tools.make(name, model, **options))
    for gradient in {"iwae": ("stl", "dreg"), "elbo": ("stl",)}.get(name, ()):
        with pytest.raises(UserError, match="Hamiltonian posterior has no density of a given z"):
            tools.trace(tools.make(name, model, **options, gradient=gradient))


CODES = {
    "gumbel_softmax": lambda dim: posteriors.gumbel_softmax(dim, 3, straight_through=True),
    "vector_quantized": lambda dim: posteriors.vector_quantized(dim, 3, 2),
    "finite_scalar": lambda dim: posteriors.finite_scalar(dim, (3,)),
}


@pytest.mark.parametrize("posterior", CODES)
def test_dreg_is_refused_over_codes(posterior):
    model = tools.small(posterior=CODES[posterior], prior=lambda dim: priors.uniform_categorical(dim, 3))
    tools.trace(tools.make("iwae", model))
    with pytest.raises(UserError, match="a posterior over codes has no such density"):
        tools.make("iwae", model, gradient="dreg")
