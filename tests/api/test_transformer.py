"""`VAETransformer`: scikit-learn's own checks, a pipeline, a grid search."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from jaxvae.sklearn import VAETransformer

FEW = {"network.hidden": (4,)}


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True, as_frame=False)


def test_a_table_is_encoded_decoded_scored_and_sampled(wine):
    x, _ = wine
    vae = VAETransformer(num_epochs=30, batch_size=32, settings=FEW).fit(x)
    codes = vae.transform(x)
    assert codes.shape == (len(x), 2)
    assert vae.inverse_transform(codes).shape == x.shape
    # In the units of the data: proline is around 750.
    assert vae.inverse_transform(codes)[:, -1].mean() == pytest.approx(x[:, -1].mean(), rel=0.1)
    scales = np.log(x.std(axis=0)).sum()
    standard_normal = -0.5 * 13 * (1 + np.log(2 * np.pi)) - scales  # of independent Gaussians fitted to the columns
    assert vae.score(x) > standard_normal - 13
    assert vae.sample(5).shape == (5, 13)
    assert list(vae.get_feature_names_out()) == ["vaetransformer0", "vaetransformer1"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(vae)).transform(x), codes)


@pytest.mark.slow
def test_it_is_searched_in_a_pipeline(wine):
    x, y = wine
    vae = VAETransformer(batch_size=32, learning_rate=1e-2, settings={"network.hidden": (16,)})
    pipeline = make_pipeline(vae, LogisticRegression())
    search = GridSearchCV(pipeline, {"vaetransformer__n_components": [1, 3]}, cv=2).fit(x, y)
    assert len(search.cv_results_["params"]) == 2
    assert search.best_score_ > 0.6  # a guess of the largest class is right in 0.4


@pytest.mark.slow
def test_the_checks_of_scikit_learn_pass():
    found = check_estimator(VAETransformer(num_epochs=1, settings=FEW), on_fail=None, on_skip=None)
    # Skipped: the array API, which needs an environment variable.
    assert {
        each["check_name"]: str(each["exception"]) for each in found if each["status"] not in ("passed", "skipped")
    } == {}
    assert len(found) > 40
