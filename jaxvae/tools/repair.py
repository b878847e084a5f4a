"""Tools that remove noise, and search for examples of a class."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import check, within
from jaxvae.latent import arithmetic, chart
from jaxvae.latent.search import class_log_probability
from jaxvae.latent.search import search as gradient_search
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools.base import Labels, Outcome, refuse_sequences
from jaxvae.tools.fitted_classifiers import linear_classifier


def denoise(run: TrainedRun, level: float = 0.3, num: int = 16, steps: int = 1) -> Outcome:
    """Add Gaussian noise of deviation `level` (of the pixel range) to test examples, and project them on the model.

    The `num` examples are a fixed random subset; `index` in the arrays lists them. Missing values stay missing, are NaN
    in "x" and "noisy", and have no part in the errors.

    Args:
      run: a trained run and its data.
      level: standard deviation of the noise, as a share of the pixel range.
      num: examples.
      steps: how often x is encoded and decoded again.

    Raises:
      UserError: a level below 0, fewer than 1 example or step, or sequences.
    """
    check("tool", "denoise", level=(level, within(0)), num=(num, within(1)), steps=(steps, within(1)))
    refuse_sequences(run, "denoise")
    index = run.some("test", num)
    batch = run.batch("test", index)
    x, context, mask = batch["x"], batch.get("context"), batch.get("mask")
    low, high = run.experiment.spec.pixel_range(run.config)
    noise = jax.random.normal(run.key("denoise"), x.shape)
    noisy = jnp.clip(x + level * (high - low) * noise, low, high)
    clean = arithmetic.denoise(run.model, run.params, noisy, steps, context, mask)
    rows = np.stack([run.examples(batch), run.examples(batch | {"x": noisy}), run.viewed(clean, context)])
    seen = [run.compared(each) for each in (x, noisy, clean)]
    known = True if mask is None else mask
    numbers = {
        "noisy_error": float(np.mean(np.square(seen[1] - seen[0]), where=known)),
        "error": float(np.mean(np.square(seen[2] - seen[0]), where=known)),
    }
    arrays = {"index": index, "x": rows[0], "noisy": rows[1], "denoised": rows[2]}
    labels = Labels(("test", "noisy", "denoised"))
    return Outcome(arrays, rows, "test examples; with noise; projected on the model", numbers, labels)


def search(run: TrainedRun, target: int = 0, num: int = 64, steps: int = 300, prior_weight: float = 1.0) -> Outcome:
    """Search z for examples of a class by gradients, in a model trained without classes.

    A linear classifier of codes is fitted to the training set; then log p(target | z) + prior_weight log p(z) is
    maximised from draws of the prior.

    A conditional model is searched at the contexts of `sample.context`, one after the other, by default at those of
    test examples drawn at random.

    Args:
      run: a trained run and its data.
      target: the class, a whole number from 0.
      num: starting points.
      steps: gradient steps.
      prior_weight: of log p(z) against the log-probability of the class.

    Raises:
      UserError: no labels, an unknown class, or discrete latents.
    """
    check(
        "tool", "search", target=(target, within(0)), num=(num, within(1)), steps=(steps, within(1)),
        prior_weight=(prior_weight, within(0)),
    )  # fmt: skip
    chart(run.model, "A search by gradients")  # refused before anything is fitted
    known = run.labelled("train")
    labels = run.labels("train")[known]
    if target not in labels:
        names = ", ".join(run.class_name(int(label)) for label in np.unique(labels))
        raise UserError(f"No training example is of class {target}; classes: {names}.")
    weights, bias, classes = linear_classifier(run.codes("train")[known], labels)
    score = class_log_probability(jnp.asarray(weights), jnp.asarray(bias), int(np.searchsorted(classes, target)))
    context = run.asked_contexts(num)
    found = gradient_search(
        run.model, run.params, run.key("search"), score, num, steps, prior_weight=prior_weight, context=context
    )
    mean = run.viewed(found.mean, context)
    columns = min(num, 16)
    rows = mean[: num // columns * columns].reshape(-1, columns, *mean.shape[1:])
    numbers = {"mean_log_probability": float(jnp.mean(found.score)), "mean_log_prior": float(jnp.mean(found.log_prior))}
    return Outcome({"z": np.asarray(found.z), "mean": mean}, rows, f"found for class {run.class_name(target)}", numbers)
