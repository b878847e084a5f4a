"""Sampler that fits a normalizing flow to the codes of the training set, in R^n or on a Poincaré ball."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae import priors
from jaxvae.common.errors import unknown
from jaxvae.common.types import Key, Params
from jaxvae.distributions.autoregressive import with_network
from jaxvae.latent.samplers.base import Codes, Draw, Sampler, compiled
from jaxvae.latent.samplers.fitting import check_fits, check_training, coordinates, minimise
from jaxvae.models.base import Model
from jaxvae.networks import Pure
from jaxvae.priors.flows import KINDS

HEADROOM = 4.0  # scale of the fitted codes: the flow only contracts towards its Gaussian, so the codes must be wider
REACH = 4 * HEADROOM  # bound on a network's inputs: 4 standard deviations of the codes
STEEPEST = 4.0  # bound on a network's log-scales: a layer scales by sigmoid(2 + output), its inverse by 8.4 at most


def flow(
    kind: str = "autoregressive",
    num_flows: int = 4,
    hidden: Sequence[int] = (128, 128),
    steps: int = 2000,
    batch_size: int = 256,
) -> Sampler:
    """Normalizing flow fitted by maximum likelihood, masked autoregressive by default (arXiv:1705.07057).

    It is fitted to one z ~ q(z|x) per example; the parameters with the best held-out likelihood are kept. Its networks
    are `Bounded`. The temperature scales the base Gaussian of the flow: at 0 all draws are the image of its mean.

    Args:
      kind: "autoregressive" or "coupling", as in the prior 'flow'; "coupling" needs more codes.
      num_flows: number of layers, with the dimensions reversed between them.
      hidden: widths of the layers' networks.
      steps: of Adam.
      batch_size: codes per step.

    Raises:
      UserError: an option out of its range.
    """
    if kind not in KINDS:
        raise unknown("kind of the sampler 'flow'", kind, KINDS)
    check_training("flow", hidden, num_flows=num_flows, steps=steps, batch_size=batch_size)

    def fit(model: Model, params: Params, codes: Codes, key: Key) -> Draw:
        del params
        check_fits("flow", model)
        space, (start, train) = coordinates(model, codes.draws), jax.random.split(key)
        data = HEADROOM * space.to(codes.draws)
        built = priors.flow(data.shape[1], kind, num_flows, hidden)

        def bounded(params) -> Any:
            p: Any = built.build(params, model.encode)
            return type(p)(p.base_dist, [with_network(layer, Bounded) for layer in p.transforms])

        def loss(params, rows, key):
            del key
            return -bounded(params).log_prob(rows)

        fitted = minimise(loss, built.init(start), data, train, steps, batch_size, 2e-3)

        def draw(fitted, key, num, temperature):
            p = bounded(fitted)
            z = temperature * p.base_dist.sample(key, (num,))
            for layer in p.transforms:
                z = layer(z)
            return space.back(z / HEADROOM)

        return compiled("flow", draw, fitted)

    return Sampler(fit)


@dataclasses.dataclass(frozen=True)
class Bounded:
    """A layer's network with inputs bounded by REACH and log-scales bounded by STEEPEST.

    So a layer is an affine map with bounded coefficients far out, and no draw diverges: without bounds, the error of
    each dimension is multiplied into the next.
    """

    net: Pure

    def __call__(self, params, x, context):
        outputs: Any = self.net(params, REACH * jnp.tanh(x / REACH), context)
        shift, log_scale = outputs
        return shift, STEEPEST * jnp.tanh(log_scale / STEEPEST)
