"""Disentanglement metrics against closed forms, enumeration and chance."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from jaxvae.common.errors import UserError
from jaxvae.metrics import information, information_gap, predictors, predictors_votes

METRICS = {
    "mig_bins": information_gap.mig_bins,
    "modularity": information.modularity,
    "irs": information.irs,
    "sap": lambda codes, factors: predictors.sap(codes, factors, 0),
    "dci": lambda codes, factors: predictors.dci(codes, factors, 0, trees=20),
    "explicitness": lambda codes, factors: predictors.explicitness(codes, factors, 0),
    "factor_vae_score": lambda codes, factors: predictors_votes.factor_vae_score(codes, factors, 0, dead_variance=0.0),
    "beta_vae_score": lambda codes, factors: predictors_votes.beta_vae_score(codes, factors, 0),
}
every_metric = pytest.mark.parametrize("name", METRICS)


def full_grid(*values, repeats):
    """Every combination of the factors, equally often: they are exactly independent. `[N, F]` int32."""
    return np.tile(np.array(list(itertools.product(*map(range, values))), np.int32), (repeats, 1))


def noisy_mixture(rows=2_000):
    rng = np.random.default_rng(1)
    factors = np.stack([rng.integers(values, size=rows) for values in (3, 4, 6)], axis=1).astype(np.int32)
    return factors @ rng.normal(size=(3, 5)) + rng.normal(size=(rows, 5)), factors


def scores(codes, factors, names=tuple(METRICS)):
    return {key: value for name in names for key, value in METRICS[name](codes, factors).items()}


def test_codes_that_are_the_factors():
    factors = full_grid(3, 4, 5, repeats=20)
    found = scores(factors.astype(np.float32), factors)
    sap, explicitness = found.pop("sap"), found.pop("explicitness")
    assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=1e-6)
    chance = np.array([1 / 3, 1 / 4, 1 / 5])  # of the second best code; the best one is always right
    sigma = np.sqrt(np.sum(chance * (1 - chance) / (len(factors) / 2))) / 3
    assert sap == pytest.approx(np.mean(1 - chance), abs=4 * sigma)
    assert explicitness < 0.95  # a line cannot single out a value in the middle


@pytest.mark.parametrize("values", [2, 3, 4, 5, 8])
def test_explicitness_of_one_ordered_code(values):
    # A line that singles out value v ranks the values on its better side above or below it.
    factors = full_grid(values, repeats=40)
    area = np.mean([max(v, values - 1 - v) / (values - 1) for v in range(values)])
    assert predictors.explicitness(factors.astype(float), factors, 0) == {"explicitness": pytest.approx(area)}
    one_hot = np.eye(values)[factors[:, 0]]
    assert predictors.explicitness(one_hot, factors, 0) == {"explicitness": 1.0}


def test_two_factors_turned_by_45_degrees_are_told_apart_by_chance():
    factors = full_grid(10, 10, repeats=50)
    turned = factors @ np.array([[1.0, 1.0], [1.0, -1.0]])
    exact = scores(turned, factors, ["mig_bins", "modularity"])
    assert exact == pytest.approx({"mig_bins": 0.0, "modularity": 0.0}, abs=1e-9)
    # Noise, else the codes' variances are tied; the same rows with the factors exchanged and the second code turned
    # make the codes tell exactly as much of either factor, in these rows too.
    noisy = turned + np.random.default_rng(0).normal(size=turned.shape)
    noisy, factors = np.concatenate([noisy, noisy * [1, -1]]), np.concatenate([factors, factors[:, ::-1]])
    found = scores(noisy, factors, ["sap", "dci", "factor_vae_score", "beta_vae_score"])
    votes = 4 * math.sqrt(0.25 / 2_000)
    assert found["factor_vae_score"] == pytest.approx(0.5, abs=votes)
    assert found["beta_vae_score"] == pytest.approx(0.5, abs=votes)
    assert found["sap"] < 4 * math.sqrt(2 * 0.25 / 5_000)
    assert found["dci_disentanglement"] < 0.01
    assert found["dci_completeness"] < 0.01


@pytest.mark.slow
def test_a_random_rotation_scores_lower():
    factors = full_grid(5, 6, 7, repeats=10)
    centred = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    straight, turned = scores(centred, factors), scores(centred @ rotation, factors)
    for name in ("mig_bins", "sap", "dci_disentanglement", "dci_completeness", "modularity", "irs"):
        assert turned[name] < straight[name] - 0.1, name


@pytest.mark.slow
def test_codes_independent_of_the_factors_score_by_chance():
    rng, rows = np.random.default_rng(3), 20_000
    values = np.array([2, 4, 5])
    factors = np.stack([rng.integers(count, size=rows) for count in values], axis=1)
    found = scores(rng.normal(size=(rows, 4)), factors)
    # 2 N I is chi-squared where code and factor are independent; the gap is less than the largest of the four.
    largest = stats.chi2.ppf(1 - 1e-5, 19 * (values - 1)) / (2 * rows)
    assert 0 < found["mig_bins"] < np.mean(largest / np.log(values))
    half = rows / 2
    guess = 4 * np.sqrt(np.sum((1 / values) * (1 - 1 / values) / half)) / 3
    assert found["sap"] < guess
    assert found["dci_informativeness"] == pytest.approx(np.mean(1 / values), abs=guess)
    assert found["dci_disentanglement"] < 0.01
    area = 4 * np.sqrt(1 / 12 / (half / 5))  # no area is known worse than that of one value in 5
    assert found["explicitness"] == pytest.approx(0.5, abs=area)
    votes = 4 * math.sqrt((1 / 3) * (2 / 3) / 3_000)
    assert found["factor_vae_score"] == pytest.approx(1 / 3, abs=votes)
    assert found["beta_vae_score"] == pytest.approx(1 / 3, abs=votes)
    assert found["irs"] == pytest.approx(0.0, abs=0.03)


def test_a_copy_of_each_code_takes_the_gap_but_not_the_votes():
    factors = full_grid(3, 4, 5, repeats=10)
    found = scores(np.concatenate([factors, factors], axis=1).astype(float), factors)
    gapless = {name: found[name] for name in ("mig_bins", "sap")}
    assert gapless == pytest.approx({"mig_bins": 0.0, "sap": 0.0}, abs=1e-12)
    for name in ("factor_vae_score", "beta_vae_score", "modularity", "irs", "dci_disentanglement"):
        assert found[name] == pytest.approx(1.0, abs=1e-6), name
    # Two codes of six share each factor's importance.
    assert found["dci_completeness"] == pytest.approx(1 - math.log(2) / math.log(6), abs=0.05)


@every_metric
@pytest.mark.parametrize("change", ["permuted", "turned", "scaled", "relabelled"])
def test_what_changes_nothing(name, change):
    codes, factors = noisy_mixture()
    changed, relabelled = codes, factors
    if change == "permuted":
        changed = codes[:, [3, 1, 4, 0, 2]]
    elif change == "turned":
        changed = codes * np.array([-1, 1, -1, -1, 1])
    elif change == "scaled":  # irs weighs codes by how far they move
        changed = codes * (7.0 if name == "irs" else np.array([1e-3, 0.5, 1, 40, 1e4]))
    else:
        relabelled = 3 * factors - 5
    loose = {"sap": 0.02, "dci": 0.02, "explicitness": 1e-4, "beta_vae_score": 1e-3}
    before, after = METRICS[name](codes, factors), METRICS[name](changed, relabelled)
    assert after == pytest.approx(before, abs=loose.get(name, 1e-9))


def test_mig_bins_is_that_of_the_enumerated_histogram():
    codes, factors = noisy_mixture()
    gaps = []
    for factor in factors.T:
        p = np.bincount(factor) / len(factor)
        entropy, found = -np.sum(p * np.log(p)), []
        for code in codes.T:
            joint = np.histogram2d(code, factor, bins=[20, p.size])[0] / len(code)
            outer = joint.sum(axis=1, keepdims=True) * p
            found.append(sum(j * math.log(j / o) for j, o in zip(joint.flat, outer.flat, strict=True) if j > 0))
        second, first = sorted(found)[-2:]
        gaps.append((first - second) / entropy)
    assert information_gap.mig_bins(codes, factors)["mig_bins"] == pytest.approx(np.mean(gaps), abs=1e-12)


def test_dci_scores_of_matrices_by_hand():
    half, third = math.log(2), math.log(3)
    assert predictors.dci_scores(np.eye(3)) == {"dci_disentanglement": 1.0, "dci_completeness": 1.0}
    flat = predictors.dci_scores(np.ones((4, 2)))
    assert flat == pytest.approx({"dci_disentanglement": 0.0, "dci_completeness": 0.0}, abs=1e-12)
    assert predictors.dci_scores(np.zeros((2, 2))) == {"dci_disentanglement": 0.0, "dci_completeness": 0.0}
    # Rows: all for one factor (weight 2), shared by two (weight 2), nothing. Columns: (2, 1, 0), (0, 1, 0).
    found = predictors.dci_scores(np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    entropy = (2 / 3) * math.log(3 / 2) + (1 / 3) * math.log(3)
    assert found["dci_disentanglement"] == pytest.approx((2 * 1 + 2 * (1 - half / math.log(2))) / 4)
    assert found["dci_completeness"] == pytest.approx(((1 - entropy / third) + 1) / 2)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[0.5, 0.0, 0.0], [0.0, 0.1, 0.0]], 1.0),
        ([[0.3, 0.3, 0.3]], 0.0),
        ([[2.0, 1.0, 0.0]], 1 - 1 / (4 * 2)),
        ([[2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], (7 / 8 + 1) / 2),
        ([[0.0, 0.0]], 0.0),
    ],
)
def test_modularity_of_matrices_by_hand(matrix, expected):
    assert information.modularity_score(np.array(matrix)) == pytest.approx(expected)


@pytest.mark.parametrize("other", [0.0, 0.25, 1.0, 3.0])
def test_irs_of_a_code_moved_by_two_switches(other):
    # z = a + c b: with a fixed z moves by c/2 about its mean, with b fixed by 1/2, in all by (1 + c)/2.
    factors = full_grid(2, 2, repeats=10)
    score = 1 - min(other, 1) / (1 + other)
    code = factors @ np.array([1.0, other])
    assert information.irs(code[:, None], factors, quantile=1.0) == {"irs": pytest.approx(score)}
    both = np.stack([code, 5.0 * factors[:, 0]], axis=1)
    weighted = ((1 + other) / 2 * score + 5 / 2) / ((1 + other) / 2 + 5 / 2)
    assert information.irs(both, factors, quantile=1.0) == {"irs": pytest.approx(weighted)}


@pytest.mark.parametrize(("quantile", "overall"), [(0.99, 1.0), (0.5, 0.9)])
def test_irs_with_another_quantile_in_all_rows(quantile, overall):
    # The authors' code divides the groups' 0.99 quantile by the maximum.
    codes, factors = noisy_mixture(600)
    best = np.zeros(5)
    for factor in factors.T:
        within = np.zeros(5)
        for value in np.unique(factor):
            group = codes[factor == value]
            within += np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) * len(group) / len(codes)
        largest = np.quantile(np.abs(codes - codes.mean(axis=0)), overall, axis=0)
        best = np.maximum(best, 1 - within / largest)
    found = information.irs(codes, factors, quantile, overall_quantile=overall)
    assert found == {"irs": pytest.approx(np.sum(best * largest) / np.sum(largest))}
    assert found["irs"] > information.irs(codes, factors, quantile)["irs"] + 0.05


def test_irs_averages_over_rows():
    # The code moves by 1 in 60 rows with the first value, not at all in 20 with the second.
    factor = np.repeat([0, 1], [60, 20])[:, None]
    code = np.concatenate([np.tile([-1.0, 1.0], 30), np.zeros(20)])[:, None]
    assert information.irs(code, factor) == {"irs": pytest.approx(1 - 60 / 80)}


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_sap_is_the_gap_of_two_balanced_accuracies(share):
    rng, rows = np.random.default_rng(0), 20_000
    factor = rng.random((rows, 1)) < share
    wrong = rng.random((rows, 2)) < np.array([0.1, 0.3])  # a threshold is right in 0.9 and 0.7 of either value's
    recalls = (0.1 * 0.9 + 0.3 * 0.7) * (1 / share + 1 / (1 - share)) / (rows / 2)
    assert predictors.sap(factor ^ wrong, factor, 0)["sap"] == pytest.approx(0.2, abs=4 * math.sqrt(recalls / 4))


def test_factor_vae_without_the_code_of_a_third_factor():
    factors = full_grid(3, 4, 5, repeats=20)
    codes = factors / factors.std(axis=0) * np.array([1.0, 1.0, 0.1])
    assert predictors_votes.factor_vae_score(codes, factors, 0, dead_variance=0.0) == {"factor_vae_score": 1.0}
    # A vote about the third one always goes to a code that stands for another.
    assert predictors_votes.factor_vae_score(codes, factors, 0) == {"factor_vae_score": pytest.approx(2 / 3)}


@pytest.mark.parametrize("equal", ["squares", "distances"])
def test_the_beta_vae_score_is_by_distances_and_not_by_their_squares(equal):
    """z = s b + k with b in {0, 1} and k in 0 .. 9: pairs that share k are s apart in half of the cases.

    For pairs that share b, k has the mean distance 3.3 and the mean square 16.5. `s` makes one of the two the same for
    both factors: only the other could tell which one a group of pairs shares.
    """
    factors = full_grid(2, 10, repeats=10)
    step = math.sqrt(2 * 16.5) if equal == "squares" else 2 * 3.3
    found = predictors_votes.beta_vae_score(factors @ [[step], [1.0]], factors, 0, votes=300, group=1_000)
    if equal == "squares":
        assert found["beta_vae_score"] > 0.97
    else:
        assert found["beta_vae_score"] == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 600))


@every_metric
def test_factors_that_do_not_vary_are_left_out(name):
    codes, factors = noisy_mixture(600)
    lonely = np.arange(len(factors)) == 5  # one row alone has another value
    more = np.column_stack([np.full(len(factors), 7), factors, lonely])
    assert METRICS[name](codes, more) == METRICS[name](codes, factors)


@every_metric
def test_codes_that_are_all_constant(name):
    factors = full_grid(3, 4, repeats=20)
    chance = {
        "explicitness": 0.5,
        "factor_vae_score": 0.5,
        "beta_vae_score": 0.5,
        "dci_informativeness": (1 / 3 + 1 / 4) / 2,
    }
    for key, value in METRICS[name](np.full((len(factors), 3), 0.1), factors).items():
        assert value == pytest.approx(chance.get(key, 0.0), abs=1e-12), key


@pytest.mark.parametrize(
    "metric", [predictors.sap, predictors.dci, predictors_votes.factor_vae_score, predictors_votes.beta_vae_score]
)
def test_the_seed_decides(metric):
    codes, factors = noisy_mixture(600)
    assert metric(codes, factors, 1) == metric(codes, factors, 1)
    assert metric(codes, factors, 1) != metric(codes, factors, 2)


@every_metric
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda c, f: (c[:-1], f), "shape"),
        (lambda c, f: (c.reshape(-1, 1, c.shape[1]), f), "shape"),
        (lambda c, f: (c, f[:, 0]), "shape"),
        (lambda c, f: (c, f.astype(np.float32)), "integers"),
        (lambda c, f: (np.where(np.arange(len(c))[:, None] == 3, np.nan, c), f), "1 of 600 rows"),
        (lambda c, f: (c, np.zeros_like(f)), "0 of 3 factors vary"),
        (lambda c, f: (c, np.zeros((len(c), 0), int)), "0 of 0 factors vary"),
        (lambda c, f: (c[:55], f[:55]), "10 rows per value, 60 in all"),
        (lambda c, f: (c[:0], f[:0]), "0 of 3 factors vary"),
        (lambda c, f: (c[:, :0], f), "dimensions, but the metric needs"),
    ],
)
def test_refusals(name, broken, message):
    with pytest.raises(UserError, match=message):
        METRICS[name](*broken(*noisy_mixture(600)))


@pytest.mark.parametrize(
    ("name", "codes", "factors", "message"),
    [(name, 1, 3, "codes have 1 dimensions") for name in ("mig_bins", "sap", "dci")]
    + [(name, 5, 1, "1 of 1 factors vary") for name in ("modularity", "dci", "factor_vae_score", "beta_vae_score")],
)
def test_refuses_less_than_there_is_to_compare(name, codes, factors, message):
    c, f = noisy_mixture(600)
    with pytest.raises(UserError, match=message):
        METRICS[name](c[:, :codes], f[:, :factors])
