"""The metrics of a trained run: what each pure function is given. On the test set, unless it says otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxvae import data
from jaxvae.errors import UserError
from jaxvae.metrics import annealed, fidelity, information, predictors, predictors_votes, rates, representation
from jaxvae.metrics import sample_quality as quality
from jaxvae.model import reconstruct
from jaxvae.search import outlier_scores
from jaxvae.subject import BATCH, Subject, some_rows
from jaxvae.types import Array

PROBE_FIT = 20_000  # training codes that a probe is fitted to: more change little, and cost much
PER_CLASS = (1, 10, 100)  # few labels
PCA_DIM, PCA_FIT = 50, 10_000  # components, and training images that they are fitted to
OUTLIER_SAMPLES = 50  # draws of z an example


def _rows(subject: Subject, most: str = "max_examples") -> np.ndarray:
    """The test examples that stand for all, at most as many as this setting says."""
    return subject.some("test", subject.config["evaluate"][most])


def collapse(subject: Subject) -> dict[str, Any]:
    """Whether the latent is used at all."""
    batches = subject.batches("test", _rows(subject))
    return rates.collapse(subject.model, subject.params, subject.key("collapse"), batches)


def aggregate_kl(subject: Subject) -> dict[str, float]:
    """The KL, split by the aggregated posterior of the test set."""
    batches = subject.batches("test", _rows(subject))
    return rates.aggregate_kl(subject.model, subject.params, subject.key("aggregate_kl"), batches)


def ais(subject: Subject) -> dict[str, float]:
    """Log p(x) from below on test data; on data of the model's own from below and from above."""
    settings, (test_key, own_key) = subject.config["evaluate"], jax.random.split(subject.key("ais"))
    options = {"num_temperatures": settings["ais_temperatures"], "num_chains": settings["ais_chains"]}
    x = subject.x("test", _rows(subject, "ais_examples"))
    lower = annealed.ais(subject.model, subject.params, test_key, x, **options)
    own = annealed.bidirectional(subject.model, subject.params, own_key, len(x), **options)
    means = [float(np.mean(np.asarray(value, np.float64))) for value in (lower, *own)]
    return {
        "nll": -means[0], "simulated_nll_from_above": -means[1], "simulated_nll_from_below": -means[2],
        "simulated_gap": means[2] - means[1], "examples": len(x), **options,
    }  # fmt: skip


def rate_distortion(subject: Subject) -> dict[str, Any]:
    """Points of the rate-distortion curve."""
    settings = subject.config["evaluate"]
    x = subject.x("test", _rows(subject, "ais_examples"))
    options = {"num_temperatures": settings["ais_temperatures"], "num_chains": settings["ais_chains"]}
    key = subject.key("rate_distortion")
    options["num_points"] = min(50, settings["ais_temperatures"])
    curve = annealed.rate_distortion(subject.model, subject.params, key, x, **options)
    return {name: np.asarray(values, np.float64).tolist() for name, values in curve.items()}


def linear_probe(subject: Subject) -> dict[str, float]:
    """How well a linear classifier reads the labels from the codes."""
    return representation.linear_probe(*_labelled(subject))


def knn(subject: Subject) -> dict[str, float]:
    """How well nearest neighbours among the codes tell the labels."""
    return representation.knn(*_labelled(subject))


def few_labels(subject: Subject) -> dict[str, float]:
    """The linear probe with few labels of each class."""
    labels = subject.labels("train")[subject.some("train", PROBE_FIT)]
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    found = {}
    for count in (count for count in PER_CLASS if count <= smallest):
        values = representation.few_labels(*_labelled(subject), per_class=count)
        found |= {f"{name}_of_{count}": value for name, value in values.items()}
    return found


def clustering(subject: Subject) -> dict[str, float]:
    """How well k-means on the codes finds the classes."""
    rows = _rows(subject)
    return representation.clustering(subject.codes("test")[rows], subject.labels("test")[rows], seed=0)


def _labelled(subject: Subject) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rows = subject.some("train", PROBE_FIT)
    return (subject.codes("train")[rows], subject.labels("train")[rows], subject.codes("test"), subject.labels("test"))


def of_factors(score: Callable[..., dict[str, float]], **options: Any) -> Callable[[Subject], dict[str, float]]:
    """A score of codes `[N, D]` against true factors `[N, F]`, as a metric of a run."""

    def compute(subject: Subject) -> dict[str, float]:
        rows, factors = _rows(subject), subject.dataset.test.factors
        if factors is None:
            raise UserError("The data has no factors.")
        return score(subject.codes("test")[rows], factors[rows], **options)

    return compute


FACTOR_SCORES = {
    "mig": of_factors(information.mig),
    "modularity": of_factors(information.modularity),
    "irs": of_factors(information.irs),
    "sap": of_factors(predictors.sap, seed=0),
    "dci": of_factors(predictors.dci, seed=0),
    "explicitness": of_factors(predictors.explicitness, seed=0),
    "factor_vae_score": of_factors(predictors_votes.factor_vae, seed=0),
    "beta_vae_score": of_factors(predictors_votes.beta_vae, seed=0),
}


def frechet(subject: Subject) -> dict[str, Any]:
    """The Fréchet distance of generated from test data, in the features of the settings."""
    return quality.frechet_distance(*_features(subject)) | _how(subject)


def prdc(subject: Subject) -> dict[str, Any]:
    """Precision, recall, density and coverage of generated data, in the features of the settings."""
    return quality.precision_recall_density_coverage(*_features(subject)) | _how(subject)


def _how(subject: Subject) -> dict[str, str]:
    return {"features": subject.config["evaluate"]["features"], "sampler": subject.config["sample"]["sampler"]["name"]}


def _features(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    real = subject.unit(subject.x("test", _rows(subject)))
    fake = subject.unit(subject.generated(len(real)))
    to_features = _feature_map(subject)
    return to_features(real), to_features(fake)


def _feature_map(subject: Subject) -> Callable[[np.ndarray], np.ndarray]:
    name = subject.config["evaluate"]["features"]
    if name == "pixels":
        return quality.pixel_features
    if name == "pca":
        train = subject.unit(subject.x("train", subject.some("train", PCA_FIT)))
        return quality.pca_features(train, min(PCA_DIM, len(train), train[0].size))
    if name.endswith(".npz"):
        return quality.npz_features(name)
    if Path(name).expanduser().is_dir():
        return quality.run_features(Path(name).expanduser())
    raise UserError(
        f"evaluate.features is '{name}'; it can be 'pixels', 'pca', the folder of a run of jaxvae, or an .npz file of "
        "the weights of a feature network."
    )


def reconstruction_fidelity(subject: Subject) -> dict[str, float]:
    """PSNR and SSIM of the reconstructions through the posterior's centre."""
    x = subject.x("test", _rows(subject))
    through = jax.jit(lambda params, x: reconstruct(subject.model, params, x))
    found = [through(subject.params, x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    return fidelity.fidelity(subject.unit(x), subject.unit(np.concatenate(found)))


def outliers(subject: Subject) -> dict[str, float]:
    """The AUROC of each outlier score, between the test set and another data set's."""
    name, num = subject.config["evaluate"]["outliers"], subject.config["evaluate"]["max_examples"]
    source = {key: value for key, value in subject.config["data"].items() if key != "pixel_range"}
    where = {"path": name} if Path(name).expanduser().exists() else {"name": name, "path": ""}
    other = data.load(**{**source, **where})
    if other.shape != subject.dataset.shape:
        raise UserError(
            f"evaluate.outliers is '{name}', whose examples have the shape {list(other.shape)}, but the run's have "
            f"{list(subject.dataset.shape)}. Give data of that shape, or set data.image_size in training."
        )
    settings = subject.config["data"]
    preprocess = data.make_preprocess(other.max_value, settings["binarization"], settings["pixel_range"])
    key, other_key = jax.random.split(subject.key("outliers"))

    def scores(key: Array, x: Array) -> dict[str, np.ndarray]:
        parts = [
            outlier_scores(subject.model, subject.params, jax.random.fold_in(key, i), x[i : i + BATCH], OUTLIER_SAMPLES)
            for i in range(0, len(x), BATCH)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    inside = scores(key, subject.x("test", _rows(subject)))
    others = jax.numpy.asarray(other.test.x[some_rows(len(other.test.x), num)])
    strange = preprocess(jax.random.fold_in(other_key, 0), others)
    outside = scores(jax.random.fold_in(other_key, 1), strange)
    return {name: representation.outlier_auroc(inside[name], outside[name])["auroc"] for name in inside}
