"""Objectives of plain autoencoders: without a KL, mostly for the posterior 'delta'."""

import jax
import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.structure import observed_log_prob
from jaxvae.models.base import Model, Pass, centre, decoded, encode_batch, encoded
from jaxvae.models.facts import Batch
from jaxvae.objectives.base import UNCHANGED, Objective, StepContext, of_model
from jaxvae.objectives.elbo import check_weights
from jaxvae.objectives.spectral import spectral_normalisation

NOISES = ("gaussian", "masking", "salt_and_pepper")
PENALTIES = ("l2", "gradient", "spectral")


def reconstruction(model: Model, at_centre: bool = False) -> Objective:
    """Autoencoder loss -log p(x|z). With a stochastic posterior z is drawn once per example.

    Args:
      model: any model.
      at_centre: z is the centre of q(z|x) instead, so that the loss has no noise, and does not train its spread.
    """

    def terms(params, batch, key, ctx):
        out = _forward(model, params, key, batch, ctx, at_centre)
        return out, {"loss": -out.log_likelihood[0], "reconstruction": -out.log_likelihood[0]}

    return of_model(model, terms)


def denoising(
    model: Model,
    pixel_range: tuple[float, float] = (0.0, 1.0),
    noise: str = "masking",
    level: float = 0.3,
    at_centre: bool = False,
) -> Objective:
    """Denoising autoencoder loss -log p(x|z), z encoded from a corrupted x (doi:10.1145/1390156.1390294).

    Args:
      model: any model; with a stochastic posterior z is drawn once per example.
      pixel_range: the least and the greatest value of the data.
      noise: "masking", "gaussian" or "salt_and_pepper", see `corrupt`.
      level: strength of the noise.
      at_centre: as in `reconstruction`.

    Raises:
      UserError: an unknown noise, a level out of its range, Gaussian noise on counts, or sequences.
    """
    if noise not in NOISES:
        raise unknown("noise", noise, NOISES)
    most = float("inf") if noise == "gaussian" else 1
    if not 0 <= level <= most:
        allowed = "0 or more" if noise == "gaussian" else "from 0 to 1: the fraction of changed values"
        raise UserError(f"objective.level is {level}; with the noise '{noise}' it must be {allowed}.")
    if noise == "gaussian" and model.likelihood.is_of_counts:
        raise UserError(
            "Counts with Gaussian noise can be negative, and their encoder takes a logarithm: take "
            "objective.noise=masking."
        )
    if model.data.is_sequential:
        raise UserError(
            "The objective 'denoising' adds noise to single values, which would make other words or pieces of a "
            "sequence. Take 'reconstruction' or 'elbo', and network.word_dropout."
        )

    def terms(params, batch, key, ctx):
        corrupt_key, pass_key = jax.random.split(key)
        corrupted = {**batch, "x": corrupt(corrupt_key, batch["x"], noise, level, pixel_range)}
        out = _forward(model, params, pass_key, corrupted, ctx, at_centre)
        loss = -observed_log_prob(out.likelihood, batch["x"], batch.get("mask"))[0]
        return out, {"loss": loss, "reconstruction": loss}

    return of_model(model, terms)


def _forward(model: Model, params: Params, key: Key, batch: Batch, ctx: StepContext, at_centre: bool) -> Pass:
    """Return `model.forward`, or the pass at the centre of q(z|x)."""
    if not at_centre:
        return model.forward(params, key, batch, is_training=ctx.is_training)
    noise = key if ctx.is_training else None
    posterior, state = encoded(model, params, batch, noise)
    z = centre(posterior)[None]
    out = decoded(model, params, batch, posterior, (z, jnp.zeros(z.shape[:2])), noise)
    return out._replace(state={**state, **out.state})


def corrupt(key: Key, x: Array, noise: str, level: float, pixel_range: tuple[float, float] = (0.0, 1.0)) -> Array:
    """Corrupt each value of `x` with independent noise.

    "gaussian" adds noise of standard deviation `level`. "masking" sets a random fraction `level` of all values to the
    least value; "salt_and_pepper" sets it to the least or the greatest, each with probability 1/2.
    """
    low, high = pixel_range
    if noise == "gaussian":
        return x + level * jax.random.normal(key, x.shape)
    u = jax.random.uniform(key, x.shape)
    second = low if noise == "masking" else high  # of the two halves of the changed values
    return jnp.where(u < level / 2, low, jnp.where(u < level, second, x))


def contractive(model: Model, weight: float = 0.1) -> Objective:
    """Contractive loss -log p(x|z) + weight |dz/dx|^2, the encoder's squared Jacobian (Rifai et al. 2011).

    The Jacobian is that of the centre of q(z|x). It costs one backward pass through the encoder per latent dimension.

    Args:
      model: any model of continuous data and latents.
      weight: of the squared Jacobian; lambda in the paper.

    Raises:
      UserError: a weight below 0, latents that are codes, or text.
    """
    check_weights("contractive", weight=weight)
    if model.latent.space.is_discrete:
        raise UserError(
            "The objective 'contractive' penalises the Jacobian of z with respect to x, and codes change in steps: "
            "take a posterior with continuous latents, 'delta' for example."
        )
    if model.data.is_text:
        raise UserError(
            "The objective 'contractive' penalises the Jacobian of z with respect to x, but tokens are whole numbers, "
            "without gradients: take 'reconstruction' or 'elbo'."
        )

    def terms(params, batch, key, ctx):
        out = model.forward(params, key, batch, is_training=ctx.is_training)
        penalty = losses.squared_jacobian(lambda x: centre(encode_batch(model, params, {**batch, "x": x})), batch["x"])
        return out, {
            "loss": weight * penalty - out.log_likelihood[0],
            "reconstruction": -out.log_likelihood[0],
            "contraction": penalty,
        }

    return of_model(model, terms)


def rae(model: Model, penalty: str = "l2", latent_weight: float = 1e-4, weight: float = 1e-6) -> Objective:
    """Regularised autoencoder: -log p(x|z) + latent_weight |z|^2 / 2 + weight L_REG (arXiv:1903.12436, section 3).

    Args:
      model: its posterior must be a point; the loss does not depend on its prior.
      penalty: L_REG: "l2", the sum of squares of the decoder's parameters; "gradient", the squared Frobenius norm of
        the Jacobian J of the decoder's mean at z, estimated without bias as |J v|^2 with one random direction
        v ~ N(0, I) for each example; "spectral", none, but each of the decoder's kernels is divided by its largest
        singular value, also in the trained model.
      latent_weight: beta.
      weight: lambda; unused with "spectral".

    Raises:
      UserError: an unknown penalty, a weight below 0, or a posterior that is not a point in R^n.
    """
    check_weights("rae", latent_weight=latent_weight, weight=weight)
    if penalty not in PENALTIES:
        raise unknown("penalty", penalty, PENALTIES)
    if model.latent.is_density or model.latent.is_implicit or model.latent.space.is_discrete:
        raise UserError(
            "The objective 'rae' regularises the decoder instead of sampling from a stochastic posterior: nothing "
            "would train the posterior's spread. Take the posterior 'delta'."
        )

    def terms(params, batch, key, ctx):
        pass_key, direction_key = jax.random.split(key)
        out = model.forward(params, pass_key, batch, is_training=ctx.is_training)
        z, reconstruction = out.z[0], -out.log_likelihood[0]
        squares = losses.half_squared_norm(z)
        metrics = {"reconstruction": reconstruction, "latent_norm": squares}
        loss = reconstruction + latent_weight * squares
        if penalty == "l2":
            metrics["decoder_penalty"] = losses.squared_weights(params["decoder"])
        elif penalty == "gradient":
            direction = jax.random.normal(direction_key, z.shape)
            decoded_mean = lambda z: model.decode(params, z, batch.get("context")).mean  # noqa: E731
            metrics["decoder_penalty"] = losses.projected_jacobian(decoded_mean, z, direction)
        if "decoder_penalty" in metrics:
            loss = loss + weight * metrics["decoder_penalty"]
        return out, {"loss": loss, **metrics}

    return of_model(model, terms, transform=spectral_normalisation("decoder") if penalty == "spectral" else UNCHANGED)
