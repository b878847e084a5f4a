"""Impute the missing values of a trained run's own data, and compare with those that `data.missing` hid."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.data.split import Split
from jaxvae.distributions.missingness import MISSINGNESS
from jaxvae.latent.imputation import importance_imputation
from jaxvae.runs.trained_run import BATCH, TrainedRun

ROUNDING = 1e-12  # a squared error below this is float32 rounding of constant values


class Filled(NamedTuple):
    """Rows of a split with their missing values imputed, in the model's units.

    Attributes:
      mean: `[N, *data_shape]`, the single imputation of least squared error.
      draws: `[M, N, *data_shape]`, for multiple imputation.
      observed: bool `[N, *data_shape]`; pixels of the context count as observed.
      effective: `[N]`, the effective number of samples of z.
    """

    mean: np.ndarray
    draws: np.ndarray
    observed: np.ndarray
    effective: np.ndarray


def fill(run: TrainedRun, split: str, which: np.ndarray, num_samples: int, num_draws: int = 0) -> Filled:
    """Impute the rows `which` of a split, each with its own context, by `importance_imputation`.

    Raises:
      UserError: posterior or likelihood is not a density, or the likelihood is not a product over values.
    """
    missingness = run.restored.weights["params"].get(MISSINGNESS)
    found, key, given = [], run.key(f"imputation/{split}"), ~run.learned()
    for i, batch in enumerate(run.batches(split, which)):
        x, observed = batch["x"], batch.get("mask", jnp.ones(batch["x"].shape, bool))
        how = jax.random.fold_in(key, i), x, observed, num_samples, num_draws, batch.get("context")
        imputed = importance_imputation(run.experiment.model, run.params, *how, missingness=missingness)
        mean, draws = (jnp.where(given, x, filled) for filled in (imputed.mean, imputed.draws))
        found.append(jax.device_get((mean, draws, observed | given, imputed.effective)))
    axes = {"mean": 0, "draws": 1, "observed": 0, "effective": 0}
    joined = [np.concatenate(parts, axis) for parts, axis in zip(zip(*found, strict=True), axes.values(), strict=True)]
    return Filled(*joined)


def hidden(run: TrainedRun, split: str, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows before `data.missing` hid entries, in the model's units, and where it hid modelled ones."""
    whole: Split = run.dataset.complete[split]
    mask = run.split(split).mask
    known = np.ones(whole.x.shape, bool) if whole.mask is None else whole.mask
    where = known & ~(known if mask is None else mask) & run.learned()
    parts = [run.prepared(split, i, whole.x[which[i : i + BATCH]]) for i in range(0, len(which), BATCH)]
    return np.concatenate(parts), where[which]


def errors(run: TrainedRun, true: np.ndarray, found: np.ndarray, where: np.ndarray) -> dict[str, float]:
    """Compute the error of imputed values at the entries `where`, beside that of the training data's mean.

    Real values are compared in the model's units, so in standard deviations where the data is standardised, and pixels
    in [0, 1]. The mean is that of the observed training values of each entry. The numbers of a table are in standard
    deviations of their column's observed training values; of its categories the share that is wrong is counted
    (Stekhoven & Buehlmann 2012, MissForest, section 2).

    Returns:
      `{"rmse", "mse", "mean_mse"}` of numbers, and "ratio" of the two squared errors unless the mean has none; of
      categories `{"wrong", "commonest_wrong"}`, the latter where each is the commonest of its column.
    """
    true, found = run.compared(true), run.compared(found)
    average, table = observed_mean(run), run.experiment.spec.table
    if not table:
        return _squared(true - found, true - average, where)
    is_code, spread = np.array([column.has_categories for column in table]), _spread(run)
    numbers = _squared((true - found) / spread, (true - average) / spread, where & ~is_code)
    if not (where & is_code).any():
        return numbers
    commonest = np.array([np.argmax(column.frequencies) if column.has_categories else 0 for column in table])
    wrong, most = (np.rint(each) != np.rint(true) for each in (found, np.broadcast_to(commonest, true.shape)))
    shares = {name: float(each[where & is_code].mean()) for name, each in (("wrong", wrong), ("commonest_wrong", most))}
    return numbers | shares


def _squared(found: np.ndarray, of_mean: np.ndarray, where: np.ndarray) -> dict[str, float]:
    """Average the squares of two differences over the entries `where`; {} where there are none."""
    if not where.any():
        return {}
    error, baseline = (float(np.mean(np.square(each[where], dtype=np.float64))) for each in (found, of_mean))
    numbers = {"rmse": error**0.5, "mse": error, "mean_mse": baseline}
    return numbers | ({"ratio": error / baseline} if baseline > ROUNDING else {})


def observed_mean(run: TrainedRun) -> np.ndarray:
    """Compute the mean of the observed training values of each entry, `[*data_shape]`, in the units of `compared`."""
    train, spec = run.split("train"), run.experiment.spec
    average: Any
    if train.mask is None:
        average = np.mean(train.x, axis=0, dtype=np.float64)
    else:
        total = np.sum(train.x, axis=0, dtype=np.float64, where=train.mask)
        average = total / np.maximum(train.mask.sum(axis=0), 1)
    return spec.scaled(average) if spec.is_real else average / run.dataset.max_value


def _spread(run: TrainedRun) -> np.ndarray:
    """Compute the deviations `[D]` of a table's observed training values, in the units of `compared`; 1 for none."""
    train = run.split("train")
    x = np.where(True if train.mask is None else train.mask, run.experiment.spec.scaled(train.x), np.nan)
    spread = np.nanstd(x, axis=0, dtype=np.float64)
    return np.where(spread > ROUNDING, spread, 1.0)
