"""Pure array losses for research code: arrays in, one number per example out.

Every loss takes arrays whose first axis is the batch, sums over all other axes and returns `[B]` values in nats per
example; docstrings name the few that return one number for the batch, or have no unit. Nothing is averaged here:
average over the batch once, last. `*_log_prob` are elementwise, for your own masks and distributions.

All of them work under `jit`, `vmap` (for K samples: `jax.vmap(loss, in_axes=(0, None))`) and `grad`, and need no other
part of the package. Arrays of bfloat16 and float16 are cast to float32 before anything is computed. Losses refuse
integers that are not counts or categories; elementwise functions cast integers to floats.
"""

from jaxvae.losses.adversarial import (
    feature_matching,
    gradient_penalty,
    hinge_discriminator,
    least_squares_discriminator,
    least_squares_generator,
    non_saturating_discriminator,
    non_saturating_generator,
    perceptual_distance,
    wasserstein_critic,
    wasserstein_generator,
)
from jaxvae.losses.aggregate import KLParts, covariance_penalty, kl_parts, log_aggregate, permuted_dimensions
from jaxvae.losses.bernoulli import (
    bernoulli_cross_entropy,
    bernoulli_log_prob,
    continuous_bernoulli_log_prob,
    continuous_bernoulli_nll,
)
from jaxvae.losses.bounds import beta_elbo, ciwae_bound, elbo, iwae_bound, miwae_bound
from jaxvae.losses.classes import marginal_elbo
from jaxvae.losses.counts import (
    negative_binomial_log_prob,
    negative_binomial_nll,
    poisson_log_prob,
    poisson_nll,
    zero_inflated_log_prob,
    zero_inflated_negative_binomial_nll,
)
from jaxvae.losses.distances import mmd, sliced_wasserstein
from jaxvae.losses.elementary import LOG_2PI, log_softplus, softplus
from jaxvae.losses.kl import (
    kl_categorical,
    kl_categorical_uniform,
    kl_diagonal_gaussians,
    kl_full_covariance,
    kl_standard_normal,
    kl_vmf_uniform,
)
from jaxvae.losses.kl_weights import capacity, cyclical_warmup, free_bits, warmup
from jaxvae.losses.levels import (
    categorical_log_prob,
    categorical_nll,
    discretized_logistic_log_prob,
    discretized_logistic_mixture_log_prob,
    discretized_logistic_mixture_nll,
    discretized_logistic_nll,
)
from jaxvae.losses.mixtures import MixtureKL, kl_gaussian_components, mixture_kl
from jaxvae.losses.ordinal import ordinal_log_prob, ordinal_nll
from jaxvae.losses.regularizers import (
    codebook_loss,
    commitment_loss,
    half_squared_norm,
    projected_jacobian,
    squared_jacobian,
    squared_weights,
)
from jaxvae.losses.residuals import (
    diagonal_gaussian_nll,
    gaussian_log_prob,
    gaussian_nll,
    laplace_log_prob,
    laplace_nll,
    log_cosh,
    log_normal_log_prob,
    log_normal_nll,
    optimal_gaussian_nll,
    squared_error,
)
from jaxvae.losses.ssim import ms_ssim, ms_ssim_loss

__all__ = [
    "LOG_2PI", "KLParts", "MixtureKL", "bernoulli_cross_entropy", "bernoulli_log_prob", "beta_elbo", "capacity",
    "categorical_log_prob", "categorical_nll", "ciwae_bound", "codebook_loss", "commitment_loss",
    "continuous_bernoulli_log_prob", "continuous_bernoulli_nll", "covariance_penalty", "cyclical_warmup",
    "diagonal_gaussian_nll", "discretized_logistic_log_prob", "discretized_logistic_mixture_log_prob",
    "discretized_logistic_mixture_nll", "discretized_logistic_nll", "elbo", "feature_matching", "free_bits",
    "gaussian_log_prob", "gaussian_nll", "gradient_penalty", "half_squared_norm", "hinge_discriminator", "iwae_bound",
    "kl_categorical", "kl_categorical_uniform", "kl_diagonal_gaussians", "kl_full_covariance",
    "kl_gaussian_components", "kl_parts", "kl_standard_normal", "kl_vmf_uniform", "laplace_log_prob", "laplace_nll",
    "least_squares_discriminator", "least_squares_generator", "log_aggregate", "log_cosh", "log_normal_log_prob",
    "log_normal_nll", "log_softplus", "marginal_elbo", "miwae_bound", "mixture_kl", "mmd", "ms_ssim", "ms_ssim_loss",
    "negative_binomial_log_prob", "negative_binomial_nll", "non_saturating_discriminator", "non_saturating_generator",
    "optimal_gaussian_nll", "ordinal_log_prob", "ordinal_nll", "perceptual_distance", "permuted_dimensions",
    "poisson_log_prob", "poisson_nll", "projected_jacobian", "sliced_wasserstein", "softplus", "squared_error",
    "squared_jacobian", "squared_weights", "warmup", "wasserstein_critic", "wasserstein_generator",
    "zero_inflated_log_prob", "zero_inflated_negative_binomial_nll",
]  # fmt: skip
