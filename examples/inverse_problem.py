"""A decoder as the prior of an inverse problem: NUTS over z finds the digits that a blurred, masked image can be.

python examples/inverse_problem.py            # about a minute on CPU; writes inverse_problem.png
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS
from sklearn.datasets import load_digits

import jaxvae

NOISE = 0.1  # standard deviation of the observation


def blur(x):
    """Average each pixel of images `[..., 8, 8, 1]` with its eight neighbours, zeros beyond the edge."""
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(1, 1), (1, 1), (0, 0)])
    return sum(padded[..., i : i + 8, j : j + 8, :] for i in range(3) for j in range(3)) / 9


def observe(x):
    """Distribution of the observation of an image: blurred, with noise."""
    return dist.Normal(blur(x), NOISE).to_event(3)


def posterior(run, obs, mask, num_samples=500, seed=0):
    """Sample z from p(z|obs) by NUTS: `z [S, D]` and decoded images `x [S, 8, 8, 1]`."""
    sampler = NUTS(jaxvae.as_numpyro(run, observe))
    chain = MCMC(sampler, num_warmup=num_samples, num_samples=num_samples, progress_bar=False)
    chain.run(jax.random.key(seed), obs=obs, mask=mask)
    return chain.get_samples()


def figure(truth, obs, mask, x):
    """Draw the truth, the observation, the mean and deviation of the posterior, and five of its draws."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    grey = colormaps["gray"].with_extremes(bad="tab:red")
    shown = {"truth": truth, "observed": np.where(mask, obs, np.nan), "mean": x.mean(0), "deviation": x.std(0)}
    shown |= {f"draw {i + 1}": x[i * len(x) // 5] for i in range(5)}
    made = Figure(figsize=(len(shown), 1.3), dpi=200, layout="constrained")
    for axes, (name, image) in zip(made.subplots(1, len(shown)), shown.items(), strict=True):
        axes.imshow(np.squeeze(image), cmap=grey, vmin=0, vmax=0.5 if name == "deviation" else 1)
        axes.set_title(name, fontsize=8)
        axes.set_axis_off()
    return made


def main(num_epochs=500, num_samples=500, path="inverse_problem.png"):
    """Train a VAE of digits, hide the right half of a blurred one, and return the run, the problem and the draws."""
    images = (load_digits(return_X_y=True)[0].reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    run = jaxvae.fit("vae", images[:-1], model__latent_dim=4, train__num_epochs=num_epochs, progress=False)
    truth, mask = images[-1], np.arange(8)[:, None] < np.full((8, 8, 1), 4)
    obs = np.asarray(observe(truth).sample(jax.random.key(1)))
    drawn = posterior(run, obs, mask, num_samples)
    if path:
        figure(truth, obs, mask, np.asarray(drawn["x"])).savefig(path)
    error = float(np.abs(np.asarray(drawn["x"]).mean(0) - truth).mean())
    print(f"mean absolute error of the posterior mean: {error:.3f}; wrote {path}")
    return run, obs, mask, drawn


if __name__ == "__main__":
    main()
