"""VaDE: clusters of z, a mixture fitted to an autoencoder's codes and trained on (Jiang et al. 2017, arXiv:1611.05148).

python launch.py --config=configs/vade.py        # 8x8 digits, bundled: accuracy 0.766, test loss 24.24
python launch.py --config=configs/vade.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("vade", dataset)
    config.model.latent_dim = 10
    config.model.prior = {"name": "mixture_of_gaussians", "components": 10}
    hidden = (200, 200) if dataset in ("", "digits") else (500, 500, 2000)
    config.network = {"name": "mlp", "hidden": hidden, "activation": "relu"}
    config.objective = {"name": "vade"}
    config.train.pretrain_epochs = 100 if dataset in ("", "digits") else 50
    config.evaluate.metrics = "collapse,clustering"
    return config
