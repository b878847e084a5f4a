"""Prior as a learned normalizing flow."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.common.errors import UserError, unknown
from jaxvae.distributions import Autoregressive, Coupling, FlowDistribution, Reverse
from jaxvae.networks import CouplingNet, Made, Pure, check_widths
from jaxvae.priors.base import Prior

KINDS = ("autoregressive", "coupling")


def flow(
    latent_dim: int,
    kind: str = "autoregressive",
    num_flows: int = 4,
    hidden: Sequence[int] = (128, 128),
    context_size: int = 0,
) -> Prior:
    """Normalizing flow of N(0, I) (arXiv:1611.02731, section 3.2).

    Args:
      latent_dim: the length of z.
      kind: "autoregressive": log p(z), used in training, takes one pass of the network, and a draw latent_dim passes;
        its inverse is an IAF. "coupling": both take one pass (arXiv:1605.08803).
      num_flows: number of layers, with the dimensions reversed between them.
      hidden: widths of the layers' networks.
      context_size: C of a conditional model, whose layers see the context too; 0 for p(z).

    Raises:
      UserError: an unknown kind, no layer, or coupling in 1 dimension, where it has no effect.
    """
    if kind not in KINDS:
        raise unknown("kind of flow prior", kind, KINDS)
    if num_flows < 1:
        raise UserError(f"The prior 'flow' got num_flows={num_flows}; it needs at least 1.")
    if kind == "coupling" and latent_dim < 2:
        raise UserError("A coupling flow needs model.latent_dim of 2 or more: one part of z changes given the other.")
    check_widths(hidden=hidden)
    is_autoregressive = kind == "autoregressive"
    net = Pure((Made if is_autoregressive else CouplingNet)(tuple(hidden)))
    mask = tuple(i < latent_dim // 2 for i in range(latent_dim))

    def init(key):
        keys = jax.random.split(key, num_flows)
        context = jnp.zeros(context_size) if context_size else None
        return {f"flow_{i}": net.init(k, jnp.zeros(latent_dim), context) for i, k in enumerate(keys)}

    def build(params, encode, context=None):
        del encode
        layers = []
        for i in range(num_flows):
            one = params[f"flow_{i}"]
            layer = Autoregressive(net, one, context).inv if is_autoregressive else Coupling(net, one, mask, context)
            layers += [Reverse()] * bool(i) + [layer]
        return FlowDistribution(dist.Normal(jnp.zeros(latent_dim), jnp.ones(latent_dim)).to_event(1), layers)

    return Prior(build, init, takes_context=bool(context_size))
