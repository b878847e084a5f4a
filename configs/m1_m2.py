"""Few labels, "M1+M2": M2 on the codes of M1, a run of configs/m1.py (Kingma et al. 2014, arXiv:1406.5298).

python launch.py --config=configs/m1.py            # the first stage
python launch.py --config=configs/m1_m2.py         # 8x8 digits, bundled: 100 labels, test accuracy 0.908
python launch.py --config=configs/m1.py:mnist --config.kl.beta=0.1 --config.train.num_epochs=30
python launch.py --config=configs/m1_m2.py:mnist   # 40 epochs; 100 labels: test accuracy 0.958, mean of 5 draws

A first stage with a KL weight below 1 has codes with less noise, whose classes the second stage tells apart better.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("m1_m2", dataset)
    config.stage_of = f"runs/m1-{config.data.name}"
    config.data.context = "label"
    config.data.labels = 100
    config.model.latent_dim = 50
    config.model.likelihood = {"name": "gaussian", "learn": "pixel"}
    config.network = {"name": "mlp", "hidden": (500,), "activation": "relu"}
    config.objective = {"name": "m2"}
    config.train.labelled_share = 0.5
    if config.data.name == "mnist":
        config.objective.alpha = 1.0
        config.optimizer.schedule.name = "cosine"
        config.train.labelled_share = 0.1
        config.train.num_epochs = 40
    config.evaluate.checkpoint = "last"  # the best one would need labels of validation examples
    config.evaluate.metrics = "classification"
    if config.data.name == "digits":
        config.model.latent_dim = 10
        config.network.hidden = (200,)
        config.train.num_epochs = 300
        config.train.eval_every_epochs = 50
    return config
