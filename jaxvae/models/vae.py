"""Build a model with one latent from posterior, prior, likelihood and network."""

from collections.abc import Sequence
from typing import Any

import chex
import jax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Distribution, Key, Params, Tree
from jaxvae.distributions import Coded, Shaped
from jaxvae.distributions import Sequence as SequenceDistribution
from jaxvae.distributions.decoding import Write, greedy
from jaxvae.distributions.structure import observed_log_prob
from jaxvae.likelihoods import Likelihood
from jaxvae.models.base import Model, Pass, Training, noise_key, require_context
from jaxvae.models.coder import STATE, initial_state, make_coders, network_input
from jaxvae.models.facts import Data, Latent, State
from jaxvae.networks import Network
from jaxvae.posteriors import Posterior
from jaxvae.priors import Prior
from jaxvae.priors.base import ANY


def make_model(
    posterior: Posterior,
    prior: Prior,
    likelihood: Likelihood,
    network: Network,
    *,
    data_shape: tuple[int, ...],
    write: Write | None = None,
    context_dim: int = 0,
    context_to: Sequence[str] = ("encoder", "decoder"),
    mask_input: bool = False,
) -> Model:
    """Build a model with one latent from its parts, with network sizes from the data.

    Args:
      posterior: q(z|x).
      prior: p(z), on the posterior's space.
      likelihood: p(x|z).
      network: builders of encoder and decoder.
      data_shape: the shape of one example.
      write: decoding of sequences; greedy by default.
      context_dim: C for a model conditional on a context `[..., C]`.
      context_to: the networks that get the context, "encoder" and "decoder"; a prior with `takes_context` gets it too.
      mask_input: for data with missing values: the encoder gets the mask of observed values after x, whose missing
        values are 0, on the last axis: features `[2 F]`, images `[H, W, 2 C]` (zero imputation with the mask, Ma et
        al. 2018, arXiv:1809.11142).

    Raises:
      UserError: prior and posterior have different spaces, a prior of encoded pseudo-inputs would need a context,
        nothing takes the context, or `mask_input` for sequences.
    """
    if not fits(prior, posterior):
        raise UserError(f"The prior's latents live in {prior.space}, the posterior's in {posterior.space}.")
    if context_dim and not context_to and not prior.takes_context:
        raise UserError("The model has a context, but no part of it takes one: see `context_to`, or leave it out.")
    if context_dim and prior.learns_inputs and "encoder" in context_to and not prior.takes_context:
        raise UserError(
            "This prior encodes pseudo-inputs, which have no context, and the encoder needs one: set context.prior to "
            "True, so that they are encoded at the context of each example, or context.encoder to False, or take "
            "'standard_normal' or another prior that encodes nothing."
        )
    if mask_input and network.is_sequential:
        raise UserError("Values of sequences cannot be missing: take data without missing values, or another network.")
    with_context = prior.takes_context and not (prior.learns_inputs and "encoder" not in context_to)
    input_shape, output_shape = likelihood.input_shape(data_shape, mask_input), likelihood.output_shape(data_shape)
    sizes = posterior.num_outputs, _decoded_shape(prior, posterior), output_shape
    coders = tuple(
        each._replace(context_dim=context_dim * (each.name in context_to))
        for each in make_coders(network, input_shape, *sizes)
    )
    encoder, decoder = coders
    data = Data(tuple(data_shape), network.is_sequential)
    write = write or greedy()

    def init(key: Key) -> Params:
        encoder_key, decoder_key, posterior_key, prior_key, likelihood_key = jax.random.split(key, 5)
        params = {
            "encoder": encoder.init(encoder_key).get("params", {}),
            "decoder": decoder.init(decoder_key).get("params", {}),
            "posterior": posterior.init(posterior_key),
            "prior": prior.init(prior_key),
            "likelihood": likelihood.init(likelihood_key),
        }
        return {name: value for name, value in params.items() if jax.tree.leaves(value)}

    def encode(params: Params, x: Array, context: Array | None = None, mask: Array | None = None) -> Distribution:
        return run_encoder(params, None, x, context, mask)[0]

    def run_encoder(
        params: Params, key: Key | None, x: Array, context: Array | None = None, mask: Array | None = None
    ) -> tuple[Distribution, Tree]:
        chex.assert_shape(x, (..., *data.given_shape))
        seen = encoder.context(context, context_dim)
        outputs, state = encoder(params, network_input(likelihood, x, mask, mask_input), seen, key)
        log_joint = jax.tree_util.Partial(joint, params, x, context, mask)  # a pytree: distributions are
        return posterior.build(params.get("posterior", {}), outputs, log_joint), state

    def decode(params: Params, z: Array, context: Array | None = None) -> Distribution:
        return run_decoder(params, None, z, context)[0]

    def run_decoder(
        params: Params, key: Key | None, z: Array, context: Array | None = None
    ) -> tuple[Distribution, Tree]:
        chex.assert_shape(z, (..., *posterior.latent_shape))
        of_likelihood = {"context": context} if likelihood.takes_context else {}
        if likelihood.takes_context:
            require_context(context_dim, context)
        context = decoder.context(context, context_dim)
        z = z[..., : -prior.noise_dim] if prior.noise_dim else z
        batch = z.shape[: z.ndim - len(posterior.latent_shape)]
        if network.is_sequential:
            own = decoder.variables(params), params.get("likelihood", {})
            return SequenceDistribution(*own, z, context, key, written, likelihood.build, write, batch, data_shape), {}
        outputs, state = decoder(params, z, context, key)
        flat = outputs.reshape(*batch, *likelihood.flat_shape(data_shape))
        return Shaped(likelihood.build(params.get("likelihood", {}), flat, **of_likelihood), data_shape), state

    def make_prior(params: Params, context: Array | None = None) -> Distribution:
        if with_context:
            require_context(context_dim, context)
        options = {"context": context} if with_context else {}
        built = prior.build(params.get("prior", {}), lambda x, *given: encode(params, x, *given), **options)
        return built if posterior.codebook is None else Coded(built, posterior.codebook(params.get("posterior", {})))

    def joint(params: Params, x: Array, context: Array | None, mask: Array | None, z: Array) -> Array:
        log_prior: Any = make_prior(params, context).log_prob(z)
        return observed_log_prob(decode(params, z, context), x, mask) + log_prior

    def init_state(key: Key) -> Tree:
        return {**posterior.init_state(key), **initial_state(coders, noise_key(key))}

    def update_state(state: Tree, out: Pass, key: Key) -> Tree:
        following = posterior.update_state(state, out.posterior, key)
        return {**following, STATE: {**state[STATE], **out.state}} if STATE in state else following

    written = decoder.checked()  # one object, so that sequences of a model share a pytree structure
    has_state = jax.eval_shape(init_state, jax.random.key(0))
    if network.is_sequential and "decoder" in has_state.get(STATE, {}):
        raise UserError(
            "The decoder of a sequence cannot have state of its own, such as running statistics: it would change "
            "at each step. Take layer normalisation instead of batch normalisation."
        )
    whole_batch = "the codebook follows the outputs of the whole batch" if "posterior" in has_state else ""
    if STATE in has_state:
        names = sorted({name for state in has_state[STATE].values() for name in state})
        whole_batch = f"its networks have state ({', '.join(names)}) that follows the whole batch"
    penalty = posterior.penalty
    return Model(
        init=init,
        encode=encode,
        decode=decode,
        prior=make_prior,
        latent=latent_of(posterior),
        data=data,
        likelihood=likelihood,
        context_dim=context_dim,
        mask_input=mask_input,
        state=State(init_state, update_state, whole_batch),
        penalty=None if penalty is None else lambda out: penalty(out.posterior),
        metrics=lambda out: posterior.metrics(out.posterior),
        training=Training(run_encoder, run_decoder),
        noise_dim=prior.noise_dim,
        fit_prior=prior.fit,
        loops=network.loops,
        last_layer=decoder.network.last_layer,
    )


def _decoded_shape(prior: Prior, posterior: Posterior) -> tuple[int, ...]:
    """Return the shape of the part of z that the decoder gets."""
    *leading, last = posterior.latent_shape
    return *leading, last - prior.noise_dim


def latent_of(posterior: Posterior) -> Latent:
    """Return the facts about z from a posterior."""
    return Latent(
        posterior.latent_shape,
        posterior.space,
        posterior.is_density,
        posterior.is_density and posterior.knows_density,
        posterior.is_relaxed,
        posterior.has_soft_codes,
        posterior.codebook,
        posterior.num_codes,
        posterior.is_implicit,
    )


def fits(prior: Prior, posterior: Posterior) -> bool:
    """Return whether prior and posterior share a latent space."""
    return prior.space == posterior.space or (prior.space == ANY and not posterior.space.is_discrete)
