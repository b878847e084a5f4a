"""The grid: every config, and every legal pair of parts, under one contract.

A pair that the mathematics forbids must be refused with a reason; every other one must train: finite loss and metrics,
a gradient for every parameter, one compilation for many steps, the same bits twice.
"""

import itertools

import jax
import numpy as np
import pytest
from grid_tools import (
    CONFIGS,
    LEGAL,
    STEPS,
    WITHOUT_CONFIG,
    check,
    conditional,
    config_of,
    has_a_loss,
    incomplete,
    legal,
    loaded,
    setup,
    small,
)
from slow_cases import fast

from jaxvae.common.errors import UserError
from jaxvae.experiment import build
from jaxvae.runs import checkpoints

# A point, a model in the posterior, an own state. The slopes of all objectives and parts are in other files, as is what
# networks learn.
TRAINED = ("ae", "hvae", "vq_vae")


# An actor is nothing without its first stage: see tests/runs/test_latent_constraint_runs.py.
WHOLE_RUNS = [name for name in CONFIGS if name != "latent_constraints"]


@pytest.mark.parametrize("name", fast(WHOLE_RUNS, *WHOLE_RUNS[::4]))
def test_every_config_has_a_loss(name):
    """Nothing is compiled."""
    has_a_loss(small(loaded(name)))


# Refused with a context: its labels are known by half.
WITH_CONTEXT = [name for name in WHOLE_RUNS if name != "classifier"]


@pytest.mark.parametrize("name", fast(WITH_CONTEXT, *WITH_CONTEXT[::3]))
def test_every_config_has_a_loss_given_a_context(name):
    """Nothing is compiled."""
    has_a_loss(conditional(small(loaded(name))))


# Refused: the likelihood compares whole examples, or a value of a sequence cannot be missing.
WHOLE = {
    "dfc_vae": "compares whole examples",
    "kl_autoencoder": "compares whole examples",
    "vq_gan": "compares whole examples",
    "msssim_vae": "compares whole examples",
    "music_vae": "of sequences",
    "text_vae": "of sequences",
    "ssvae_text": "of sequences",
}


@pytest.mark.parametrize("name", fast(WHOLE_RUNS, *WHOLE, "vq_vae", "wae_mmd"))
def test_every_config_has_a_loss_of_observed_values(name):
    config = small(incomplete(loaded(name)))
    if name in WHOLE:
        with pytest.raises(UserError, match=WHOLE[name]):
            setup(config)
    else:
        has_a_loss(config)


@pytest.mark.parametrize("name", fast([name for name in WHOLE_RUNS if name not in WHOLE], "miwae_missing"))
def test_every_config_trains_on_observed_values(name):
    check(small(incomplete(loaded(name))))


@pytest.mark.parametrize("name", fast(WITH_CONTEXT, "flow_prior"))
def test_every_config_trains_on_a_context(name):
    check(conditional(small(loaded(name))))


@pytest.mark.parametrize("name", fast(WHOLE_RUNS, *TRAINED))
def test_every_config(name, tmp_path):
    config = small(loaded(name))
    state = check(config)
    kept = checkpoints.Checkpoints(tmp_path / "checkpoints")
    weights, rest = {"params": state.params, "extra": state.extra}, {"opt_state": state.opt_state, "step": state.step}
    kept.save(6, weights, rest, {})
    kept.wait()
    step, *found, _ = kept.restore_latest(weights, rest)
    kept.close()
    assert step == 2 * STEPS
    for saved, got in zip(jax.tree.leaves((weights, rest)), jax.tree.leaves(tuple(found)), strict=True):
        np.testing.assert_array_equal(saved, got)


def pairs(*kinds):
    names = [list(build.PARTS[kind]) for kind in kinds]
    return [dict(zip(kinds, pair, strict=True)) for pair in itertools.product(*names)]


def ids(pair):
    return "-".join(pair.values())


EUCLIDEAN = ("standard_normal", "conditional_normal", "mixture_of_gaussians", "nested_mixture", "vamp", "flow")
CODES = ("uniform_categorical", "autoregressive_codes")
FITTING = {
    "delta": ("standard_normal",),  # nothing would train another
    # It has no density to mix for a VampPrior.
    "hamiltonian": ("standard_normal", "conditional_normal", "mixture_of_gaussians", "nested_mixture", "flow"),
    "implicit": ("standard_normal", "conditional_normal", "mixture_of_gaussians", "nested_mixture", "flow"),  # likewise
    "gumbel_softmax": ("uniform_categorical",),  # no gradient would pass through the other
    "vector_quantized": CODES,
    "finite_scalar": CODES,
    "von_mises_fisher": ("uniform_sphere", "vamp"),
    "wrapped_normal": ("wrapped_normal", "vamp"),
}


WITHOUT_OWN_CONFIG = {"posterior": "vector_quantized", "prior": "autoregressive_codes"}
LEGAL_PAIRS = [
    pair for pair in pairs("posterior", "prior") if pair["prior"] in FITTING.get(pair["posterior"], EUCLIDEAN)
]


@pytest.mark.parametrize("pair", pairs("posterior", "prior"), ids=ids)
def test_a_posterior_with_a_prior_is_legal_or_refused_with_a_reason(pair):
    config = config_of(**pair)
    if pair in LEGAL_PAIRS:
        setup(config)
    else:
        with pytest.raises(UserError):
            setup(config)


def test_the_configs_have_every_posterior_prior_and_objective():
    """So that each is trained; their pairs are too."""
    used = list(map(loaded, CONFIGS))
    for kind in ("posterior", "prior", "objective"):
        names = {(config if kind == "objective" else config["model"])[kind]["name"] for config in used}
        assert names == set(build.PARTS[kind]) - WITHOUT_CONFIG


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(pair, id=ids(pair), marks=[] if pair == WITHOUT_OWN_CONFIG else pytest.mark.slow)
        for pair in LEGAL_PAIRS
    ],
)
def test_posterior_with_prior(pair):
    check(config_of(**pair))


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair", [pair for kinds in LEGAL if kinds != ("posterior", "prior") for pair in pairs(*kinds)], ids=ids
)
def test_every_other_pair(pair):
    config = config_of(**pair)
    if legal(config):
        check(config)


@pytest.mark.slow
@pytest.mark.parametrize(("kinds", "num"), LEGAL.items())
def test_how_many_pairs_are_legal(kinds, num):
    """Of the pairs tested here. A change of these numbers is one of docs/design.md too."""
    assert sum(legal(config_of(**pair)) for pair in pairs(*kinds)) == num
