"""Use the codes of a trained run as features of images."""

import os

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.metrics.features import BATCH, FeatureMap
from jaxvae.models.base import centre
from jaxvae.runs.restore import restore_run


def run_features(workdir: str | os.PathLike, checkpoint: str = "best") -> FeatureMap:
    """Return a feature map from images to a trained run's codes: the centre of q(z|x), flattened to `[N, D]`.

    Args:
      workdir: the run's `--workdir`.
      checkpoint: "best" by `train.select`, "last", or a step.

    Raises:
      UserError: there is no such run. The map raises it for images of another shape.
    """
    run = restore_run(workdir, checkpoint)
    if run.spec.is_real:
        raise UserError(
            f"evaluate.features is the run in '{workdir}', which was trained on scaled or real values, not on "
            "pixels. Give a run with data.scaling='none' on images."
        )
    low, high = run.spec.pixel_range(run.config)
    encode = jax.jit(lambda params, x: centre(run.model.encode(params, low + (high - low) * x)))

    def features(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, np.float32)
        if x.shape[1:] != run.model.data_shape or not len(x):
            raise UserError(
                f"Images of the shape {list(x.shape)} were given, but the run in '{workdir}' was trained on examples "
                f"of the shape {list(run.model.data_shape)}. Give at least one such image, or take another run."
            )
        codes = [np.asarray(encode(run.params, jnp.asarray(x[i : i + BATCH]))) for i in range(0, len(x), BATCH)]
        return np.concatenate(codes).reshape(len(x), -1)

    return features
