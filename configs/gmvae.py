"""GMVAE: clusters of z given a further latent w, by a network (Dilokthanakul et al. 2016, arXiv:1611.02648).

python launch.py --config=configs/gmvae.py        # 8x8 digits, bundled: accuracy 0.777, test loss 24.25
python launch.py --config=configs/gmvae.py:mnist  # 16 components, 60 epochs: purity 0.930, mean of 3 seeds

With more components than classes, as in the paper, a cluster counts as its most frequent class: the purity.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("gmvae", dataset)
    config.model.latent_dim = 20  # 10 of z and 10 of w
    config.model.prior = {"name": "nested_mixture", "noise_dim": 10, "components": 10, "hidden": (100,)}
    hidden = (200, 200) if dataset in ("", "digits") else (500, 500)
    config.network = {"name": "mlp", "hidden": hidden, "activation": "relu", "hidden_scale": 1 / 3}
    config.objective = {"name": "gmvae", "minimum_information": 0.0}
    config.train.pretrain_epochs = 100 if dataset in ("", "digits") else 50  # without, few clusters are used
    if dataset == "mnist":
        config.model.prior.components = 16
        config.train.pretrain_epochs = 30
        config.train.num_epochs = 60
    config.evaluate.metrics = "collapse,clustering"
    return config
