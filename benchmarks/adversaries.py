"""Train adversarial configs on the bundled digits with several seeds, and judge reconstructions and codes.

python benchmarks/adversaries.py aae wae_gan wae_mmd --seeds=10
python benchmarks/adversaries.py aae --seeds=1 --set objective.r1=0.0

A row holds the reconstruction loss of the test set, the discriminator's accuracy, and the MMD (IMQ kernel, as in
WAE-MMD) of the test codes and as many draws of N(0, I), beside that of two sets of draws.
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


def judged(config: str, seed: int, settings: dict[str, Any]) -> tuple[float, float, float, float]:
    """Return reconstruction loss, accuracy, MMD of codes and prior, MMD of two sets of draws."""
    run = jaxvae.fit(config, settings={**SHORT, **settings, "seed": seed}, progress=False)
    means = run.evaluate()["test"]
    test = data.load().test
    codes = jnp.asarray(run.encode(np.asarray(test.x)))
    one, other = jax.random.normal(jax.random.key(seed), (2, *codes.shape))
    to_prior, of_draws = (float(losses.mmd(first, one, "imq", 1.0)) for first in (codes, other))
    return means["reconstruction"], means.get("discriminator_accuracy", float("nan")), to_prior, of_draws


def main() -> None:
    """Print a row for each seed of each config."""
    parser = argparse.ArgumentParser(description="Seeds of adversarial configs on the bundled digits.")
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, with a literal")
    args = parser.parse_args()
    settings = {key: ast.literal_eval(value) for key, _, value in (each.partition("=") for each in args.set)}
    print("config        seed  reconstruction  accuracy  MMD to the prior  of draws")
    for config in args.configs:
        for seed in range(args.seeds):
            reconstruction, accuracy, *distances = judged(config, seed, settings)
            row = f"{config:12}  {seed:4}  {reconstruction:14.3f}  {accuracy:8.3f}"
            print(f"{row}  {distances[0]:16.4f}  {distances[1]:8.4f}", flush=True)


if __name__ == "__main__":
    main()
