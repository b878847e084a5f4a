"""Distributions that NumPyro lacks, with its interface: pytrees, `sample(key, shape)`, `log_prob(value)` in nats."""

from jaxvae.distributions.pixels import Bernoulli, Shaped, SquaredError

__all__ = ["Bernoulli", "Shaped", "SquaredError"]
