"""Imputation of a table by a VAE (MIWAE, Mattei & Frellsen 2019, arXiv:1812.02633) beside scikit-learn's imputers.

python benchmarks/imputation.py                        # five random masks of the breast-cancer table, 569 x 30
python benchmarks/imputation.py --seeds=1 --without=forest

The table is standardised, half of its entries are hidden completely at random, and each method sees the others alone.
The numbers are mean squared errors of the hidden entries, in units of the variance of each column.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge

import jaxvae

EPOCHS = 400  # of 8 steps; the bound of rows that are held out is best there
SHARE = 0.5


def vae(x: np.ndarray, seed: int) -> np.ndarray:
    """Train `configs/miwae_missing.py` on all rows, and impute them by the means of 5,000 weighted samples."""
    rows = {"x_train": x, "x_validation": x[:64], "x_test": x[:64]}
    settings = {
        "seed": seed, "data.missing": 0.0, "data.scaling": "none", "train.num_epochs": EPOCHS,
        "train.eval_every_epochs": EPOCHS, "evaluate.checkpoint": "last",
    }  # fmt: skip
    run = jaxvae.fit("miwae_missing", rows, settings, progress=False)
    return run.impute(x, num_samples=5000)


def forest(seed: int) -> RandomForestRegressor:
    """Return the regressor of missForest: 100 trees, each split among the square root of the columns."""
    return RandomForestRegressor(100, max_features="sqrt", random_state=seed)  # pyright: ignore[reportArgumentType]


METHODS = {
    "mean": lambda x, seed: SimpleImputer().fit_transform(x),
    "knn": lambda x, seed: KNNImputer(n_neighbors=10).fit_transform(x),
    "ridge": lambda x, seed: IterativeImputer(BayesianRidge(), max_iter=30, random_state=seed).fit_transform(x),
    "forest": lambda x, seed: IterativeImputer(forest(seed), max_iter=10, random_state=seed).fit_transform(x),
    "vae": vae,
}


def main() -> None:
    """Print the error of each method and mask, then means and standard deviations over the masks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--without", default="", help="methods to leave out, separated by commas")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")  # an iterative imputer that has not converged says so for each mask
    table, _ = load_breast_cancer(return_X_y=True)
    x = ((table - table.mean(axis=0)) / table.std(axis=0)).astype(np.float32)
    names = [name for name in METHODS if name not in args.without.split(",")]
    errors: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(args.seeds):
        hidden = np.random.default_rng(seed).random(x.shape) < SHARE
        given = np.where(hidden, np.nan, x)
        for name in names:
            start = time.perf_counter()
            found = METHODS[name](given, seed)
            errors[name].append(float(np.mean(np.square(found - x)[hidden])))
            print(f"mask {seed}  {name:<8}{errors[name][-1]:.4f}  {time.perf_counter() - start:7.1f} s", flush=True)
    print(f"\n{'method':<10}{'MSE':>8}{'sd':>8}{'RMSE':>8}")
    for name, values in errors.items():
        print(f"{name:<10}{np.mean(values):8.4f}{np.std(values, ddof=min(1, args.seeds - 1)):8.4f}"
              f"{np.mean(np.sqrt(values)):8.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
