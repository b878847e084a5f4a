"""Tools that impute missing values, remove noise, and search for examples of a class."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.ranges import between, check, within
from jaxvae.latent import arithmetic, chart, imputation
from jaxvae.latent.search import class_log_probability
from jaxvae.latent.search import search as gradient_search
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools.base import Labels, Outcome, refuse_sequences
from jaxvae.tools.classify import linear_classifier

METHODS = {"metropolis": imputation.metropolis_within_gibbs, "pseudo_gibbs": imputation.pseudo_gibbs}
ROUNDING = 1e-12  # a squared error below this is float32 rounding of constant values
MASKS = ("middle", "top", "bottom", "left", "right", "random")


def impute(
    run: TrainedRun,
    method: str = "metropolis",
    mask: str = "middle",
    part: float = 2 / 7,
    num: int = 100,
    steps: int = 1000,
    burn_in: int = 200,
    chains: int = 16,
    nll_samples: int = 500,
) -> Outcome:
    """Impute missing values of test examples, and compare the error with that of the training set's mean.

    Args:
      run: the run.
      method: "metropolis" (exact in the limit) or "pseudo_gibbs", see `imputation`.
      mask: which values are missing: "middle" (rows), "top", "bottom", "left", "right", "random", or an `.npy` file of
        a bool array that broadcasts to `[N, *data_shape]`, True where a value is observed.
      part: share of an example that is missing; 2/7 of 28 rows are 8.
      num: test examples, a fixed random subset; `index` in the arrays lists them.
      steps: steps of each chain after the burn-in.
      burn_in: steps of the burn-in.
      chains: chains per example; the mean is over all of them.
      nll_samples: K of log p(x_missing | x_observed); 0 leaves it out.

    `numbers` holds the mean squared errors on missing values in units of the pixel range (of real values as the model
    sees them), their ratio (unless the
    missing values are constant, so that the mean has no error), and that log-likelihood.

    Raises:
      UserError: an option out of its range, a mask that does not fit, or a model that cannot impute.
    """
    if method not in METHODS:
        raise unknown("method of the tool 'impute'", method, METHODS)
    if not mask.endswith(".npy") and mask not in MASKS:
        raise unknown("mask (or .npy file) of the tool 'impute'", mask, MASKS)
    check(
        "tool", "impute", part=(part, between(0, 1)), num=(num, within(1)), steps=(steps, within(1)),
        burn_in=(burn_in, within(0)), chains=(chains, within(1)), nll_samples=(nll_samples, within(0)),
    )  # fmt: skip
    refuse_sequences(run, "impute")
    rows = run.some("test", num)
    x = jnp.asarray(run.x("test", rows))
    observed = jnp.asarray(np.broadcast_to(_mask(run, mask, part, len(rows)), x.shape))
    missing = ~np.asarray(observed)
    if not missing.any():
        raise UserError("The mask marks every value as observed: there is nothing to impute.")
    key, nll_key = jax.random.split(run.key("impute"))
    found = METHODS[method](run.model, run.params, key, x, observed, steps, burn_in, chains)
    spec = run.experiment.spec
    average = np.mean(run.split("train").x, axis=0, dtype=np.float64)
    average = average if spec.is_real else average / run.dataset.max_value
    true, filled = run.viewed(x), run.viewed(found.mean)
    spread = np.asarray(spec.scale or 1.0, np.float32)  # errors of scaled data are in the model's units
    error = float(np.mean(np.square((filled - true) / spread)[missing]))
    baseline = float(np.mean(np.square((np.broadcast_to(average, true.shape) - true) / spread)[missing]))
    numbers = {"error": error, "mean_image_error": baseline}
    if baseline > ROUNDING:
        numbers["ratio"] = error / baseline
    numbers["acceptance"] = float(jnp.mean(found.acceptance))
    if nll_samples:
        log_likelihood = imputation.missing_log_likelihood(run.model, run.params, nll_key, x, observed, nll_samples)
        own_units = float(np.mean(spec.observed_log_scale(missing)))
        numbers["log_likelihood_of_missing"] = float(jnp.mean(log_likelihood)) - own_units
    middle = sum(spec.pixel_range(run.config)) / 2
    hidden = np.where(missing, run.viewed(np.full_like(true, middle)), true)
    shown = np.stack([true, hidden, filled, run.viewed(found.sample)])[:, :16]
    title = f"test examples; observed values; mean of the missing ones; a sample of them (by {method})"
    arrays = {"index": rows, "x": true, "observed": np.asarray(observed)}
    arrays |= {"mean": filled, "sample": run.viewed(found.sample)}
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


def denoise(run: TrainedRun, level: float = 0.3, num: int = 16, steps: int = 1) -> Outcome:
    """Add Gaussian noise of deviation `level` (of the pixel range) to test examples, and project them on the model.

    The `num` examples are a fixed random subset; `index` in the arrays lists them.

    Raises:
      UserError: a level below 0, fewer than 1 example or step, or sequences.
    """
    check("tool", "denoise", level=(level, within(0)), num=(num, within(1)), steps=(steps, within(1)))
    refuse_sequences(run, "denoise")
    index = run.some("test", num)
    x = run.x("test", index)
    low, high = run.experiment.spec.pixel_range(run.config)
    noise = jax.random.normal(run.key("denoise"), x.shape)
    noisy = jnp.clip(x + level * (high - low) * noise, low, high)
    clean = arithmetic.denoise(run.model, run.params, noisy, steps)
    rows = np.stack([run.viewed(each) for each in (x, noisy, clean)])
    seen = [run.compared(each) for each in (x, noisy, clean)]
    numbers = {
        "noisy_error": float(np.mean(np.square(seen[1] - seen[0]))),
        "error": float(np.mean(np.square(seen[2] - seen[0]))),
    }
    arrays = {"index": index, "x": rows[0], "noisy": rows[1], "denoised": rows[2]}
    labels = Labels(("test", "noisy", "denoised"))
    return Outcome(arrays, rows, "test examples; with noise; projected on the model", numbers, labels)


def search(run: TrainedRun, target: int = 0, num: int = 64, steps: int = 300, prior_weight: float = 1.0) -> Outcome:
    """Search z for examples of a class by gradients, in a model trained without classes.

    A linear classifier of codes is fitted to the training set; then log p(target | z) + prior_weight log p(z) is
    maximised from draws of the prior.

    Raises:
      UserError: no labels, an unknown class, or discrete latents.
    """
    check(
        "tool", "search", target=(target, within(0)), num=(num, within(1)), steps=(steps, within(1)),
        prior_weight=(prior_weight, within(0)),
    )  # fmt: skip
    chart(run.model, "A search by gradients")  # refused before anything is fitted
    labels = run.labels("train")
    if target not in labels:
        names = ", ".join(run.class_name(int(label)) for label in np.unique(labels))
        raise UserError(f"No training example is of class {target}; classes: {names}.")
    weights, bias, classes = linear_classifier(run.codes("train"), labels)
    score = class_log_probability(jnp.asarray(weights), jnp.asarray(bias), int(np.searchsorted(classes, target)))
    found = gradient_search(run.model, run.params, run.key("search"), score, num, steps, prior_weight=prior_weight)
    mean = run.viewed(found.mean)
    columns = min(num, 16)
    rows = mean[: num // columns * columns].reshape(-1, columns, *mean.shape[1:])
    numbers = {"mean_log_probability": float(jnp.mean(found.score)), "mean_log_prior": float(jnp.mean(found.log_prior))}
    return Outcome({"z": np.asarray(found.z), "mean": mean}, rows, f"found for class {run.class_name(target)}", numbers)
