"""The tools of the latent space, through `--mode=tool`: what they write, and that it is what it says."""

import numpy as np
import pytest
from PIL import Image
from slow_cases import fast
from tool_runs import IMAGE, QUICK, use

import jaxvae
from jaxvae.runs.trained_run import some_rows
from jaxvae.tools import TOOLS, resolved

# Of those tested elsewhere, `transfer` and `transform` need a context, `clusters` a mixture, and `classify` labels.
UNCONDITIONAL = sorted(TOOLS.keys() - {"transfer", "transform", "clusters", "classify"})
SHAPES = {
    "analogy": {"z": (4, 8), "mean": (4, *IMAGE)},
    "attribute": {"vector": (8,), "mean": (12, 8, *IMAGE)},
    "denoise": {"index": (16,), "x": (16, *IMAGE), "noisy": (16, *IMAGE), "denoised": (16, *IMAGE)},
    "impute": {"index": (20,), **dict.fromkeys(("x", "observed", "mean", "sample"), (20, *IMAGE))},
    "interpolate": {"z": (8, 9, 8), "mean": (8, 9, *IMAGE)},
    "search": {"z": (20, 8), "mean": (20, *IMAGE)},
    "traverse": {"dimension": (8,), "mean": (8, 11, *IMAGE), "offset": (11,), "kl": (8,)},
}
NUMBERS = {
    "attribute": {"before", "after"}, "denoise": {"noisy_error", "error"}, "interpolate": {"mean_decoded_length"},
    "impute": {"error", "mean_image_error", "ratio", "acceptance", "log_likelihood_of_missing"},
    "search": {"mean_log_probability", "mean_log_prior"},
}  # fmt: skip


@pytest.fixture(scope="module")
def found(digits):
    return {name: use(digits, name, **QUICK.get(name, {})) for name in UNCONDITIONAL}


@pytest.mark.parametrize("name", UNCONDITIONAL)
def test_a_tool_writes_what_it_promises(name, digits, found):
    arrays, numbers = found[name]
    assert {key: array.shape for key, array in arrays.items()} == SHAPES[name]
    for key in {"x", "mean", "sample", "noisy", "denoised"} & set(arrays):
        assert 0 <= arrays[key].min() < 2 < arrays[key].max() <= 16  # the units of the data
    spec = {"name": name, **QUICK.get(name, {})}
    assert numbers.pop("tool") in (spec, resolved(spec))
    assert numbers.keys() == NUMBERS.get(name, set())
    assert all(np.isfinite(value) for value in numbers.values())
    with Image.open(digits / "tools" / f"{name}.png") as image:
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn


@pytest.mark.parametrize("name", fast(UNCONDITIONAL, "impute", "search"))
def test_a_tool_gives_the_same_bits_twice(name, digits, found):
    arrays, numbers = use(digits, name, **QUICK.get(name, {}))
    assert numbers == found[name][1] | {"tool": numbers["tool"]}
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, found[name][0][key])


def test_denoise_knows_its_errors(found):
    arrays, numbers = found["denoise"]
    np.testing.assert_array_equal(arrays["index"], some_rows(359, 16))
    np.testing.assert_array_equal(arrays["x"], jaxvae.data.load().test.x[arrays["index"]])
    assert numbers["error"] == pytest.approx(np.square((arrays["denoised"] - arrays["x"]) / 16).mean(), rel=1e-5)
    assert numbers["noisy_error"] == pytest.approx(np.square((arrays["noisy"] - arrays["x"]) / 16).mean(), rel=1e-5)
    assert 0.01 < numbers["noisy_error"] < 0.3**2  # cut off at 0 and 1


def test_the_ends_of_an_interpolation_are_the_reconstructions(found, posterior):
    q, reconstruction = posterior
    arrays, _ = found["interpolate"]
    for end, start in ((0, 0), (-1, 1)):
        np.testing.assert_allclose(arrays["mean"][:, end], reconstruction[start:16:2], atol=16e-5)
        np.testing.assert_allclose(arrays["z"][:, end], q.mean[start:16:2], atol=1e-5)


@pytest.mark.slow
def test_an_interpolation_starts_where_it_is_told(digits, posterior):
    _, reconstruction = posterior
    for path in ("spherical", "geodesic"):
        arrays, _ = use(digits, "interpolate", num=2, steps=3, first=355, path=path)
        np.testing.assert_allclose(arrays["mean"][:, 0], reconstruction[355:359:2], atol=16e-5)


@pytest.mark.parametrize(("first", "num", "pairs"), [(0, 359, 179), (356, 8, 1), (355, 2, 2)])
def test_an_interpolation_ends_with_the_test_set(first, num, pairs, digits):
    arrays, _ = use(digits, "interpolate", num=num, steps=2, first=first)
    assert arrays["mean"].shape == (pairs, 2, *IMAGE)


def test_a_traversal_orders_the_dimensions_by_kl(digits, found, posterior):
    q, reconstruction = posterior
    mean, variance = np.asarray(q.mean, np.float64), np.asarray(q.variance, np.float64)
    kl = 0.5 * (np.square(mean) + variance - 1 - np.log(variance)).mean(axis=0)
    arrays, _ = found["traverse"]
    np.testing.assert_array_equal(arrays["dimension"], np.argsort(-kl))
    np.testing.assert_allclose(arrays["kl"], np.sort(kl)[::-1], rtol=1e-4)
    np.testing.assert_allclose(arrays["offset"], np.linspace(-3, 3, 11), atol=1e-12)
    np.testing.assert_allclose(arrays["mean"][:, 5], np.broadcast_to(reconstruction[0], (8, *IMAGE)), atol=16e-5)
    three, _ = use(digits, "traverse", num=3, index=7)
    np.testing.assert_array_equal(three["dimension"], arrays["dimension"][:3])
    np.testing.assert_allclose(three["mean"][0, 5], reconstruction[7], atol=16e-5)


def test_an_analogy_adds_the_difference(found, posterior):
    z = found["analogy"][0]["z"]
    np.testing.assert_allclose(z[:3], posterior[0].mean[:3], atol=1e-5)
    np.testing.assert_allclose(z[3], z[2] + z[1] - z[0], atol=1e-6)


def test_a_search_finds_the_class(digits, found):
    assert found["search"][1]["mean_log_probability"] > np.log(0.5)
    weighed, unweighed = found["search"][1], use(digits, "search", **QUICK["search"], prior_weight=0.0)[1]
    assert unweighed["mean_log_probability"] > weighed["mean_log_probability"]
    assert unweighed["mean_log_prior"] < weighed["mean_log_prior"]


@pytest.mark.slow
def test_codes_denoise(codes):
    arrays, _ = use(codes, "denoise", num=3)
    assert arrays["denoised"].shape == (3, *IMAGE)
