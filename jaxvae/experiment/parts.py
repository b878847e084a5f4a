"""The one place that maps names to builders."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from jaxvae import likelihoods, networks, objectives, posteriors, priors, samplers
from jaxvae.common.errors import UserError, unknown
from jaxvae.distributions import decoding
from jaxvae.train import optimizers


def _named(*builders: Callable) -> dict[str, Callable]:
    return {builder.__name__: builder for builder in builders}


PARTS: dict[str, dict[str, Callable]] = {
    "posterior": _named(
        posteriors.delta, posteriors.diagonal_gaussian, posteriors.full_covariance, posteriors.gumbel_softmax,
        posteriors.vector_quantized, posteriors.finite_scalar, posteriors.planar_flow, posteriors.radial_flow,
        posteriors.inverse_autoregressive_flow, posteriors.hamiltonian, posteriors.von_mises_fisher,
        posteriors.wrapped_normal,
    ),
    "prior": _named(
        priors.standard_normal, priors.mixture_of_gaussians, priors.vamp, priors.flow, priors.uniform_sphere,
        priors.wrapped_normal, priors.uniform_categorical, priors.autoregressive_codes,
    ),
    "likelihood": _named(
        likelihoods.bernoulli, likelihoods.continuous_bernoulli, likelihoods.gaussian, likelihoods.laplace,
        likelihoods.squared_error, likelihoods.log_cosh, likelihoods.ms_ssim, likelihoods.categorical,
        likelihoods.discretized_logistic, likelihoods.discretized_logistic_mixture, likelihoods.poisson,
        likelihoods.negative_binomial,
    ),
    "network": _named(
        networks.conv, networks.conv_pool, networks.hierarchical, networks.lstm, networks.mlp, networks.resnet
    ),
    "objective": objectives.OBJECTIVES,
    "kl": objectives.KL_WEIGHTS,
    "optimizer": optimizers.OPTIMIZERS,
    "schedule": optimizers.SCHEDULES,
    "sampler": samplers.SAMPLERS,
    "decoding": decoding.DECODINGS,
}  # fmt: skip
PLAIN = (bool, int, float, str)
# What a part is given by the builder, so that a config cannot.
GIVEN = {"latent_dim", "num_codes", "data_shape", "levels", "pixel_range", "model", "kl", "learning_rate", "peak",
         "total_steps", "run"}  # fmt: skip


Parts = Mapping[str, Mapping[str, Callable]]


def part(
    kind: str, spec: Mapping[str, Any], given: Mapping[str, Any] = MappingProxyType({}), parts: Parts = PARTS
) -> Callable:
    """The builder that `spec` = `{"name": ..., **options}` names, with its options bound, and what of `given` it takes.

    Raises:
      UserError: an unknown name (lists the known ones and the nearest), an option that the part does not take, or
        one of the wrong type.
    """
    options = dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in parts[kind]:
        raise unknown(kind, name, parts[kind])
    builder = parts[kind][name]
    signature = inspect.signature(builder).parameters
    takes = {key: p for key, p in signature.items() if key not in GIVEN}
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
    return partial(builder, **{key: value for key, value in given.items() if key in signature}, **options)
