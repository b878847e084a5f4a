"""What every objective is, and the frame of those that train nothing but the model."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.models.base import Model, with_state


@partial(jax.tree_util.register_dataclass, data_fields=("step", "train_size"), meta_fields=("is_training",))
@dataclasses.dataclass(frozen=True)
class StepContext:
    """What an objective may know beside its batch.

    Attributes:
      step: for schedules.
      train_size: examples in the training set, for estimates of the aggregate posterior.
      is_training: whether the decoder's own noise (word dropout) is wanted.
    """

    step: Array
    train_size: int
    is_training: bool = False  # static under jit


class Loss(NamedTuple):
    """What an objective returns.

    Attributes:
      losses: for each group of parameters what that group minimises: `[B]`, or `[]` where only the whole batch has one.
      metrics: named values to report, `[B]` or `[]`; "loss" and "reconstruction" always, "kl" and "elbo" where
        they exist. The step averages them over the batch, once.
      extra: the next value of the state that gradients do not own.
    """

    losses: dict[str, Array]
    metrics: dict[str, Array]
    extra: Tree


def merged(params: dict[str, Params], extra: Tree) -> Params:
    """A model's own parameters together with its own state."""
    return with_state(params["model"], extra["model"]) if "model" in extra else params["model"]


class Objective(NamedTuple):
    """Pure functions that close over a model.

    Attributes:
      init: `key -> (params, extra)`; params is `{group: pytree}`. The group "model" is the model's own, another
        one (a discriminator, a classifier) is the objective's; extra is state that gradients do not own.
      loss: `(params, extra, batch, key, ctx) -> Loss`; batch has "x" `[B, *data_shape]` and, where the data
        has them, "label" `[B]`. Each group is moved by the gradient of its own loss only.
      whole_batch: why the loss is no mean over examples, so that it must see the whole batch; empty where it is one.
      model_params: `(params, extra) -> params` that the model is used with once trained.
    """

    init: Callable[[Key], tuple[dict[str, Params], Tree]]
    loss: Callable[[dict[str, Params], Tree, dict[str, Array], Key, StepContext], Loss]
    whole_batch: str = ""
    model_params: Callable[[dict[str, Params], Tree], Params] = merged


Terms = Callable[[Params, dict[str, Array], Key, StepContext], tuple[Any, dict[str, Array]]]


class Transform(NamedTuple):
    """A change of the model's parameters before each use, with state of its own that gradients do not own.

    Attributes:
      init: `(key, params) -> state`.
      apply: `(params, state) -> (params, next_state)`; called once in a step, and once more after training.
    """

    init: Callable[[Key, Params], Tree]
    apply: Callable[[Params, Tree], tuple[Params, Tree]]


UNCHANGED = Transform(lambda key, params: {}, lambda params, state: (params, state))


def of_model(model: Model, terms: Terms, whole_batch: str = "", transform: Transform = UNCHANGED) -> Objective:
    """The objective that moves the model's parameters only.

    Adds the posterior's penalty to the loss, and keeps its state.

    Args:
      model: what is trained.
      terms: `(params, batch, key, ctx) -> (posterior, metrics)`; `metrics["loss"]` is minimised.
      whole_batch: see `Objective`.
      transform: what is done to the parameters before `terms` sees them.
    """
    part = model.posterior
    if part.init_state(jax.random.key(0)):
        whole_batch = whole_batch or "the codebook follows the outputs of the whole batch"

    def init(key):
        params_key, state_key, transform_key = jax.random.split(key, 3)
        params = model.init(params_key)
        states = {"model": part.init_state(state_key), "transform": transform.init(transform_key, params)}
        return {"model": params}, {name: state for name, state in states.items() if state}

    def in_use(params, extra):
        return transform.apply(merged(params, extra), extra.get("transform", {}))

    def loss(params, extra, batch, key, ctx):
        terms_key, state_key = jax.random.split(key)
        used, state = in_use(params, extra)
        posterior, metrics = terms(used, batch, terms_key, ctx)
        if part.penalty:
            metrics = {**metrics, "loss": metrics["loss"] + part.penalty(posterior)}
        if "transform" in extra:
            extra = {**extra, "transform": state}
        if "model" in extra:
            extra = {**extra, "model": part.update_state(extra["model"], posterior, state_key)}
        return Loss({"model": metrics["loss"]}, {**metrics, **part.metrics(posterior)}, extra)

    return Objective(init, loss, whole_batch, lambda params, extra: in_use(params, extra)[0])


def bound_metrics(model: Model, log_likelihood: Array, kl: Array) -> dict[str, Array]:
    """The metrics "reconstruction" and "kl" `[B]`, and "elbo" where it is a bound on log p(x)."""
    reconstruction = -jnp.mean(log_likelihood, axis=0)
    metrics = {"reconstruction": reconstruction, "kl": kl}
    if model.has_likelihood and not model.posterior.is_relaxed:
        metrics["elbo"] = -reconstruction - kl
    return metrics


def needs_fixed_prior(model: Model, objective: str, why: str) -> None:
    """Raises UserError where the prior has parameters, which no term of the loss would train."""
    if "prior" in jax.eval_shape(model.init, jax.random.key(0)):
        raise UserError(
            f"The objective '{objective}' {why}, so that a learned prior would stay as it started: take a fixed one "
            "('standard_normal' for latents in R^n), or an objective with a KL: 'elbo', for example."
        )
