"""The one place that maps names to builders, and a config's plain dictionaries to parts."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvae import likelihoods, networks, objectives, optimizers, posteriors, priors
from jaxvae.data.preprocess import PIXEL_RANGES
from jaxvae.errors import UserError, unknown
from jaxvae.model import Model, make_model
from jaxvae.objectives import Objective

PARTS: dict[str, dict[str, Callable]] = {
    "posterior": {"delta": posteriors.delta, "diagonal_gaussian": posteriors.diagonal_gaussian},
    "prior": {"standard_normal": priors.standard_normal},
    "likelihood": {
        "bernoulli": likelihoods.bernoulli,
        "gaussian": likelihoods.gaussian,
        "squared_error": likelihoods.squared_error,
    },
    "network": {"mlp": networks.mlp},
    "objective": {"elbo": objectives.elbo, "reconstruction": objectives.reconstruction},
    "optimizer": optimizers.OPTIMIZERS,
    "schedule": optimizers.SCHEDULES,
}
PLAIN = (bool, int, float, str)
# What a part is given by the builder, so that a config cannot.
GIVEN = {"latent_dim", "model", "learning_rate", "peak", "total_steps"}


def part(kind: str, spec: Mapping[str, Any], parts: Mapping[str, Mapping[str, Callable]] = PARTS) -> Callable:
    """The builder that `spec` = `{"name": ..., **options}` names, with its options bound.

    Raises:
      UserError: an unknown name (lists the known ones and the nearest), an option that the part does not take, or
        one of the wrong type.
    """
    options = dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in parts[kind]:
        raise unknown(kind, name, parts[kind])
    builder = parts[kind][name]
    takes = {key: p for key, p in inspect.signature(builder).parameters.items() if key not in GIVEN}
    for key, value in options.items():
        if key not in takes:
            raise unknown(f"option of the {kind} '{name}'", key, takes)
        wanted = takes[key].annotation
        if wanted not in PLAIN:  # Optax says its types in many ways; the default tells
            wanted = type(takes[key].default)
        fits = isinstance(value, (int, float) if wanted is float else wanted) if wanted in PLAIN else True
        if not fits or (wanted is not bool and wanted in PLAIN and isinstance(value, bool)):
            raise UserError(f"The {kind} '{name}' got {key}={value!r}; it must be of type {wanted.__name__}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"The {kind} '{name}' got {key}={value}; it must be a finite number.")
    return partial(builder, **options)


def model(config: Mapping[str, Any], data_shape: tuple[int, ...]) -> Model:
    """The model that a config describes, sized to the data.

    Raises:
      UserError: the parts do not fit each other or the data.
    """
    latent_dim = config["model"]["latent_dim"]
    likelihood = part("likelihood", config["model"]["likelihood"])()
    pixel_range = tuple(config["data"]["pixel_range"])
    if likelihood.support and pixel_range in PIXEL_RANGES and pixel_range[0] < likelihood.support[0]:
        raise UserError(
            f"The likelihood '{config['model']['likelihood']['name']}' needs data in {list(likelihood.support)}, but "
            f"data.pixel_range is {list(pixel_range)}. Set data.pixel_range to (0.0, 1.0), or take the likelihood "
            "'gaussian' or 'squared_error'."
        )
    return make_model(
        part("posterior", config["model"]["posterior"])(latent_dim),
        part("prior", config["model"]["prior"])(latent_dim),
        likelihood,
        part("network", config["network"])(latent_dim),
        data_shape=data_shape,
        latent_dim=latent_dim,
    )


def objective(config: Mapping[str, Any], model: Model) -> Objective:
    """The objective that a config describes, over `model`."""
    return part("objective", config["objective"])(model)


def optimizer(config: Mapping[str, Any], total_steps: int) -> optax.GradientTransformation:
    """The optimiser that a config describes, for a run of `total_steps`."""
    spec = dict(config["optimizer"])
    schedule = part("schedule", spec.pop("schedule"))
    common = {key: spec.pop(key) for key in ("learning_rate", "warmup_steps", "clip_norm")}
    update = part("optimizer", spec)
    try:
        made = optimizers.make_optimizer(update, schedule, total_steps=total_steps, **common)
        jax.eval_shape(made.init, jnp.zeros(1))
    except (TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"The optimizer '{spec['name']}' does not work with {spec}: {error}") from error
    return made
