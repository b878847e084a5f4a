"""Train disentangling configs on the drawn shapes, and judge how dependent the dimensions of z are.

python benchmarks/total_correlation.py factor_vae:objective.gamma=20.0 beta_vae:kl.beta=2.4 --seeds=3 --epochs=200

The total correlation KL(q(z) || prod_d q(z_d)) is estimated in three ways. "mixture" is the metric `aggregate_kl`, of
the mixture of q(z|x) of the test set: too high where the KL is above the logarithm of the number of examples. "ratio"
is the Donsker-Varadhan bound of a classifier, gradient-boosted trees, that tells codes of training examples from codes
whose dimensions are permuted, on codes of test examples: a lower bound in expectation. "Gaussian" is that of a normal
distribution with the covariance of the codes of test examples.
"""

import argparse
import ast

import jaxvae

jaxvae.avoid_wrong_sums()

import jax
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from jaxvae import data
from jaxvae.data.spec import preprocess_of

FIXED = {"figures.draw": False, "train.eval_every_epochs": 1000, "network.hidden": (400, 400),
         "network.hidden_scale": 1 / 3}  # fmt: skip
FIXED |= {"evaluate.report": False, "evaluate.checkpoint": "last"}


def codes_of(run: jaxvae.Run, x: np.ndarray, seed: int) -> np.ndarray:
    """Return a draw of q(z|x) `[N, D]` for each example."""
    binarize_key, key = jax.random.split(jax.random.key(seed))
    scaled = preprocess_of(run.config, run.spec)(binarize_key, x)
    return np.asarray(run.model.encode(run.params, scaled).sample(key))


def permuted(codes: np.ndarray, seed: int) -> np.ndarray:
    """Permute each dimension over the examples."""
    return np.random.default_rng(seed).permuted(codes, axis=0)


def by_ratio(train: np.ndarray, test: np.ndarray) -> float:
    """Bound the total correlation in nats: mean of the log-ratio minus the log-mean of the ratio where it is 0."""
    both = np.concatenate([train, permuted(train, 0)])
    trees = HistGradientBoostingClassifier(random_state=0)
    trees.fit(both, np.repeat([1, 0], len(train)))
    joint, apart = (trees.decision_function(each) for each in (test, permuted(test, 1)))
    return float(np.mean(joint) - np.log(np.mean(np.exp(apart))))


def by_covariance(codes: np.ndarray) -> float:
    """Return -log|R| / 2 of the correlations R, the total correlation of a normal distribution, in nats."""
    return float(-0.5 * np.linalg.slogdet(np.corrcoef(codes.T))[1])


def main() -> None:
    """Print a row for each seed of each config."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", metavar="CONFIG[:KEY=VALUE]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    asked = parser.parse_args()
    shapes = data.load("shapes")
    print(f"{'config':32}seed  reconstruction     KL  mixture   ratio  Gaussian   MIG")
    for each in asked.configs:
        config, _, setting = each.partition(":")
        key, _, value = setting.partition("=")
        changes = {key: ast.literal_eval(value)} if key else {}
        for seed in range(asked.seeds):
            settings = {**FIXED, **changes, "train.num_epochs": asked.epochs, "seed": seed}
            run = jaxvae.fit(config, "shapes", settings, progress=False)
            found = run.evaluate("aggregate_kl,mig_bins", nll_samples=1)
            train, test = codes_of(run, shapes.train.x, 1), codes_of(run, shapes.test.x, 2)
            metrics, test_loss = found["metrics"], found["test"]
            mixture = metrics["aggregate_kl"]["total_correlation"]
            row = f"{each:32}{seed:4}  {test_loss['reconstruction']:14.2f}  {test_loss['kl']:5.2f}  {mixture:7.2f}"
            row += f"  {by_ratio(train, test):6.3f}  {by_covariance(test):8.3f}"
            print(f"{row}  {metrics['mig_bins']['mig_bins']:5.2f}", flush=True)


if __name__ == "__main__":
    main()
