"""VAE of incomplete rows: half of a table's entries are hidden (MIWAE, Mattei & Frellsen 2019, arXiv:1812.02633).

python launch.py --config=configs/miwae_missing.py    # bundled table, 569 x 30: imputation RMSE 0.571
python launch.py --config=configs/miwae_missing.py --config.data.path=table.csv --config.data.missing=0.0
python launch.py --workdir=runs/miwae_missing-breast_cancer --mode=tool --config.tool=impute
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("miwae_missing", dataset or "breast_cancer")
    config.data.missing = 0.5  # hidden for study; NaN is missing anyway
    config.data.scaling = "standardize"
    config.model.latent_dim = 10
    config.model.likelihood = {"name": "gaussian", "learn": "shared"}
    config.network = {"name": "mlp", "hidden": (256,), "activation": "tanh"}
    config.objective = {"name": "iwae", "num_samples": 20}
    config.train.batch_size = 64
    config.train.num_epochs = 500
    config.train.eval_every_epochs = 25
    config.evaluate.metrics = "imputation"
    return config
