"""Map the names of parts to their builders, for all kinds of part."""

import inspect
import math
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import optax

from jaxvae import likelihoods, networks, objectives, posteriors, priors
from jaxvae.common.errors import UserError, unknown
from jaxvae.distributions import decoding
from jaxvae.experiment import own
from jaxvae.experiment.objects import GIVEN as GIVEN_NAME
from jaxvae.latent import samplers
from jaxvae.models.actor import make_actor
from jaxvae.models.base import Model
from jaxvae.models.vae import make_model
from jaxvae.objectives.clusters import OF_COMPONENTS
from jaxvae.train import optimizers


def _named(*builders: Callable) -> dict[str, Callable]:
    return {builder.__name__: builder for builder in builders}


PARTS: dict[str, dict[str, Callable]] = {
    "model": {"vae": make_model, "actor": make_actor},
    "posterior": _named(
        posteriors.delta, posteriors.diagonal_gaussian, posteriors.full_covariance, posteriors.gumbel_softmax,
        posteriors.vector_quantized, posteriors.finite_scalar, posteriors.planar_flow, posteriors.radial_flow,
        posteriors.inverse_autoregressive_flow, posteriors.hamiltonian, posteriors.von_mises_fisher,
        posteriors.wrapped_normal, posteriors.implicit,
    ),
    "prior": _named(
        priors.standard_normal, priors.conditional_normal, priors.mixture_of_gaussians, priors.nested_mixture,
        priors.vamp, priors.flow, priors.uniform_sphere, priors.wrapped_normal, priors.uniform_categorical,
        priors.autoregressive_codes,
    ),
    "likelihood": _named(
        likelihoods.bernoulli, likelihoods.continuous_bernoulli, likelihoods.gaussian, likelihoods.laplace,
        likelihoods.squared_error, likelihoods.log_cosh, likelihoods.ms_ssim, likelihoods.categorical,
        likelihoods.discretized_logistic, likelihoods.discretized_logistic_mixture, likelihoods.poisson,
        likelihoods.negative_binomial, likelihoods.columns,
    ),
    "network": _named(
        networks.bag_of_words, networks.conv, networks.conv_pool, networks.hierarchical, networks.lstm, networks.mlp,
        networks.resnet,
    ),
    "objective": objectives.OBJECTIVES,
    "discriminator": {
        "mlp": networks.mlp_discriminator,
        "conv": networks.conv_discriminator,
        "patch": networks.patch_discriminator,
    },
    "kl": objectives.KL_WEIGHTS,
    "optimizer": optimizers.OPTIMIZERS,
    "schedule": optimizers.SCHEDULES,
    "sampler": samplers.SAMPLERS,
    "decoding": decoding.DECODINGS,
}  # fmt: skip
# The return types of builders, by kind and display name.
RETURNS: dict[str, dict[str, Any]] = {
    "model": {"jaxvae.Model": Model},
    "posterior": {"jaxvae.posteriors.Posterior": posteriors.Posterior},
    "prior": {"jaxvae.priors.Prior": priors.Prior},
    "likelihood": {"jaxvae.likelihoods.Likelihood": likelihoods.Likelihood},
    "network": {"jaxvae.networks.Network": networks.Network},
    "objective": {"jaxvae.objectives.Objective": objectives.Objective},
    "discriminator": {"jaxvae.networks.DiscriminatorNetwork": networks.DiscriminatorNetwork},
    "kl": {"jaxvae.objectives.KLWeight": objectives.KLWeight},
    "optimizer": {"optax.GradientTransformation": optax.GradientTransformation},
    "schedule": {"optax.Schedule": optax.Schedule},
    "sampler": {"jaxvae.latent.samplers.Sampler": samplers.Sampler},
    "decoding": {"jaxvae.distributions.decoding.Write": decoding.Write},
}
PLAIN = (bool, int, float, str)
# Arguments that come from other parts or the data, not from a config.
GIVEN = {"latent_dim", "num_codes", "data_shape", "levels", "pixel_range", "model", "kl", "learning_rate", "peak",
         "total_steps", "run", "table", "context_size", "total",
         "labels", "classifier", "discriminator", "data_labels", "features"}  # fmt: skip
# Further such arguments of the kind "model".
PIECES = ("posterior", "prior", "likelihood", "network", "write", "context_dim", "context_to", "mask_input")


def options_of(kind: str, builder: Callable, given: Iterable[str] = ()) -> dict[str, inspect.Parameter]:
    """Return the options of a part that a config can set: the builder's arguments without GIVEN, PIECES and `given`."""
    hidden = {*GIVEN, *given, *(PIECES if kind == "model" else ())}
    return {
        key: option
        for key, option in inspect.signature(builder).parameters.items()
        if key not in hidden and option.kind in (option.POSITIONAL_OR_KEYWORD, option.KEYWORD_ONLY)
    }


Parts = Mapping[str, Mapping[str, Callable]]


def part(
    kind: str,
    spec: Mapping[str, Any],
    given: Mapping[str, Any] = MappingProxyType({}),
    parts: Parts = PARTS,
    returns: Mapping[str, Any] = MappingProxyType({}),
) -> Callable:
    """Return the builder of a part, with its options bound, and the arguments in `given` that its signature has.

    Args:
      kind: kind of part, a key of `parts`.
      spec: `{"name": ..., **options}`; the name is one of `parts[kind]`, `module:function` of an imported module, or a
        part that is built already.
      given: arguments that a config cannot set.
      parts: builders by kind and name.
      returns: allowed types of a part of this kind by display name, RETURNS by default; for dotted names.

    Raises:
      UserError: an unknown name (lists the known ones and the nearest), an unknown option, an option of the wrong
        type, or a missing one without a default; or see `own.find`.
    """
    options = dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str) and _is_part(kind, name):
        return lambda *args, **given: name
    if name == GIVEN_NAME:
        raise UserError(
            f"The {kind} of this run was a Python object, which its folder cannot hold: hand it over again in Python, "
            f"jaxvae.load(folder, {kind}=...)."
        )
    if callable(name):  # a function that was handed over
        builder = own.checked(kind, f"{name.__module__}:{name.__qualname__}", name, returns or RETURNS[kind])
    elif own.is_own(name):
        builder = own.find(kind, name, returns or RETURNS[kind])
    elif isinstance(name, str) and name in parts[kind]:
        builder = parts[kind][name]
    else:
        raise unknown(kind, name, parts[kind])
    signature = inspect.signature(builder).parameters
    takes = options_of(kind, builder, given)
    for key, value in options.items():
        if key not in takes:
            raise unknown("option", key, takes, of=f"the {kind} '{name}'")
        _check_option(f"The {kind} '{name}'", key, value, takes[key])
    if missing := [key for key, p in takes.items() if p.default is p.empty and key not in options]:
        raise UserError(
            f"The {kind} '{name}' needs the option '{missing[0]}', which has no default: set it next to the name."
        )
    return partial(builder, **{key: value for key, value in given.items() if key in signature}, **options)


def holds_components(objective: Any) -> bool:
    """Return whether an objective, by its name, can hold examples in components of the prior."""
    return PARTS["objective"].get(objective) in OF_COMPONENTS if isinstance(objective, str) else False


def _is_part(kind: str, value: Any) -> bool:
    return any(isinstance(value, typing.get_origin(each) or each) for each in RETURNS.get(kind, {}).values())


def _check_option(part: str, key: str, value: Any, parameter: inspect.Parameter) -> None:
    """Raise UserError for a value of another type than the annotation or the default, and for NaN and infinity."""
    wanted = parameter.annotation
    if wanted not in PLAIN:  # Optax annotates in many ways, so use the type of the default
        wanted = type(parameter.default)
    fits = isinstance(value, (int, float) if wanted is float else wanted) if wanted in PLAIN else True
    if not fits or (wanted is not bool and wanted in PLAIN and isinstance(value, bool)):
        raise UserError(f"{part} got {key}={value!r}; it must be of type {wanted.__name__}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{part} got {key}={value}; it must be a finite number.")
