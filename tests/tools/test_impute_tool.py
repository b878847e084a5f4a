"""The tool `impute`: what is known stays, its errors, and masks."""

import numpy as np
import pytest
from tool_runs import QUICK, SHORT, launched, use

import jaxvae
from jaxvae.runs.trained_run import some_rows


@pytest.mark.parametrize("method", ["metropolis", pytest.param("pseudo_gibbs", marks=pytest.mark.slow)])
@pytest.mark.parametrize("mask", [pytest.param("left", marks=pytest.mark.slow), "random"])
def test_impute_keeps_what_is_known_and_knows_its_error(method, mask, digits):
    arrays, numbers = use(
        digits, "impute", method=method, mask=mask, part=0.375, num=10, steps=20, burn_in=20, nll_samples=0
    )
    x, observed = arrays["x"], arrays["observed"]
    np.testing.assert_array_equal(arrays["index"], some_rows(359, 10))  # not the first: a split may be sorted
    np.testing.assert_array_equal(x, jaxvae.data.load().test.x[arrays["index"]])
    for name in ("mean", "sample"):
        np.testing.assert_array_equal(arrays[name][observed], x[observed])
        assert (arrays[name][~observed] != x[~observed]).any()
    if mask == "left":
        assert not observed[:, :, :3].any()
        assert observed[:, :, 3:].all()
    else:
        assert np.mean(~observed) == pytest.approx(0.375, abs=4 * np.sqrt(0.375 * 0.625 / observed.size))
    average = np.broadcast_to(jaxvae.data.load().train.x.mean(axis=0), x.shape)
    assert numbers["error"] == pytest.approx(np.square((arrays["mean"] - x) / 16)[~observed].mean(), rel=1e-5)
    assert numbers["mean_image_error"] == pytest.approx(np.square((average - x) / 16)[~observed].mean(), rel=1e-5)
    assert numbers["ratio"] == pytest.approx(numbers["error"] / numbers["mean_image_error"])
    assert (numbers["acceptance"] == 1) == (method == "pseudo_gibbs")
    assert "log_likelihood_of_missing" not in numbers


@pytest.mark.slow
def test_impute_takes_a_mask_of_ones_own(digits, tmp_path):
    observed = np.random.default_rng(0).random((8, 8, 1)) < 0.8
    np.save(tmp_path / "mask.npy", observed)
    arrays, _ = use(digits, "impute", mask=tmp_path / "mask.npy", num=5, steps=2, burn_in=2, nll_samples=0)
    np.testing.assert_array_equal(arrays["observed"], np.broadcast_to(observed, (5, 8, 8, 1)))


@pytest.mark.slow
def test_a_mean_without_error_has_no_ratio(tmp_path):
    """Rows of pixels that are the same in all examples; 200 / 255 has a rounding error."""
    x = np.random.default_rng(0).integers(0, 256, size=(60, 8, 6, 1), dtype=np.uint8)
    x[:, :2], x[:, -2:] = 0, 200
    np.savez(tmp_path / "edges.npz", x=x)
    workdir, data = tmp_path / "run", f"--config.data.path={tmp_path / 'edges.npz'}"
    argv = "--config.train.batch_size=8", "--config.train.num_epochs=1", f"--workdir={workdir}"
    launched("--config=configs/vae_2d.py", data, *argv, *SHORT)
    for mask, same in (("top", True), ("bottom", True), ("middle", False)):
        _, numbers = use(workdir, "impute", mask=mask, part=0.25, num=4, steps=2, burn_in=1, chains=1, nll_samples=0)
        assert numbers["mean_image_error"] == pytest.approx(0, abs=1e-12) if same else numbers["ratio"] > 0
        assert ("ratio" in numbers) != same
        assert numbers["error"] > 0


def test_imputation_beats_the_mean_image(digits):
    assert use(digits, "impute", **QUICK["impute"])[1]["ratio"] < 0.9
