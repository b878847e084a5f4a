"""What training follows where an objective stops or replaces a gradient on purpose, written out by hand.

Each function returns `{part of the model: (params) -> []}`, functions whose slopes are the gradients of training.
`at` is the point at which they are taken, where all that does not move is computed.
"""

import gradient_tools as gt
import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
from gradient_tools import X

from jaxvae.distributions.kl import analytic_kl
from jaxvae.models import reparameterize
from jaxvae.models.base import with_state


def log_joint(model, params, z):
    return model.decode(params, z).log_prob(X) + model.prior(params).log_prob(z)


def mean(log_weights):
    return jnp.mean(log_weights, axis=0)


def log_mean_exp(log_weights):
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(len(log_weights))


def fixed_score(model, at, bound, num):
    """STL: log q(z|x) is that of a posterior which does not move; z does."""
    fixed = model.encode(at.params["model"], X)

    def loss(params):
        z = reparameterize(gt.terms_key(), model.encode(params["model"], X), num)
        return -jnp.mean(bound(log_joint(model, params["model"], z) - fixed.log_prob(z)))

    return dict.fromkeys(("encoder", "decoder", "prior"), loss)


def squared_weights(model, at, beta, num):
    """DReG: the encoder follows log w through z alone, by the factor (1 - beta) w + beta w^2."""
    fixed, fixed_q = at.params["model"], model.encode(at.params["model"], X)

    def log_weights(params):
        z = reparameterize(gt.terms_key(), model.encode(params["model"], X), num)
        log_ratio = model.prior(fixed).log_prob(z) - fixed_q.log_prob(z)
        return model.decode(fixed, z).log_prob(X) + beta * log_ratio

    weights = jax.nn.softmax(jax.jit(log_weights)(at.params), axis=0)
    factor = (1 - beta) * weights + beta * weights**2
    return {"encoder": lambda params: -jnp.mean(jnp.sum(factor * log_weights(params), axis=0))}


def other_objective(name, *parts, **options):
    """These parts follow the loss of another objective."""
    return lambda model, at: dict.fromkeys(parts, gt.mean_loss(tools.make(name, model, **options), at.extra))


def fixed_singular_vectors(model, at):
    """Spectral normalisation: the singular vectors u and v do not move."""
    kernel = at.params["model"]["decoder"]["Dense_0"]["kernel"]
    left = kernel @ at.extra["transform"]["1"]
    left = left / np.linalg.norm(left)
    right = left @ kernel / np.linalg.norm(left @ kernel)
    plain = gt.mean_loss(tools.make("rae", model, weight=0.0, latent_weight=0.2), {})

    def loss(params):
        layer = params["model"]["decoder"]["Dense_0"]
        used = {**layer, "kernel": layer["kernel"] / (left @ layer["kernel"] @ right)}
        return plain({"model": {**params["model"], "decoder": {"Dense_0": used}}})

    return {"encoder": loss, "decoder": loss}


def straight_through(model, at, relaxed):
    """The decoder's input moves as the draw of the relaxed model does: one-hot vectors with the softmax."""

    def soft(params):
        return reparameterize(gt.terms_key(), relaxed.encode(params["model"], X))

    start = jax.jit(soft)(at.params)
    hard = jax.nn.one_hot(jnp.argmax(start, axis=-1), start.shape[-1])

    def loss(params):
        z = hard + soft(params) - start
        kl = analytic_kl(relaxed.encode(params["model"], X), relaxed.prior(params["model"]))
        return jnp.mean(kl - model.decode(params["model"], z).log_prob(X))

    return {"encoder": loss, "decoder": loss}


def quantized(model, at, commitment=0.0, codebook=0.0):
    """The decoder's input moves as what was rounded; commitment moves the encoder alone, the other term the codebook.

    Which codes were chosen does not move, nor do they carry a gradient to whatever chose them.
    """
    state = at.extra.get("model", {})
    fixed = model.encode(with_state(at.params["model"], state), X)
    one_hot = jax.nn.one_hot(fixed.codes, model.latent.num_codes)

    def loss(params):
        params = with_state(params["model"], state)
        inputs = model.encode(params, X).inputs
        nll = -model.decode(params, fixed.values + inputs - fixed.inputs).log_prob(X)
        nll = nll - model.prior(params).codes.log_prob(fixed.codes)
        chosen = one_hot @ model.latent.codebook(params["posterior"]) if codebook else fixed.values
        penalty = commitment * jnp.square(inputs - fixed.values) + codebook * jnp.square(fixed.inputs - chosen)
        return jnp.mean(nll + jnp.sum(penalty, axis=(-2, -1)))

    return dict.fromkeys(("encoder", "decoder", "posterior", "prior"), loss)


def implicit(model, at):
    """The cosine of a von Mises-Fisher draw in R^3 moves so that its distribution function keeps its value."""
    fixed = jax.jit(model.encode)(at.params["model"], X)
    z = jax.jit(reparameterize)(gt.terms_key(), fixed)
    level = jnp.exp(fixed.concentration * (jnp.sum(z * fixed.loc, axis=-1) - 1))
    level = (level - jnp.exp(-2 * fixed.concentration)) / -jnp.expm1(-2 * fixed.concentration)

    def loss(params):
        q = model.encode(params["model"], X)
        cosine = 1 + jnp.log(level + (1 - level) * jnp.exp(-2 * q.concentration)) / q.concentration
        drawn = reparameterize(gt.terms_key(), q)  # for the direction about loc: the angle may be another draw
        tangent = drawn - jnp.sum(drawn * q.loc, axis=-1, keepdims=True) * q.loc
        tangent = tangent / jnp.linalg.norm(tangent, axis=-1, keepdims=True)
        z = cosine[:, None] * q.loc + jnp.sqrt(1 - cosine**2)[:, None] * tangent
        return jnp.mean(analytic_kl(q, model.prior(params["model"])) - model.decode(params["model"], z).log_prob(X))

    return {"encoder": loss, "decoder": loss}
