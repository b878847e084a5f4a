"""Sharpness against SciPy's Laplacian, and what blur and noise do to it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from jaxvae.common.errors import UserError
from jaxvae.evaluation import of_data
from jaxvae.metrics.sharpness import sharpness

IMAGES = np.random.default_rng(0).uniform(size=(5, 7, 6, 3)).astype(np.float32)


def test_it_is_the_variance_of_the_laplacian_of_scipy():
    wanted = [[ndimage.laplace(image[..., c].astype(float), mode="mirror").var() for c in range(3)] for image in IMAGES]
    np.testing.assert_allclose(sharpness(IMAGES), np.mean(wanted, axis=1), rtol=1e-10)


def test_by_hand():
    image = np.zeros((1, 3, 3, 1))
    image[0, 1, 1] = 1.0
    laplacian = np.array([[0, 2, 0], [2, -4, 2], [0, 2, 0]]) / 1.0  # a pixel at the border sees its neighbour twice
    assert sharpness(image)[0] == pytest.approx(laplacian.var())


def test_blur_lowers_it_and_contrast_raises_it_by_the_square():
    blurred = ndimage.gaussian_filter(IMAGES, (0, 1, 1, 0))
    assert np.all(sharpness(blurred) < 0.2 * sharpness(IMAGES))
    np.testing.assert_allclose(sharpness(3 * IMAGES + 1), 9 * sharpness(IMAGES), rtol=1e-5)
    np.testing.assert_allclose(sharpness(np.ones((2, 4, 4, 1))), 0, atol=1e-20)


@pytest.mark.parametrize("wrong", [IMAGES[0], IMAGES[:0], IMAGES[:, :1], IMAGES * np.nan])
def test_what_is_no_image_is_refused(wrong):
    with pytest.raises(UserError, match="Sharpness got"):
        sharpness(wrong)


def test_the_metric_compares_reconstructions_and_samples_with_data(monkeypatch):
    x, back, drawn = IMAGES[:2], 0.5 * IMAGES[:2], 3 * IMAGES
    monkeypatch.setattr(of_data, "_reconstructed", lambda run: (3 * x, 3 * back))
    run: Any = SimpleNamespace(unit=lambda images: images / 3, generated=lambda num: drawn[:num])
    found, of_x = of_data.sharpness(run), sharpness(x).mean()
    assert found["data"] == pytest.approx(of_x)
    assert found["reconstructions_ratio"] == pytest.approx(0.25)
    assert found["samples"] == pytest.approx(of_x)  # 2 of the draws; all go to [0, 1]
    assert found["samples_ratio"] == pytest.approx(1.0)
