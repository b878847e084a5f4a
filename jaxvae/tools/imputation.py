"""Tool that imputes missing values of the data, or of test examples that are hidden for it."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.ranges import between, check, within
from jaxvae.latent import imputation
from jaxvae.runs.imputing import errors
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools.base import Labels, Outcome, refuse_sequences
from jaxvae.tools.completion import complete, is_incomplete

AUTO = "auto"
METHODS = {"metropolis": imputation.metropolis_within_gibbs, "pseudo_gibbs": imputation.pseudo_gibbs}
NAMES = (AUTO, "importance", *METHODS)
MASKS = (AUTO, "own", "middle", "top", "bottom", "left", "right", "random")


def impute(
    run: TrainedRun,
    method: str = "auto",
    mask: str = "auto",
    part: float = 2 / 7,
    num: int = 100,
    steps: int = 1000,
    burn_in: int = 200,
    chains: int = 16,
    nll_samples: int = 500,
    samples: int = 1000,
    draws: int = 5,
) -> Outcome:
    """Impute missing values: those of the data, or values of test examples that are hidden for it.

    With `mask="own"` all rows of the data are completed by importance sampling: see `completion.complete`. Other masks
    hide values of test examples, and the error is compared with that of the training set's mean.

    Args:
      run: the run.
      method: "metropolis" (exact in the limit), "pseudo_gibbs" or "importance", see `imputation`; "auto" is the
        last for a table and for a model that was trained on incomplete data, else the first.
      mask: which values are missing: "own", those of the data; "middle" (rows), "top", "bottom", "left", "right",
        "random", or an `.npy` file of a bool array that broadcasts to `[N, *data_shape]`, True where a value is
        observed; "auto" is "own" where values of the data are missing, else "middle".
      part: share of an example that is missing; 2/7 of 28 rows are 8.
      num: test examples (all rows with "own"), a fixed random subset; `index` in the arrays lists them.
      steps: steps of each chain after the burn-in.
      burn_in: steps of the burn-in.
      chains: chains per example; the mean is over all of them.
      nll_samples: K of log p(x_missing | x_observed), of complete test examples; 0 leaves it out.
      samples: draws of z for each example, with "importance".
      draws: imputations of each row with "own", beside their mean.

    `numbers` holds the mean squared errors on hidden values in units of the pixel range (of real values as the model
    sees them), their ratio (unless these values are constant, so that the mean has no error), and that log-likelihood.
    Those of tables: see `imputing.errors`.

    Raises:
      UserError: an option out of its range, a mask that does not fit, a model that cannot impute, or one of which
        quadrants of the image are the context.
    """
    if method not in NAMES:
        raise unknown("method of the tool 'impute'", method, NAMES)
    if not mask.endswith(".npy") and mask not in MASKS:
        raise unknown("mask (or .npy file) of the tool 'impute'", mask, MASKS)
    check(
        "tool", "impute", part=(part, between(0, 1)), num=(num, within(1)), steps=(steps, within(1)),
        burn_in=(burn_in, within(0)), chains=(chains, within(1)), nll_samples=(nll_samples, within(0)),
        samples=(samples, within(1)), draws=(draws, within(0)),
    )  # fmt: skip
    refuse_sequences(run, "impute")
    if mask == "own" or (mask == AUTO and is_incomplete(run)):
        if method not in (AUTO, "importance"):
            raise UserError(f"The data is completed by importance sampling, not by '{method}': leave tool.method out.")
        return complete(run, samples, draws)
    if not run.learned().all():
        raise UserError(
            "The run is conditional on quadrants of the image: these are given, and it predicts the others by itself, "
            "so the tool 'impute' has nothing to hide. Take --mode=sample --config.sample.context=IMAGES.npy for "
            "predictions, or Run.impute where values of the others are known."
        )
    is_table = run.model.likelihood.of_columns
    if is_table and method in METHODS:
        raise UserError(
            f"The method '{method}' averages the draws of a chain, but a mean of the numbers of categories is none of "
            "them: take tool.method=importance for tables, which gives the likeliest category."
        )
    rows = run.some("test", num)
    batch = run.batch("test", rows)
    x, context = jnp.asarray(batch["x"]), batch.get("context")
    known = batch.get("mask", np.ones(x.shape, bool))
    shown = np.broadcast_to(_mask(run, "middle" if mask == AUTO else mask, part, len(rows)), x.shape)
    observed, missing = jnp.asarray(shown & known), known & ~shown
    if not missing.any():
        raise UserError("The mask marks every value as observed: there is nothing to impute.")
    key, nll_key = jax.random.split(run.key("impute"))
    name = method if method != AUTO else "importance" if is_table or run.model.mask_input else "metropolis"
    if name == "importance":
        found = imputation.importance_imputation(run.model, run.params, key, x, observed, samples, 1, context)
        sample, quality = found.draws[0], {"effective_samples": float(jnp.mean(found.effective))}
    else:
        found = METHODS[name](run.model, run.params, key, x, observed, steps, burn_in, chains, context)
        sample, quality = found.sample, {"acceptance": float(jnp.mean(found.acceptance))}
    spec = run.experiment.spec
    true, filled = run.viewed(x), run.viewed(found.mean)
    mse = errors(run, np.asarray(x), np.asarray(found.mean), missing)
    named = {"mse": "error", "mean_mse": "mean_image_error"}
    numbers = {named.get(name, name): value for name, value in mse.items() if name != "rmse"} | quality
    if nll_samples and known.all():
        how = run.params, nll_key, x, observed, nll_samples
        log_likelihood = imputation.missing_log_likelihood(run.model, *how, context=context)
        own_units = float(np.mean(spec.observed_log_scale(missing)))
        numbers["log_likelihood_of_missing"] = float(jnp.mean(log_likelihood)) - own_units
    middle = sum(spec.pixel_range(run.config)) / 2
    hidden = np.where(missing, run.viewed(np.full_like(true, middle)), true)
    shown = np.stack([true, hidden, filled, run.viewed(sample)])[:, :16]
    title = f"test examples; observed values; mean of the missing ones; a sample of them (by {name})"
    arrays = {"index": rows, "x": true, "observed": np.asarray(observed)}
    arrays |= {"mean": filled, "sample": run.viewed(sample)}
    return Outcome(arrays, shown, title, numbers, Labels(("test", "observed", "mean", "sample")))


def _mask(run: TrainedRun, mask: str, part: float, num: int) -> np.ndarray:
    shape = run.model.data_shape
    if mask.endswith(".npy"):
        try:
            observed = np.load(Path(mask).expanduser(), allow_pickle=False)
            if not isinstance(observed, np.ndarray):
                raise ValueError("it is not a single array")
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"The mask '{mask}' cannot be read: {error}.") from error
        imputation.check_mask(jnp.zeros((num, *shape)), observed)
        return observed
    if mask == "random":
        rng = np.random.default_rng(0)
        return rng.random((num, *shape)) >= part
    axis = 1 if mask in ("left", "right") else 0
    if axis >= len(shape):
        raise UserError(f"The mask '{mask}' needs data with columns, but an example has the shape {list(shape)}.")
    length = shape[axis]
    width = round(part * length)
    start = {"top": 0, "left": 0, "bottom": length - width, "right": length - width}.get(mask, (length - width) // 2)
    line = (np.arange(length) < start) | (np.arange(length) >= start + width)
    return np.broadcast_to(line.reshape(-1, *[1] * (len(shape) - 1 - axis)), shape)
