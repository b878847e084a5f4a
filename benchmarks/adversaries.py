"""Train adversarial configs on the bundled digits with several seeds, and judge reconstructions and codes.

python benchmarks/adversaries.py aae wae_gan wae_mmd --seeds=10
python benchmarks/adversaries.py aae --seeds=1 --set objective.r1=0.0

A row holds the reconstruction loss of the test set, the discriminator's accuracy, the MMD (IMQ kernel, as in
WAE-MMD) of the test codes and as many draws of N(0, I), beside that of two sets of draws, and moments of the codes: the
largest absolute mean of a dimension, the smallest and largest variance, and the largest absolute correlation of two.
"""

import argparse
import ast
from typing import Any

import jaxvae

jaxvae.avoid_wrong_sums()

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae import data, losses

SHORT = {"figures.draw": False, "evaluate.report": False, "evaluate.metrics": "", "train.eval_every_epochs": 100}


def judged(config: str, seed: int, settings: dict[str, Any]) -> tuple[float, float, list[float]]:
    """Return reconstruction loss, accuracy, and of the codes the two MMDs and the four moments."""
    run = jaxvae.fit(config, settings={**SHORT, **settings, "seed": seed}, progress=False)
    means = run.evaluate()["test"]
    test = data.load().test
    codes = jnp.asarray(run.encode(np.asarray(test.x)))
    one, other = jax.random.normal(jax.random.key(seed), (2, *codes.shape))
    to_prior, of_draws = (float(losses.mmd(first, one, "imq", 1.0)) for first in (codes, other))
    variance, correlation = np.var(codes, axis=0), np.corrcoef(codes.T)
    moments = [np.abs(np.mean(codes, axis=0)), -variance, variance, np.abs(correlation - np.eye(len(correlation)))]
    largest = [float(np.max(each)) for each in moments]
    return means["reconstruction"], means.get("discriminator_accuracy", float("nan")), [
        to_prior, of_draws, largest[0], -largest[1], *largest[2:]
    ]  # fmt: skip


def main() -> None:
    """Print a row for each seed of each config."""
    parser = argparse.ArgumentParser(description="Seeds of adversarial configs on the bundled digits.")
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, with a literal")
    args = parser.parse_args()
    settings = {key: ast.literal_eval(value) for key, _, value in (each.partition("=") for each in args.set)}
    print("config        seed  reconstruction  accuracy  MMD to the prior  of draws  mean  variances  correlation")
    for config in args.configs:
        for seed in range(args.seeds):
            reconstruction, accuracy, (to_prior, of_draws, mean, low, high, correlation) = judged(
                config, seed, settings
            )
            row = f"{config:12}  {seed:4}  {reconstruction:14.3f}  {accuracy:8.3f}  {to_prior:16.4f}  {of_draws:8.4f}"
            print(f"{row}  {mean:4.2f}  {low:4.2f}-{high:4.2f}  {correlation:11.2f}", flush=True)


if __name__ == "__main__":
    main()
