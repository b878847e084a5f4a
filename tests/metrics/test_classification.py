"""Scores of class probabilities, against counts by hand and scikit-learn; classifiers of codes."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from jaxvae.common.errors import UserError
from jaxvae.metrics.classification import calibration_error, scores
from jaxvae.metrics.classifiers import CLASSIFIERS, fit_classifier

RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet([1, 1, 2], size=300)
CLASSES, LABELS = np.array([2, 5, 7]), np.array([2, 5, 7])[RNG.integers(3, size=300)]


def test_scores_are_those_of_scikit_learn():
    found = scores(PROBS, CLASSES, LABELS)
    guess = CLASSES[PROBS.argmax(axis=1)]
    assert found["accuracy"] == pytest.approx(accuracy_score(LABELS, guess))
    assert found["nll"] == pytest.approx(log_loss(LABELS, PROBS, labels=CLASSES))
    np.testing.assert_array_equal(found["confusion"], confusion_matrix(LABELS, guess, labels=CLASSES))
    assert found["classes"] == [2, 5, 7]


def test_a_label_of_no_class_counts_as_wrong():
    labels = LABELS.copy()
    labels[:30] = 9
    found, others = scores(PROBS, CLASSES, labels), scores(PROBS[30:], CLASSES, LABELS[30:])
    assert found["accuracy"] == pytest.approx(others["accuracy"] * 270 / 300)
    assert (found["nll"], found["confusion"]) == (others["nll"], others["confusion"])


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.55, 0.55, 0.2])  # 10 bins: one of two right, both right, wrong
    right = np.array([True, False, True, True, False])
    assert calibration_error(confidence, right, bins=10) == pytest.approx((0.9 + 0.9 + 0.2) / 5)
    assert calibration_error(np.array([0.1, 1.0]), np.array([False, True]), bins=10) == pytest.approx(0.05)


def test_a_calibrated_classifier_has_a_small_error_and_a_bold_one_a_large():
    labels = np.array([RNG.choice(3, p=row) for row in PROBS])
    calibrated = scores(PROBS, np.arange(3), labels)["calibration_error"]
    bold = PROBS**4 / (PROBS**4).sum(axis=1, keepdims=True)
    assert calibrated < 0.1 < 0.2 < scores(bold, np.arange(3), labels)["calibration_error"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"probs": PROBS[:, :2]}, r"\(300, 2\) for 3 classes"),
        ({"labels": LABELS[:9]}, "one integer per row"),
        ({"probs": PROBS * np.nan}, "must be finite"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(change, words):
    with pytest.raises(UserError, match=words):
        scores(**{"probs": PROBS, "classes": CLASSES, "labels": LABELS, **change})


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("classes", [(3, 8), (3, 8, 5)])
def test_classifiers_of_codes_tell_separate_groups_apart(name, classes):
    labels = np.array(classes)[RNG.integers(len(classes), size=120)]
    codes = labels[:, None] * np.array([10.0, -1e3]) + RNG.normal(size=(120, 2))
    values, predict = fit_classifier(name, codes[:20], labels[:20], codes)
    probs = predict(codes[20:])
    np.testing.assert_array_equal(values, np.sort(classes))
    assert (values[probs.argmax(axis=1)] == labels[20:]).mean() == 1.0
    np.testing.assert_allclose(probs.sum(axis=1), 1.0, rtol=1e-6)


def test_an_unknown_classifier_is_refused():
    with pytest.raises(UserError, match="linear, network, svm"):
        fit_classifier("tree", PROBS, LABELS, PROBS)
