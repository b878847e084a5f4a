"""A VAE with a training loop of one's own, on `jaxvae.losses` alone: pure functions, no model class, no config.

python examples/own_loop.py            # binarised 8x8 digits, a few seconds on CPU
"""
# ruff: noqa: D103

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits

from jaxvae import losses

ENCODER = nn.Sequential([nn.Dense(128), nn.relu, nn.Dense(2 * 8)])  # pixels to mean and log-variance of 8 latents
DECODER = nn.Sequential([nn.Dense(128), nn.relu, nn.Dense(64)])  # latents to the log-odds of the pixels
OPTIMIZER = optax.adam(2e-3)


def encode(params: dict, x: jax.Array) -> list[jax.Array]:
    return jnp.split(ENCODER.bind(params["encoder"])(x), 2, axis=-1)


def reparameterize(key: jax.Array, mean: jax.Array, logvar: jax.Array) -> jax.Array:
    return mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)


def decode(params: dict, z: jax.Array) -> jax.Array:
    return DECODER.bind(params["decoder"])(z)


def loss(params: dict, key: jax.Array, x: jax.Array) -> jax.Array:  # the negative ELBO, in nats per image
    mean, logvar = encode(params, x)
    logits = decode(params, reparameterize(key, mean, logvar))
    return -jnp.mean(losses.elbo(-losses.bernoulli_cross_entropy(logits, x), losses.kl_standard_normal(mean, logvar)))


@jax.jit
def step(params: dict, opt_state: optax.OptState, key: jax.Array, x: jax.Array) -> tuple[dict, optax.OptState]:
    updates, opt_state = OPTIMIZER.update(jax.grad(loss)(params, key, x), opt_state)
    return jax.tree.map(jnp.add, params, updates), opt_state


def main(num_epochs: int = 40, seed: int = 0) -> float:  # the ELBO of the test set
    train, test = jnp.split(1.0 * (load_digits(return_X_y=True)[0] >= 8), [22 * 64])  # 22 batches and 389 images
    encoder_key, decoder_key, order_key, noise_key, test_key = jax.random.split(jax.random.key(seed), 5)
    params = {"encoder": ENCODER.init(encoder_key, test), "decoder": DECODER.init(decoder_key, jnp.zeros(8))}
    opt_state = OPTIMIZER.init(params)
    for epoch in range(num_epochs):
        train = jax.random.permutation(jax.random.fold_in(order_key, epoch), train)
        for i, x in enumerate(jnp.split(train, 22)):
            params, opt_state = step(params, opt_state, jax.random.fold_in(noise_key, 22 * epoch + i), x)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: test ELBO {-loss(params, test_key, test):.2f} nats")
    return -float(loss(params, test_key, test))


if __name__ == "__main__":
    main()
