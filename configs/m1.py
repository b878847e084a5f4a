"""Few labels, "M1": a classifier of the codes of a VAE (Kingma et al. 2014, arXiv:1406.5298, section 3.1).

python launch.py --config=configs/m1.py            # 8x8 digits, bundled: 100 labels, test accuracy 0.875
python launch.py --config=configs/m1.py:mnist      # 100 labels
python launch.py --config=configs/m1.py --config.evaluate.classifier=linear --config.data.labels_seed=1

The VAE is trained without labels; a support vector machine is fitted to the codes of the labelled examples.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("m1", dataset)
    config.data.labels = 100
    config.model.latent_dim = 50
    config.network = {"name": "mlp", "hidden": (600, 600), "activation": "relu", "hidden_scale": 1 / 3}
    config.evaluate.metrics = "classification"
    config.evaluate.classifier = "svm"
    if config.data.name == "digits":
        config.model.latent_dim = 10
        config.network.hidden = (200,)
        config.train.num_epochs = 300
        config.train.eval_every_epochs = 50
    return config
