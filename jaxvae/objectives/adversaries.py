"""What adversarial objectives share: the losses of a discriminator and of what it judges, and their group."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.errors import unknown
from jaxvae.common.types import Array, Key, Params
from jaxvae.losses.adversarial import PAIRS, AdversarialPair
from jaxvae.models.base import Model, context_args, noise_key
from jaxvae.models.discriminator import NAME, Discriminator
from jaxvae.models.facts import Batch
from jaxvae.objectives.base import Objective, of_model
from jaxvae.objectives.elbo import check_weights
from jaxvae.objectives.spectral import spectral_normalisation


class Game(NamedTuple):
    """Losses of a discriminator against a generator.

    Attributes:
      discriminator: its scores are high for what counts as real.
      pair: the two losses.
      r1: weight of the squared slope of the scores at real examples, halved.
      gradient_penalty: weight of the distance of this slope from 1, between real and generated examples.
    """

    discriminator: Discriminator
    pair: AdversarialPair = PAIRS["non_saturating"]
    r1: float = 0.0
    gradient_penalty: float = 0.0

    def judge(
        self, params: Params, real: Array, fakes: Sequence[Array], key: Key, context: Array | None = None
    ) -> dict[str, Array]:
        """Return the discriminator's loss and accuracy, `[B]` each, as metrics; the loss includes the penalties.

        Args:
          params: of the discriminator, which its gradient follows.
          real: `[B, *input_shape]`; no gradient passes to it, nor to `fakes`.
          fakes: one array or more of the same shape, which weigh equally and together as much as `real`.
          key: for points between real and generated examples.
          context: `[B, C]` where the discriminator takes one.
        """
        real, *fakes = jax.lax.stop_gradient([real, *fakes])
        score = partial(self.discriminator.scores, params, context=context)
        metrics = self.compared(score(real), [score(fake) for fake in fakes])
        if self.r1:
            slopes = losses.gradient_penalty(_slopes(score, real), 0.0)
            metrics["discriminator_loss"] += 0.5 * self.r1 * slopes
        if self.gradient_penalty:
            share = jax.random.uniform(key, (len(real), *(1,) * (real.ndim - 1)))
            between = share * real + (1 - share) * fakes[0]
            penalty = losses.gradient_penalty(_slopes(score, between))
            metrics["discriminator_loss"] += self.gradient_penalty * penalty
        return metrics

    def compared(self, real: Array, fakes: Sequence[Array]) -> dict[str, Array]:
        """Return the discriminator's loss, without penalties, and accuracy, `[B]` each, for scores `[B, ...]`."""
        metrics = {"discriminator_loss": _average([self.pair.discriminator(real, fake) for fake in fakes])}
        if self.pair.threshold is not None:
            right = [real > self.pair.threshold, _average([fake < self.pair.threshold for fake in fakes])]
            metrics["discriminator_accuracy"] = _average([_per_example(jnp.asarray(each, float)) for each in right])
        return metrics

    def fool(self, params: Params, fakes: Sequence[Array], context: Array | None = None) -> Array:
        """Return the generator's loss `[B]`, averaged over `fakes`; no gradient passes to the discriminator."""
        score = partial(self.discriminator.scores, jax.lax.stop_gradient(params), context=context)
        return _average([self.pair.generator(score(fake)) for fake in fakes])


def make_game(
    objective: str, discriminator: Discriminator, loss: str = "non_saturating", r1: float = 0.0,
    gradient_penalty: float = 0.0,
) -> Game:  # fmt: skip
    """Build the game of an objective, see `Game`.

    Args:
      objective: its name, for messages.
      discriminator: judges.
      loss: "non_saturating", "hinge", "least_squares" or "wasserstein".
      r1: weight of the penalty R1 (Mescheder et al. 2018, arXiv:1801.04406, equation 9).
      gradient_penalty: weight of the gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).

    Raises:
      UserError: an unknown loss, or a weight below 0.
    """
    if loss not in PAIRS:
        raise unknown("objective.loss", loss, PAIRS)
    check_weights(objective, r1=r1, gradient_penalty=gradient_penalty)
    return Game(discriminator, PAIRS[loss], r1, gradient_penalty)


def of_game(
    model: Model,
    discriminator: Discriminator,
    terms: Callable,
    whole_batch: str = "",
    fixed: Mapping[str, Callable[[Key], Params]] = MappingProxyType({}),
    loops: bool = True,
) -> Objective:
    """Build the objective of a model and the group "discriminator", see `of_model`.

    Args:
      model: the model to train.
      discriminator: its parameters are the group; with spectral normalisation the state is that of `of_model`.
      terms: `(params, batch, key, ctx, groups) -> (pass, metrics)`; the discriminator minimises
        `metrics["discriminator_loss"]`.
      whole_batch: see `Objective`.
      fixed: as in `of_model`.
      loops: of other networks than these two, see `Objective`.
    """

    def with_losses(*args):
        out, metrics = terms(*args)
        return out, metrics, {NAME: metrics["discriminator_loss"]}

    transforms = {NAME: spectral_normalisation()} if discriminator.spectral_norm else {}
    return of_model(
        model, with_losses, whole_batch, groups={NAME: discriminator.init}, fixed=fixed, transforms=transforms,
        loops=loops and discriminator.loops,
    )  # fmt: skip


def decoded_means(model: Model, params: Params, z: Array, batch: Batch, key: Key | None) -> Array:
    """Decode z `[K, B, *latent_shape]` to means of p(x|z) `[K, B, *data_shape]`; in training mode with a key."""
    context = context_args(batch.get("context"))
    if model.training is None or key is None:
        return model.decode(params, z, *context).mean
    return model.training.decode(params, noise_key(key), z, *context)[0].mean


def _slopes(score: Callable[[Array], Array], x: Array) -> Array:
    """Return the gradient of each example's score by itself, `[B, ...]`; of the mean over its patches."""
    return jax.grad(lambda x: jnp.sum(_per_example(score(x))))(x)


def _per_example(scores: Array) -> Array:
    return jnp.mean(scores, axis=tuple(range(1, scores.ndim)))


def _average(values: Sequence[Array]) -> Array:
    return jnp.mean(jnp.stack(values), axis=0)
