"""Hamiltonian posterior: leapfrog steps along the gradient of log p(x, z)."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.common.errors import UserError


class HamiltonianFlow(dist.Distribution):
    """Tempered leapfrog steps from `base` on the target `log_joint` (arXiv:1805.11328, algorithm 1).

    The flow acts on (z, momentum). `sample_and_log_prob` therefore returns, instead of log q(z|x), the log-ratio of the
    densities of the pair and of its final momentum: exp(log p(x, z) - log-ratio) has the mean p(x), so that the bounds
    computed from it are bounds on log p(x) (equation 8). The density of z alone is not known.

    Attributes:
      base: a diagonal Gaussian, batch shape `[...]`, event shape `[d]`.
      log_joint: `z [..., d] -> log p(x, z) [...]`, a pytree (`jax.tree_util.Partial`).
      step_size: `[d]`.
      tempering: beta_0 `[]` in (0, 1): the first momentum has variance 1 / beta_0.
      num_steps: leapfrog steps.
    """

    MAX_STEP: ClassVar[float] = 0.5
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType]
    pytree_data_fields = ("base", "log_joint", "step_size", "tempering")
    pytree_aux_fields = ("num_steps",)

    def __init__(self, base, log_joint, step_size, tempering, num_steps, *, validate_args=None):
        self.base, self.log_joint, self.num_steps = base, log_joint, num_steps
        self.step_size, self.tempering = step_size, tempering
        super().__init__(base.batch_shape, base.event_shape, validate_args=validate_args)

    @property
    def mean(self):
        """Mean of the base, where the flow starts."""
        return self.base.mean

    @property
    def variance(self):
        """Variance of the base."""
        return self.base.variance

    def sample_and_log_prob(self, key, sample_shape=()):
        start_key, momentum_key = jax.random.split(key)
        z = self.base.rsample(start_key, sample_shape)
        log_q = self.base.log_prob(z)
        noise = jax.random.normal(momentum_key, z.shape)
        force = jax.grad(lambda z: jnp.sum(self.log_joint(z)))
        root = 1 / jnp.sqrt(self.tempering)  # 1 / sqrt(beta), from here to 1 (section 3.2, quadratic tempering)
        momentum = noise * root
        for k in range(1, self.num_steps + 1):
            momentum = momentum + self.step_size / 2 * force(z)
            z = z + self.step_size * momentum
            momentum = momentum + self.step_size / 2 * force(z)
            cooler = (1 - 1 / jnp.sqrt(self.tempering)) * (k / self.num_steps) ** 2 + 1 / jnp.sqrt(self.tempering)
            momentum, root = momentum * cooler / root, cooler
        # The volume change of tempering cancels the scale of the first momentum; the normalising constants cancel too.
        log_ratio = 0.5 * jnp.sum(jnp.square(momentum) - jnp.square(noise), axis=-1)
        return z, log_q + log_ratio

    def sample(self, key, sample_shape=()):
        return self.sample_and_log_prob(key, sample_shape)[0]

    def rsample(self, key, sample_shape=()):
        return self.sample(key, sample_shape)

    def log_prob(self, value):
        raise UserError(
            "A Hamiltonian posterior has no density of a given z, only of its own draws. Where one is needed, take "
            "another posterior: 'diagonal_gaussian' or a flow."
        )
