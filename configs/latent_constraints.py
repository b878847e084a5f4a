"""Latent constraints: draws with a wanted class from a VAE that knows no classes (Engel et al. 2018, arXiv:1711.05772).

python launch.py --config=configs/vae.py                   # the first stage; with :mnist likewise
python launch.py --config=configs/latent_constraints.py    # 8x8 digits, bundled
python launch.py --config=configs/latent_constraints.py:mnist   # 12 epochs: a classifier agrees with 97.5 % of draws
python launch.py --workdir=runs/latent_constraints-digits --mode=sample --config.sample.context=3
python launch.py --workdir=runs/latent_constraints-digits --mode=tool --config.tool=transform
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("latent_constraints", dataset)
    config.stage_of = f"runs/vae-{config.data.name}"
    config.data.context = "label"
    config.model = {"name": "actor", "latent_dim": 20, "posterior": {"name": "delta"}}
    config.model.prior = {"name": "standard_normal"}
    config.model.likelihood = {"name": "squared_error"}
    config.network = {"name": "mlp", "hidden": (512, 512), "activation": "relu", "hidden_scale": 1 / 3}
    config.objective = {"name": "latent_constraints", "discriminator": {"network": "mlp", "hidden": (512, 512)}}
    config.optimizer.learning_rate = 3e-4
    config.train.num_epochs = 12
    config.evaluate.checkpoint = "last"  # the losses of a game have no best
    if config.data.name == "digits":
        config.train.num_epochs = 300
        config.train.eval_every_epochs = 50
    return config
