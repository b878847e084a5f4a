"""Train a VAE on your own array with `train.fit`: no config, no folder.

python examples/fit_arrays.py            # a few seconds on CPU
"""

import jax
import numpy as np
import optax
from sklearn.datasets import load_digits

from jaxvae import data, likelihoods, make_model, networks, objectives, posteriors, priors, sample, train


def main(num_steps: int = 500, seed: int = 0) -> float:
    """Train on binarised digits; return the mean loss of the last 50 steps, in nats per example."""
    x = (load_digits(return_X_y=True)[0] >= 8).astype(np.float32)
    parts = posteriors.diagonal_gaussian(8), priors.standard_normal(8), likelihoods.bernoulli(), networks.mlp((128,))
    model = make_model(*parts, data_shape=x.shape[1:])
    feed = data.make_feed(data.Split(x), batch_size=128, seed=seed)
    fitted = train.fit(objectives.elbo(model), optax.adam(2e-3), feed, jax.random.key(seed), num_steps)
    codes = model.encode(fitted.params, x).mean
    drawn = sample(model, fitted.params, jax.random.key(1), 5)
    print(f"loss {fitted.metrics['loss'][-50:].mean():.2f} nats; codes {codes.shape}, samples {drawn.shape}")
    return float(fitted.metrics["loss"][-50:].mean())


if __name__ == "__main__":
    main()
