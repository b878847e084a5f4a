"""The metrics of a trained run that compare its latents with true factors, on the test set."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Params
from jaxvae.distributions.structure import moments
from jaxvae.evaluation.of_run import num_rows, rows
from jaxvae.evaluation.progress import progress
from jaxvae.experiment.setup import Experiment
from jaxvae.metrics import information, information_gap, predictors, predictors_votes
from jaxvae.models.base import Model, encode_batch, example_batch
from jaxvae.models.facts import Batch
from jaxvae.runs.trained_run import TrainedRun, some_rows


def check_rows(experiment: Experiment) -> None:
    """Raise UserError where no factor varies in the test examples, or they are too few for its values."""
    num = num_rows(experiment, "test")
    factors = np.asarray(experiment.dataset.test.factors)[some_rows(len(experiment.dataset.test.x), num)]
    information.check(np.zeros((num, 1)), factors, min_factors=1)


def has_moments(model: Model, params: Params) -> bool:
    """Whether the mean and the covariance of q(z|x) are known. Nothing is computed: `params` may be shapes alone."""

    def ask(params: Params, x: Array) -> Any:
        return moments(model.encode(params, x))

    return jax.eval_shape(ask, params, example_batch(model, 1)["x"]) is not None


def mig(run: TrainedRun) -> dict[str, float]:
    """Compute the mutual information gap from Gaussian q(z|x)."""
    some, factors = _rows_and_factors(run)

    @jax.jit
    def marginals(params: Params, batch: Batch) -> tuple[Array, Array]:
        found: Any = moments(encode_batch(run.experiment.model, params, batch))
        return found[0], jnp.sqrt(jnp.diagonal(found[1], axis1=-2, axis2=-1))

    parts = [jax.device_get(marginals(run.params, batch)) for batch in run.batches("test", some)]
    mean, scale = (np.concatenate(part).reshape(len(some), -1) for part in zip(*parts, strict=True))
    return information_gap.mig(mean, scale, factors, seed=0)


def of_codes(score: Callable[..., dict[str, float]], **options: Any) -> Callable[[TrainedRun], dict[str, float]]:
    """Turn a score of codes `[N, D]` against true factors `[N, F]` into a metric of a run."""

    def compute(run: TrainedRun) -> dict[str, float]:
        some, factors = _rows_and_factors(run)
        return score(run.codes("test")[some], factors, **options)

    compute.__doc__ = score.__doc__
    return compute


def _rows_and_factors(run: TrainedRun) -> tuple[np.ndarray, np.ndarray]:
    some, factors = rows(run), run.dataset.test.factors
    if factors is None:
        raise UserError("The data has no factors.")
    return some, factors[some]


# each score with what it needs, see `table.NEEDS`
FACTOR_SCORES: dict[str, tuple[Callable[[TrainedRun], dict[str, float]], tuple[str, ...]]] = {
    "mig": (mig, ("factors", "moments")),
    "mig_bins": (of_codes(information_gap.mig_bins), ("factors",)),
    "modularity": (of_codes(information.modularity), ("factors",)),
    "irs": (of_codes(information.irs), ("factors",)),
    "sap": (of_codes(predictors.sap, seed=0, progress=partial(progress, "sap", unit="factor")), ("factors",)),
    "dci": (of_codes(predictors.dci, seed=0, progress=partial(progress, "dci", unit="factor")), ("factors",)),
    "explicitness": (of_codes(predictors.explicitness, seed=0), ("factors",)),
    "factor_vae_score": (of_codes(predictors_votes.factor_vae_score, seed=0), ("factors",)),
    "beta_vae_score": (of_codes(predictors_votes.beta_vae_score, seed=0), ("factors",)),
}
