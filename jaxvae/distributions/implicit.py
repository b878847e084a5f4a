"""Distribution of a network's outputs for random inputs: draws with gradients, and no known density."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.common.errors import UserError


class Implicit(dist.Distribution):
    """z = f(outputs, noise) with noise ~ N(0, I) (Mescheder et al. 2017, arXiv:1701.04722, section 3).

    Attributes:
      transform: `(params, outputs [..., F], noise [..., N]) -> z [..., d]`, static.
      params: of `transform`.
      outputs: `[..., F]`, of an encoder.
      noise_dim: N.
      dim: d.
    """

    support = constraints.real_vector  # pyright: ignore[reportAssignmentType]
    pytree_data_fields = ("params", "outputs")
    pytree_aux_fields = ("transform", "noise_dim", "dim")

    def __init__(self, transform, params, outputs, noise_dim, dim, *, validate_args=None):
        self.transform, self.params, self.outputs = transform, params, outputs
        self.noise_dim, self.dim = noise_dim, dim
        super().__init__(outputs.shape[:-1], (dim,), validate_args=validate_args)

    @property
    def centre(self):
        """The point at noise 0, `[..., d]`."""
        return self.transform(self.params, self.outputs, jnp.zeros((*self.batch_shape, self.noise_dim)))

    @property
    def mean(self):
        """The centre; the mean has no closed form."""
        return self.centre

    def rsample(self, key, sample_shape=()):
        assert key is not None
        shape = (*sample_shape, *self.outputs.shape[:-1])
        noise = jax.random.normal(key, (*shape, self.noise_dim))
        return self.transform(self.params, jnp.broadcast_to(self.outputs, (*shape, self.outputs.shape[-1])), noise)

    def sample(self, key, sample_shape=()):
        return self.rsample(key, sample_shape)

    def sample_and_log_prob(self, key, sample_shape=()):
        """Draw z with gradients; the log-densities are NaN, since they are not known."""
        z = self.rsample(key, sample_shape)
        return z, jnp.full(z.shape[:-1], jnp.nan)

    def log_prob(self, value):
        raise UserError(
            "An implicit posterior has no known density. Where one is needed, take another posterior: "
            "'diagonal_gaussian' or a flow."
        )
