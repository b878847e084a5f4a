"""What codes tell of labels: separable data, labels at random, clusters by hand."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import silhouette_samples

from jaxvae.common.errors import UserError
from jaxvae.metrics import linear, predictors_votes
from jaxvae.metrics.auroc import outlier_auroc
from jaxvae.metrics.predictors import explicitness
from jaxvae.metrics.predictors_votes import beta_vae_score, factor_vae_score
from jaxvae.metrics.representation import SILHOUETTE_ROWS, clustering, few_labels, knn, linear_probe

CENTRES = 20.0 * np.eye(4)[:, :3]


def blobs(per_class, seed, spread=1.0):
    """Codes `[4 * per_class, 3]` about four centres, with labels 0, 3, 6, 9 in random order."""
    rng = np.random.default_rng(seed)
    index = rng.permutation(np.repeat(np.arange(4), per_class))
    return CENTRES[index] + spread * rng.normal(size=(len(index), 3)), 3 * index


def at_random(num, classes, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num, 5)), rng.integers(classes, size=num)


def probes(train, test, **options):
    options = {"linear": {}, "few": {"per_class": 3}, "knn": {"k": 3}} | options
    return {
        "linear": linear_probe(*train, *test)["accuracy"],
        "few": few_labels(*train, *test, **options["few"])["accuracy"],
        "knn": knn(*train, *test, **options["knn"])["accuracy"],
    }


def test_separable_classes_are_all_found():
    assert probes(blobs(20, 0), blobs(30, 1)) == {"linear": 1.0, "few": 1.0, "knn": 1.0}


def test_labels_at_random_are_found_at_chance():
    num, classes = 2000, 4
    found = probes(at_random(1000, classes, 0), at_random(num, classes, 1))
    sigma = np.sqrt(1 / classes * (1 - 1 / classes) / num)
    for name, accuracy in found.items():
        assert abs(accuracy - 1 / classes) < 4 * sigma, name


def test_the_probe_is_the_best_linear_one_for_two_gaussians():
    """Two classes at a distance of 2 standard deviations: no classifier has more than Phi(1) in expectation."""
    rng, num = np.random.default_rng(0), 20_000
    labels = rng.integers(2, size=2 * num)
    codes = rng.normal(size=(2 * num, 3))
    codes[:, 1] += 2 * labels
    accuracy = linear_probe(codes[:num], labels[:num], codes[num:], labels[num:])["accuracy"]
    assert abs(accuracy - ndtr(1)) < 4 * np.sqrt(ndtr(1) * ndtr(-1) / num)


def test_the_probe_does_not_depend_on_shift_or_scale_and_knn_on_shift():
    train, test = blobs(20, 0, spread=9), blobs(30, 1, spread=9)
    (codes_train, labels_train), (codes_test, labels_test) = train, test
    before = probes(train, test)
    assert 0.3 < before["linear"] < 1
    scale = np.array([1e-3, 7.0, 1e4])
    moved = probes((5 + scale * codes_train, labels_train), (5 + scale * codes_test, labels_test))
    assert (moved["linear"], moved["few"]) == pytest.approx((before["linear"], before["few"]), abs=1e-12)
    assert probes((codes_train + 1, labels_train), (codes_test + 1, labels_test))["knn"] == before["knn"]


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_no_warning_reaches_the_user_from_hard_or_constant_codes(scale):
    codes, labels = blobs(20, 0, spread=20)
    codes = scale * np.concatenate([codes, codes[:, :1] ** 3, codes[:, :1], np.ones((len(codes), 1))], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert linear_probe(codes, labels, codes, labels)["accuracy"] > 0.3


@pytest.mark.parametrize("score", [explicitness, beta_vae_score])
def test_no_warning_reaches_the_user_from_scores_that_ask_a_line(score):
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(400, 2))
    codes = np.concatenate([factors, 1e4 * factors**3, 1e-3 * rng.normal(size=(400, 2)).cumsum(axis=0)], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(0.5 < value <= 1 for value in score(codes, factors, seed=0).values())


def test_a_fit_that_is_cut_short_warns_nobody(monkeypatch):
    monkeypatch.setattr(linear, "STEPS", 1)
    codes, labels = blobs(20, 0, spread=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert linear.fit_linear(*linear.standardised(codes, codes)[:1], labels).score(codes, labels) > 0.2


@pytest.mark.parametrize("width", [1, 7])
@pytest.mark.parametrize("score", [factor_vae_score, beta_vae_score])
def test_votes_counted_in_parts_give_the_same_bits(score, width, monkeypatch):
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(300, 3))
    codes = factors[:, rng.integers(3, size=width)] + 3 * rng.normal(size=(300, width))
    whole = {}
    for size in (1, 50, 10_000):
        monkeypatch.setattr(predictors_votes, "VOTES_AT_ONCE", size)
        whole[size] = score(codes, factors, seed=0, votes=70)
    assert whole[1] == whole[50] == whole[10_000]


def test_the_probe_has_converged():
    """At the optimum of the penalised likelihood its gradient is zero: predictions equal those of a Newton solver."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    (codes, labels), (codes_test, labels_test) = blobs(200, 0, spread=9), blobs(1000, 1, spread=9)
    scaler = StandardScaler().fit(codes)
    newton = LogisticRegression(solver="newton-cholesky", tol=1e-10).fit(scaler.transform(codes), labels)
    expected = newton.score(scaler.transform(codes_test), labels_test)
    assert abs(linear_probe(codes, labels, codes_test, labels_test)["accuracy"] - expected) <= 2 / len(labels_test)


def test_knn_by_hand():
    codes, labels = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]]), np.array([0, 0, 1, 1, 1])
    test, expected = np.array([[0.4], [1.9], [9.0]]), np.array([0, 1, 1])
    assert knn(codes, labels, test, expected, k=1)["accuracy"] == 1
    assert knn(codes, labels, test, expected, k=3)["accuracy"] == pytest.approx(2 / 3)  # of 2, 1, 0 most are 0
    assert knn(codes, labels, test, expected, k=5)["accuracy"] == pytest.approx(2 / 3)  # all say 1


def test_a_label_that_no_training_row_has_is_wrong():
    train, (codes, labels) = blobs(20, 0), blobs(10, 1)
    labels = np.where(labels == 9, 77, labels)
    assert probes(train, (codes, labels)) == {"linear": 0.75, "few": 0.75, "knn": 0.75}


def test_more_labels_help_and_all_of_them_are_the_probe():
    train, test = blobs(50, 0, spread=9), blobs(200, 1, spread=9)
    few, more, every = (few_labels(*train, *test, per_class=n) for n in (1, 10, 50))
    assert few["accuracy"] + 0.05 < more["accuracy"] < every["accuracy"] + 0.02
    assert every["accuracy"] == pytest.approx(linear_probe(*train, *test)["accuracy"], abs=2 / 800)
    assert every["accuracy_std"] < 1e-3 < few["accuracy_std"]


def test_few_labels_are_those_of_the_seed():
    train, test = blobs(50, 0, spread=9), blobs(200, 1, spread=9)
    one, again, other = (few_labels(*train, *test, per_class=2, seed=seed) for seed in (0, 0, 1))
    assert one == again != other


def test_blobs_are_clusters_whatever_the_labels_are_called():
    codes, labels = blobs(50, 0)
    names = np.array([7, -1, 100, 3])[labels // 3]
    for given in (labels, names):
        found = clustering(codes, given, seed=0)
        assert {name: found[name] for name in ("accuracy", "nmi", "ari")} == pytest.approx(
            {"accuracy": 1, "nmi": 1, "ari": 1}, abs=1e-12
        )
        assert found["silhouette"] == pytest.approx(np.asarray(silhouette_samples(codes, labels)).mean(), abs=1e-12)


def test_clusters_that_tell_half_of_the_labels():
    """Two blobs, four labels' worth of two: one half of each blob bears the other's label."""
    codes = np.concatenate([CENTRES[0] + np.zeros((40, 3)), CENTRES[1] + np.zeros((40, 3))])
    codes += 0.01 * np.random.default_rng(0).normal(size=codes.shape)
    labels = np.repeat([0, 1, 1, 0], [30, 10, 30, 10])
    found = clustering(codes, labels, seed=0)
    information = np.log(2) + 0.75 * np.log(0.75) + 0.25 * np.log(0.25)
    pairs_together = 2 * (30 * 29 / 2 + 10 * 9 / 2)
    expected = (40 * 39) ** 2 / (80 * 79 / 2)
    assert found["accuracy"] == 0.75
    assert found["nmi"] == pytest.approx(information / np.log(2), rel=1e-9)
    assert found["ari"] == pytest.approx((pairs_together - expected) / (40 * 39 - expected), rel=1e-9)


def test_clusters_of_labels_at_random_agree_as_chance_does():
    codes, labels = blobs(500, 0)
    found = clustering(codes, np.random.default_rng(1).permutation(labels), seed=0)
    assert 0.25 <= found["accuracy"] < 0.25 + 4 * np.sqrt(0.25 * 0.75 / 500)
    assert abs(found["ari"]) < 0.01
    assert found["nmi"] < 0.01


def test_clustering_is_the_same_each_time_also_where_the_silhouette_takes_a_part():
    codes, labels = blobs(SILHOUETTE_ROWS // 4 + 100, 0, spread=6)
    found = clustering(codes, labels, seed=0)
    assert found == clustering(codes, labels, seed=0)
    assert 0 < found["silhouette"] < found["accuracy"] < 1


@pytest.mark.parametrize(
    ("inliers", "outliers", "expected"),
    [([1, 2], [3, 4], 1), ([3, 4], [1, 2], 0), ([1, 3], [2, 4], 0.75), ([1, 1], [1, 1], 0.5), ([0, 2, 4], [2], 0.5)],
)
def test_auroc_by_hand(inliers, outliers, expected):
    assert outlier_auroc(np.array(inliers), np.array(outliers, np.float32))["auroc"] == pytest.approx(expected)


def test_auroc_of_two_gaussians():
    rng, num = np.random.default_rng(0), 20_000
    found = outlier_auroc(rng.normal(size=num), 1 + rng.normal(size=num))["auroc"]
    assert abs(found - ndtr(1 / np.sqrt(2))) < 4 * np.sqrt(0.25 / num)  # a bound on its standard error


CODES, LABELS = blobs(5, 0)
TRAIN_AND_TEST = (CODES, LABELS, CODES, LABELS)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, CODES[:, 0], r"training codes have the shape \[20\]"),
        (0, CODES[:0], r"training codes have the shape \[0, 3\]"),
        (0, np.where(CODES > 20.5, np.nan, CODES), r"NaN or infinite in \d+ of 20"),
        (2, np.full_like(CODES, np.inf), "test codes are NaN or infinite in 20 of 20"),
        (2, CODES[:, :2], "3 dimensions in one set and 2"),
        (1, LABELS[:-1], r"shape \[19\] for 20"),
        (1, LABELS + 0.5, "labels are float64"),
        (1, np.zeros(20, int), "of one class"),
        (3, LABELS[:, None], r"shape \[20, 1\]"),
    ],
)
def test_what_is_no_codes_with_labels_is_refused(position, value, message):
    given: Any = list(TRAIN_AND_TEST)
    given[position] = value
    for probe in (linear_probe, knn, lambda *args: few_labels(*args, per_class=1)):
        with pytest.raises(UserError, match=message):
            probe(*given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: knn(*TRAIN_AND_TEST, k=21), "from 1 to 20"),
        (lambda: knn(*TRAIN_AND_TEST, k=0), "from 1 to 20"),
        (lambda: few_labels(*TRAIN_AND_TEST, per_class=6), "rarest class has 5"),
        (lambda: few_labels(*TRAIN_AND_TEST, per_class=0), "both must be at least 1"),
        (lambda: few_labels(*TRAIN_AND_TEST, per_class=1, draws=0), "both must be at least 1"),
        (lambda: clustering(CODES, np.ones(20, int), 0), "of one class"),
        (lambda: clustering(np.ones((20, 2)), LABELS, 0), "1 different codes"),
        (lambda: clustering(CODES[:4], np.arange(4), 0), "4 classes, but 4 rows"),
        (lambda: clustering(CODES * np.nan, LABELS, 0), "NaN or infinite"),
        (lambda: outlier_auroc(np.zeros(0), np.ones(3)), r"shape \[0\]"),
        (lambda: outlier_auroc(np.ones(3), np.array([1, np.nan])), "1 of them NaN"),
        (lambda: outlier_auroc(np.ones(3), np.ones((3, 1))), r"shape \[3, 1\]"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(UserError, match=message):
        call()
