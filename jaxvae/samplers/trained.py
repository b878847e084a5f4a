"""Samplers that the model brings with it: its prior, and the posteriors of some inputs."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import check, within
from jaxvae.common.types import Key, Params
from jaxvae.distributions.spaces import Space
from jaxvae.models.base import Model, centre
from jaxvae.models.sampling import draw_prior
from jaxvae.samplers.base import Codes, Draw, Sampler, compiled

AT_A_TIME = 64  # draws from posteriors: under a VampPrior each is one of all components


def unscaled(model: Model) -> Space | None:
    """The space of latents that have no multiples, which no temperature can scale; None in R^n."""
    return None if model.latent.space.is_linear else model.latent.space


def prior() -> Sampler:
    """The model's own prior; the temperature scales z about its mean, in R^n only."""

    def fit(model: Model, params: Params, codes: Codes | None, key: Key) -> Draw:
        del codes, key

        def draw(params, key, num, temperature):
            return draw_prior(model, params, key, num, temperature)

        return compiled("prior", draw, params, unscaled(model))

    return Sampler(fit, needs_codes=False)


def pseudo_inputs(components: int = 500) -> Sampler:
    """The mixture of the posteriors of some inputs, all alike in weight (arXiv:1705.07120, equation 9).

    For a model with the prior 'vamp' the inputs are its own learned ones. For others they are `components` training
    examples, of those that `encode_all` kept: an estimate of the aggregated posterior, that of draws and not of
    centres. The temperature scales z about the centre of its component, in R^n only.

    Raises:
      UserError: fewer than 1 component. `fit` refuses more components than there are examples to take.
    """
    check("sampler", "pseudo_inputs", components=(components, within(1)))

    def fit(model: Model, params: Params, codes: Codes, key: Key) -> Draw:
        del key
        learned = "pseudo_inputs" in params.get("prior", {})
        if not learned and len(codes.inputs) < components:
            raise UserError(
                f"The sampler 'pseudo_inputs' got components={components}, but there are only {len(codes.inputs)} "
                "training examples to take: take fewer."
            )
        inputs = None if learned else jnp.asarray(codes.inputs[:components])
        space = model.latent.space

        def draw(tree, key, num, temperature):
            params, inputs = tree
            mixture: Any = model.prior(params) if learned else None

            def one(key):
                choice, noise = jax.random.split(key)
                q: Any
                if learned:  # its posteriors are at hand for all pseudo-inputs together only
                    q, index = mixture.component_distribution, mixture.mixing_distribution.sample(choice)
                else:
                    q, index = model.encode(params, inputs[jax.random.randint(choice, (), 0, len(inputs))]), ...
                z, middle = q.sample(noise), centre(q)
                return (middle + temperature * (z - middle) if space.is_linear else z)[index]

            return jax.lax.map(one, jax.random.split(key, num), batch_size=AT_A_TIME)

        return compiled("pseudo_inputs", draw, (params, inputs), unscaled(model))

    return Sampler(fit)
