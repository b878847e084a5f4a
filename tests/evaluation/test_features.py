"""Maps from images to features: pixels, principal components, networks from files, runs."""

import itertools

import jax
import numpy as np
import pytest

from jaxvae import networks
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.evaluation.run_features import run_features
from jaxvae.experiment import build, defaults
from jaxvae.metrics.features import npz_features, pca_features, pixel_features
from jaxvae.metrics.sample_quality import frechet_distance
from jaxvae.models.base import centre
from jaxvae.runs.checkpoints import Checkpoints
from jaxvae.runs.workdir import claim


def normal(num, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(num, dim))


def frechet(a, b):
    return frechet_distance(a, b)["frechet_distance"]


def test_pixels_and_principal_components():
    x = normal(40, 12).reshape(40, 2, 3, 2) * np.arange(1, 13).reshape(2, 3, 2)
    flat = pixel_features(x)
    np.testing.assert_array_equal(flat, x.reshape(40, 12))
    np.testing.assert_array_equal(pca_features(x, 3)(x), pca_features(x, 3)(x))
    values, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))
    expected = (flat - flat.mean(axis=0)) @ vectors[:, :-4:-1]
    np.testing.assert_allclose(np.abs(pca_features(x, 3)(x)), np.abs(expected), atol=1e-9)
    assert frechet(flat, 2 * flat) == pytest.approx(
        frechet(pca_features(x, 12)(x), pca_features(x, 12)(2 * x)), rel=1e-9
    )
    np.testing.assert_allclose(np.var(expected, axis=0, ddof=1), values[:-4:-1], rtol=1e-9)


def test_equal_images_have_principal_components_without_a_warning():
    np.testing.assert_array_equal(pca_features(np.full((9, 2, 2, 1), 0.5), 3)(np.full((5, 2, 2, 1), 0.5)), 0)


def layers(*sizes, dtype=np.float32):
    rng, arrays = np.random.default_rng(0), {}
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        arrays |= {
            f"W{i}": rng.normal(size=(fan_in, fan_out)).astype(dtype),
            f"b{i}": rng.normal(size=fan_out).astype(dtype),
        }
    return arrays


def test_a_feature_network_is_read_and_applied(tmp_path):
    arrays = layers(12, 7, 5, 3)
    np.savez(tmp_path / "net.npz", allow_pickle=False, **arrays)
    x = np.random.default_rng(1).random((1500, 2, 2, 3))
    h = x.reshape(1500, 12)
    for i in range(3):
        h = h @ arrays[f"W{i}"].astype(float) + arrays[f"b{i}"]
        h = np.maximum(h, 0) if i < 2 else h
    np.testing.assert_allclose(npz_features(tmp_path / "net.npz")(x), h, rtol=1e-9, atol=1e-9)
    assert (h < 0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b1": None}, "holds W0, b0, W1"),
        ({"W1": None, "b1": None, "W2": np.ones((7, 3)), "b2": np.ones(3)}, "holds W0, b0, W2"),
        ({"scale": np.ones(3), "shift": np.ones(3)}, "holds .*scale"),
        ({"W1": np.ones((6, 3))}, r"W1 has the shape \[6, 3\] and b1 \[3\], for 7 inputs"),
        ({"b0": np.ones(6)}, r"b0 \[6\], for 12 inputs"),
        ({"W0": np.float64(1)}, r"W0 has the shape \[\]"),
        ({"W0": np.ones((12, 7), int)}, "W0 or b0 holds values that are not finite floats"),
        ({"b1": np.array([0, np.nan, 1])}, "W1 or b1 holds values that are not finite floats"),
        ({"b1": np.array([0, None, 1])}, "cannot be read"),
    ],
)
def test_a_feature_network_that_does_not_fit_is_refused(tmp_path, change, message):
    arrays = {name: value for name, value in (layers(12, 7, 3) | change).items() if value is not None}
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(UserError, match=message):
        npz_features(tmp_path / "net.npz")


def test_what_is_no_npz_is_refused(tmp_path):
    np.savez(tmp_path / "whole.npz", allow_pickle=False, **layers(12, 7, 3))
    content = (tmp_path / "whole.npz").read_bytes()
    flipped = bytearray(content)
    flipped[200] ^= 255
    files = {"cut.npz": content[:300], "flipped.npz": bytes(flipped), "text.npz": b"W0 b0", "empty.npz": b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    np.save(tmp_path / "array.npz.npy", np.ones((12, 3)))
    for name in [*files, "missing.npz", "array.npz.npy", "."]:
        with pytest.raises(UserError, match=r"cannot be read|no named arrays"):
            npz_features(tmp_path / name)


def start_run(workdir, pixel_range, likelihood, shape=(4, 4, 1), **sections):
    """A run that has not trained yet: its folder, model and parameters."""
    config = defaults.get_config("test").to_dict()
    config["model"] |= {"latent_dim": 3, "likelihood": {"name": likelihood}}
    config["network"]["hidden"], config["data"]["pixel_range"] = (8,), pixel_range
    config |= sections
    spec = DataSpec(shape, 17, labels=(0, 1, 2))
    model = build.model(config, spec)
    params, extra = build.objective(config, model, spec, total_steps=1).init(jax.random.key(0))
    claim(workdir, config)
    checkpoints = Checkpoints(workdir / "checkpoints")
    weights = jax.device_get({"params": params, "extra": extra})
    checkpoints.save(0, weights, {"step": np.zeros((), np.int32)}, {"data": spec._asdict()}, 1.0)
    checkpoints.close()
    return model, params


@pytest.mark.parametrize(
    ("pixel_range", "likelihood", "low", "high"),
    [((0.0, 1.0), "bernoulli", 0, 1), ((-1.0, 1.0), "gaussian", -1, 1), ((), "poisson", 0, 16)],
)
def test_features_of_a_run_are_its_codes(tmp_path, pixel_range, likelihood, low, high):
    model, params = start_run(tmp_path, pixel_range, likelihood)
    params = params["model"]
    x = np.random.default_rng(0).random((1030, 4, 4, 1), np.float32)
    features = run_features(tmp_path)
    expected = centre(model.encode(params, low + (high - low) * x))
    np.testing.assert_allclose(features(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(features(x), run_features(tmp_path, "last")(x))
    for other in (x[..., 0], x[:, :3], x.reshape(-1, 16), x[:0]):
        with pytest.raises(UserError, match=r"on examples of the shape \[4, 4, 1\]"):
            features(other)


def test_features_of_a_run_with_a_classifier_are_its_last_hidden_layer(tmp_path):
    """Of maps of features the mean over positions."""
    supervised, x = {"name": "supervised"}, np.random.default_rng(0).random((7, 4, 4, 1), np.float32)
    _, params = start_run(tmp_path / "a", (-1.0, 1.0), "gaussian", objective=supervised)
    dense = params["classifier"]["Dense_0"]
    wanted = np.maximum((2 * x - 1).reshape(7, 16) @ dense["kernel"] + dense["bias"], 0)
    np.testing.assert_allclose(run_features(tmp_path / "a")(x), wanted, rtol=1e-4, atol=1e-5)
    conv = {"name": "conv", "channels": (3,)}
    _, params = start_run(tmp_path / "b", (0.0, 1.0), "gaussian", objective=supervised, classifier=conv)
    network = networks.functions(networks.conv((3,)).encoder((4, 4, 1), 3))
    layer = jax.jit(network.features)({"params": params["classifier"]}, x)[-1]
    assert layer.shape == (7, 2, 2, 3)
    np.testing.assert_allclose(run_features(tmp_path / "b")(x), layer.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_a_run_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        run_features(tmp_path)


X = normal(10, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pca_features(X, 4), "from 1 to 3"),
        (lambda: pca_features(X, 0), "from 1 to 3"),
        (lambda: pca_features(X, 2)(X[:, :2]), "have 2 values, but this feature map takes 3"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(UserError, match=message):
        call()
