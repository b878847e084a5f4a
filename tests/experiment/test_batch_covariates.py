"""Counts measured in batches: with batch and library size as the context, the code holds the type of a cell alone."""

import runpy

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import jaxvae
from jaxvae.data.cells import BATCHES, GENES, TYPES, make_cells
from jaxvae.experiment.setup import setup


def read(codes, values):
    """Accuracy of a linear classifier, fitted to the first half of the rows, on the second."""
    half, codes = len(codes) // 2, (codes - codes.mean(axis=0)) / codes.std(axis=0)
    fitted = LogisticRegression(max_iter=500).fit(codes[:half], values[:half])
    return fitted.score(codes[half:], values[half:])


def test_type_batch_and_library_size_can_be_read_from_the_drawn_counts():
    split, names = make_cells()
    batch = split.factors[:, 0]
    assert names == ("batch",)
    assert split.x.shape[1] == GENES
    assert set(split.label) == set(range(TYPES))
    assert set(batch) == set(range(BATCHES))
    logs = np.log1p(split.x)
    assert read(logs, split.label) > 0.98
    assert read(logs, batch) > 0.95
    assert np.log(split.x.sum(axis=1)).std() > 0.3
    assert np.abs(np.corrcoef(split.label, batch)[0, 1]) < 0.1
    np.testing.assert_array_equal(make_cells()[0].x, split.x)


def test_the_config_decodes_shares_of_the_library_size():
    config = runpy.run_path("configs/count_vae.py")["get_config"]("cells").to_dict()
    experiment = setup(config)
    test = experiment.dataset.test
    params = experiment.model.init(jax.random.key(0))
    z = np.zeros((len(test.x), 4), np.float32)
    means = experiment.model.decode(params, z, test.context).mean
    np.testing.assert_allclose(means.sum(axis=-1), test.x.sum(axis=1), rtol=1e-4)


@pytest.mark.slow
def test_the_code_of_a_conditional_model_does_not_hold_the_batch():
    split, _ = make_cells()
    batch = split.factors[:, 0]
    given = jaxvae.fit("count_vae", "cells", progress=False)
    codes = given.encode(split.x, context={"batch": batch, "total": split.x.sum(axis=1)})
    assert read(codes, batch) < 1 / BATCHES + 0.1
    assert read(codes, split.label) > 0.95
    plain = jaxvae.fit("count_vae", "cells", {"data.context": "", "model.likelihood.link": "exp"}, progress=False)
    assert read(plain.encode(split.x), batch) > 0.6
