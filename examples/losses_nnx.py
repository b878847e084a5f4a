"""Eleven objectives from `jaxvae.losses` in a plain Flax NNX loop, which needs no other part of the package.

python examples/losses_nnx.py                     # all of them for 5 epochs on scikit-learn's digits, one line each
python examples/losses_nnx.py tcvae --epochs=50   # one
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

from jaxvae import losses

LATENTS, BATCH, WARMUP = 8, 128, 100


class VAE(nnx.Module):
    """Encoder and decoder of one hidden layer each, for x `[B, 64]`."""

    def __init__(self, rngs: nnx.Rngs, hidden: int = 128):
        self.encoder = nnx.Sequential(
            nnx.Linear(64, hidden, rngs=rngs), nnx.tanh, nnx.Linear(hidden, 2 * LATENTS, rngs=rngs)
        )
        self.decoder = nnx.Sequential(
            nnx.Linear(LATENTS, hidden, rngs=rngs), nnx.tanh, nnx.Linear(hidden, 64, rngs=rngs)
        )


class Draw(NamedTuple):
    """One pass: x `[B, 64]`, q(z|x) = N(mean, exp(logvar)) with z from it `[B, LATENTS]`, logits `[B, 64]` of x."""

    key: jax.Array
    step: jax.Array
    x: jax.Array
    mean: jax.Array
    logvar: jax.Array
    z: jax.Array
    logits: jax.Array

    @property
    def pixels(self) -> jax.Array:
        return nnx.sigmoid(self.logits)

    @property
    def cross_entropy(self) -> jax.Array:
        """-E log p(x|z), `[B]` nats."""
        return losses.bernoulli_cross_entropy(self.logits, self.x)

    @property
    def kl(self) -> jax.Array:
        """KL(q(z|x) || N(0, I)), `[B]` nats."""
        return losses.kl_standard_normal(self.mean, self.logvar)

    @property
    def prior(self) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(self.key, 1), self.z.shape)


def elbo(d: Draw) -> jax.Array:
    """VAE with cross-entropy."""
    return -losses.elbo(-d.cross_entropy, d.kl)


def squared_error(d: Draw) -> jax.Array:
    """VAE with squared error."""
    return losses.squared_error(d.pixels, d.x) + d.kl


def log_cosh(d: Draw) -> jax.Array:
    """VAE with log-cosh loss."""
    return losses.log_cosh(d.pixels, d.x) + d.kl


def optimal_sigma(d: Draw) -> jax.Array:
    """Optimal sigma-VAE."""
    return losses.optimal_gaussian_nll(d.pixels, d.x) + d.kl


def annealed(d: Draw) -> jax.Array:
    """VAE with KL annealing."""
    return d.cross_entropy + losses.warmup(d.step, WARMUP) * d.kl


def free_bits(d: Draw) -> jax.Array:
    """VAE with free bits, 0.25 nats for each latent variable."""
    by_variable = jax.vmap(losses.kl_standard_normal)(d.mean.T[..., None], d.logvar.T[..., None])  # [LATENTS, B]
    return d.cross_entropy + losses.free_bits(by_variable, 0.25)


def capacity(d: Draw) -> jax.Array:
    """Beta-VAE with a capacity that rises to 5 nats."""
    return d.cross_entropy + losses.capacity(d.kl, 5 * losses.warmup(d.step, WARMUP), 10.0)


def tcvae(d: Draw) -> jax.Array:
    """Beta-TCVAE with beta = 6."""
    pairs = losses.gaussian_log_prob(d.mean, d.logvar, d.z[:, None])  # [B, B, LATENTS], log q(z_i|x_j)
    log_posterior = jnp.sum(losses.gaussian_log_prob(d.mean, d.logvar, d.z), axis=-1)
    log_prior = jnp.sum(losses.gaussian_log_prob(jnp.zeros(LATENTS), jnp.zeros(LATENTS), d.z), axis=-1)
    information, correlation, dimensions = losses.kl_parts(log_posterior, pairs, log_prior, train_size=1797)
    return d.cross_entropy + information + 6 * correlation + dimensions


def dip(d: Draw) -> jax.Array:
    """DIP-VAE II."""
    return elbo(d) + losses.covariance_penalty(d.mean, jnp.exp(d.logvar))


def info(d: Draw) -> jax.Array:
    """VAE with an MMD penalty between aggregated posterior and prior, as in InfoVAE."""
    return elbo(d) + 10 * losses.mmd(d.z, d.prior)


def swae(d: Draw) -> jax.Array:
    """Sliced-Wasserstein autoencoder."""
    return losses.squared_error(d.pixels, d.x) + 10 * losses.sliced_wasserstein(d.key, d.mean, d.prior)


OBJECTIVES: dict[str, Callable[[Draw], jax.Array]] = {
    each.__name__: each
    for each in (elbo, squared_error, log_cosh, optimal_sigma, annealed, free_bits, capacity, tcvae, dip, info, swae)
}


def train(objective: Callable[[Draw], jax.Array], epochs: int, seed: int = 0) -> list[float]:
    """Train on digits; return the mean loss of each epoch in nats per example."""
    x = np.asarray(load_digits(return_X_y=True)[0], np.float32) / 16
    model = VAE(nnx.Rngs(seed))
    optimizer = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)

    @nnx.jit
    def update(model: VAE, optimizer: nnx.Optimizer, key: jax.Array, step: jax.Array, x: jax.Array) -> jax.Array:
        noise_key, objective_key = jax.random.split(key)

        def loss(model: VAE) -> jax.Array:
            mean, logvar = jnp.split(model.encoder(x), 2, axis=-1)
            z = mean + jnp.exp(0.5 * logvar) * jax.random.normal(noise_key, mean.shape)
            draw = Draw(objective_key, step, x, mean, logvar, z, model.decoder(z))
            return jnp.mean(objective(draw))  # over the batch, once, last

        value, gradients = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    rng, key, means, step = np.random.default_rng(seed), jax.random.key(seed), [], 0
    for _ in range(epochs):
        rows = rng.permutation(len(x))[: len(x) // BATCH * BATCH].reshape(-1, BATCH)
        values = []
        for batch in rows:
            step_key, images = jax.random.fold_in(key, step), jnp.asarray(x[batch])
            values.append(update(model, optimizer, step_key, jnp.asarray(step), images))
            step += 1
        means.append(float(np.mean(values)))
    return means


def main() -> None:
    """Train the objectives named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("objectives", nargs="*", metavar="OBJECTIVE", help=f"all by default: {', '.join(OBJECTIVES)}")
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    if unknown := set(args.objectives) - set(OBJECTIVES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(OBJECTIVES)}")
    for name in args.objectives or OBJECTIVES:
        means = train(OBJECTIVES[name], args.epochs)
        print(f"{name:<14} loss {means[0]:8.3f} -> {means[-1]:8.3f}")


if __name__ == "__main__":
    main()
