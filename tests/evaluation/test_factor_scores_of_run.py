"""The factor scores of a trained run on drawn shapes, through `--mode=evaluate`."""

import math

import numpy as np
import pytest
from metric_runs import FEW, OTHER, SHAPES, assert_same_on_one_device, evaluated, numbers, train

import jaxvae
from jaxvae import data
from jaxvae.evaluation.of_factors import FACTOR_SCORES
from jaxvae.evaluation.results import label, table
from jaxvae.evaluation.table import METRICS
from jaxvae.metrics import information_gap
from jaxvae.runs.trained_run import some_rows


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return train(tmp_path_factory, *SHAPES)


@pytest.fixture(scope="module")
def all_of_shapes(shapes):
    return evaluated(shapes, "all", FEW)


@pytest.mark.slow
def test_all_on_shapes_has_the_factor_scores(all_of_shapes):
    found, printed = all_of_shapes["metrics"], table(all_of_shapes)
    assert set(found) == set(METRICS) - OTHER
    assert all(math.isfinite(value) for value in numbers(found))
    for name in FACTOR_SCORES:
        assert all(-0.1 < value <= 1 for value in found[name].values())  # irs may lie a little below 0
        if name != "dci":
            assert found[name].keys() == {name}
            assert f"\n  {label(name):<40}{found[name][name]:10.3f}\n" in printed


@pytest.mark.slow
def test_mig_of_a_run_is_that_of_its_posteriors(shapes, all_of_shapes):
    model, params = jaxvae.restore(shapes)
    dataset = data.load("shapes", image_size=16)
    rows = some_rows(len(dataset.test.x), 500)
    q = model.encode(params, dataset.test.x[rows] / np.float32(dataset.max_value)).base_dist
    expected = information_gap.mig(q.loc, q.scale, dataset.test.factors[rows], seed=0)
    assert all_of_shapes["metrics"]["mig"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_one_device_gives_of_the_factor_scores_what_eight_give(shapes, all_of_shapes):
    assert_same_on_one_device(shapes, ",".join(FACTOR_SCORES), all_of_shapes, FEW)
