"""The error of imputed values of a table, against numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest

import jaxvae
from jaxvae.runs import imputing

SMALL = {
    "data.missing": 0.3,
    "network.hidden": (8,),
    "model.latent_dim": 2,
    "train.num_epochs": 1,
    "train.batch_size": 32,
}


def test_errors_of_a_table_are_in_deviations_of_its_columns_and_shares_of_wrong_categories(tmp_path):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({
        "visits": rng.poisson(np.where(np.arange(90) % 2, 400, 40)), "town": rng.choice(["Bern", "Oslo", "Rome"], 90),
        "weight": rng.normal(5.0, 3.0, 90), "smokes": rng.choice(["no", "yes"], 90, p=[0.7, 0.3]),
    })  # fmt: skip
    run = jaxvae.fit("table_vae", frame, SMALL, progress=False)._trained
    true, where = imputing.hidden(run, "train", np.arange(60))
    train = run.split("train")
    spread = np.array([run.experiment.spec.scaled(train.x)[train.mask[:, i], i].std() for i in range(4)])
    found = true + spread * np.array([0.5, 0.0, 2.0, 0.0])  # half a deviation of counts, two of weights
    found[:30, 1] = (true[:30, 1] + 1) % 3  # wrong towns
    found[:, 3] = np.where(true[:, 3] > 0.5, 0.6, 0.4)  # probabilities that round to the truth
    numbers = imputing.errors(run, true, found, where)
    weights = where[:, [0, 2]].sum(axis=0)
    assert numbers["mse"] == pytest.approx((weights @ [0.25, 4.0]) / weights.sum(), rel=1e-5)
    assert numbers["wrong"] == pytest.approx(where[:30, 1].sum() / where[:, [1, 3]].sum())
    most = [np.argmax(np.bincount(train.x[train.mask[:, i], i].astype(int))) for i in (1, 3)]
    assert numbers["commonest_wrong"] == pytest.approx((true[:, [1, 3]] != most)[where[:, [1, 3]]].mean())
    assert imputing.errors(run, true, found, where & (np.arange(4) == 1)).keys() == {"wrong", "commonest_wrong"}
