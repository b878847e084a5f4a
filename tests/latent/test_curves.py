"""Interpolations and geodesics against closed forms and SciPy's optimiser."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest
from latent_spaces import BALL, SPHERE, decoding
from scipy import optimize
from slow_cases import fast

from jaxvae import latent, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.distributions.poincare import expmap0, logmap0
from jaxvae.latent.geodesics import _shorten
from jaxvae.models.base import centre

T = np.linspace(0, 1, 9)


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
    return np.asarray(latent.slerp(a, b, jnp.asarray(T[:, None], jnp.float32)))


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
    np.testing.assert_allclose(latent.curve_length(curve), [17.0])
    np.testing.assert_allclose(latent.curve_energy(curve), [2 * (25 + 144)])
    even = jnp.linspace(0.0, 1.0, 5)[None, :, None, None, None] * jnp.ones((2, 1))
    np.testing.assert_allclose(latent.curve_energy(even), latent.curve_length(even) ** 2, rtol=1e-6)


@pytest.mark.slow
def test_geodesics_of_a_globe_are_great_circles():
    model, num = decoding(on_sphere), 9
    z_a, z_b = jnp.asarray([[-1.2, 0.9], [-0.5, -0.8], [0.0, 0.0]]), jnp.asarray([[1.2, 0.9], [0.9, 1.0], [2.5, 0.4]])
    z = latent.geodesic(model, {}, z_a, z_b, num)
    np.testing.assert_array_equal(z[:, [0, -1]], jnp.stack([z_a, z_b], axis=1))
    angle = np.arccos(np.sum(np.asarray(on_sphere(z_a) * on_sphere(z_b), np.float64), axis=-1))
    chords = 2 * (num - 1) * np.sin(angle / 2 / (num - 1))
    decoded = latent.decode_path(model, {}, z)
    np.testing.assert_allclose(latent.curve_length(decoded), chords, rtol=1e-3)
    np.testing.assert_allclose(latent.curve_energy(decoded), chords**2, rtol=2e-3)  # at constant speed
    line = z_a[:, None] + T[None, :, None] * (z_b - z_a)[:, None]
    np.testing.assert_array_less(chords * [1.15, 1.01, 1.02], latent.curve_length(on_sphere(line)))
    assert latent.geodesic(model, {}, z_a, z_b, 2).shape == (3, 2, 2)


@pytest.mark.slow
def test_a_geodesic_goes_round_a_hill_as_scipys_does():
    model, fine = decoding(hill), 8 * latent.SUBDIVISIONS + 1
    z_a, z_b = jnp.asarray([[-1.5, 0.2], [-1.0, -0.1]]), jnp.asarray([[1.5, 0.1], [1.2, 0.5]])
    found = latent.geodesic(model, {}, z_a, z_b, 9)
    line = z_a[:, None] + jnp.linspace(0, 1, fine)[:, None] * (z_b - z_a)[:, None]
    fine_found = _shorten(model, {}, line, (None, None), 500, 0.01)
    np.testing.assert_allclose(found, fine_found[:, :: latent.SUBDIVISIONS], atol=1e-3)

    @jax.jit
    def energy(inner, a, b):
        z = jnp.concatenate([a[None], inner.reshape(-1, 2), b[None]])
        return latent.curve_energy(hill(z)[None])[0]

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
    z = latent.geodesic(model, {}, z_a, z_b, 9, steps=50)
    np.testing.assert_allclose(z, line, atol=2e-3)
    decoded = latent.decode_path(model, {}, z)
    np.testing.assert_allclose(latent.curve_length(decoded), jnp.linalg.norm(z_b - z_a, axis=-1), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_interpolation_joins_the_centres_on_the_line_of_the_space(random_like):
    for small, path in ((tools.small, "linear"), (SPHERE, "linear"), (SPHERE, "spherical"), (BALL, "linear")):
        model = small()
        params = random_like(model.init, jax.random.key(0))
        x_a, x_b = tools.X[:2], tools.X[2:4]

        @jax.jit
        def both(params, model=model, x_a=x_a, x_b=x_b, path=path):
            ends = [centre(model.encode(params, x)) for x in (x_a, x_b)]
            z, mean = latent.interpolate(model, params, x_a, x_b, 9, path)
            return z, mean, model.decode(params, z).mean, ends

        z, mean, decoded, ends = both(params)
        assert z.shape == (2, 9, 2)
        assert mean.shape == (2, 9, 6)
        a, b = (np.asarray(end, np.float64) for end in ends)
        np.testing.assert_allclose(z[:, 0], a, atol=1e-6)
        np.testing.assert_allclose(z[:, -1], b, atol=1e-6)
        np.testing.assert_allclose(mean, decoded)
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


@pytest.mark.slow
def test_geodesics_stay_on_the_sphere_and_in_the_ball(random_like):
    """The ball is decoded by its logarithm, so that geodesics are straight there; the sphere as it is."""
    rng = np.random.default_rng(0)
    u = jnp.asarray(rng.normal(size=(2, 3, 2)), jnp.float32)
    model = BALL()
    params = random_like(model.init, jax.random.key(0))
    a, b = expmap0(u)
    z = latent.geodesic(decoding(logmap0, model), params, a, b, 9, steps=200)
    np.testing.assert_allclose(logmap0(z), u[0][:, None] + T[None, :, None] * (u[1] - u[0])[:, None], atol=0.02)
    model = SPHERE()
    a, b = u / jnp.linalg.norm(u, axis=-1, keepdims=True)
    stretched = decoding(lambda z: z * jnp.asarray([1.0, 0.3]), model)
    z = latent.geodesic(stretched, random_like(model.init, jax.random.key(0)), a, b, 9, steps=100)
    np.testing.assert_allclose(jnp.linalg.norm(z, axis=-1), 1.0, atol=1e-6)
    gaps = jnp.linalg.norm(jnp.diff(latent.decode_path(stretched, {}, z), axis=1), axis=-1)
    assert np.all(gaps.max(axis=1) < 1.2 * gaps.min(axis=1))  # about constant speed in the decoder's metric


def interpolated(model, path="linear", num=3, x=tools.X):
    def run():
        return latent.interpolate(model, model.init(jax.random.key(0)), x, tools.X, num, path)

    return jax.eval_shape(run)  # nothing is computed


@pytest.mark.parametrize("path", fast(latent.PATHS, "linear"))
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


def test_bad_input_of_curves_is_refused():
    model, codes = tools.small(), jnp.ones((3, 2))
    refused = {
        "Did you mean 'linear'": lambda: interpolated(model, "linaer"),
        "both must be": lambda: interpolated(model, x=tools.X[:2]),
        "steps=-1": lambda: latent.geodesic(model, {}, codes, codes, 3, steps=-1),
    }
    for words, call in refused.items():
        with pytest.raises(UserError, match=words):
            call()
