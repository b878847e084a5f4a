"""Samplers without a fit: the model's prior, and a mixture of posteriors of some inputs."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import check, within
from jaxvae.common.types import Key, Params
from jaxvae.distributions.spaces import Space
from jaxvae.latent.samplers.base import Codes, Draw, Sampler, compiled
from jaxvae.models.base import Model, centre, encode_batch
from jaxvae.models.facts import batch_of
from jaxvae.models.sampling import draw_prior

AT_A_TIME = 64  # draws from posteriors; under a VampPrior each draws from all components


def unscaled(model: Model) -> Space | None:
    """Return the latent space where no temperature can scale z, since it has no multiples; None in R^n."""
    return None if model.latent.space.is_linear else model.latent.space


def prior() -> Sampler:
    """The model's own prior. The temperature scales z about the mean of the prior, in R^n only."""

    def fit(model: Model, params: Params, codes: Codes | None, key: Key) -> Draw:
        del codes, key

        def draw(params, key, num, temperature):
            return draw_prior(model, params, key, num, temperature)

        return compiled("prior", draw, params, unscaled(model))

    return Sampler(fit, needs_codes=False)


def pseudo_inputs(components: int = 500) -> Sampler:
    """Equally weighted mixture of the posteriors of some inputs (arXiv:1705.07120, equation 9).

    For a model with the prior 'vamp' the inputs are its learned pseudo-inputs. For other models they are `components`
    of the training examples kept by `encode_all`, and the mixture estimates the aggregate posterior. The temperature
    scales z about the centre of its component, in R^n only.

    Args:
      components: the number of training examples, K, for models without learned pseudo-inputs.

    Raises:
      UserError: fewer than 1 component. `fit` refuses more components than examples.
    """
    check("sampler", "pseudo_inputs", components=(components, within(1)))

    def fit(model: Model, params: Params, codes: Codes, key: Key) -> Draw:
        del key
        learned = "pseudo_inputs" in params.get("prior", {})
        if not learned and len(codes.inputs) < components:
            raise UserError(
                f"The sampler 'pseudo_inputs' got components={components}, but there are only {len(codes.inputs)} "
                "training examples: take fewer."
            )
        inputs: Any = None
        if not learned:
            beside = (None if a is None else jnp.asarray(a[:components]) for a in (codes.contexts, codes.masks))
            inputs = batch_of(jnp.asarray(codes.inputs[:components]), *beside)
        space = model.latent.space

        def draw(tree, key, num, temperature):
            params, inputs = tree
            mixture: Any = model.prior(params) if learned else None

            def one(key):
                choice, noise = jax.random.split(key)
                q: Any
                if learned:  # the prior holds the posteriors of all pseudo-inputs together
                    q, index = mixture.component_distribution, mixture.mixing_distribution.sample(choice)
                else:
                    row = jax.random.randint(choice, (), 0, len(inputs["x"]))
                    q, index = encode_batch(model, params, {name: array[row] for name, array in inputs.items()}), ...
                z, middle = q.sample(noise), centre(q)
                return (middle + temperature * (z - middle) if space.is_linear else z)[index]

            return jax.lax.map(one, jax.random.split(key, num), batch_size=AT_A_TIME)

        return compiled("pseudo_inputs", draw, (params, inputs), unscaled(model))

    return Sampler(fit)
