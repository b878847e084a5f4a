"""Interpolation, geodesics, arithmetic with codes, traversals, search and outlier scores against closed forms."""

import functools
import math

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest
from scipy import optimize

from jaxvae import curves, latents, posteriors, priors, search
from jaxvae.distributions.poincare import expmap0, logmap0
from jaxvae.errors import UserError
from jaxvae.model import centre

SPHERE = functools.partial(tools.small, posterior=posteriors.von_mises_fisher, prior=priors.uniform_sphere)
BALL = functools.partial(tools.small, posterior=posteriors.wrapped_normal, prior=priors.wrapped_normal)
T = np.linspace(0, 1, 9)


def decoding(function, model=lg.MODEL):
    """The model with a decoder made by hand."""
    return model._replace(decode=lambda params, z, context=None: dist.Normal(function(z), 1.0).to_event(1))


def on_sphere(z):
    longitude, latitude = z[..., 0], z[..., 1]
    wide = jnp.cos(latitude)
    return jnp.stack([wide * jnp.cos(longitude), wide * jnp.sin(longitude), jnp.sin(latitude)], axis=-1)


def hill(z):
    return jnp.concatenate([z, 3 * jnp.exp(-2 * jnp.sum(jnp.square(z), axis=-1, keepdims=True))], axis=-1)


def circle(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


def slerp(z_a, z_b):
    a, b = (np.asarray(z, np.float32)[None] for z in (z_a, z_b))
    return np.asarray(curves.slerp(a, b, jnp.asarray(T[:, None], jnp.float32)))


@pytest.mark.parametrize("turn", [0.0, 1e-8, 1e-3, 1.0, 3.0, math.pi])
def test_slerp_goes_round_the_circle(turn):
    path = slerp(circle(0.3), circle(0.3 + turn))
    # 1e-3 of pi is not told from pi; there either way round is as short
    forth, back = (circle(0.3 + sign * turn * T) for sign in (1, -1))
    expected = back if turn == math.pi and path[1] @ back[1] > path[1] @ forth[1] else forth
    np.testing.assert_allclose(path, expected, atol=2e-6)


def test_slerp_is_shoemakes_and_changes_lengths_evenly():
    a, b = np.random.default_rng(0).normal(size=(2, 7))
    unit_a, unit_b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    angle = np.arccos(unit_a @ unit_b)
    expected = (np.sin((1 - T) * angle)[:, None] * unit_a + np.sin(T * angle)[:, None] * unit_b) / np.sin(angle)
    np.testing.assert_allclose(slerp(unit_a, unit_b), expected, atol=1e-6)
    lengths = np.linalg.norm(slerp(a, b), axis=-1)
    np.testing.assert_allclose(lengths, (1 - T) * np.linalg.norm(a) + T * np.linalg.norm(b), rtol=1e-5)
    np.testing.assert_allclose(slerp(a, 3 * a), (1 + 2 * T)[:, None] * a, rtol=1e-5)  # parallel: straight
    np.testing.assert_allclose(slerp(a, 0 * a), (1 - T)[:, None] * a, atol=1e-6)
    np.testing.assert_allclose(slerp(a, -a)[[0, 4, 8]] @ a / (a @ a), [1, 0, -1], atol=1e-6)  # opposite: half a turn


def test_energy_and_length_are_those_of_a_polygon():
    curve = jnp.asarray([[[0.0, 0.0], [3.0, 4.0], [3.0, 16.0]]])
    np.testing.assert_allclose(curves.curve_length(curve), [17.0])
    np.testing.assert_allclose(curves.curve_energy(curve), [2 * (25 + 144)])
    even = jnp.linspace(0.0, 1.0, 5)[None, :, None, None, None] * jnp.ones((2, 1))
    np.testing.assert_allclose(curves.curve_energy(even), curves.curve_length(even) ** 2, rtol=1e-6)


def test_geodesics_of_a_globe_are_great_circles():
    model, num = decoding(on_sphere), 9
    z_a, z_b = jnp.asarray([[-1.2, 0.9], [-0.5, -0.8], [0.0, 0.0]]), jnp.asarray([[1.2, 0.9], [0.9, 1.0], [2.5, 0.4]])
    z = curves.geodesic(model, {}, z_a, z_b, num)
    np.testing.assert_array_equal(z[:, [0, -1]], jnp.stack([z_a, z_b], axis=1))
    angle = np.arccos(np.sum(np.asarray(on_sphere(z_a) * on_sphere(z_b), np.float64), axis=-1))
    chords = 2 * (num - 1) * np.sin(angle / 2 / (num - 1))
    decoded = curves.decode_path(model, {}, z)
    np.testing.assert_allclose(curves.curve_length(decoded), chords, rtol=1e-3)
    np.testing.assert_allclose(curves.curve_energy(decoded), chords**2, rtol=2e-3)  # at constant speed
    line = z_a[:, None] + T[None, :, None] * (z_b - z_a)[:, None]
    np.testing.assert_array_less(chords * [1.15, 1.01, 1.02], curves.curve_length(on_sphere(line)))
    assert curves.geodesic(model, {}, z_a, z_b, 2).shape == (3, 2, 2)


def test_a_geodesic_goes_round_a_hill_as_scipys_does():
    model, fine = decoding(hill), 8 * curves.SUBDIVISIONS + 1
    z_a, z_b = jnp.asarray([[-1.5, 0.2], [-1.0, -0.1]]), jnp.asarray([[1.5, 0.1], [1.2, 0.5]])
    found = curves.geodesic(model, {}, z_a, z_b, 9)
    line = z_a[:, None] + jnp.linspace(0, 1, fine)[:, None] * (z_b - z_a)[:, None]
    fine_found = curves._shorten(model, {}, line, 500, 0.01)
    np.testing.assert_allclose(found, fine_found[:, :: curves.SUBDIVISIONS], atol=1e-3)

    @jax.jit
    def energy(inner, a, b):
        z = jnp.concatenate([a[None], inner.reshape(-1, 2), b[None]])
        return curves.curve_energy(hill(z)[None])[0]

    slope = jax.jit(jax.value_and_grad(energy))
    for a, b, z in zip(z_a, z_b, fine_found, strict=True):
        start = np.linspace(a, b, fine)[1:-1].ravel()
        best = optimize.minimize(
            lambda u, a=a, b=b: [np.asarray(v, np.float64) for v in slope(jnp.asarray(u, jnp.float32), a, b)],
            start, jac=True, method="L-BFGS-B", options={"maxiter": 1000},
        )  # fmt: skip
        reached = energy(z[1:-1].ravel(), a, b)
        assert reached < 1.01 * best.fun
        assert reached < 0.3 * energy(jnp.asarray(start, jnp.float32), a, b)


def test_the_geodesic_of_an_isometric_decoder_is_the_straight_line():
    matrix = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 3)))[0].astype(np.float32)
    model = decoding(lambda z: jnp.matmul(z, matrix.T, precision="highest"))
    z_a, z_b = jax.random.normal(jax.random.key(0), (2, 4, 3))
    z_b = z_b.at[0].set(z_a[0])  # a point stays one
    line = z_a[:, None] + T[None, :, None] * (z_b - z_a)[:, None]
    z = curves.geodesic(model, {}, z_a, z_b, 9, steps=50)
    np.testing.assert_allclose(z, line, atol=2e-3)
    decoded = curves.decode_path(model, {}, z)
    np.testing.assert_allclose(curves.curve_length(decoded), jnp.linalg.norm(z_b - z_a, axis=-1), rtol=1e-5, atol=1e-6)


def test_interpolation_joins_the_centres_on_the_line_of_the_space(random_like):
    for small, path in ((tools.small, "linear"), (SPHERE, "linear"), (SPHERE, "spherical"), (BALL, "linear")):
        model = small()
        params = random_like(model.init, jax.random.key(0))
        x_a, x_b = tools.X[:2], tools.X[2:4]
        z, mean = curves.interpolate(model, params, x_a, x_b, 9, path)
        assert z.shape == (2, 9, 2)
        assert mean.shape == (2, 9, 6)
        a, b = (np.asarray(centre(model.encode(params, x)), np.float64) for x in (x_a, x_b))
        np.testing.assert_allclose(z[:, 0], a, atol=1e-6)
        np.testing.assert_allclose(z[:, -1], b, atol=1e-6)
        np.testing.assert_allclose(mean, model.decode(params, z).mean)
        if small is SPHERE:
            np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1.0, atol=1e-6)
            np.testing.assert_allclose(np.sum(z[:, :-1] * z[:, 1:], axis=-1), np.cos(np.arccos(np.sum(a * b, axis=-1))
                                       / 8)[:, None] * np.ones(8), atol=1e-6)  # fmt: skip
        elif small is BALL:  # equal hyperbolic steps that add up to the distance
            steps = hyperbolic(z[:, :-1], z[:, 1:])
            np.testing.assert_allclose(steps, hyperbolic(a, b)[:, None] / 8 * np.ones(8), rtol=1e-3)
        else:
            np.testing.assert_allclose(z, a[:, None] + T[:, None] * (b - a)[:, None], atol=1e-6)


def hyperbolic(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    square = np.sum((a - b) ** 2, axis=-1)
    return np.arccosh(1 + 2 * square / (1 - np.sum(a**2, axis=-1)) / (1 - np.sum(b**2, axis=-1)))


def test_geodesics_stay_on_the_sphere_and_in_the_ball(random_like):
    """The ball is decoded by its logarithm, so that geodesics are straight there; the sphere as it is."""
    rng = np.random.default_rng(0)
    u = jnp.asarray(rng.normal(size=(2, 3, 2)), jnp.float32)
    model = BALL()
    params = random_like(model.init, jax.random.key(0))
    a, b = expmap0(u)
    z = curves.geodesic(decoding(logmap0, model), params, a, b, 9, steps=200)
    np.testing.assert_allclose(logmap0(z), u[0][:, None] + T[None, :, None] * (u[1] - u[0])[:, None], atol=0.02)
    model = SPHERE()
    a, b = u / jnp.linalg.norm(u, axis=-1, keepdims=True)
    stretched = decoding(lambda z: z * jnp.asarray([1.0, 0.3]), model)
    z = curves.geodesic(stretched, random_like(model.init, jax.random.key(0)), a, b, 9, steps=100)
    np.testing.assert_allclose(jnp.linalg.norm(z, axis=-1), 1.0, atol=1e-6)
    gaps = jnp.linalg.norm(jnp.diff(curves.decode_path(stretched, {}, z), axis=1), axis=-1)
    assert np.all(gaps.max(axis=1) < 1.2 * gaps.min(axis=1))  # about constant speed in the decoder's metric


def test_attribute_vectors_move_and_analogies_on_hand_made_codes():
    codes = jnp.asarray([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 5.0], [6.0, 6.0]])
    labels = np.asarray([4, 4, 7, 7, 9])
    vectors = latents.attribute_vectors(codes, labels)
    assert list(vectors) == [4, 7, 9]
    np.testing.assert_allclose(vectors[4], [1 - 2, 0 - 14 / 3], rtol=1e-6)
    np.testing.assert_allclose(vectors[9], [6 - 0.5, 6 - 2], rtol=1e-6)
    vector = latents.attribute_vector(codes, labels, 7, 4)
    np.testing.assert_allclose(vector, [-1.0, 4.0])
    moved = latents.move(codes[:2], vector, jnp.asarray([0.0, 1.0, -0.5]))
    np.testing.assert_allclose(moved, [[[0, 0], [-1, 4], [0.5, -2]], [[2, 0], [1, 4], [2.5, -2]]])
    np.testing.assert_allclose(latents.analogy(codes[0], codes[1], codes[2:4]), [[2, 3], [2, 5]])


def test_a_traversal_varies_one_dimension_by_prior_deviations_in_the_order_of_the_kl():
    scale = jnp.asarray([1.0, 2.0, 3.0])
    model = decoding(lambda z: 10 * z)._replace(prior=lambda params: dist.Normal(jnp.ones(3), scale).to_event(1))
    z = jnp.asarray([0.5, -0.5, 1.0])
    pictures = latents.traversal(model, {}, z, dims=(2, 0), span=2.0, num=5)
    expected = np.broadcast_to(np.asarray(z), (2, 5, 3)).copy()
    expected[0, :, 2] += np.asarray([-6, -3, 0, 3, 6])
    expected[1, :, 0] += np.asarray([-2, -1, 0, 1, 2])
    np.testing.assert_allclose(pictures, 10 * expected, rtol=1e-6)
    assert latents.traversal(model, {}, z).shape == (3, 9, 3)
    # the posterior's variance falls with the length of a column of W: 0.5, 1, 2
    kl = latents.kl_per_dimension(lg.MODEL, lg.params(), lg.X)
    mean, variance = lg.posterior_moments(lg.params(), lg.X)
    np.testing.assert_allclose(kl, np.mean(0.5 * (mean**2 + variance - 1 - np.log(variance)), axis=0), rtol=1e-5)
    np.testing.assert_array_equal(latents.order_dimensions(lg.MODEL, lg.params(), lg.X), np.argsort(-kl))
    np.testing.assert_array_equal(np.argsort(-kl), [2, 1, 0])


def test_without_a_kl_dimensions_are_ordered_by_the_variance_of_the_centres(random_like):
    for posterior in (posteriors.full_covariance, posteriors.delta, posteriors.hamiltonian):
        model = tools.small(posterior=posterior)
        params = random_like(model.init, jax.random.key(0))
        variance = np.var(centre(model.encode(params, tools.X)), axis=0)
        with pytest.raises(UserError):
            latents.kl_per_dimension(model, params, tools.X)
        np.testing.assert_array_equal(latents.order_dimensions(model, params, tools.X), np.argsort(-variance))


def test_a_traversal_knows_the_scale_of_a_prior_without_a_variance():
    """As a flow is; here that of a log-normal, sd^2 = (exp(s^2) - 1) exp(s^2)."""
    spread = np.asarray([0.2, 0.5, 0.3])
    log_normal = dist.TransformedDistribution(
        dist.Normal(jnp.zeros(3), jnp.asarray(spread)).to_event(1), dist.transforms.ExpTransform()
    )
    model = decoding(lambda z: z)._replace(prior=lambda params: log_normal)
    pictures = np.asarray(latents.traversal(model, {}, jnp.zeros(3), span=1.0, num=3))
    np.testing.assert_allclose(
        pictures[range(3), 2, range(3)], np.sqrt(np.expm1(spread**2) * np.exp(spread**2)), rtol=0.08
    )


def test_denoising_is_repeated_reconstruction():
    params, x = lg.params(), lg.X
    expected = x
    for _ in range(3):
        expected = lg.posterior_moments(params, expected)[0] @ lg.WEIGHT.T + lg.BIAS
    np.testing.assert_allclose(latents.denoise(lg.MODEL, params, x, 3), expected, rtol=1e-4, atol=1e-5)


def test_search_reaches_the_posterior_mode_given_observed_pixels():
    observed = np.asarray([True, True, False, True, False])
    score = search.matching(np.where(observed, lg.X[0], np.nan), observed, variance=lg.NOISE)
    found = search.search(lg.MODEL, lg.params(), jax.random.key(0), score, num=3, steps=800, learning_rate=0.1)
    rows = lg.WEIGHT[observed]
    precision = np.eye(3) + rows.T @ rows / lg.NOISE
    mode = np.linalg.solve(precision, rows.T @ (lg.X[0] - lg.BIAS)[observed] / lg.NOISE)
    np.testing.assert_allclose(found.z, np.tile(mode, (3, 1)), atol=2e-3)
    np.testing.assert_allclose(found.log_prior, lg.MODEL.prior({}).log_prob(found.z), rtol=1e-6)
    np.testing.assert_allclose(found.mean, found.z @ lg.WEIGHT.T + lg.BIAS, rtol=1e-4, atol=1e-5)
    away = np.sum((found.mean - lg.X[0])[:, observed] ** 2, axis=-1)
    np.testing.assert_allclose(found.score, -0.5 * away / lg.NOISE, rtol=1e-4)


def test_search_without_a_prior_reaches_the_top_and_on_the_sphere_the_nearest_point(random_like):
    top = jnp.asarray([2.0, -1.0])
    score = lambda z, mean: -jnp.sum(jnp.square(z - top), axis=-1)  # noqa: E731
    for small, expected in ((tools.small, top), (SPHERE, top / math.sqrt(5))):
        model = small()
        params = random_like(model.init, jax.random.key(0))
        found = search.search(model, params, jax.random.key(1), score, 4, 300, 0.1, prior_weight=0.0)
        np.testing.assert_allclose(found.z, np.tile(expected, (4, 1)), atol=2e-3)


def test_class_probabilities_are_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 3)).astype(np.float32)
    mean = rng.normal(size=(60, 2, 1)).astype(np.float32)
    for features, of in ((z, "latent"), (mean, "image")):
        flat = features.reshape(60, -1)
        for classes in (2, 3):
            labels = (np.digitize(flat @ np.arange(1, flat.shape[1] + 1), [-1, 1]) % classes).astype(int)
            fitted = LogisticRegression().fit(flat, labels)
            expected = fitted.predict_log_proba(flat)
            for target in range(classes):
                score = search.class_log_probability(fitted.coef_, fitted.intercept_, target, of)
                np.testing.assert_allclose(score(z, mean), expected[:, target], rtol=1e-3, atol=1e-4)


def test_outlier_scores_are_the_terms_of_the_bound(assert_mean):
    params = lg.params(0.3, 0.3)
    keys = jax.random.split(jax.random.key(0), 16)
    scores = jax.vmap(lambda key: search.outlier_scores(lg.MODEL, params, key, lg.X, 500))(keys)
    np.testing.assert_allclose(scores["kl"][0], latents.kl_by_group(lg.MODEL.encode(params, lg.X),
                               lg.MODEL.prior(params)).sum(axis=0), rtol=1e-5)  # fmt: skip
    elbo = lg.LOG_PX - lg.gap(0.3, 0.3)
    assert_mean(scores["reconstruction"], -elbo - np.asarray(scores["kl"][0], np.float64))
    assert_mean(scores["nll"], -lg.LOG_PX)
    far = search.outlier_scores(lg.MODEL, params, jax.random.key(1), lg.X + 10, 10)
    assert all(np.all(far[name] > scores[name].max()) for name in scores)


def test_outlier_scores_without_a_closed_form_or_a_density(random_like, assert_mean):
    model = tools.small(posterior=lambda dim: posteriors.planar_flow(dim, 1))
    params = random_like(model.init, jax.random.key(0))
    scores = search.outlier_scores(model, params, jax.random.key(0), tools.X, 500)
    posterior, prior = model.encode(params, tools.X), model.prior(params)
    z, log_q = posterior.sample_and_log_prob(jax.random.key(1), (500,))
    gap = log_q - prior.log_prob(z)
    assert_mean(np.asarray(gap, np.float64), scores["kl"], sigmas=5.0)  # the scores are as uncertain
    params = random_like(tools.POINT.init, jax.random.key(0))
    scores = search.outlier_scores(tools.POINT, params, jax.random.key(2), tools.X, 1)
    assert list(scores) == ["reconstruction"]
    expected = np.sum((tools.X - tools.decoded(params, tools.encoded(params, tools.X))) ** 2, axis=-1)
    np.testing.assert_allclose(scores["reconstruction"], expected, rtol=1e-4)


def interpolated(model, path="linear", num=3, x=tools.X):
    def run():
        return curves.interpolate(model, model.init(jax.random.key(0)), x, tools.X, num, path)

    return jax.eval_shape(run)  # nothing is computed


@pytest.mark.parametrize("path", curves.PATHS)
def test_paths_in_every_space_exist_or_are_refused(path):
    for name in ("diagonal_gaussian", "full_covariance", "planar_flow", "radial_flow", "hamiltonian",
                 "inverse_autoregressive_flow", "delta"):  # fmt: skip
        assert interpolated(tools.small(posterior=getattr(posteriors, name)), path).z.shape == (5, 3, 2)
    vamp = functools.partial(priors.vamp, (6,), (0.0, 1.0), 4)
    small = functools.partial(tools.small, prior=lambda dim: vamp())
    assert interpolated(small(posterior=posteriors.von_mises_fisher), path).z.shape == (5, 3, 2)
    ball = small(posterior=lambda dim: posteriors.wrapped_normal(dim, 2.0))
    if path == "spherical":
        with pytest.raises(UserError, match="hyperbolic line"):
            interpolated(ball, path)
    else:
        assert interpolated(ball, path).mean.shape == (5, 3, 6)
    with pytest.raises(UserError, match="codes"):
        interpolated(tools.gumbel_model(), path)
    with pytest.raises(UserError, match="at least 2 points"):
        interpolated(tools.small(), path, num=1)


def test_bad_input_is_refused():
    model, coded, key, codes = tools.small(), tools.gumbel_model(), jax.random.key(0), jnp.ones((3, 2))
    score = search.matching(jnp.zeros(6), np.ones(6, bool))
    linear = search.class_log_probability
    refused = {
        "Did you mean 'linear'": lambda: interpolated(model, "linaer"),
        "both must be": lambda: interpolated(model, x=tools.X[:2]),
        "steps=-1": lambda: curves.geodesic(model, {}, codes, codes, 3, steps=-1),
        "no code is of class 5": lambda: latents.attribute_vector(codes, np.asarray([0, 1, 1]), 5),
        "no code is of class 6": lambda: latents.attribute_vector(codes, np.asarray([0, 1, 1]), 0, 6),
        "no code is of another class": lambda: latents.attribute_vectors(codes, np.zeros(3, int)),
        "as many labels": lambda: latents.attribute_vectors(codes, np.zeros(2, int)),
        "do not add up": lambda: latents.move(codes, jnp.ones(3), jnp.ones(1)),
        "num is 1": lambda: latents.traversal(model, {}, jnp.zeros(2), num=1),
        "one z of shape": lambda: latents.traversal(model, {}, codes),
        "from 0 to 1": lambda: latents.traversal(model, {}, jnp.zeros(2), dims=(0, 2)),
        "adds vectors.*'interpolate'": lambda: latents.traversal(BALL(), {}, jnp.zeros(2)),
        "live in codes": lambda: latents.order_dimensions(coded, {}, tools.X),
        "Denoising": lambda: latents.denoise(model, {}, tools.X, 0),
        "search by gradients": lambda: search.search(coded, coded.init(key), jax.random.key(0), score, 1),
        "num=0": lambda: search.search(model, {}, key, score, 0),
        "prior_weight=-1": lambda: search.search(model, {}, key, score, 1, prior_weight=-1.0),
        "mask": lambda: search.matching(jnp.zeros(6), np.ones(5, bool)),
        "variance=0": lambda: search.matching(jnp.zeros(6), np.ones(6, bool), 0.0),
        r"\[classes, features\]": lambda: linear(np.ones((2, 3)), np.ones(3), 0),
        "classes 0 to 1": lambda: linear(np.ones((1, 2)), np.ones(1), 2),
        "kind of features": lambda: linear(np.ones((1, 2)), np.ones(1), 0, "latents"),
        "fitted to 3 features": lambda: linear(np.ones((1, 3)), np.ones(1), 0)(codes, codes),
        "num_samples is 0": lambda: search.outlier_scores(model, {}, key, tools.X, 0),
        "do not fit": lambda: search.outlier_scores(model, {}, key, tools.X[:, 1:], 1),
    }
    for words, call in refused.items():
        with pytest.raises(UserError, match=words):
            call()
    params = model.init(jax.random.key(1))
    with pytest.raises(UserError, match="one number for each"):
        search.search(model, params, jax.random.key(2), lambda z, mean: mean, 2)
