"""Check a config without reading data or importing JAX, so that errors appear at once."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.places import check_named, check_own
from jaxvae.experiment import own
from jaxvae.experiment.defaults import KEYS, Part, shared
from jaxvae.experiment.plain import flatten, load_config

# Data sets that neither jaxvae nor TFDS provides, and the required content of data.path.
ON_REQUEST = {
    "frey": "the Frey faces, an .npz with x, uint8 [1965, 28, 20]",
    "ptb": "the Penn Treebank, a folder with ptb.train.txt, ptb.valid.txt and ptb.test.txt",
    "jsb": "the JSB chorales, an .npz with train, valid and test, [N, T, 88] of 0 and 1",
}

# Names of `evaluation.table.METRICS`, which imports JAX.
METRICS = (
    "collapse", "aggregate_kl", "ais", "rate_distortion", "amortization", "posterior_calibration", "predictive_checks",
    "linear_probe", "knn", "few_labels", "classification", "clustering", "mig", "mig_bins", "modularity", "irs", "sap",
    "dci", "explicitness", "factor_vae_score", "beta_vae_score", "frechet", "prdc", "two_sample", "correlations",
    "train_on_synthetic", "fidelity", "sharpness", "imputation", "outliers",
)  # fmt: skip


def check_metrics(config: Mapping[str, Any]) -> None:
    """Check the names in `evaluate.metrics`; whether they fit the run is checked later.

    Raises:
      UserError: an unknown name.
    """
    for name in config["evaluate"]["metrics"].replace(" ", "").split(","):
        if name and name not in (*METRICS, "all") and not own.is_own(name):
            raise unknown("metric", name, (*METRICS, "all"))


def check_ranges(config: Mapping[str, Any]) -> None:
    """Check the values of the settings in a config, complete or not; parts check their own options.

    Raises:
      UserError: a value that is not finite, out of its range, or not one of the choices.
    """
    for key, value in flatten(config).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key} is {value}; it must be a finite number.")
        each = KEYS.get(shared(key))
        if each is None or isinstance(each, Part):
            continue
        if each.choices and value not in each.choices:
            raise unknown(f"value of {key}", str(value), each.choices)
        if each.allowed and not each.allowed.fits(value):
            raise UserError(f"{key} is {value!r}; it must be {each.allowed.allowed}.")


def check_places(config: Mapping[str, Any], workdir: Path) -> None:
    """Check that the data exists, and the run of a warm start.

    The user's own data source, `module:function`, is checked later, when it is imported.

    Raises:
      UserError: the data or the run does not exist.
    """
    name, path, kind = (config["data"][key] for key in ("name", "path", "kind"))
    if path:
        check_own(Path(path).expanduser(), kind)
    elif name in ON_REQUEST:
        raise UserError(
            f"The data set '{name}' does not come with jaxvae: give {ON_REQUEST[name]}, with --config.data.path=PATH. "
            "Select other data after a colon, --config=CONFIG:digits for example."
        )
    elif not own.is_own(name):
        check_named(name, kind, config["data"]["data_dir"])
    start = config["train"]["start_from"]
    if start and not (workdir / "config.json").exists():
        try:
            load_config(start)
        except UserError as error:
            raise UserError(f"train.start_from cannot be used: {error}") from error
