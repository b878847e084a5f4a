"""Define the contract of an objective; build one from the terms of a pass (`of_model`)."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient

from jaxvae import losses
from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.models.base import Model, with_state

MODEL = "model"  # the group of the model's own parameters
GROUPS = "groups"  # the state of the transforms of further groups, by name


@partial(jax.tree_util.register_dataclass, data_fields=("step", "train_size"), meta_fields=("is_training",))
@dataclasses.dataclass(frozen=True)
class StepContext:
    """Context of a step: arguments of an objective besides the batch.

    Attributes:
      step: number of the step, for schedules.
      train_size: examples in the training set, for estimates of the aggregate posterior.
      is_training: whether the networks run in training mode: with dropout, normalised by the batch.
    """

    step: Array
    train_size: int
    is_training: bool = False  # static under jit


class Loss(NamedTuple):
    """Losses, metrics and next state from an objective.

    Attributes:
      losses: the loss of each group of parameters: `[B]`, or `[]` for a loss of the whole batch.
      metrics: named values to report, `[B]` or `[]`; "loss" and "reconstruction" always, "kl" and "elbo" where
        they exist. The step averages them over the batch, once.
      extra: the next state that gradients do not own.
    """

    losses: dict[str, Array]
    metrics: dict[str, Array]
    extra: Tree


def merged(params: dict[str, Params], extra: Tree) -> Params:
    """Merge a model's parameters with its state."""
    return with_state(params[MODEL], extra[MODEL]) if MODEL in extra else params[MODEL]


class Classes(NamedTuple):
    """Classes that an objective learns to assign.

    Attributes:
      values: the labels they stand for, in ascending order.
      log_probs: `(params, extra, batch) -> [B, C]`, log q(y|x) of each class; params and extra as of the objective.
    """

    values: tuple[int, ...]
    log_probs: Callable[[dict[str, Params], Tree, dict[str, Array]], Array]


class Objective(NamedTuple):
    """Training objective as pure functions that close over a model.

    Attributes:
      init: `key -> (params, extra)`; params is `{group: pytree}`. The group "model" holds the model's parameters,
        other groups (a discriminator, a classifier) the objective's; extra is state that gradients do not own.
      loss: `(params, extra, batch, key, ctx) -> Loss`; batch has "x" `[B, *data_shape]` and, where the data
        has them, "label" `[B]`. Each group follows the gradient of its own loss only.
      whole_batch: why the loss is not a mean over examples and needs the whole batch; empty if it is a mean.
      model_params: `(params, extra) -> params`, the effective parameters of the model after training.
      classes: the classes that it learns to assign; None where it learns none.
      loops: whether XLA on CPU trains its own networks efficiently inside `lax.scan`; see `Model.loops`.
    """

    init: Callable[[Key], tuple[dict[str, Params], Tree]]
    loss: Callable[[dict[str, Params], Tree, dict[str, Array], Key, StepContext], Loss]
    whole_batch: str = ""
    model_params: Callable[[dict[str, Params], Tree], Params] = merged
    classes: Classes | None = None
    loops: bool = True


Terms = Callable[..., tuple]  # (params, batch, key, ctx) -> (pass, metrics), or (pass, metrics, losses of groups)


class Transform(NamedTuple):
    """Transform of the parameters of a group before each use, with state that gradients do not own.

    Attributes:
      init: `(key, params) -> state`.
      apply: `(params, state) -> (params, next_state)`; called once in a step, and once more after training.
    """

    init: Callable[[Key, Params], Tree]
    apply: Callable[[Params, Tree], tuple[Params, Tree]]


UNCHANGED = Transform(lambda key, params: {}, lambda params, state: (params, state))


def of_model(
    model: Model,
    terms: Terms,
    whole_batch: str = "",
    transform: Transform = UNCHANGED,
    groups: Mapping[str, Callable[[Key], Params]] = MappingProxyType({}),
    classes: Classes | None = None,
    fixed: Mapping[str, Callable[[Key], Params]] = MappingProxyType({}),
    transforms: Mapping[str, Transform] = MappingProxyType({}),
    loops: bool = True,
) -> Objective:
    """Build an objective that trains a model, and further groups of parameters (a discriminator, a classifier).

    It adds the model's penalty to the loss, and updates its state.

    Args:
      model: the model to train.
      terms: `(params, batch, key, ctx) -> (pass, metrics)`; the model minimises `metrics["loss"]`. With groups
        `(params, batch, key, ctx, groups) -> (pass, metrics, losses)`: `groups` are their parameters, and `losses` the
        loss of each, `[B]` or `[]`. A group follows the gradient of its own loss alone.
      whole_batch: see `Objective`.
      transform: applied to the model's parameters before `terms`.
      groups: `{name: key -> params}`, initialisers of the further groups.
      classes: see `Objective`.
      fixed: `{name: key -> params}`, initialisers of parameters that nothing trains, a feature network's for example:
        `terms` gets them beside the `groups`, and they are state, so that a checkpoint holds them.
      transforms: `{name: transform}` of further groups, whose parameters `terms` gets transformed.
      loops: see `Objective`.

    Raises:
      ValueError: a further group, or fixed parameters, called "model", or a transform of a group that does not exist.
    """
    if MODEL in groups or MODEL in fixed:
        raise ValueError(f"A further group cannot be called '{MODEL}', which is the model's own.")
    if others := sorted(transforms.keys() - groups.keys()):
        raise ValueError(f"There is a transform of the group '{others[0]}', but only the groups {sorted(groups)}.")
    whole_batch = whole_batch or model.state.whole_batch

    def init(key):
        params_key, state_key, transform_key = jax.random.split(key, 3)
        params = model.init(params_key)
        states = {MODEL: model.state.init(state_key), "transform": transform.init(transform_key, params)}
        states |= {name: make(_key_of(key, name)) for name, make in fixed.items()}
        others = {name: make(_key_of(key, name)) for name, make in groups.items()}
        states[GROUPS] = {
            name: each.init(_key_of(key, f"{name} transform"), others[name]) for name, each in transforms.items()
        }
        return {MODEL: params, **others}, {name: state for name, state in states.items() if state}

    def in_use(params, extra):
        return transform.apply(merged(params, extra), extra.get("transform", {}))

    def loss(params, extra, batch, key, ctx):
        terms_key, state_key = jax.random.split(key)
        used, state = in_use(params, extra)
        trained, next_states = _transformed(transforms, {name: params[name] for name in groups}, extra)
        others = trained | {name: stop_gradient(extra[name]) for name in fixed}
        out, metrics, *losses = terms(used, batch, terms_key, ctx, *((others,) if others else ()))
        if "loss" not in metrics:
            raise UserError(
                f"The terms of the objective report {sorted(metrics)}, but no 'loss', which the model minimises: add "
                '{"loss": [B]} to the metrics.'
            )
        if model.penalty is not None:
            metrics = {**metrics, "loss": metrics["loss"] + model.penalty(out)}
        if "transform" in extra:
            extra = {**extra, "transform": state}
        if next_states:
            extra = {**extra, GROUPS: next_states}
        if MODEL in extra:
            extra = {**extra, MODEL: model.state.update(extra[MODEL], out, state_key)}
        return Loss({MODEL: metrics["loss"], **(losses[0] if losses else {})}, {**metrics, **model.metrics(out)}, extra)

    return Objective(init, loss, whole_batch, lambda params, extra: in_use(params, extra)[0], classes, loops)


def _transformed(
    transforms: Mapping[str, Transform], groups: dict[str, Params], extra: Tree
) -> tuple[dict[str, Params], Tree]:
    """Apply the transforms of further groups: their parameters in use, and the next state by group."""
    pairs = {name: each.apply(groups[name], extra[GROUPS][name]) for name, each in transforms.items()}
    used = {name: params for name, (params, _) in pairs.items()}
    return {**groups, **used}, {name: state for name, (_, state) in pairs.items()}


def check_groups(params: Mapping[str, Params], losses: Mapping[str, Array]) -> None:
    """Raise UserError unless each group of parameters has a loss, and each loss a group."""
    if params.keys() != losses.keys():
        raise UserError(
            f"The objective has the groups of parameters {sorted(params)}, but losses of {sorted(losses)}: it must "
            "return one loss for each group. With `of_model`, `terms` returns those of the further groups as a third "
            "value, {group: [B]}."
        )


def check_shapes(out: Loss, batch_size: int) -> None:
    """Raise UserError unless each loss and each metric is `[batch_size]` or `[]`."""
    for kind, values in (("loss", out.losses), ("metric", out.metrics)):
        for name, value in values.items():
            if jnp.shape(value) not in ((), (batch_size,)):
                raise UserError(
                    f"The objective returns the {kind} '{name}' in the shape {list(jnp.shape(value))} for a batch of "
                    f"{batch_size} examples: it must have the shape [{batch_size}], a value for each example, or [], "
                    "one for the whole batch. Sum or average over the other axes first."
                )


def _key_of(key: Key, name: str) -> Key:
    """Derive the key of a group from its name, independent of the splits of `key` and of other groups."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()) % 2**31)


def bound_metrics(model: Model, log_likelihood: Array, kl: Array) -> dict[str, Array]:
    """Return the metrics "reconstruction" and "kl" `[B]`, and "elbo" where it is a bound on log p(x)."""
    metrics = {"reconstruction": -jnp.mean(log_likelihood, axis=0), "kl": kl}
    if model.has_likelihood and not model.latent.is_relaxed:
        metrics["elbo"] = losses.elbo(log_likelihood, kl)
    return metrics


def needs_fixed_prior(model: Model, objective: str, why: str) -> None:
    """Raise UserError where the prior has parameters, which no term of the loss would train."""
    if "prior" in jax.eval_shape(model.init, jax.random.key(0)):
        raise UserError(
            f"The objective '{objective}' {why}, so a learned prior would keep its initial values: take a fixed one "
            "('standard_normal' for latents in R^n), or an objective with a KL: 'elbo', for example."
        )
