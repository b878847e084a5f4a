"""Use a trained run as features of images: its classifier, or the codes of its encoder."""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Params
from jaxvae.experiment.features import features_of_run, is_pixels, of_run
from jaxvae.metrics.features import BATCH, FeatureMap
from jaxvae.models.base import centre
from jaxvae.models.classifier import NAME as CLASSIFIER
from jaxvae.runs.restore import Restored, restore_run


def run_features(workdir: str | os.PathLike, checkpoint: str = "best") -> FeatureMap:
    """Return a feature map from images to features `[N, D]` of a trained run.

    They are the last hidden layer of its classifier, the mean over positions of a map of features; of a run without a
    classifier its codes, the centre of q(z|x), flattened.

    Args:
      workdir: the run's `--workdir`.
      checkpoint: "best" by `train.select`, "last", or a step.

    Raises:
      UserError: there is no such run. The map raises it for images of another shape.
    """
    run = restore_run(workdir, checkpoint)
    if not is_pixels(run.spec):
        raise UserError(
            f"evaluate.features is the run in '{workdir}', which was trained on scaled or real values, sequences or a "
            "table, not on pixels. Give a run with data.scaling='none' on images."
        )
    has_classifier = CLASSIFIER in run.weights["params"] and not run.config["stage_of"]  # which would read codes
    of_batch, params = _of_classifier(run, str(workdir)) if has_classifier else _of_codes(run)

    def features(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, np.float32)
        if x.shape[1:] != run.spec.shape or not len(x):
            raise UserError(
                f"Images of the shape {list(x.shape)} were given, but the run in '{workdir}' was trained on examples "
                f"of the shape {list(run.spec.shape)}. Give at least one such image, or take another run."
            )
        found = [np.asarray(of_batch(params, jnp.asarray(x[i : i + BATCH]))) for i in range(0, len(x), BATCH)]
        return np.concatenate(found).reshape(len(x), -1)

    return features


def _of_codes(run: Restored) -> tuple[Callable[[Params, Array], Array], Params]:
    low, high = run.spec.pixel_range(run.config)
    return jax.jit(lambda params, x: centre(run.model.encode(params, low + (high - low) * x))), run.params


def _of_classifier(run: Restored, workdir: str) -> tuple[Callable[[Params, Array], Array], Params]:
    made = features_of_run(of_run(workdir), (0.0, 1.0))

    @jax.jit
    def last(params: Params, x: Array) -> Array:
        layer = made.layers(params, x)[-1]
        return jnp.mean(layer, axis=tuple(range(1, layer.ndim - 1)))

    params: Any = {"params": run.weights["params"][CLASSIFIER]}
    return last, params
