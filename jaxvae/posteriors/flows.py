"""Posteriors as invertible maps of a diagonal Gaussian."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.common.ranges import between, check, within
from jaxvae.distributions import Autoregressive, FlowDistribution, HamiltonianFlow, Planar, Radial, Reverse
from jaxvae.networks import Made, Pure, check_widths
from jaxvae.posteriors.base import Posterior
from jaxvae.posteriors.gaussian import split_moments


def planar_flow(latent_dim: int, num_flows: int = 10) -> Posterior:
    """Planar flows, with parameters from the encoder for each example (arXiv:1505.05770, section 4.2).

    Args:
      latent_dim: the length of z.
      num_flows: the number of flows, K.
    """
    return _amortized(
        "planar_flow", latent_dim, num_flows, (latent_dim, latent_dim, 1), lambda u, w, b: Planar(u, w, b[..., 0])
    )


def radial_flow(latent_dim: int, num_flows: int = 10) -> Posterior:
    """Radial flows, with parameters from the encoder for each example (arXiv:1505.05770, section 4.2).

    Args:
      latent_dim: the length of z.
      num_flows: the number of flows, K.
    """
    return _amortized(
        "radial_flow", latent_dim, num_flows, (latent_dim, 1, 1), lambda c, a, b: Radial(c, a[..., 0], b[..., 0])
    )


def _amortized(name, latent_dim, num_flows, sizes, flow) -> Posterior:
    check("posterior", name, num_flows=(num_flows, within(1)))
    per_flow = sum(sizes)

    def build(params, outputs, log_joint):
        del params, log_joint
        mean, scale = split_moments(outputs[..., : 2 * latent_dim])
        flows = []
        for i in range(num_flows):
            start = 2 * latent_dim + i * per_flow
            pieces = jnp.split(outputs[..., start : start + per_flow], [sizes[0], sizes[0] + sizes[1]], axis=-1)
            flows.append(flow(*pieces))
        return FlowDistribution(dist.Normal(mean, scale).to_event(1), flows)

    return Posterior((latent_dim,), 2 * latent_dim + num_flows * per_flow, build)


def inverse_autoregressive_flow(
    latent_dim: int, num_flows: int = 2, hidden: Sequence[int] = (320,), context_dim: int = 64
) -> Posterior:
    """Inverse autoregressive flow: gated layers given `context_dim` encoder outputs (arXiv:1606.04934, algorithm 1).

    Args:
      latent_dim: the length of z.
      num_flows: the number of layers, with the dimensions reversed between them.
      hidden: widths of the masked network of each layer.
      context_dim: the number of encoder outputs that each layer sees, the length of h.
    """
    check("posterior", "inverse_autoregressive_flow", num_flows=(num_flows, within(1)))
    check_widths(hidden=hidden, context_dim=(context_dim,))
    net = Pure(Made(tuple(hidden)))

    def init(key):
        x, context = jnp.zeros(latent_dim), jnp.zeros(context_dim)
        return {f"flow_{i}": net.init(k, x, context) for i, k in enumerate(jax.random.split(key, num_flows))}

    def build(params, outputs, log_joint):
        del log_joint
        mean, scale = split_moments(outputs[..., : 2 * latent_dim])
        context = outputs[..., 2 * latent_dim :]
        flows = []
        for i in range(num_flows):
            flows += [Reverse()] * bool(i) + [Autoregressive(net, params[f"flow_{i}"], context)]
        return FlowDistribution(dist.Normal(mean, scale).to_event(1), flows)

    return Posterior((latent_dim,), 2 * latent_dim + context_dim, build, init)


def hamiltonian(latent_dim: int, num_steps: int = 3, step_size: float = 0.05, tempering: float = 0.5) -> Posterior:
    """Hamiltonian VAE: leapfrog steps on log p(x, z) from a Gaussian, with tempering (arXiv:1805.11328).

    The step sizes, by dimension, and the tempering are learned from these initial values.

    Args:
      latent_dim: the length of z.
      num_steps: leapfrog steps, K.
      step_size: initial step size of each dimension, in units of z; above 0 and below 0.5.
      tempering: initial beta_0 between 0 and 1: the first momentum has the variance 1 / beta_0.

    Raises:
      UserError: a number out of its range.
    """
    check(
        "posterior",
        "hamiltonian",
        num_steps=(num_steps, within(1)),
        step_size=(step_size, between(0, HamiltonianFlow.MAX_STEP)),
        tempering=(tempering, between(0, 1)),
    )

    def init(key):
        del key
        ratio = step_size / HamiltonianFlow.MAX_STEP
        return {
            "step_size": jnp.full(latent_dim, jnp.log(ratio / (1 - ratio))),
            "tempering": jnp.log(jnp.asarray(tempering / (1 - tempering))),
        }

    def build(params, outputs, log_joint):
        mean, scale = split_moments(outputs)
        step = HamiltonianFlow.MAX_STEP * jax.nn.sigmoid(params["step_size"])
        base = dist.Normal(mean, scale).to_event(1)
        return HamiltonianFlow(base, log_joint, step, jax.nn.sigmoid(params["tempering"]), num_steps)

    return Posterior((latent_dim,), 2 * latent_dim, build, init, knows_density=False)
