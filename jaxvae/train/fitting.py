"""Train an objective for a number of steps, without a config or a folder."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import optax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.data.feed import Feed
from jaxvae.objectives import Objective
from jaxvae.train import loop, sharding
from jaxvae.train.state import TrainState, init_state, split_state
from jaxvae.train.trainer import make_trainer


class Fitted(NamedTuple):
    """Result of `fit`.

    Attributes:
      params: effective parameters of the model (the EMA, if the optimiser keeps one), on the host.
      metrics: `{name: [num_steps]}`, the mean over the batch of each step; "loss" in nats per example.
      state: the last state, on the host.
    """

    params: Params
    metrics: dict[str, np.ndarray]
    state: TrainState


def as_stored(key: Key, x: Array) -> Array:
    """Leave x as it is: the default preprocessing of `fit`, for data in the range of the likelihood."""
    del key
    return x


def fit(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    feed: Feed,
    key: Key,
    num_steps: int,
    preprocess: Callable[[Key, Array], Array] = as_stored,
    steps_per_call: int = 50,
) -> Fitted:
    """Train on all devices for `num_steps` steps.

    The command line trains by the same loop: the same parts, batches and root key give the same bits.

    Args:
      objective: of a model, from `jaxvae.objectives` or your own.
      optimizer: any optax transformation of the parameters `{group: tree}`.
      feed: batches, from `data.make_feed(data.Split(x), batch_size, seed)`.
      key: root key; parameters and training get keys of their own.
      num_steps: at least 1.
      preprocess: `(key, stored x [B, ...]) -> x`, inside the compiled step; see `data.make_preprocess`.
      steps_per_call: steps in one call of the devices.

    Raises:
      UserError: `num_steps` or `steps_per_call` is below 1.
      NonFiniteLoss: the loss became NaN or infinite.
    """
    if min(num_steps, steps_per_call) < 1:
        raise UserError(f"fit got num_steps={num_steps} and steps_per_call={steps_per_call}; both must be at least 1.")
    parallel = sharding.global_view()
    run = make_trainer(objective, optimizer, preprocess, feed, parallel)
    seen: list[dict[str, np.ndarray]] = []
    state, _ = loop.fit(
        parallel.replicate(jax.jit(partial(init_state, objective, optimizer))(key)),
        run,
        first_step=0,
        steps_per_epoch=num_steps,
        num_epochs=1,
        steps_per_call=steps_per_call,
        eval_every_epochs=1,
        on_steps=lambda end, metrics: seen.append(metrics),
        on_epoch=lambda state, step: None,
    )
    host = jax.device_get(parallel.collect(state))
    weights, _ = split_state(host)
    params = objective.model_params(weights["params"], weights["extra"])
    metrics = {name: np.concatenate([part[name] for part in seen]) for name in seen[0]}
    return Fitted(jax.device_get(params), metrics, host)
