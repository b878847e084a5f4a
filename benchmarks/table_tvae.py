"""Synthetic rows of three bundled tables by the config table_vae, beside TVAE of the package ctgan.

pip install ctgan && python benchmarks/table_tvae.py            # about 15 minutes on 2 cores

Both sides are trained on the same 70 % of the rows, drawn by the seed, with three seeds; TVAE with the defaults of its
package, but for a batch size below the number of rows. They are judged on the other 30 % of the rows and DRAWS sets of
synthetic ones: by the AUROC of a random forest and of a logistic regression that tell the two apart (0.5 is perfect),
by the error of pairwise correlations, and by the score on real rows of a forest fitted to synthetic rows, beside one
fitted to the real rows that both were trained on.
"""

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

import jaxvae
from jaxvae.common.columns import Column
from jaxvae.data import bundled_tables
from jaxvae.data.columns import encode_like
from jaxvae.likelihoods.columns import encoder_input
from jaxvae.metrics.synthetic_rows import correlation_error, train_on_synthetic, two_sample

TABLES, SEEDS, DRAWS, TEST, TARGET = ("wine", "diabetes", "breast_cancer"), (0, 1, 2), 2, 0.3, "target"
BATCH = 50  # of TVAE; its default of 500 is more than the rows
Sampler = Callable[[int, int], Any]  # (rows, seed) -> data frame


def ours(train: pd.DataFrame, seed: int, settings: dict[str, Any]) -> Sampler:
    """Train the config table_vae; return a sampler of rows."""
    fixed = {"seed": seed, "data.validation_fraction": 0.0, "evaluate.checkpoint": "last"}  # all rows are for training
    rows = {"x_train": train, "x_test": train}
    run = jaxvae.fit("table_vae", rows, {**fixed, **settings}, progress=False)
    return lambda num, draw: run.sample(num, seed=draw)


def tvae(train: pd.DataFrame, seed: int) -> Sampler:
    """Train TVAE with the defaults of the package, but for the batch size."""
    from ctgan import TVAE  # pyright: ignore[reportMissingImports]

    made = TVAE(batch_size=BATCH, enable_gpu=False)
    made.set_random_state(seed)
    made.fit(train, [name for name in train if train[name].dtype == object or train[name].nunique() <= 10])
    return lambda num, draw: made.sample(num)


def judged(
    draw: Sampler, table: tuple[Column, ...], train: pd.DataFrame, test: pd.DataFrame, seed: int
) -> dict[str, float]:
    """Judge a sampler by the metrics above, means over DRAWS sets of rows."""
    target = [column.name for column in table].index(TARGET)
    others = tuple(column for i, column in enumerate(table) if i != target)

    def encoded(rows: pd.DataFrame) -> np.ndarray:
        return encode_like(table, rows.astype({TARGET: str}) if table[target].type == "text" else rows, "rows")

    def features(x: np.ndarray, columns: tuple[Column, ...] = table) -> np.ndarray:
        kept = [i for i, column in enumerate(table) if column in columns]
        return np.asarray(encoder_input(columns, jnp.asarray(x[:, kept])))

    def with_target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = x[:, target]
        return features(x, others), y.astype(int) if table[target].has_categories else y

    found: list[dict[str, float]] = []
    real, unseen = encoded(train), encoded(test)
    for i in range(DRAWS):
        fake = encoded(clipped(draw(len(test), i), table))
        many = encoded(clipped(draw(len(train), DRAWS + i), table))
        found.append(
            two_sample(features(unseen), features(fake), seed)
            | correlation_error(features(unseen), features(many))
            | train_on_synthetic(with_target(many), with_target(real), with_target(unseen), seed)
        )
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def clipped(rows: pd.DataFrame, table: tuple[Column, ...]) -> pd.DataFrame:
    """Keep the numbers of TVAE in the range that their columns have by their kind."""
    low = {"positive": 1e-6, "count": 0}
    numbers = {c.name: rows[c.name].clip(lower=low[c.kind]) for c in table if c.kind in low}
    return rows.assign(**numbers)


def main() -> None:
    """Print a line for each table and each method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="ours,tvae")
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--settings", default="", help="of table_vae: key=value,key=value")
    asked = parser.parse_args()
    pairs = (pair.split("=") for pair in asked.settings.split(",") if pair)
    settings = {key: _value(text) for key, text in pairs}
    warnings.filterwarnings("ignore")
    for name in asked.tables.split(","):
        frame = bundled_tables.load(name).to_pandas()
        frame = frame.assign(**{n: frame[n].astype(int) for n in frame if _is_whole(frame[n])})
        table = jaxvae.data.as_dataset(frame, SETTINGS).table
        for method in asked.methods.split(","):
            scores = []
            for seed in SEEDS:
                order = np.random.default_rng(seed).permutation(len(frame))
                size = round(TEST * len(frame))
                train, test = (frame.iloc[rows].reset_index(drop=True) for rows in (order[size:], order[:size]))
                draw = ours(train, seed, settings) if method == "ours" else tvae(train, seed)
                scores.append(judged(draw, table, train, test, seed))
            means = {key: (np.mean([s[key] for s in scores]), np.std([s[key] for s in scores])) for key in scores[0]}
            print(name, method, "  ".join(f"{key} {m:.3f} ± {sd:.3f}" for key, (m, sd) in means.items()), flush=True)


SETTINGS = {
    "kind": "table", "label": "", "columns": (), "validation_fraction": 0.1, "name": "table", "path": "",
    "pixel_range": (), "binarization": "none", "image_size": 0, "stream": False, "scaling": "none",
}  # fmt: skip


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _is_whole(column: pd.Series) -> bool:
    return column.dtype.kind in "if" and bool((column == column.round()).all())


if __name__ == "__main__":
    main()
