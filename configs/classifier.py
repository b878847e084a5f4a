"""A classifier trained on the labels alone, beside a VAE: the baseline of few labels, or a network of features.

python launch.py --config=configs/classifier.py                            # 8x8 digits, bundled, all labels
python launch.py --config=configs/classifier.py:mnist --config.data.labels=100 --config.train.labelled_share=0.5
python launch.py --config=configs/classifier.py:mnist --config.objective.self_training=0.95   # with data.labels
python launch.py --config=configs/classifier.py --config.classifier.name=conv --config.train.num_epochs=40
    # a convolutional network, whose features configs/dfc_vae.py and others compare: 8x8 digits, test accuracy 0.981
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("classifier", dataset)
    config.objective = {"name": "supervised"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.train.select = "-accuracy"
    config.evaluate.metrics = "classification"
    return config
