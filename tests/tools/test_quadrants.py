"""A run that is conditional on a quadrant: its pixels are given, so they are shown as they are and never imputed."""

import numpy as np
import pytest

import jaxvae
from jaxvae.api.applied import Applied
from jaxvae.common.errors import UserError
from jaxvae.report.run_figures import reconstructions, samples
from jaxvae.runs import imputing
from jaxvae.tools import find

X = np.random.default_rng(0).uniform(0, 1, (60, 6, 6, 1)).astype(np.float32)
SEEN = (slice(None), slice(3, None), slice(3))  # bottom_left
SETTINGS = {
    "data.context": "bottom_left", "model.latent_dim": 2, "network.hidden": (4,), "model.prior.hidden": (4,),
    "train.num_epochs": 1, "train.batch_size": 32, "evaluate.nll_samples": 2, "data.binarization": "none",
    "evaluate.metrics": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def run():
    return jaxvae.fit("cvae_quadrants", X, {**SETTINGS, "data.missing": 0.2}, progress=False)


@pytest.fixture(scope="module")
def whole():
    return jaxvae.fit("cvae_quadrants", X, SETTINGS, progress=False)


def test_the_seen_quadrant_is_shown_as_given(whole):
    np.testing.assert_allclose(whole.sample(2, context=X[:3])[SEEN], np.repeat(X[:3], 2, axis=0)[SEEN], atol=1e-6)
    made = whole.reconstruct(X[:3])
    np.testing.assert_allclose(made[SEEN], X[:3][SEEN], atol=1e-6)
    assert np.abs(made - X[:3])[:, :3].max() > 0.1  # the others are decoded
    test, experiment = whole._trained.dataset.test.x, whole._trained.experiment
    both = reconstructions(experiment, whole.params, 4)
    np.testing.assert_allclose(both[:, 1][SEEN], both[:, 0][SEEN], atol=1e-6)
    drawn = samples(experiment, whole.params)
    for column in drawn.swapaxes(0, 1):
        np.testing.assert_allclose(column[SEEN], test[: len(column)][SEEN], atol=1e-6)


def test_pixels_of_the_context_are_not_missing(whole):
    for mask in ("auto", "middle", "random"):
        with pytest.raises(UserError, match=r"conditional on quadrants.*--config.sample.context"):
            find({"name": "impute", "mask": mask, "num": 4}, whole._trained)()
    with pytest.raises(UserError, match="No value of the data is missing"):
        find({"name": "impute", "mask": "own"}, whole._trained)()


@pytest.mark.slow
def test_values_that_are_missing_elsewhere_are_imputed(run):
    arrays = find({"name": "impute", "samples": 20, "draws": 2}, run._trained)().arrays
    assert arrays["observed"][SEEN].all()
    missing = np.mean(~arrays["observed"])
    assert missing == pytest.approx(0.2 * 3 / 4, abs=0.03)
    for filled in (arrays["mean"], *arrays["draws"]):
        np.testing.assert_allclose(filled[arrays["observed"]], arrays["x"][arrays["observed"]], atol=1e-6)
    _, where = imputing.hidden(run._trained, "test", np.arange(3))
    assert where.any()
    assert not where[SEEN].any()


def test_hidden_entries_leave_the_context_as_it_is(run):
    dataset = run._trained.dataset
    whole = dataset.complete["train"].x[SEEN].reshape(len(dataset.train.x), -1)
    np.testing.assert_array_equal(dataset.train.context, whole)
    gaps = X.copy()
    gaps[0, 4, 1] = np.nan
    with pytest.raises(UserError, match=r"data\.context has 'bottom_left', of which pixels are missing"):
        jaxvae.fit("cvae_quadrants", gaps, SETTINGS, progress=False)


@pytest.mark.parametrize("binarization", ["none", "threshold", "dynamic"])
def test_quadrants_that_are_nan_are_predicted_and_others_come_back_as_given(whole, binarization):
    config = {**whole.config, "data": {**whole.config["data"], "binarization": binarization}}
    applied = Applied(config, whole.spec, whole.model, whole.params, {})
    x = np.full((4, 6, 6, 1), np.nan, np.float32)
    x[SEEN] = X[:4][SEEN]
    x[:, 0] = X[:4, 0]
    made = applied.impute(x, num_samples=3)
    given = np.isfinite(x)
    np.testing.assert_array_equal(made[given], x[given])
    assert np.isfinite(made).all()
    assert made[~given].std() > 0
    x[0, 5, 0] = np.nan
    with pytest.raises(UserError, match="'bottom_left' must be finite numbers"):
        applied.impute(x, num_samples=3)


def test_metrics_of_whole_examples_are_left_out(whole, run):
    for each, metric in ((whole, "frechet"), (whole, "prdc"), (run, "fidelity")):
        with pytest.raises(UserError, match=f"{metric}.*no value is missing or the pixel of a context"):
            each.evaluate(metric)
