"""Draw samples of a trained run, by its prior or a sampler that is asked for."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxvae import train
from jaxvae.api.given import as_settings
from jaxvae.api.settings import changed, check_asked
from jaxvae.common.errors import UserError
from jaxvae.data.wanted import described, wanted
from jaxvae.experiment.objects import with_objects
from jaxvae.experiment.parts import part
from jaxvae.runs.restore import Restored
from jaxvae.runs.sampling import draw_samples
from jaxvae.runs.trained_run import TrainedRun


def drawn(
    run: Restored,
    trained: Callable[[], TrainedRun],
    num: int,
    seed: int | None,
    temperature: float,
    context: Any,
    sampler: Any,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw samples in the model's units; return them and the contexts `[M, C]`, None without: see `Run.sample`.

    Raises:
      UserError: see `Run.sample`.
    """
    model, spec, config = run.model, run.spec, run.config
    if model.context_dim and context is None:
        raise UserError(f"The model is conditional on {described(spec.context)}: give sample(context=...).")
    check_asked({"sample.num": num, "sample.temperature": temperature} | ({} if seed is None else {"seed": seed}))
    rows = None if context is None else wanted(spec, config["data"], context)
    changes, objects = as_settings({} if sampler is None else {"sample.sampler": sampler})
    chosen = with_objects(changed(config, changes), objects)["sample"]["sampler"]
    draw = trained().draw(chosen) if part("sampler", chosen)().needs_codes else None
    key = train.stream(config["seed"] if seed is None else seed, "sample")
    return draw_samples(model, run.params, key, num, temperature, draw, rows), rows
