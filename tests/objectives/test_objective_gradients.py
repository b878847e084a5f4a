"""The gradient of every objective at fixed noise, by all parameters, against central differences in float64.

PLAIN holds the objectives whose gradient is that of their loss. In REPLACED, gradients are stopped or replaced on
purpose: `gradient_replacements` holds the functions whose slope training follows instead.
"""

from functools import partial

import gradient_replacements as instead
import gradient_tools as gt
import jax
import numpy as np
import objective_tools as tools
import pytest
from gradient_tools import small
from slow_cases import fast

from jaxvae import likelihoods, posteriors, priors
from jaxvae.objectives import KL_WEIGHTS, OBJECTIVES

MC = {"kl_estimate": "monte_carlo"}
CONSTANT, CAPACITY, FREE_BITS = (KL_WEIGHTS[name] for name in ("constant", "capacity", "free_bits"))
POINT = partial(small, lambda: likelihoods.squared_error("tanh"), posteriors.delta)
LEARNED_NOISE = partial(small, lambda: likelihoods.gaussian(learn="shared"))
FULL = partial(small, posterior=posteriors.full_covariance)
MIXTURE = partial(small, prior=lambda dim: priors.mixture_of_gaussians(dim, 3))
NESTED = partial(small, prior=lambda dim: priors.nested_mixture(dim, 1, 3, (4,)))
VAMP = partial(small, prior=lambda _: priors.vamp((6,), (0.0, 1.0), 3))
BALL = partial(small, posterior=posteriors.wrapped_normal, prior=priors.wrapped_normal)
SPHERE = partial(small, posterior=posteriors.von_mises_fisher, prior=priors.uniform_sphere, dim=3)
HAMILTONIAN = partial(small, posterior=lambda dim: posteriors.hamiltonian(dim, 2))
IAF = partial(small, posterior=lambda dim: posteriors.inverse_autoregressive_flow(dim, 2, (4,), 2))


def with_flows(posterior, kind):
    return partial(small, posterior=lambda dim: posterior(dim, 2), prior=lambda dim: priors.flow(dim, kind, 2, (4,)))


def codes(posterior, prior=priors.uniform_categorical, **options):
    return partial(small, posterior=lambda dim: posterior(dim, **options), prior=lambda dim: prior(dim, 3))


def autoregressive(dim, num_codes):
    return priors.autoregressive_codes(dim, num_codes, (4,), 2)


RELAXED = codes(posteriors.gumbel_softmax, categories=3)
PLAIN = {  # objective, model, options
    "elbo": ("elbo", small, {"num_samples": 2}),
    "elbo below its capacity": ("elbo", small, {"kl": CAPACITY(100, nats=100.0, gamma=3.0)}),
    "elbo above its capacity": ("elbo", LEARNED_NOISE, {"kl": CAPACITY(100, nats=0.01, gamma=3.0)}),
    "elbo with free bits": ("elbo", small, {"kl": FREE_BITS(100, nats=0.3)}),
    "elbo, mixture": ("elbo", MIXTURE, MC),
    "elbo, vamp": ("elbo", VAMP, MC),
    "elbo, full covariance": ("elbo", FULL, {}),
    "elbo, planar and flow prior": ("elbo", with_flows(posteriors.planar_flow, "autoregressive"), MC),
    "elbo, radial and coupling prior": ("elbo", with_flows(posteriors.radial_flow, "coupling"), MC),
    "elbo, inverse autoregressive": ("elbo", IAF, MC),
    "elbo, hamiltonian": ("elbo", HAMILTONIAN, MC),
    "elbo, ball": ("elbo", BALL, MC),
    "elbo, gumbel": ("elbo", RELAXED, {}),
    "iwae": ("iwae", MIXTURE, {"num_samples": 3, "kl": KL_WEIGHTS["linear"](100, fraction=0.5)}),
    "miwae": ("miwae", small, {"num_samples": 2, "num_bounds": 2, "kl": KL_WEIGHTS["cyclic"](100, cycles=1)}),
    "ciwae": ("ciwae", small, {"num_samples": 3, "mix": 0.3}),
    "beta_tcvae": ("beta_tcvae", small, {"alpha": 0.5, "gamma": 2.0}),
    "beta_tcvae, weighted": ("beta_tcvae", small, {"estimator": "weighted"}),
    "dip_vae I": ("dip_vae", small, {"kind": 1, "lambda_off_diagonal": 3.0}),
    "dip_vae II": ("dip_vae", small, {}),
    "dip_vae II, full covariance": ("dip_vae", FULL, MC),
    "vade": ("vade", MIXTURE, {"num_samples": 2}),
    "gmvae": ("gmvae", NESTED, {"num_samples": 2}),
    "gmvae below its least information": ("gmvae", MIXTURE, {"minimum_information": 1.0}),
    "info_vae": ("info_vae", small, {"alpha": 0.3, "lambda_": 5.0}),
    "wae_mmd": ("wae_mmd", POINT, {}),
    "wae_mmd, rbf": ("wae_mmd", small, {"kernel": "rbf"}),
    "swae": ("swae", POINT, {"num_projections": 4}),
    "reconstruction": ("reconstruction", small, {}),
    "denoising": ("denoising", small, {"noise": "salt_and_pepper"}),
    "contractive": ("contractive", POINT, {"weight": 2.0}),
    "contractive, gaussian": ("contractive", small, {}),
    "rae": ("rae", POINT, {"weight": 0.3, "latent_weight": 0.2}),
    "dfc_vae": ("dfc_vae", small, {"weight": 5.0, "pixel_weight": 0.5, "num_samples": 2}),
    "dfc_vae, lpips": ("dfc_vae", small, {"weight": 5.0, "distance": "lpips"}),
    "rae, gradient penalty": ("rae", POINT, {"penalty": "gradient", "weight": 0.3, "latent_weight": 0.2}),
}


SLOW = ("beta_tcvae, weighted", "dip_vae II, full covariance", "wae_mmd, rbf", "contractive, gaussian",
        "elbo, radial and coupling prior", "info_vae, mixture", "elbo, vamp", "elbo, vq without ema",
        "elbo, sphere", "elbo, planar and flow prior", "iwae, stl", "miwae", "info_vae", "elbo, ball",
        "gmvae below its least information", "elbo, mixture", "elbo above its capacity", "dip_vae I",
        "elbo, full covariance", "rae", "dfc_vae, lpips")  # fmt: skip


def cases(of):
    return fast(of, *(case for case in of if case not in SLOW))


STL = {"num_samples": 3, "gradient": "stl"}
DREG = {"num_samples": 3, "gradient": "dreg", "kl": CONSTANT(0.7)}
PARTIAL = {"num_bounds": 2, "num_samples": 2}
VQ = {"codebook_size": 3, "code_dim": 2}
REPLACED = {  # objective, model, options, (model, point) -> {part: what it follows}
    "elbo, stl": ("elbo", MIXTURE, {**MC, **STL}, partial(instead.fixed_score, bound=instead.mean, num=3)),
    "iwae, stl": ("iwae", MIXTURE, STL, partial(instead.fixed_score, bound=instead.log_mean_exp, num=3)),
    "iwae, dreg": ("iwae", MIXTURE, DREG, partial(instead.squared_weights, beta=0.7, num=3)),
    "piwae": ("piwae", MIXTURE, PARTIAL, instead.other_objective("miwae", "encoder", **PARTIAL)),
    "rae, spectral": ("rae", POINT, {"penalty": "spectral", "latent_weight": 0.2}, instead.fixed_singular_vectors),
    "info_vae, mixture": ("info_vae", MIXTURE, MC, instead.other_objective("info_vae", "prior", **MC, lambda_=1.0)),
    "elbo, gumbel straight-through": (
        "elbo", codes(posteriors.gumbel_softmax, categories=3, straight_through=True), {},
        partial(instead.straight_through, relaxed=RELAXED())),
    "elbo, vq": ("elbo", codes(posteriors.vector_quantized, **VQ, commitment=0.5), {},
                 partial(instead.quantized, commitment=0.5)),
    "elbo, vq without ema": (
        "elbo", codes(posteriors.vector_quantized, autoregressive, **VQ, ema=False), {},
        partial(instead.quantized, commitment=0.25, codebook=1.0)),
    "reconstruction, fsq": ("reconstruction", codes(posteriors.finite_scalar, grid=(3,)), {}, instead.quantized),
    "elbo, sphere": ("elbo", SPHERE, {}, instead.implicit),
}  # fmt: skip


def slopes_of(name, model, options, references=None):
    with jax.enable_x64(True):
        model = model()
        objective = tools.make(name, model, **options)
        at = gt.point(objective)
        return gt.slopes(objective, at, references(model, at) if references else {})


@pytest.mark.parametrize("case", cases(PLAIN))
def test_training_follows_the_slope_of_its_loss(case):
    gradient, differences = slopes_of(*PLAIN[case])
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-7)
    assert np.all(np.abs(gradient) > 1e-4), "every leaf is trained"


@pytest.mark.parametrize("case", cases(REPLACED))
def test_training_follows_the_slope_that_replaces_the_one_of_its_loss(case):
    gradient, differences = slopes_of(*REPLACED[case])
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-7)
    assert np.all(np.abs(gradient) > 1e-4), "every leaf is trained"


def test_every_objective_has_a_row():
    """Those with further groups have theirs in files of their own."""
    others = tools.OF_LABELS | tools.ADVERSARIAL
    assert {name for name, *_ in (*PLAIN.values(), *REPLACED.values())} == OBJECTIVES.keys() - others
