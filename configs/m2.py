"""Semi-supervised VAE, "M2": the class is a latent where it is not known (Kingma et al. 2014, arXiv:1406.5298).

python launch.py --config=configs/m2.py            # 8x8 digits, bundled: 100 labels, test accuracy 0.969
python launch.py --config=configs/m2.py:mnist      # 60 epochs; 100 labels: test accuracy 0.907, mean of 5 draws
python launch.py --config=configs/m2.py --config.data.labels=50 --config.data.labels_seed=1
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("m2", dataset)
    config.data.context = "label"
    config.data.labels = 100
    config.model.latent_dim = 50
    config.network = {"name": "mlp", "hidden": (500,), "activation": "relu"}
    config.objective = {"name": "m2"}
    config.train.labelled_share = 0.5
    if config.data.name == "mnist":
        config.network.update(hidden=(500, 500), hidden_scale=1 / 3)
        config.data.binarization = "dynamic"
        config.objective.alpha = 30.0
        config.optimizer.schedule.name = "cosine"
        config.train.labelled_share = 0.1
        config.train.num_epochs = 60
    config.evaluate.checkpoint = "last"  # the best one would need labels of validation examples
    config.evaluate.metrics = "classification"
    if config.data.name == "digits":
        config.model.latent_dim = 10
        config.network.hidden = (200,)
        config.train.num_epochs = 300
        config.train.eval_every_epochs = 50
    return config
